"""The behaviour section of the report: figures, ethograms and rules, or plain words where there are none."""

import json

import numpy as np
import pandas as pd
import pytest
from cycle_project import N_FRAMES, SPLIT_OF, new_project
from test_report import Page

from etholoop.errors import EthoLoopError
from etholoop.io import tables
from etholoop.schema.annotations import Bouts, LookedAt
from etholoop.schema.behaviour import FrameLabels, Stretches
from etholoop.schema.scores import Scores
from etholoop.schema.tracks import TrackNames, Tracks
from etholoop.schema.videos import Videos
from etholoop.stages import _report_behaviour_time, behaviour_dataset, behaviour_evaluate, behaviour_train, bouts, report, select
from etholoop.stages._report_behaviour_inputs import DATASET, Behaviour

ETHOGRAM = """
name: squares
behaviours:
  - {name: rest, definition: it stays, exclusive_group: activity}
  - {name: walk, definition: it goes, exclusive_group: activity}
  - {name: look up, definition: its head is high}
"""
BEHAVIOURS = ("rest", "walk", "look up")
ABOUT = {"trained": True, "head": "multilabel", "behaviours": list(BEHAVIOURS), "stride": 1}
NOTES = ["Strength 0.01 by cross-validated loss."]
SMALL = report.Params(n_samples=0, n_worst=0, thumbnail_px=80, n_animals=3)


