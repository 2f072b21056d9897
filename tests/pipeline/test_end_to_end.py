"""The real pipeline on tiny synthetic recordings: cold start, training, a second run, changes, closing, another computer."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from etholoop.commands import cycle, simulate
from etholoop.commands.repro import repro
from etholoop.commands.runs import sync_runs
from etholoop.errors import FaultsError
from etholoop.io import tables
from etholoop.project import Project
from etholoop.schema.predictions import PredictedFrames
from etholoop.services import dvc, git, process

pytestmark = pytest.mark.slow

WORLD = simulate.World(seed=3, n_sessions=5, n_frames=25, batch_size=12, noise="none")
TINY = {
    "frames": {"per_video": 6},
    "pose_train": {"settings": {"arch": "yolo11n-pose", "imgsz": 64, "epochs": 2, "batch": 4, "threads": 1, "mosaic": 0.0}},
    "refine_train": {"settings": {"epochs": 2, "epoch_steps": 10}},
    "evaluate": {"n_bootstrap": 50},
    "select": {"held_out_per_video": 3, "min_gap_s": 0.1},
}


def labelled_project(folder: Path) -> tuple[Project, dict]:
    """A project whose cold start and first training have run."""
    project, scenes = simulate.make_project(folder, WORLD, TINY)
    repro(project, sync=False)
    simulate.answer_all(project, scenes, None, WORLD.seed)
    repro(project)
    return project, scenes


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return labelled_project(tmp_path_factory.mktemp("one") / "project")


def outputs(project: Project) -> dict[str, str]:
    return {out["path"]: out["md5"] for entry in dvc.lock(project).values() for out in entry.get("outs", [])}


def test_the_whole_graph_has_run_and_left_a_report(trained):
    project, _ = trained
    status = json.loads((project.pose_model / "status.json").read_text())
    assert status["trained"] is True
    assert "<html" in project.report.read_text(encoding="utf-8")[:500].lower()
    assert json.loads((project.metrics / "evaluate.json").read_text())["test"]["n_frames"] > 0


def test_a_second_run_does_nothing(trained):
    project, _ = trained
    said = process.run(["dvc", "repro"], project.root)
    assert "Running stage" not in said
    assert dvc.status(project) == {}


def test_another_cycle_id_reruns_selection_and_report_only(trained):
    project, _ = trained
    before = project.params.read_text()
    cycle.set_cycle_id(project.params, "c009")
    try:
        assert set(dvc.status(project)) == {"select", "report"}
    finally:
        project.params.write_text(before)


def test_metrics_can_be_compared(trained):
    project, _ = trained
    assert "metrics/evaluate.json" in json.dumps(json.loads(process.run(["dvc", "metrics", "show", "--json"], project.root)))
    process.run(["dvc", "metrics", "diff"], project.root)


def test_the_same_inputs_give_the_same_bytes_elsewhere(trained, tmp_path):
    """A clone under another name, with the inputs brought along and nothing else, computes the same outputs byte for byte."""
    project, _ = trained
    git.commit(project, "As it stands")
    other = Project(tmp_path / "elsewhere" / "named otherwise")
    process.run(["git", "clone", "--quiet", str(project.root), str(other.root)], tmp_path)
    for name in ("data/raw/videos", "data/raw/images", "models/init"):
        shutil.copytree(project / name, other / name)
    shutil.copyfile(project.snapshot, other.snapshot)
    (other / "dvc.lock").unlink()
    repro(other, sync=False)
    assert outputs(other) == outputs(project)


def test_a_misspelt_key_stops_before_any_work(trained):
    project, _ = trained
    before = project.params.read_text()
    content = yaml.safe_load(before)
    content["select"]["aquisition"] = "margin"
    project.params.write_text(yaml.safe_dump(content))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "etholoop", "repro"], cwd=project.root, capture_output=True, text=True, check=False, env=os.environ
        )
    finally:
        project.params.write_text(before)
    assert done.returncode != 0
    assert "did you mean 'acquisition'" in done.stderr
    assert "Running stage" not in done.stdout


def test_closing_refuses_what_is_not_up_to_date(trained):
    project, _ = trained
    before = project.params.read_text()
    cycle.set_cycle_id(project.params, "c009")
    try:
        with pytest.raises(FaultsError, match="select"):
            cycle.close(project)
    finally:
        project.params.write_text(before)
    assert not git.has_tag(project, "cycle/c009")


def test_closing_writes_a_ledger_a_tag_and_opens_the_next_cycle(trained):
    project, _ = trained
    project.report.unlink()  # closing rebuilds the report, so it alone may be behind
    ledger = cycle.close(project)
    assert git.has_tag(project, "cycle/c001")
    assert ledger["weights"]["pose"]
    assert yaml.safe_load(project.params.read_text())["cycle"]["id"] == "c002"
    assert git.dirty(project) == []
    assert set(dvc.status(project)) == {"select", "report"}
    assert (project.metrics / "history.csv").read_text().splitlines()[1].startswith("c001,")


def test_runs_hold_figures_and_the_report_and_syncing_again_changes_nothing(trained):
    from etholoop.services import mlflow_store

    project, _ = trained
    with mlflow_store.opened(project) as client:
        before = _all_of(client)
    assert sync_runs(project) == 0
    with mlflow_store.opened(project) as client:
        assert _all_of(client) == before
    artifacts = {name: files for name, _, files in before.values()}
    assert "figures/training.png" in artifacts["pose_train"]
    assert "figures/batch.jpg" in artifacts["select"]
    assert artifacts["c001"] == ["cycle.html"]


def _all_of(client):
    """Name, tags and files of every run, by id."""
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return {run.info.run_id: (run.info.run_name, dict(run.data.tags), _files(client, run.info.run_id, "")) for run in runs}


def _files(client, run_id, folder):
    found = []
    for entry in client.list_artifacts(run_id, folder or None):
        found += _files(client, run_id, entry.path) if entry.is_dir else [entry.path]
    return sorted(found)


def test_a_closed_cycle_can_be_returned_to(trained):
    project, _ = trained
    process.run(["git", "checkout", "--quiet", "cycle/c001"], project.root)
    process.run(["dvc", "checkout", "--quiet"], project.root)
    try:
        assert dvc.status(project) == {}
        assert git.dirty(project) == []
    finally:
        process.run(["git", "checkout", "--quiet", "main"], project.root)
        process.run(["dvc", "checkout", "--quiet"], project.root)


def memo_files(project: Project) -> dict[str, float]:
    """Everything that maps over videos have made, with the time at which it was made."""
    files = (path for path in project.memo.rglob("*") if path.is_file() and "log" not in path.relative_to(project.memo).parts)
    return {path.relative_to(project.memo).as_posix(): path.stat().st_mtime for path in files}


def test_adding_a_video_computes_that_video_only(trained, tmp_path):
    """Probing, sampling, extracting and predicting work on the new video and on nothing else; nothing is trained again."""
    from etholoop.commands import videos

    project, _ = trained
    repro(project, sync=False)
    weights = [project.pose_model / "best.pt", project.refiner_model / "weights.pt"]
    before, trained_at = memo_files(project), [path.stat().st_mtime_ns for path in weights]
    extra = simulate.World(seed=8, n_sessions=1, n_frames=25)
    scenes = {"extra": next(iter(simulate.make_scenes(extra).values()))}
    videos.add(project, simulate.write_videos(scenes, tmp_path))
    repro(project, sync=False)
    after = memo_files(project)
    assert {name: after[name] for name in before} == before, "what was there has not been made again"
    new = [name.split("/") for name in sorted(after.keys() - before.keys())]
    assert len({key for step, key, *_ in new if step == "manifest"}) == 1
    assert len([file for step, *_, file in new if step == "frame_images" and file.endswith(".png")]) == TINY["frames"]["per_video"]
    assert len({key for step, key, *_ in new if step == "pose_predict"}) == 1
    assert [path.stat().st_mtime_ns for path in weights] == trained_at, "nothing has been trained again"
    predicted = tables.read(project.pose_predictions / "frames.parquet", PredictedFrames)
    assert "extra" in set(predicted["video_id"])
