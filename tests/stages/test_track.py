"""Stage track: predictions and edits in, tracks, names and swap risks out; nothing to track is a state."""

import json

import numpy as np
import pandas as pd
import pytest
from evaluation_project import detection, new_project, predicted_keypoints, video, write_predictions, write_videos
from untouched import write_untouched

from etholoop.core.tracking.edits import Anchor, Edit
from etholoop.errors import FaultsError
from etholoop.io import tables, track_edits
from etholoop.schema.tracks import SwapRisks, TrackNames, Tracks
from etholoop.stages import track

TWO = "name: test\nspecies: [mouse]\nkeypoints: [{name: nose, sigma: 0.05}, {name: tail, sigma: 0.1}]\nanimals: 2\n"


@pytest.fixture
def project(tmp_path):
    project = new_project(tmp_path)
    project.skeleton.write_text(TWO)
    write_untouched(project)
    return project


def walk(video_id, frames, n=2):
    """Detections of ``n`` animals that walk to the right one below the other; the lower one comes first in odd frames."""
    rows = []
    for frame in frames:
        order = range(n) if frame % 2 == 0 else reversed(range(n))
        rows += [detection(video_id, frame, place, (frame, 10 + 30 * y, frame + 20, 30 + 30 * y)) for place, y in enumerate(order)]
    return rows


def predict(project, rows, step=1, stop=100):
    ids = dict.fromkeys(row["video_id"] for row in rows)
    counts = pd.DataFrame(rows).groupby(["video_id", "frame"]).size()
    frames = [
        {"video_id": name, "frame": frame, "n_detections": int(counts.get((name, frame), 0))}
        for name in ids
        for frame in range(0, stop, step)
    ]
    points = [
        point for row in rows for point in predicted_keypoints(row["video_id"], row["frame"], row["instance"], (row["x_min"], row["y_min"]))
    ]
    write_predictions(project, rows, points, frames)


def outputs(project):
    folder = project / "data/tracks"
    return {
        name: tables.read(folder / f"{name}.parquet", schema)
        for name, schema in (("tracks", Tracks), ("names", TrackNames), ("swap_risks", SwapRisks))
    }


def status(project):
    return json.loads((project / "data/tracks/status.json").read_text())


def contents(project):
    return {path.name: path.read_bytes() for path in sorted((project / "data/tracks").iterdir())}


def test_no_predictions_are_a_state(project):
    track.run(project, track.Params())
    assert all(table.empty for table in outputs(project).values())
    assert status(project) == {"edits": 0, "edits_not_applied": {}, "identity_estimated": {}, "not_tracked": []}


def test_each_animal_is_one_track(project):
    predict(project, [*walk("cage1", range(100)), *walk("cage2", range(10, 100))])
    track.run(project, track.Params())
    table = outputs(project)["tracks"]
    assert table.groupby(["video_id", "track"]).size().tolist() == [100, 100, 90, 90]
    assert (table.groupby(["video_id", "track"])["y_min"].nunique() == 1).all()
    sure = {"share_right": 1.0, "exchanges_expected": 0.0, "pixels": False}
    assert status(project)["identity_estimated"] == {"cage1": sure, "cage2": sure}
    names = outputs(project)["names"]
    assert (
        names[["start_frame", "stop_frame", "n_detected", "n_interpolated"]].to_numpy().tolist()
        == [[0, 100, 100, 0]] * 2 + [[10, 100, 90, 0]] * 2
    )
    assert names["name"].isna().all()


def test_the_instance_leads_back_to_the_detection(project):
    predict(project, walk("cage1", range(100)))
    track.run(project, track.Params())
    found = outputs(project)["tracks"].set_index(["frame", "instance"])["y_min"]
    assert all(found[row["frame"], row["instance"]] == row["y_min"] for row in walk("cage1", range(100)))


