"""SlowFast's files: what is read, what is refused, and where files of the hub come from."""

import sys
import types
import zipfile
from pathlib import Path

import pytest
import torch

from etholoop.errors import EthoLoopError
from etholoop.io import slowfast_checkpoint as slowfast

CFG = "MODEL:\n  ARCH: x3d\n  NUM_CLASSES: 8\nDATA:\n  MEAN: [0.45, 0.45, 0.45]\nRNG_SEED: 0\n"


@pytest.fixture
def pyth(tmp_path) -> Path:
    path = tmp_path / "checkpoint_epoch_00003.pyth"
    torch.save({"epoch": 2, "model_state": {"a.weight": torch.ones(2)}, "optimizer_state": {"lr": 0.1}, "cfg": CFG}, path)
    return path


def zipped(path: Path, *files: Path, name: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for file in files:
            package.write(file, name or file.name)
    return path


def test_weights_and_configuration(pyth):
    found = slowfast.read_checkpoint(pyth)
    assert found.epoch == 2 and found.state["a.weight"].tolist() == [1, 1]
    assert found.config == {"MODEL.ARCH": "x3d", "MODEL.NUM_CLASSES": 8, "DATA.MEAN": [0.45] * 3, "RNG_SEED": 0}


def test_a_zip_is_read_and_nothing_is_left_behind(pyth, tmp_path):
    other = tmp_path / "other.pyth"
    other.write_bytes(b"x")
    path = zipped(tmp_path / f"{pyth.name}.zip", pyth, other)
    before = sorted(tmp_path.iterdir())
    assert slowfast.read_checkpoint(path).epoch == 2  # the file named like the zip, of two
    assert sorted(tmp_path.iterdir()) == before


def test_bare_weights_have_no_configuration(tmp_path):
    torch.save({"a.weight": torch.ones(2)}, tmp_path / "a.pyth")
    found = slowfast.read_checkpoint(tmp_path / "a.pyth")
    assert found.config is None and found.epoch == -1 and list(found.state) == ["a.weight"]


def test_zips_that_are_damaged_empty_or_hostile(pyth, tmp_path):
    whole = zipped(tmp_path / "whole.zip", pyth)
    (tmp_path / "cut.zip").write_bytes(whole.read_bytes()[:-30])
    body = bytearray(whole.read_bytes())
    body[200] ^= 255
    (tmp_path / "flipped.zip").write_bytes(body)
    (tmp_path / "notes.txt").write_text("x")
    for path, words in (
        (tmp_path / "cut.zip", "expected a zip file.*cut off.*Fetch it again"),
        (tmp_path / "flipped.zip", "cannot be unpacked"),
        (zipped(tmp_path / "none.zip", tmp_path / "notes.txt"), "expected one checkpoint.*notes.txt"),
        (zipped(tmp_path / "out.zip", pyth, name="../evil.pyth"), "leads out of the folder"),
    ):
        with pytest.raises(EthoLoopError, match=words):
            slowfast.read_checkpoint(path)
    assert not (tmp_path.parent / "evil.pyth").exists()


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil_was_here"),))


def test_files_that_would_run_code_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model_state": {"a": torch.ones(1)}, "extra": Evil()}, tmp_path / "evil.pyth")
    with pytest.raises(EthoLoopError, match="refused"):
        slowfast.read_checkpoint(tmp_path / "evil.pyth")
    assert not (tmp_path / "evil_was_here").exists()


def test_files_that_are_no_checkpoints(pyth, tmp_path):
    (tmp_path / "cut.pyth").write_bytes(pyth.read_bytes()[:300])
    (tmp_path / "text.pyth").write_text("not a checkpoint")
    torch.save([1, 2], tmp_path / "list.pyth")
    torch.save({"model_state": {}, "epoch": 1}, tmp_path / "empty.pyth")
    for name in ("cut", "text", "list", "empty", "absent"):
        with pytest.raises(EthoLoopError, match=f"{name}.pyth"):
            slowfast.read_checkpoint(tmp_path / f"{name}.pyth")


def test_configurations_that_cannot_be_used(tmp_path):
    (tmp_path / "a.yml").write_text(CFG)
    assert slowfast.read_config(tmp_path / "a.yml")["MODEL.ARCH"] == "x3d"
    for text, words in (
        ("MODEL: [", "not readable as YAML"),
        ("just words", "expected a SlowFast"),
        ("_BASE_: b.yml\nMODEL: {A: 1}", "_BASE_"),
    ):
        (tmp_path / "a.yml").write_text(text)
        with pytest.raises(EthoLoopError, match=words):
            slowfast.read_config(tmp_path / "a.yml")
    with pytest.raises(EthoLoopError, match="not found"):
        slowfast.read_config(tmp_path / "b.yml")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache that holds one file of one repository."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "hub/models--lab--x3d"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("abc123\n")
    (folder / "snapshots/abc123").mkdir(parents=True)
    (folder / "snapshots/abc123/w.pyth").write_text("weights")
    return folder / "snapshots/abc123"


def without_hub_library(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)


def test_the_cache_serves_without_library_and_without_network(cache, monkeypatch):
    without_hub_library(monkeypatch)
    assert slowfast.hub_file("lab/x3d", "w.pyth") == cache / "w.pyth"
    with pytest.raises(EthoLoopError, match=r"pip install huggingface_hub.*not in the cache"):
        slowfast.hub_file("lab/x3d", "other.pyth")
    with pytest.raises(EthoLoopError, match="OWNER/NAME"):
        slowfast.hub_file("x3d", "w.pyth")


def test_the_library_is_asked_first(cache, monkeypatch):
    library = types.ModuleType("huggingface_hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", library)
    library.hf_hub_download = lambda repo, name: f"/downloads/{repo}/{name}"
    assert slowfast.hub_file("lab/x3d", "w.pyth") == Path("/downloads/lab/x3d/w.pyth")

    def offline(repo, name):
        raise ConnectionError("no route to host")

    library.hf_hub_download = offline
    assert slowfast.hub_file("lab/x3d", "w.pyth") == cache / "w.pyth"
    with pytest.raises(EthoLoopError, match="ConnectionError: no route to host"):
        slowfast.hub_file("lab/x3d", "b.pyth")
