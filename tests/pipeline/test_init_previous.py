"""`pose_train.init: previous`: the second cycle really trains from the champion of the first."""

import json
import shutil

import pytest
import torch

from etholoop import runtime
from etholoop.commands import cycle, params, simulate
from etholoop.commands.repro import repro
from etholoop.core import promotion
from etholoop.modeling.detectors._yolo_checkpoint import load_safely
from etholoop.project import Project
from etholoop.services import dvc, git

pytestmark = pytest.mark.slow

WORLD = simulate.World(seed=5, n_sessions=5, n_frames=25, batch_size=12, noise="none")
SETTINGS = {"arch": "yolo11n-pose", "imgsz": 64, "epochs": 2, "batch": 4, "threads": 1, "mosaic": 0.0}
TINY = {
    "frames": {"per_video": 8},
    "pose_train": {"init": "previous", "settings": SETTINGS},
    "refine_train": {"settings": {"epochs": 1, "views": 1}},
    "evaluate": {"n_bootstrap": 50},
    "select": {"held_out_per_video": 3, "min_gap_s": 0.1},
}
STILL = {"pose_train": {"settings": {"lr0": 1e-9, "warmup_epochs": 0.0}}}
"""With steps this small the weights stay where the training began."""


def filters(project: Project) -> torch.Tensor:
    """All convolution weights in one row; unlike running means they change only by training steps."""
    runtime.prepare(project.root)
    model = load_safely(project.pose_model / "best.pt")["model"]
    return torch.cat([tensor.float().flatten() for tensor in model.state_dict().values() if tensor.dim() == 4])


def status(project: Project) -> dict:
    return json.loads((project.pose_model / "status.json").read_text())


def test_the_champion_s_weights_are_where_the_next_training_begins(tmp_path, monkeypatch):
    project, scenes = simulate.make_project(tmp_path / "project", WORLD, TINY)
    # a model this small finds nothing, so the rule of promotion, which tests/core tests, would make no champion
    monkeypatch.setattr(promotion, "decide", lambda *_: promotion.Decision(True, "for this test"))
    repro(project, ["select"], sync=False)
    simulate.answer_all(project, scenes, None, WORLD.seed)
    repro(project, simulate.BEFORE_THE_REPORT, sync=False)
    assert status(project)["started_from"] == "random weights", "the first cycle has no champion yet"
    champion, bytes_of_champion = filters(project), (project.pose_model / "best.pt").read_bytes()
    cycle.close(project)
    assert (project.init_weights / "champion.pt").read_bytes() == bytes_of_champion
    assert git.dirty(project) == []

    simulate.answer_all(project, scenes, None, WORLD.seed)
    params.merge_into(project.params, STILL)
    dvc.repro(project, ["pose_train"])
    assert status(project)["started_from"] == "champion.pt"
    from_champion = filters(project)

    params.merge_into(project.params, {"pose_train": {"init": "scratch"}})
    dvc.repro(project, ["pose_train"])
    assert status(project)["started_from"] == "random weights"
    from_scratch = filters(project)

    learned = (champion - from_scratch).abs().mean()
    assert learned > 1e-4, "the first cycle has moved the weights, else this test could tell nothing"
    assert (from_champion - champion).abs().mean() < learned / 100
    shutil.rmtree(project.root)
