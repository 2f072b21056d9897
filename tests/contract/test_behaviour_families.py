"""What every family of behaviour models must do, whatever is behind it. A new family needs an entry in ``SMALL`` and nothing else."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etholoop import registry, runtime

runtime.prepare()

from etholoop.errors import EthoLoopError  # noqa: E402 - the runtime comes first
from etholoop.modeling.behaviour._shared import BODIES, PICTURES, Strip, Task, View  # noqa: E402
from etholoop.modeling.behaviour.families import settings_of  # noqa: E402
from etholoop.params import Section  # noqa: E402

FAMILIES = "etholoop.modeling.behaviour.families"
NAMES = registry.names(FAMILIES)
every_family = pytest.mark.parametrize("name", NAMES)

SMALL: dict[str, dict[str, Any]] = {
    "x3d": {
        **{"n_frames": 4, "every": 1, "crop_px": 32, "width_factor": 0.5, "depth_factor": 0.5, "dim_c5": 16, "light": 0.3, "speed": 0.0},
        **{"epochs": 6, "epoch_steps": 14, "batch": 8, "lr": 0.005, "threads": 1, "patience": None},
    },
    "motion": {"n_pictures": 5, "lengths": [3, 5], "crop_px": 32},
    "posture": {"n_frames": 5, "lengths": [3, 5], "rounds": 30, "rate": 0.2, "smallest": 3},
}
"""Settings with which a family learns to tell a still blot from one that blinks, in seconds."""

TASK = Task(("still", "blink"), ("g", "g"), ("nose", "tail"), (0, 1))


def strip(family: str, name: str, labelled: bool = True) -> Strip:
    """Half of the time an animal stays as it is, in the other half it changes in every second frame."""
    sees = getattr(registry.load(FAMILIES, family), "SEES", PICTURES)
    return bodies(name, labelled) if sees == BODIES else blots(name, labelled)


def bodies(name: str, labelled: bool) -> Strip:
    """Half of the time an animal of two keypoints stays as it is, in the other half its second one is elsewhere in every second frame."""
    rng = np.random.default_rng([*name.encode()])
    values = np.zeros((24, 1, 11), np.float32)
    values[:, 0] = [100, 80, 132, 112, 32, 104, 96, 1, 128, 96, 1]
    values[12::2, 0, 9] += 12
    values[..., [5, 6, 8, 9]] += rng.normal(0, 0.3, (24, 1, 4))
    return Strip(name, values, marks() if labelled else np.full((24, 2), -1, np.int8))


def marks() -> np.ndarray:
    labels = np.zeros((24, 2), np.int8)
    labels[:12, 0], labels[12:, 1] = 1, 1
    return labels


def blots(name: str, labelled: bool) -> Strip:
    """Half of the time a dark blot stays as it is, in the other half it is lighter in every second picture."""
    rng = np.random.default_rng([*name.encode()])
    images = np.full((24, 32, 32, 3), 200, np.uint8) + rng.integers(0, 10, (24, 32, 32, 3), np.uint8)
    images[:, 9:23, 6:26] //= 3
    images[12::2, 9:23, 6:26] *= 2
    windows = np.tile([100.0, 80, 132, 112], (24, 1))
    return Strip(name, images, marks() if labelled else np.full((24, 2), -1, np.int8), windows)


def trained(name: str, folder: Path, task: Task = TASK) -> Any:
    """The weights file of a family that has learnt from three strips."""
    folder.mkdir(exist_ok=True)
    plugin, settings = registry.load(FAMILIES, name), settings_of(name, SMALL[name], "test")
    strips = [strip(name, "a"), strip(name, "b"), strip(name, "c")]
    plugin.train(strips, [strip(name, "d")], task, settings, seed=3, out=folder / "w.pt", scratch=folder / "scratch")
    return folder / "w.pt"


def clip_of(predictor: Any, one: Strip, place: int) -> np.ndarray:
    """A clip as the stage makes it."""
    places = np.clip(place + predictor.offsets, 0, len(one.images) - 1)
    see, clip = getattr(predictor, "see", lambda picture, window: picture), getattr(predictor, "clip", np.stack)
    if one.windows is None:
        return np.asarray(clip([one.images[k] for k in places]))
    return np.asarray(clip([see(one.images[k], one.windows[k]) for k in places]))  # type: ignore[call-overload]


@every_family
def test_a_family_has_all_that_the_stages_call(name: str) -> None:
    plugin = registry.load(FAMILIES, name)
    assert isinstance(plugin.VERSION, int) and issubclass(plugin.Params, Section)
    assert list(inspect.signature(plugin.train).parameters)[:4] == ["train_set", "val_set", "task", "params"]
    settings = settings_of(name, SMALL[name], "test")
    assert isinstance(plugin.view(settings, None), View)
    before, after = plugin.reach(settings, None)
    assert before >= 0 and after >= 0
    assert settings.edge_frames == 0  # type: ignore[attr-defined]


@every_family
def test_checking_settings_loads_no_heavy_library(name: str) -> None:
    code = (
        f"import sys; from etholoop.modeling.behaviour.families import settings_of; settings_of({name!r}, {SMALL[name]!r}, 'x'); "
        "sys.exit(', '.join({'torch', 'cv2', 'sklearn', 'pandas'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@every_family
def test_the_same_training_gives_the_same_bytes_and_learns(name: str, tmp_path: Path) -> None:
    first, second = trained(name, tmp_path / "one"), trained(name, tmp_path / "two")
    assert first.read_bytes() == second.read_bytes()
    assert not (tmp_path / "one/scratch").exists()
    predictor = registry.load(FAMILIES, name).Predictor.load(first)
    assert predictor.behaviours == TASK.behaviours and predictor.head == "multiclass"
    unseen = strip(name, "z")
    clips = np.stack([clip_of(predictor, unseen, place) for place in (5, 18)])
    scores = predictor.predict(clips)
    assert scores.shape == (2, 2) and scores.dtype == np.float32
    assert scores.argmax(axis=1).tolist() == [0, 1] and scores.sum(axis=1) == pytest.approx(1, abs=1e-5)
    # what is said of a clip does not depend on its neighbours
    assert (predictor.predict(clips[1:]) == scores[1:]).all()


@every_family
def test_behaviours_without_a_group_may_overlap(name: str, tmp_path: Path) -> None:
    predictor = registry.load(FAMILIES, name).Predictor.load(
        trained(name, tmp_path, Task(TASK.behaviours, (None, None), TASK.keypoints, TASK.mirror))
    )
    assert predictor.head == "multilabel"
    scores = predictor.predict(np.stack([clip_of(predictor, strip(name, "z"), 5)]))
    assert scores.shape == (1, 2) and ((scores >= 0) & (scores <= 1)).all()


@every_family
def test_reach_covers_the_clips_in_use(name: str, tmp_path: Path) -> None:
    plugin = registry.load(FAMILIES, name)
    predictor = plugin.Predictor.load(trained(name, tmp_path))
    before, after = plugin.reach(settings_of(name, SMALL[name], "test"), None)
    assert -predictor.offsets[0] <= before and predictor.offsets[-1] <= after and (np.diff(predictor.offsets) > 0).all()


@every_family
def test_faults_say_what_is_wrong(name: str, tmp_path: Path) -> None:
    plugin, settings = registry.load(FAMILIES, name), settings_of(name, SMALL[name], "test")
    options = {"seed": 0, "out": tmp_path / "w.pt", "scratch": tmp_path / "s"}
    with pytest.raises(EthoLoopError, match=f"the {name} family found no labelled frame"):
        plugin.train([strip(name, "a", labelled=False)], [], TASK, settings, **options)
    assert not (tmp_path / "w.pt").exists()
    with pytest.raises(EthoLoopError, match=r"none\.pt: behaviour weights not found"):
        plugin.Predictor.load(tmp_path / "none.pt")
    for content in (b"PK\x03\x04 nothing", b""):
        (tmp_path / "other.pt").write_bytes(content)
        with pytest.raises(EthoLoopError, match=f"expected weights of the family '{name}'"):
            plugin.Predictor.load(tmp_path / "other.pt")
        assert plugin.own_weights(tmp_path / "other.pt") is None
