"""behaviour_dataset → behaviour_train → behaviour_predict → bouts → behaviour_evaluate on tiny videos."""

import json
from pathlib import Path
from typing import Any

import behaviour_project as world
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from etholoop import runtime

runtime.prepare()

from etholoop.errors import EthoLoopError  # noqa: E402 - the runtime comes first
from etholoop.project import Project  # noqa: E402
from etholoop.stages import behaviour_dataset, behaviour_evaluate, behaviour_predict, behaviour_train, bouts  # noqa: E402

TINY = {"n_frames": 4, "every": 2, "crop_px": 32, "width_factor": 0.5, "depth_factor": 0.5, "dim_c5": 16, "speed": 0.0}
QUICK = {"epochs": 2, "epoch_steps": 3, "batch": 4, "threads": 1, "val_clips": 12}
X3D = behaviour_train.Params(families=("x3d",), settings={"x3d": {**TINY, **QUICK}})
LABELS = "data/datasets/behaviour/labels.parquet"
STRETCHES = "data/datasets/behaviour/stretches.parquet"
SCORES = "data/scores/x3d/scores.parquet"


def loaded(project: Project, path: str) -> Any:
    return json.loads((project / path).read_text())


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which all stages have run; tests only look at it."""
    project = world.new_project(tmp_path_factory.mktemp("behaviour"))
    behaviour_dataset.run(project, behaviour_dataset.Params())
    behaviour_train.run(project, X3D)
    behaviour_predict.run(project, behaviour_predict.Params(stride=2, batch=8))
    bouts.run(project, bouts.Params())
    behaviour_evaluate.run(project, behaviour_evaluate.Params(n_bootstrap=50))
    return project


# --- the data set ------------------------------------------------------------------------------------------------------------------


def test_labels_are_those_of_each_animal_in_its_split(shared: Project) -> None:
    labels = world.read(shared, LABELS)
    assert len(labels) == 4 * 2 * world.N_FRAMES
    one = labels[(labels["video_id"] == "b") & (labels["track"] == 1)].sort_values("frame")
    assert one[["y_rest", "y_shake", "y_walk"]].to_numpy().argmax(axis=1).tolist() == world.script("b", 1).tolist()
    assert set(labels.loc[labels["video_id"] == "d", "split"]) == {"test"}
    counts = loaded(shared, "data/datasets/behaviour/counts.json")
    assert counts["n_frames_not_used"] == 0 and sum(counts["splits"]["train"]["frames"].values()) == 480


def test_time_that_nobody_looked_at_has_no_rows(tmp_path: Path) -> None:
    project = world.new_project(tmp_path, splits={"a": "train"})
    world.write_behaviour(project, ["a"], 2, looked_at=(10, 50))
    world.write_tracks(project, ["a"], 2, lost=range(20, 25))
    behaviour_dataset.run(project, behaviour_dataset.Params())
    stretches = world.read(project, STRETCHES)
    own = stretches.loc[stretches["track"] == 0, ["start_frame", "stop_frame", "context_start_frame", "context_stop_frame"]]
    assert own.to_numpy().tolist() == [[10, 20, 0, 20], [25, 50, 25, 120]]
    frames = world.read(project, LABELS).query("track == 0")["frame"].tolist()
    assert frames == [*range(10, 20), *range(25, 50)]
    assert loaded(project, "data/datasets/behaviour/counts.json")["n_frames_not_used"] == 10


def test_one_animal_without_tracks_is_the_whole_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = world.new_project(tmp_path, n_animals=1, splits={"a": "train"}, tracked=False)
    behaviour_dataset.run(project, behaviour_dataset.Params())
    assert world.read(project, STRETCHES)[["track", "subject", "stop_frame"]].to_numpy().tolist() == [[-1, "", world.N_FRAMES]]
    behaviour_dataset.run(project, behaviour_dataset.Params(whole_video="never"))
    assert len(world.read(project, STRETCHES)) == 0
    assert "whole_video is never" in capsys.readouterr().err
    assert loaded(project, "data/datasets/behaviour/counts.json")["dropped"][0]["video_id"] == "a"


def test_labels_of_a_video_without_a_split_are_an_error(tmp_path: Path) -> None:
    project = world.new_project(tmp_path, splits={"a": "train"})
    world.write_splits(project, {"b": "train"})
    with pytest.raises(EthoLoopError, match="behaviour labels of a, which is not in the manifest and the splits"):
        behaviour_dataset.run(project, behaviour_dataset.Params())


# --- training ----------------------------------------------------------------------------------------------------------------------


def test_training_leaves_weights_figures_curves_and_confusions(shared: Project) -> None:
    about = loaded(shared, "models/behaviour/families.json")["families"]["x3d"]
    assert about["trained"] and about["behaviours"] == list(world.BEHAVIOURS) and about["head"] == "multiclass"
    assert about["looks_at"] == {"tracks": True, "whole": False}
    assert loaded(shared, "metrics/behaviour_train.json")["families"]["x3d"]["weights_sha256"] == about["weights_sha256"]
    curves = pd.read_csv(shared / "metrics/plots/behaviour_curves.csv")
    assert curves["epoch"].tolist() == [1, 2] and {"loss", "val_loss", "val_f1_macro"} <= set(curves.columns)
    confusion = pd.read_csv(shared / "metrics/plots/behaviour_confusion.csv")
    assert confusion["n"].sum() == 12


def test_the_same_inputs_give_the_same_bytes(shared: Project, tmp_path: Path) -> None:
    project = world.new_project(tmp_path)
    behaviour_dataset.run(project, behaviour_dataset.Params())
    behaviour_train.run(project, X3D)
    behaviour_predict.run(project, behaviour_predict.Params(stride=2, batch=8))
    bouts.run(project, bouts.Params())
    for folder in ("data/datasets/behaviour", "models/behaviour", "data/scores", "data/bouts"):
        assert everything(project / folder) == everything(shared / folder), folder


def test_strips_never_reach_into_another_split(tmp_path: Path) -> None:
    from etholoop.schema.behaviour import FrameLabels, Stretches
    from etholoop.stages._animal_pictures import animals_of_project

    project = world.new_project(tmp_path, splits={"a": "train"})
    from etholoop.io import tables
    from etholoop.schema.splits import Splits

    rows = [("train", 0, 40), ("gap", 40, 50), ("val", 50, 120)]
    table = [{"video_id": "a", "group": "a", "start_frame": a, "stop_frame": b, "split": s, "mode": "blocks"} for s, a, b in rows]
    tables.write(tables.from_rows(table, Splits), Splits, project.splits)
    behaviour_dataset.run(project, behaviour_dataset.Params())
    stretches, labels = tables.read(project / STRETCHES, Stretches), tables.read(project / LABELS, FrameLabels)
    long = X3D.model_copy(update={"settings": {"x3d": {**TINY, "n_frames": 16}}})
    recipe = behaviour_train.recipe_of(project, long, "x3d")
    strips = behaviour_train.strips_of(project, animals_of_project(project), stretches, labels, recipe)
    assert [len(strip.images) for strip in strips["train"]] == [40, 40]
    assert [len(strip.images) for strip in strips["val"]] == [70, 70]
    assert set(labels["frame"]) == set(range(40)) | set(range(50, 120))


def test_no_family_costs_nothing_and_leaves_empty_tables(tmp_path: Path) -> None:
    project = world.new_project(tmp_path, splits={"a": "train"})
    behaviour_dataset.run(project, behaviour_dataset.Params())
    behaviour_train.run(project, behaviour_train.Params())
    behaviour_predict.run(project, behaviour_predict.Params())
    bouts.run(project, bouts.Params())
    behaviour_evaluate.run(project, behaviour_evaluate.Params())
    assert loaded(project, "data/scores/families.json") == {"families": {}, "reason": behaviour_train.NO_FAMILY}
    assert len(world.read(project, "data/bouts/bouts.parquet")) == 0
    assert loaded(project, "metrics/behaviour.json")["reason"] == behaviour_train.NO_FAMILY
    assert pd.read_csv(project / "metrics/plots/behaviour_curves.csv").empty


def test_too_few_labels_are_a_state(tmp_path: Path) -> None:
    project = world.new_project(tmp_path, splits={"a": "train"})
    behaviour_dataset.run(project, behaviour_dataset.Params())
    behaviour_train.run(project, X3D.model_copy(update={"min_frames": 241}))
    about = loaded(project, "models/behaviour/families.json")["families"]["x3d"]
    assert about == {"trained": False, "family": "x3d", "reason": about["reason"]}
    assert about["reason"].startswith("240 labelled train frames")
    behaviour_predict.run(project, behaviour_predict.Params())
    bouts.run(project, bouts.Params())
    assert "240 labelled train frames" in loaded(project, "data/bouts/rules.json")["reason"]


def test_settings_are_checked_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="did you mean 'epochs'"):
        behaviour_train.Params(families=("x3d",), settings={"x3d": {"epoch": 1}})
    with pytest.raises(ValidationError, match="unknown family"):
        behaviour_train.Params(families=("x4d",))
    with pytest.raises(ValidationError, match="not in families"):
        behaviour_train.Params(weights={"x3d": "w.pt"})
    project = world.new_project(tmp_path, splits={"a": "train"})
    behaviour_dataset.run(project, behaviour_dataset.Params())
    with pytest.raises(EthoLoopError, match=r"models/init/w\.pt was not found"):
        behaviour_train.run(project, X3D.model_copy(update={"weights": {"x3d": "w.pt"}}))


# --- scores ------------------------------------------------------------------------------------------------------------------------


def test_every_animal_has_scores_of_all_behaviours_at_the_stride_and_at_its_end(shared: Project) -> None:
    scores = world.read(shared, SCORES)
    assert scores.columns.tolist() == ["video_id", "track", "frame", "p_rest", "p_shake", "p_walk"]
    assert (scores.dtypes[["p_rest", "p_shake", "p_walk"]] == "float16").all()
    one = scores[(scores["video_id"] == "d") & (scores["track"] == 1)]
    assert one["frame"].tolist() == [*range(0, 120, 2), 119]
    assert loaded(shared, "data/scores/families.json")["families"]["x3d"]["stride"] == 2


def test_scores_are_those_of_the_clips_that_training_would_see(shared: Project) -> None:
    from etholoop.io.video import VideoReader
    from etholoop.modeling.behaviour._pictures import picture_of
    from etholoop.modeling.behaviour.families.x3d import Predictor

    predictor = Predictor.load(shared / "models/behaviour/x3d/weights.pt")
    scenes = world.read(shared, "data/miniscenes/miniscenes.parquet").query("video_id == 'd' and track == 1").set_index("frame")
    scores = world.read(shared, SCORES).query("video_id == 'd' and track == 1").set_index("frame")
    with VideoReader(shared.raw_videos / "d.mp4") as reader:
        images = dict(reader)
    for moment in (0, 60, 119):
        frames = np.clip(moment + predictor.offsets, 0, 119)
        clip = np.stack([picture_of(images[k], scenes.loc[k].iloc[-4:].to_numpy(float), predictor.view) for k in frames])
        found = scores.loc[moment, ["p_rest", "p_shake", "p_walk"]].to_numpy(float)
        assert found == pytest.approx(predictor.predict(clip[None])[0], abs=2e-3)


def test_pieces_and_resuming_change_nothing(shared: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = world.new_project(tmp_path)
    behaviour_dataset.run(project, behaviour_dataset.Params())
    behaviour_train.run(project, X3D)
    cut = behaviour_predict.chunks
    monkeypatch.setattr(behaviour_predict, "chunks", lambda frames: cut(frames, 32))
    behaviour_predict.run(project, behaviour_predict.Params(stride=2, batch=8))
    before = (project / SCORES).read_bytes()
    assert before == (shared / SCORES).read_bytes()
    # one remembered piece is lost in the middle: its neighbours' pictures are read again
    folder = sorted((project.memo / "behaviour_predict").iterdir())[1]
    (folder / "scores.parquet").unlink()
    behaviour_predict.run(project, behaviour_predict.Params(stride=2, batch=8))
    assert (project / SCORES).read_bytes() == before


def test_how_far_a_stride_agrees_is_measured(shared: Project, tmp_path: Path) -> None:
    project = world.new_project(tmp_path, splits={"a": "train"})
    behaviour_dataset.run(project, behaviour_dataset.Params())
    behaviour_train.run(project, X3D)
    behaviour_predict.run(project, behaviour_predict.Params(stride=3, check_stride=20))
    found = loaded(project, "data/scores/families.json")["families"]["x3d"]
    assert found["stride_agreement_frames"] == 40 and 0 <= found["stride_agreement"] <= 1
    # the table itself has nothing but the stride
    assert world.read(project, SCORES).query("track == 0")["frame"].tolist() == [*range(0, 118, 3), 119]
    assert "stride_agreement" not in loaded(shared, "data/scores/families.json")["families"]["x3d"]


def test_a_stride_that_adapts_itself_fills_the_table_and_says_how(tmp_path: Path) -> None:
    """Every frame has a row; computed ones have the scores of a stride of 1, and lost time has none."""
    project = world.new_project(tmp_path, splits={"a": "train", "b": "val"})
    behaviour_dataset.run(project, behaviour_dataset.Params())
    behaviour_train.run(project, X3D)
    world.write_tracks(project, ["a", "b"], 2, lost=range(50, 60))
    behaviour_predict.run(project, behaviour_predict.Params())
    every = world.read(project, SCORES)
    assert "computed" not in every.columns
    behaviour_predict.run(project, behaviour_predict.Params(stride="auto", agreement=0.9, batch=8))
    table, about = world.read(project, SCORES), loaded(project, "data/scores/families.json")["families"]["x3d"]
    assert (table[["video_id", "track", "frame"]] == every[["video_id", "track", "frame"]]).all(axis=None) and about["stride"] == 1
    names = [name for name in table.columns if name.startswith("p_")]
    difference = np.abs(table[names].astype(float) - every[names].astype(float)).to_numpy()
    computed = table["computed"].to_numpy()
    assert difference[computed].max() < 2e-3 and 0 < computed.sum() < len(table)
    agreement = (table[names].to_numpy().argmax(1) == every[names].to_numpy().argmax(1)).mean()
    assert agreement >= 0.9 and about["auto_agreement_95"][0] <= agreement <= about["auto_agreement_95"][1]
    assert about["frames"] == len(table) and about["frames_computed"] == computed.sum() >= about["frames_checked"] >= about["frames_same"]
    bouts.run(project, bouts.Params(preset="kabr"))
    before = (project / SCORES).read_bytes()
    (project / SCORES).unlink()
    behaviour_predict.run(project, behaviour_predict.Params(stride="auto", agreement=0.9, batch=8))
    assert (project / SCORES).read_bytes() == before


@pytest.mark.parametrize("stride", [0, "often", 2.5])
def test_impossible_strides_are_refused(stride: Any) -> None:
    with pytest.raises(ValueError, match="stride"):
        behaviour_predict.Params(stride=stride)


def test_a_lost_animal_has_no_scores_meanwhile(tmp_path: Path) -> None:
    project = world.new_project(tmp_path, splits={"a": "train", "b": "val"})
    behaviour_dataset.run(project, behaviour_dataset.Params())
    behaviour_train.run(project, X3D)
    world.write_tracks(project, ["a", "b"], 2, lost=range(50, 60))
    behaviour_predict.run(project, behaviour_predict.Params(stride=4))
    frames = world.read(project, SCORES).query("video_id == 'b' and track == 0")["frame"].tolist()
    assert frames == [*range(0, 49, 4), 49, *range(60, 117, 4), 119]
    bouts.run(project, bouts.Params(preset="kabr"))
    unsure = world.read(project, "data/bouts/unsure.parquet").query("video_id == 'b' and track == 0")
    assert unsure[["start_frame", "stop_frame"]].to_numpy().tolist() == [[50, 60]]


def test_whole_pictures_are_judged_where_training_saw_whole_pictures(tmp_path: Path) -> None:
    project = world.new_project(tmp_path, n_animals=1, splits={"a": "train", "b": "test"}, tracked=False)
    behaviour_dataset.run(project, behaviour_dataset.Params())
    behaviour_train.run(project, X3D)
    behaviour_predict.run(project, behaviour_predict.Params(stride=10))
    scores = world.read(project, SCORES)
    assert set(scores["track"]) == {-1} and scores.groupby("video_id").size().tolist() == [13, 13]


# --- bouts and figures -------------------------------------------------------------------------------------------------------------


def exact_scores(project: Project, sure: float = 0.9) -> None:
    """Scores that are nearly the truth, with one wrong frame in the middle of each second bout."""
    rows = []
    for video_id in world.SPLIT_OF:
        for track in range(2):
            truth = world.script(video_id, track)
            scores = np.full((world.N_FRAMES, 3), (1 - sure) / 2)
            scores[np.arange(world.N_FRAMES), truth] = sure
            scores[22::30] = np.roll(scores[22::30], 1, axis=1)
            place = {"video_id": video_id, "track": track}
            rows += [
                {**place, "frame": k, **{f"p_{b}": v for b, v in zip(world.BEHAVIOURS, row, strict=True)}} for k, row in enumerate(scores)
            ]
    table = pd.DataFrame(rows).astype({f"p_{b}": "float16" for b in world.BEHAVIOURS})
    (project / SCORES).parent.mkdir(parents=True)
    table.to_parquet(project / SCORES)
    about = {"behaviours": list(world.BEHAVIOURS), "head": "multiclass", "stride": 1}
    (project / "data/scores/families.json").write_text(json.dumps({"families": {"x3d": about}}))


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = world.new_project(tmp_path_factory.mktemp("scored"))
    behaviour_dataset.run(project, behaviour_dataset.Params())
    exact_scores(project)
    return project


def evaluated(project: Project, **params: Any) -> dict[str, Any]:
    bouts.run(project, bouts.Params(**params))
    behaviour_evaluate.run(project, behaviour_evaluate.Params(n_bootstrap=50))
    return loaded(project, "metrics/behaviour.json")["families"]["x3d"]["test"]


def test_smoothing_by_labels_removes_single_wrong_frames(scored: Project) -> None:
    found = evaluated(scored)
    assert found["accuracy_micro"] == 1 and found["bout_f1_macro"] == 1 and found["n_frames"] == 240
    rules = loaded(scored, "data/bouts/rules.json")["families"]["x3d"]
    assert rules["method"] == "hmm" and set(rules["min_frames"].values()) == {8}, "half of 15"


def test_kabrs_way_keeps_them_and_deepethograms_cleans_them(scored: Project) -> None:
    kabr = evaluated(scored, preset="kabr")
    assert kabr["accuracy_micro"] == pytest.approx(1 - 8 / 240, abs=1e-6) and kabr["bout_f1_macro"] < 1
    # 120 frames of each animal: one segment of 90 and one of 30
    assert kabr["kabr"]["n_segments"] == 4
    # its rule removes bouts of exactly the shortest length too, and here all are of one length
    deep = evaluated(scored, preset="deepethogram", min_frames=3)
    assert deep["accuracy_micro"] > kabr["accuracy_micro"]


def test_what_is_fitted_never_sees_test_labels(scored: Project, tmp_path: Path) -> None:
    import shutil

    before = bouts.fitted_rule(scored, bouts.Params(), *about_and_scores(scored))
    other = Project(tmp_path / "other")
    for path in ("data/datasets", "data/scores", "label_studio"):
        shutil.copytree(scored / path, other / path)
    labels = pd.read_parquet(other / LABELS)
    test = labels["split"] == "test"
    labels.loc[test, ["y_rest", "y_shake", "y_walk"]] = labels.loc[test, ["y_shake", "y_walk", "y_rest"]].to_numpy()
    labels.to_parquet(other / LABELS)
    assert bouts.values_of(bouts.fitted_rule(other, bouts.Params(), *about_and_scores(other))) == bouts.values_of(before)


def about_and_scores(project: Project) -> tuple[dict[str, Any], pd.DataFrame]:
    return loaded(project, "data/scores/families.json")["families"]["x3d"], world.read(project, SCORES)


def test_abstaining_is_written_and_counted(scored: Project) -> None:
    found = evaluated(scored, preset="kabr", unsure_below=0.95)
    assert found["coverage"] == 0 and found["accuracy_micro"] == 0
    assert len(world.read(scored, "data/bouts/unsure.parquet")) == 8


def test_behaviours_that_labels_do_not_know_are_an_error(scored: Project) -> None:
    about, scores = about_and_scores(scored)
    about = {**about, "behaviours": [*about["behaviours"], "jump"]}
    with pytest.raises(EthoLoopError, match="the labels do not have: jump"):
        bouts.fitted_rule(scored, bouts.Params(), about, scores.assign(p_jump=scores["p_rest"]))


def test_figures_come_with_intervals_by_video_and_say_when_they_are_few(shared: Project) -> None:
    found = loaded(shared, "metrics/behaviour.json")["families"]["x3d"]
    assert found["test"]["n_videos"] == 1 and not found["test"]["ci_reliable"] and "CI not reliable" in found["test"]["note"]
    assert set(found["test"]["behaviours"]) == set(world.BEHAVIOURS)
    by_video = pd.read_csv(shared / "metrics/plots/behaviour_by_video.csv")
    assert by_video["video_id"].tolist() == ["d", "c"]


# --- the whole way -----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_whole_way_learns_what_squares_do(tmp_path: Path) -> None:
    project = world.new_project(tmp_path, splits={"a": "train", "b": "train", "e": "train", "f": "train", "c": "val", "d": "test"})
    behaviour_dataset.run(project, behaviour_dataset.Params())
    learning = {"epochs": 8, "epoch_steps": 20, "batch": 8, "lr": 0.005, "width_factor": 1.0, "every": 1, "n_frames": 6, "patience": None}
    gentle = {"degrees": 0.0, "light": 0.3, "shift": 0.03, "zoom": 0.05}
    settings = {"x3d": {**TINY, **QUICK, **learning, **gentle, "val_clips": 60}}
    behaviour_train.run(project, behaviour_train.Params(families=("x3d",), settings=settings))
    behaviour_predict.run(project, behaviour_predict.Params())
    bouts.run(project, bouts.Params())
    behaviour_evaluate.run(project, behaviour_evaluate.Params(n_bootstrap=50))
    found = loaded(project, "metrics/behaviour.json")["families"]["x3d"]["test"]
    assert found["f1_macro"] >= 0.8, found


# --- a family that looks at no pictures --------------------------------------------------------------------------------------------

POSTURE = behaviour_train.Params(
    families=("posture",), settings={"posture": {"n_frames": 13, "lengths": [5, 13], "rounds": 30, "rate": 0.2, "smallest": 3}}
)


@pytest.fixture(scope="module")
def postured(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which posture has learnt and judged; its videos are gone before it looks: it needs none."""
    project = world.new_project(tmp_path_factory.mktemp("posture"))
    world.write_keypoints(project, list(world.SPLIT_OF), 2)
    behaviour_dataset.run(project, behaviour_dataset.Params())
    behaviour_train.run(project, POSTURE)
    behaviour_predict.run(project, behaviour_predict.Params())
    bouts.run(project, bouts.Params())
    behaviour_evaluate.run(project, behaviour_evaluate.Params(n_bootstrap=50))
    return project