def truth(video_id, animal):
    """Bouts of 30 frames; the second half of each walk it looks up."""
    walks = np.repeat(np.arange(N_FRAMES // 30) % 2 == (int(video_id[-1]) + animal) % 2, 30)
    up = walks & (np.arange(N_FRAMES) % 30 >= 15)
    return np.column_stack([~walks, walks, up])


def with_labels(root):
    """Two named animals in each of four recordings, all their time looked at; no model."""
    project = new_project(root)
    select.run(project, select.Params())
    project.ethogram.write_text(ETHOGRAM)
    rows, names, marked, seen = [], [], [], []
    box = {"x_min": 10.0, "y_min": 10.0, "x_max": 40.0, "y_max": 30.0, "species": "mouse", "confidence": 0.9}
    for video_id in SPLIT_OF:
        for animal in range(2):
            place = {"video_id": video_id, "track": animal}
            rows += [{**place, "frame": frame, **box, "state": "detected", "instance": animal} for frame in range(N_FRAMES)]
            counts = {"n_detected": N_FRAMES, "n_interpolated": 0}
            names.append({**place, "name": f"m{animal + 1}", "species": "mouse", "start_frame": 0, "stop_frame": N_FRAMES, **counts})
            subject = {"video_id": video_id, "subject": f"m{animal + 1}", "source": "anna"}
            seen.append({**subject, "start_frame": 0, "stop_frame": N_FRAMES})
            for k, name in enumerate(BEHAVIOURS):
                for start, stop in bouts_of(truth(video_id, animal)[:, k]):
                    marked.append({**subject, "behaviour": name, "start_frame": start, "stop_frame": stop, "confidence": np.nan})
    write(project, "data/tracks/tracks.parquet", rows, Tracks)
    write(project, "data/tracks/names.parquet", names, TrackNames)
    write(project, "data/annotations/bouts.parquet", marked, Bouts)
    write(project, "data/annotations/looked_at.parquet", seen, LookedAt)
    behaviour_dataset.run(project, behaviour_dataset.Params())
    behaviour_train.run(project, behaviour_train.Params())
    return project


def bouts_of(flags):
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return edges.reshape(-1, 2).tolist()


def write(project, path, rows, schema):
    tables.write(tables.from_rows(rows, schema), schema, project / path)


def train(project, families, curves=()):
    """What behaviour_train and behaviour_predict leave, without training: scores that are nearly right."""
    about = dict.fromkeys(families, ABOUT)
    figures = {family: {"trained": True, "notes": NOTES, "weights_sha256": "cd" * 32, "strength": 0.01} for family in families}
    (project.metrics / "behaviour_train.json").write_text(json.dumps({"families": figures}))
    pd.DataFrame(list(curves), columns=["family", "epoch", "loss", "val_f1_macro"]).to_csv(
        project.metrics / "plots/behaviour_curves.csv", index=False
    )
    for number, family in enumerate(families):
        rng, parts = np.random.default_rng(number), []
        for video_id in SPLIT_OF:
            for animal in range(2):
                score = np.clip(np.where(np.roll(truth(video_id, animal), 4, axis=0), 0.9, 0.1) + rng.normal(0, 0.05, (N_FRAMES, 3)), 0, 1)
                place = {"video_id": video_id, "track": animal, "frame": np.arange(N_FRAMES)}
                parts.append(pd.DataFrame(place | {f"p_{name}": score[:, k].astype(np.float16) for k, name in enumerate(BEHAVIOURS)}))
        tables.write(tables.typed(pd.concat(parts), Scores), Scores, project / f"data/scores/{family}/scores.parquet")
    (project / "data/scores/families.json").write_text(json.dumps({"families": about}))
    judge(project)


def judge(project):
    bouts.run(project, bouts.Params())
    behaviour_evaluate.run(project, behaviour_evaluate.Params(n_bootstrap=20))


def page_of(project, params=SMALL):
    report.run(project, params)
    return Page(project.report.read_text(encoding="utf-8"))


@pytest.fixture
def labelled(tmp_path):
    return with_labels(tmp_path / "project")


@pytest.fixture
def judged(labelled):
    (labelled / "data/scores").mkdir(parents=True)
    train(labelled, ["motion"])
    return labelled


def test_a_project_without_behaviours_has_no_such_section(tmp_path):
    project = new_project(tmp_path / "project")
    select.run(project, select.Params())
    page = page_of(project)
    assert "Behaviour" not in page.headings and "behaviour" not in page.anchors | page.targets
    assert "ehaviour" not in page.words


def test_labels_without_a_family_say_how_to_get_one(labelled):
    page = page_of(labelled)
    assert "Behaviour" in page.headings and "behaviour" in page.targets
    assert "2 400 labelled frames of animals, 3 behaviours. Bouts were marked by anna. No family of models is asked for yet." in page.words
    assert "Name families in behaviour_train.families of params.yaml" in page.words
    assert "walk 600 20 300 10 300 10" in page.words
    assert any(picture["alt"].startswith("Ethograms of cage4 · m1 (track 0), cage4 · m2 (track 1)") for picture in page.pictures)


def test_figures_of_a_judged_family(judged):
    page = page_of(judged)
    figures = json.loads((judged.metrics / "behaviour.json").read_text())["families"]["motion"]["test"]
    assert page.faults == [] and page.targets <= page.anchors
    assert "Judged on 2 animals in 600 labelled frames of 1 recording held out. One recording gives no intervals." in page.words
    for name, title in (("f1_macro", "macro-F1"), ("accuracy_micro", "micro accuracy"), ("bout_f1_macro", "bout F1"), ("map", "mAP")):
        assert f"({title}) {figures[name]:.3f}" in page.words
    assert "CI not reliable: n videos < 10" in page.words
    own = figures["behaviours"]["walk"]
    assert f"walk {own['f1']:.3f} {own['precision']:.3f} {own['recall']:.3f} {own['ap']:.3f}" in page.words
    assert "Never at the same time: rest, walk." in page.words
    assert NOTES[0] in page.words and "cd" * 32 in page.words


def test_confusions_and_budgets_are_those_of_the_held_out_animals(judged):
    page = page_of(judged)
    alts = [picture["alt"] for picture in page.pictures]
    table = pd.read_csv(judged.metrics / "plots/behaviour_test_confusion.csv").query("split == 'test' and truth == 'walk'")
    share = 100 * table.set_index("said")["n"]["walk"] / table["n"].sum()
    assert any("Confusion matrix" in alt and f"walk {share:.0f} %" in alt for alt in alts)
    assert any("Confusion matrix" in alt and "look up" in alt for alt in alts)
    assert sum("Confusion matrix" in alt for alt in alts) == 2
    said = tables.read(judged / "data/bouts/bouts.parquet", bouts.PredictedBouts).query("video_id == 'cage4' and behaviour == 'walk'")
    spent = 100 * (said["stop_frame"] - said["start_frame"]).sum() / (2 * N_FRAMES)
    assert f"walk 50.0 % {spent:.1f} %" in page.words
    assert any("what people marked above what each family says" in alt for alt in alts)


def test_a_track_that_was_several_animals_has_a_row_for_each(judged):
    before = page_of(judged)
    folder, half = judged / "data/datasets/behaviour", N_FRAMES // 2
    stretches, labels = tables.read(folder / "stretches.parquet", Stretches), tables.read(folder / "labels.parquet", FrameLabels)
    (whole,) = stretches.query("video_id == 'cage4' and track == 0").to_dict("records")
    later = {**whole, "stretch": len(stretches), "subject": "m7", "start_frame": half, "context_start_frame": half}
    rows = [row for row in stretches.to_dict("records") if row["stretch"] != whole["stretch"]]
    write(judged, f"{DATASET}/stretches.parquet", [*rows, {**whole, "stop_frame": half, "context_stop_frame": half}, later], Stretches)
    labels.loc[(labels["stretch"] == whole["stretch"]) & (labels["frame"] >= half), "stretch"] = later["stretch"]
    tables.write(labels, FrameLabels, folder / "labels.parquet")
    page = page_of(judged)
    (alt,) = (picture["alt"] for picture in page.pictures if picture["alt"].startswith("Ethograms"))
    assert alt.startswith("Ethograms of cage4 · m1 (track 0), cage4 · m2 (track 1), cage4 · m7 (track 0)")
    found = Behaviour(judged, tables.read(judged.manifest / "videos.parquet", Videos))
    first, _, second = _report_behaviour_time.animals_of(found, 3)[0]
    assert (first.start_frame, first.stop_frame, second.start_frame, second.stop_frame) == (0, half, half, N_FRAMES)
    spent = [words[words.index("Time budgets") :][:400] for words in (before.words, page.words)]
    assert spent[0] == spent[1], "the time is the same, whosever it was"


def test_several_families_stand_side_by_side_with_their_curves(judged):
    curves = [("x3d", 1, 2.0, 0.3), ("x3d", 2, 1.0, 0.6), ("motion", 1, 0.5, 0.7)]
    train(judged, ["motion", "x3d"], curves)
    page = page_of(judged)
    assert "Families side by side" in page.words
    assert "behaviour labelled motion x3d" in page.words
    alts = [picture["alt"] for picture in page.pictures]
    assert any("Training of x3d over 2 epochs. At the end: macro-F1 0.600." in alt for alt in alts)
    assert not any("Training of motion" in alt for alt in alts)


def test_a_family_that_was_not_trained_says_why(labelled):
    (labelled / "data/scores").mkdir(parents=True)
    (labelled / "data/scores/families.json").write_text('{"families": {}}')
    reason = "12 labelled train frames with a behaviour, 50 are needed"
    (labelled.metrics / "behaviour_train.json").write_text(json.dumps({"families": {"x3d": {"trained": False, "reason": reason}}}))
    judge(labelled)
    page = page_of(labelled)
    assert f"Family x3d Not trained: {reason}." in page.words
    assert "Behaviours right" not in page.words and "Name families in" not in page.words


def test_a_family_without_held_out_labels_is_shown_but_not_judged(judged):
    seen = tables.read(judged / "data/annotations/looked_at.parquet", LookedAt)
    write(judged, "data/annotations/looked_at.parquet", seen[seen["video_id"] != "cage4"].to_dict("records"), LookedAt)
    behaviour_dataset.run(judged, behaviour_dataset.Params())
    judge(judged)
    page = page_of(judged)
    assert "Trained, but not judged: no labelled behaviour in this split." in page.words
    assert "Time budgets" not in page.words
    assert any("nobody marked bouts here" in picture["alt"] for picture in page.pictures)


def test_labels_that_could_not_be_used_are_named(labelled):
    seen = tables.read(labelled / "data/annotations/looked_at.parquet", LookedAt)
    stranger = {"video_id": "cage1", "subject": "m9", "start_frame": 0, "stop_frame": 50, "source": "anna"}
    write(labelled, "data/annotations/looked_at.parquet", [*seen.to_dict("records"), stranger], LookedAt)
    behaviour_dataset.run(labelled, behaviour_dataset.Params())
    (dropped,) = json.loads((labelled / "data/datasets/behaviour/counts.json").read_text())["dropped"]
    page = page_of(labelled)
    assert f"Labels that could not be used recording subject reason cage1 m9 {dropped['reason']}" in page.words
    assert page.faults == []


def test_of_very_many_bouts_the_middle_is_drawn(judged, monkeypatch):
    monkeypatch.setattr(_report_behaviour_time, "MOST_BOUTS", 5)
    assert "only the middle of the time is drawn" in page_of(judged).words


def test_tables_that_do_not_fit_are_an_error(judged):
    path = judged.metrics / "plots/behaviour_test_confusion.csv"
    path.write_text(path.read_text().replace("walk", "gallop"))
    with pytest.raises(EthoLoopError, match=r"behaviour_test_confusion\.csv and data/bouts/rules\.json do not fit"):
        page_of(judged)


def test_same_inputs_same_bytes(judged):
    assert page_of(judged).html == page_of(judged).html