def test_twice_the_same_bytes_and_a_new_video_costs_one_video(project, monkeypatch):
    predict(project, walk("cage1", range(100)))
    track.run(project, track.Params())
    first = contents(project)
    made = []
    real = track.write_tracks
    monkeypatch.setattr(track, "write_tracks", lambda folder, job, *rest: (made.append(job.video_id), real(folder, job, *rest)))
    track.run(project, track.Params())
    assert contents(project) == first
    assert made == []
    predict(project, [*walk("cage1", range(100)), *walk("cage2", range(100))])
    track.run(project, track.Params())
    assert made == ["cage2"]


def test_every_other_frame_is_tracked_at_its_step(project):
    predict(project, [*walk("cage1", range(0, 100, 2)), detection("cage1", 51)], step=2)
    track.run(project, track.Params())
    assert set(outputs(project)["tracks"]["frame"]) == set(range(0, 100, 2))


def test_sampled_frames_are_not_tracked_and_that_is_told(project, capsys):
    predict(project, walk("cage1", range(0, 100, 20)), step=20)
    track.run(project, track.Params())
    assert outputs(project)["tracks"].empty
    assert status(project)["not_tracked"] == [
        "cage1 is not tracked: it was looked at every 20 frames (0.8 s), at most 0.5 s let an animal be followed; set pose_predict.every"
    ]
    assert "cage1 is not tracked" in capsys.readouterr().err


def test_folders_of_images_are_not_tracked(project):
    write_videos(project, [video("cage1", kind="images", fps_num=0)])
    predict(project, walk("cage1", range(100)))
    track.run(project, track.Params())
    assert status(project)["not_tracked"] == ["cage1 is not tracked: images have no rate"]


def test_edits_are_laid_over_and_lost_ones_told(project, capsys):
    predict(project, walk("cage1", range(100)))
    there, gone = Anchor(0, 10.0, 50.0, 1), Anchor(50, 10.0, 90.0, 0)
    edits = [Edit("a", "cage1", "rename", 0, there, name="red"), Edit("b", "cage1", "rename", 0, gone, name="blue")]
    edits.append(Edit("c", "cage9", "rename", 0, there, name="green"))
    track_edits.write(edits, project / track.EDITS)
    track.run(project, track.Params())
    names = outputs(project)["names"].dropna(subset="name")
    assert names["name"].tolist() == ["red"]
    table = outputs(project)["tracks"]
    assert table.loc[table["track"] == names["track"].iloc[0], "y_min"].eq(40).all()
    assert status(project)["edits_not_applied"] == {
        "b": "no track at (10.0, 90.0) in frame 50 any more (it was track 0)",
        "c": "cage9 is not tracked",
    }
    assert "edit b of label_studio/track_edits.csv was not applied" in capsys.readouterr().err


def seen_twice(project, missing=range(40, 60)):
    """Two animals that are far apart; for a while the detector sees the upper one twice and the lower one not."""
    from fractions import Fraction

    import cv2

    from etholoop.io.sources import index_path
    from etholoop.io.video import probe, write_video

    def picture(frame):
        image = np.random.default_rng(frame).integers(20, 40, (100, 200, 3)).astype(np.uint8)
        for y in (20, 80):
            cv2.ellipse(image, (40 + frame, y), (15, 10), 0, 0, 360, (210, 210, 210), -1)
        return image

    path = project.raw_videos / "cage1.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, map(picture, range(100)), Fraction(25), crf=5)
    probe(path)[1].save(index_path(project.manifest, "cage1"))
    rows = []
    for frame in range(100):
        second = (30 + frame, 5, 60 + frame, 35) if frame in missing else (25 + frame, 70, 55 + frame, 90)
        for place, (x, y, x2, y2) in enumerate([(25 + frame, 10, 55 + frame, 30), second]):
            rows.append(detection("cage1", frame, place, (x, y, x2, y2)))
    return rows