def test_posture_learns_from_keypoints_of_the_tracks(postured: Project) -> None:
    about = loaded(postured, "models/behaviour/families.json")["families"]["posture"]
    assert about["trained"] and about["head"] == "multiclass" and about["looks_at"] == {"tracks": True, "whole": False}
    assert loaded(postured, "metrics/behaviour.json")["families"]["posture"]["test"]["f1_macro"] > 0.9
    scores = world.read(postured, "data/scores/posture/scores.parquet")
    assert len(scores) == 4 * 2 * world.N_FRAMES and scores.filter(like="p_").sum(axis=1).to_numpy() == pytest.approx(1, abs=2e-3)


def test_what_is_judged_in_use_is_what_training_saw(postured: Project) -> None:
    """Scores of a labelled frame from the pipeline are those of the model on the strip that the training is given."""
    from etholoop.io import tables
    from etholoop.modeling.behaviour.families import posture
    from etholoop.schema.behaviour import FrameLabels, Stretches
    from etholoop.stages._animal_pictures import animals_of_project

    recipe = behaviour_train.recipe_of(postured, POSTURE, "posture")
    stretches, labels = tables.read(postured / STRETCHES, Stretches), tables.read(postured / LABELS, FrameLabels)
    strip = behaviour_train.strips_of(postured, animals_of_project(postured), stretches, labels, recipe)["val"][0]
    predictor = posture.Predictor.load(postured / "models/behaviour/posture/weights.pt")
    frames = np.array([20, 60, 90])
    expected = predictor.predict(strip.images[frames[:, None] + predictor.offsets])
    scores = world.read(postured, "data/scores/posture/scores.parquet").query("video_id == 'c' and track == 0").set_index("frame")
    assert scores.loc[frames].filter(like="p_").to_numpy() == pytest.approx(expected, abs=1e-3)


