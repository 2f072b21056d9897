"""A small version of ``benchmarks/kills.py``: killed at random moments, the work comes to the same end and shows nothing half-written."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import kills


@pytest.mark.slow
def test_five_kills_change_no_byte(tmp_path):
    report = kills.experiment(tmp_path / "project", n_kills=5, seed=3, engine="processes:2", n_videos=2, n_frames=120)
    assert report.kills.total() == 5
    assert report.looks > 10
    assert report.faults == []
    assert report.equal


def test_the_watcher_sees_what_is_half_written(tmp_path):
    """The judge is judged: a file that is too short, and one that is not there yet."""
    report = kills.Report()
    watcher = kills.Watcher(tmp_path, {"data/frames/a": b"full", "data/frames/b": b"full"}, report)
    folder = tmp_path / "data/frames"
    folder.mkdir(parents=True)
    expected = {"a": 4, "b": 4}
    (folder / "a").write_bytes(b"full")
    watcher.look(folder, expected)
    assert len(report.faults) == 1
    (folder / "b").write_bytes(b"ha")
    watcher.look(folder, expected)
    assert len(report.faults) == 2
    (folder / "b").write_bytes(b"full")
    watcher.look(folder, expected)
    assert len(report.faults) == 2