def test_pixels_tell_which_animal_was_seen_twice(project):
    predict(project, seen_twice(project))
    track.run(project, track.Params(pixels="on"))
    table = outputs(project)["tracks"].query("state == 'detected'")
    lower = table[table["y_min"] == 70]
    assert lower["track"].nunique() == 1 and len(lower) == 80
    assert set(table[table["frame"].between(40, 59)]["track"]) == set(table["track"]) - set(lower["track"])
    assert status(project)["identity_estimated"]["cage1"]["pixels"] is True


def test_pixels_of_a_derived_video_are_found_by_its_affine_map(project, monkeypatch):
    """The derived video is half as large and turned upside down; boxes stay those of the source."""
    from types import SimpleNamespace

    from etholoop.core.affine import Affine
    from etholoop.io.video import VideoReader

    predict(project, seen_twice(project))
    job = track.jobs_of(project, track.Params())[0][0]
    frames = track.frames_of(job, track.read_skeleton(project.skeleton))
    with VideoReader(project.raw_videos / "cage1.mp4") as reader:
        images = [image[::-2, ::2].copy() for _, image in reader.read(range(100))]
    derived = SimpleNamespace(
        affine=Affine(a=0.5, e=-0.5, f=50.0), frames=np.arange(100), read=lambda wanted: ((frame, images[frame]) for frame in wanted)
    )
    monkeypatch.setattr(track.looking, "source_of", lambda root, video_id: derived)
    seen = track.looking.with_pixels(project.root, "cage1", frames)
    assert (seen.box == frames.box).all()
    body = seen.body.reshape(-1, 2)
    assert (body[:40] == body[0]).all() and body[0, 0] != body[0, 1] and (body[0] >= 0).all()
    assert (body[45:60, 1] == body[0, 0]).all(), "both detections are of the upper one"


def test_pixels_are_looked_at_only_where_boxes_leave_doubt(project, monkeypatch):
    asked = []
    monkeypatch.setattr(track.looking, "with_pixels", lambda root, video_id, frames: (asked.append(video_id), frames)[1])
    # cage1 walks; the two of cage2 meet, are not seen, and come apart again
    rng = np.random.default_rng(0)
    meeting = [row for row in walk("cage2", range(100)) if not 40 <= row["frame"] < 60]
    for row in meeting:
        lower = row["y_min"] > 20
        x, y = 10 + rng.normal(0, 2), 10 + lower * np.clip(2 * abs(row["frame"] - 50) - 18, 2, 30) + rng.normal(0, 2)
        row |= {"x_min": x, "x_max": x + 20, "y_min": y, "y_max": y + 20}
    predict(project, [*walk("cage1", range(100)), *meeting])
    track.run(project, track.Params())
    assert asked == ["cage2"]
    track.run(project, track.Params(pixels="off"))
    assert asked == ["cage2"]


def test_other_pixels_are_tracked_again(project, monkeypatch):
    predict(project, walk("cage1", range(100)))
    made = []
    real = track.write_tracks
    monkeypatch.setattr(track, "write_tracks", lambda folder, job, *rest: (made.append(job.video_id), real(folder, job, *rest)))
    track.run(project, track.Params())
    write_videos(project, [video("cage1", sha256="1" * 64)])
    track.run(project, track.Params())
    track.run(project, track.Params(pixels="off"))
    write_videos(project, [video("cage1", sha256="2" * 64)])
    track.run(project, track.Params(pixels="off"))
    assert made == ["cage1"] * 3


def test_a_misspelt_setting_stops_before_any_work(project):
    with pytest.raises(FaultsError, match="did you mean 'animals'"):
        track.run(project, track.Params(settings={"animal": 2}))
    assert not (project / "data/tracks").exists()


@pytest.mark.parametrize(("looks", "step"), [([0, 1, 2, 3], 1), ([0, 4, 5, 8, 12, 16], 4), ([3, 17, 18, 90], None), ([5], None)])
def test_the_step_is_what_most_looks_are_apart(looks, step):
    assert track.step_of(np.array(looks)) == step