def test_another_keypoint_gives_other_scores_and_the_same_ones_are_remembered(postured: Project) -> None:
    memo = postured.memo / "behaviour_predict"
    before = {path.name for path in memo.iterdir()}
    behaviour_predict.run(postured, behaviour_predict.Params())
    assert {path.name for path in memo.iterdir()} == before
    path = postured.pose_predictions / "keypoints.parquet"
    kept = path.read_bytes()
    table = pd.read_parquet(path)
    table.loc[(table["video_id"] == "d") & (table["frame"] == 50), "x"] += 5
    table.to_parquet(path, index=False)
    behaviour_predict.run(postured, behaviour_predict.Params())
    path.write_bytes(kept)
    assert len({path.name for path in memo.iterdir()} - before) == 1  # the one piece of video d


def test_posture_without_a_track_says_so(tmp_path: Path) -> None:
    project = world.new_project(tmp_path, n_animals=1, splits={"a": "train"}, tracked=False)
    world.write_keypoints(project, [], 0)
    behaviour_dataset.run(project, behaviour_dataset.Params())
    behaviour_train.run(project, POSTURE)
    about = loaded(project, "models/behaviour/families.json")["families"]["posture"]
    assert not about["trained"] and "0 labelled train frames" in about["reason"]


def test_posture_adapts_its_stride(postured: Project) -> None:
    behaviour_predict.run(postured, behaviour_predict.Params(stride="auto"))
    about = loaded(postured, "data/scores/families.json")["families"]["posture"]
    behaviour_predict.run(postured, behaviour_predict.Params())
    assert about["auto_agreement"] >= 0.9 and about["frames_computed"] <= about["frames"]


