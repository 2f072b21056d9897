"""The select stage on a small project: before and after the first model."""

import json
import shutil

import pytest
from cycle_project import N_FRAMES, STEP, new_project, write_labels, write_predictions

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import tables
from etholoop.schema.predictions import PredictedFrames
from etholoop.schema.selection import Selection
from etholoop.stages import select

EVERY = range(0, N_FRAMES, STEP)


def result(project, **changes):
    select.run(project, select.Params(**changes))
    batch = tables.read(project.selection / "batch.parquet", Selection)
    held_out = tables.read(project.selection / "held_out.parquet", Selection)
    tasks = json.loads((project.selection / "tasks.json").read_text())
    summary = json.loads((project.selection / "summary.json").read_text())
    return batch, held_out, tasks, summary


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return new_project(tmp_path_factory.mktemp("select") / "project")


@pytest.fixture
def project(made, tmp_path):
    shutil.copytree(made.root, tmp_path / "project")
    return type(made)(tmp_path / "project")


@pytest.mark.parametrize("cold_start", ["coverage", "random", "uniform"])
def test_before_any_model_there_is_a_batch(project, cold_start):
    batch, held_out, tasks, summary = result(project, cold_start=cold_start)
    assert len(batch) == 8
    assert set(batch["video_id"]) <= {"cage1", "cage2", "cage3"}
    assert set(batch["acquisition"]) <= {cold_start, "random", "validation", "random_spaced"}
    assert set(held_out["video_id"]) == {"cage4"}
    assert len(held_out) == 10
    assert not summary["has_model"]
    assert [task["predictions"] for task in tasks] == [[]] * 18


def test_random_as_acquisition_is_told_from_the_unbiased_share(project):
    write_predictions(project)
    batch, *_ = result(project, acquisition="random", share_random=0.25)
    assert batch["acquisition"].value_counts()["random"] == 2
    assert "random_spaced" in set(batch["acquisition"])


def test_uniform_start_takes_every_recording(project):
    batch, *_ = result(project, cold_start="uniform", share_random=0)
    assert set(batch["video_id"]) == {"cage1", "cage2", "cage3"}


@pytest.mark.parametrize("acquisition", ["margin", "entropy", "least_confidence", "keypoint_confidence", "count_mismatch", "coverage"])
def test_a_model_is_asked(project, acquisition):
    write_predictions(project)
    batch, _, tasks, summary = result(project, acquisition=acquisition)
    assert acquisition in set(batch["acquisition"])
    assert summary["has_model"]
    assert any(task["predictions"] for task in tasks if task["purpose"] == "batch")
    assert not any(task["predictions"] for task in tasks if task["purpose"] == "held_out")
    assert all(f"{acquisition} " in reason for reason in batch.loc[batch["acquisition"] == acquisition, "reason"])


def test_tasks_are_ready_for_labelling(project):
    write_predictions(project)
    batch, _, tasks, _ = result(project)
    task = tasks[0]
    assert task["frame_uid"] == f"{batch['video_id'][0]}:{batch['frame'][0]:08d}"
    assert (project.root / task["image"]).is_file()
    animal = next(task["predictions"][0] for task in tasks if task["predictions"])
    assert animal["class"] == "mouse"
    assert 0.25 <= animal["confidence"] <= 1
    assert set(animal["keypoints"]) == {"nose", "left_ear", "right_ear", "tail_base"}
    assert animal["box"][0] < animal["box"][2] <= 170


def test_labelled_frames_are_not_asked_again(project):
    write_labels(project, [(video, frame) for video in ("cage1", "cage2", "cage4") for frame in EVERY])
    batch, held_out, _, summary = result(project, min_gap_s=0)
    assert set(batch["video_id"]) == {"cage3"}
    assert len(held_out) == 0
    assert summary["left_out"]["labelled already"] == 40


def test_held_out_list_shrinks_and_never_changes(project):
    _, before, *_ = result(project)
    labelled = [("cage4", int(frame)) for frame in before["frame"][:4]]
    write_labels(project, labelled)
    write_predictions(project)
    _, after, *_ = result(project)
    assert list(after["frame"]) == list(before["frame"][4:])


def test_too_few_frames_are_explained(project):
    _, _, _, summary = result(project, min_gap_s=5.0, share_random=0)
    assert summary["picked"] < 8
    assert "too close in time" in summary["note"]


def test_same_inputs_same_bytes(project):
    write_predictions(project)
    result(project)
    first = {path.name: path.read_bytes() for path in project.selection.iterdir()}
    shutil.rmtree(project.memo)
    result(project)
    assert {path.name: path.read_bytes() for path in project.selection.iterdir()} == first


def test_next_cycle_draws_other_random_frames(project):
    write_predictions(project)
    before, *_ = result(project, share_random=1.0)
    project.params.write_text("cycle: {id: c002, batch_size: 8}\n")
    after, *_ = result(project, share_random=1.0)
    assert set(before["frame"] + before["video_id"].str[-1].astype(int)) != set(after["frame"] + after["video_id"].str[-1].astype(int))


def test_a_sampled_frame_without_prediction_is_a_fault(project):
    write_predictions(project)
    path = project.pose_predictions / "frames.parquet"
    tables.write(tables.read(path, PredictedFrames).iloc[1:], PredictedFrames, path)
    with pytest.raises(FaultsError, match="cage1:00000000"):
        select.run(project, select.Params())


def test_unknown_acquisition_function(project):
    write_predictions(project)
    with pytest.raises(EthoLoopError, match="did you mean 'margin'"):
        select.run(project, select.Params(acquisition="margn"))


@pytest.mark.parametrize("text", ["cycle: {id: '1'}", "cycle: {batch_sise: 3}"])
def test_cycle_section_is_strict(project, text):
    project.params.write_text(text)
    with pytest.raises(FaultsError, match="cycle"):
        select.run(project, select.Params())


def test_a_project_without_videos(tmp_path):
    empty = new_project(tmp_path / "empty", splits={})
    batch, held_out, tasks, summary = result(empty)
    assert len(batch) == len(held_out) == len(tasks) == 0
    assert "0 of 8 frames" in summary["note"]