def test_a_family_that_measures_its_pictures_adapts_its_stride_too(tmp_path: Path) -> None:
    project = world.new_project(tmp_path, splits={"a": "train", "b": "test"})
    behaviour_dataset.run(project, behaviour_dataset.Params())
    settings = {"motion": {"n_pictures": 5, "lengths": [3, 5], "crop_px": 32, "trees": 0, "strengths": [0.1]}}
    behaviour_train.run(project, behaviour_train.Params(families=("motion",), settings=settings))
    behaviour_predict.run(project, behaviour_predict.Params(stride="auto", agreement=0.9))
    about = loaded(project, "data/scores/families.json")["families"]["motion"]
    assert about["auto_agreement"] >= 0.9 and about["frames"] == 2 * 2 * world.N_FRAMES


def test_posture_learns_from_boxes_where_there_are_no_keypoints(tmp_path: Path) -> None:
    project = world.new_project(tmp_path, splits={"a": "train", "b": "train", "d": "test"})
    world.write_keypoints(project, [], 0)
    for skeleton in (world.SKELETON, "name: squares\nspecies: [square]\nkeypoints: []\n"):  # never detected, and none wanted
        project.skeleton.write_text(skeleton)
        behaviour_dataset.run(project, behaviour_dataset.Params())
        behaviour_train.run(project, POSTURE)
        behaviour_predict.run(project, behaviour_predict.Params(stride=4))
        assert loaded(project, "models/behaviour/families.json")["families"]["posture"]["trained"]
        assert np.isfinite(world.read(project, "data/scores/posture/scores.parquet").filter(like="p_").to_numpy(float)).all()
