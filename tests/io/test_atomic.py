"""All or nothing: what was there survives a fault in the middle of writing."""

import errno
import os

import pytest

from etholoop.io import atomic


def test_a_fault_while_writing_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic.new_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    atomic.write_text(path, "old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space left"):
        atomic.write_text(path, "new")
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "stale").write_text("1")
    with atomic.new_folder(folder) as temporary:
        (temporary / "fresh").write_text("2")
    assert [path.name for path in folder.iterdir()] == ["fresh"]


def test_a_fault_while_filling_a_folder_keeps_the_old_one(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "old").write_text("1")
    with pytest.raises(KeyboardInterrupt), atomic.new_folder(folder) as temporary:
        (temporary / "half").write_text("2")
        raise KeyboardInterrupt
    assert [path.name for path in folder.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_new_files_can_be_read_by_others(tmp_path):
    atomic.write_bytes(tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_mode & 0o444 == 0o444 & ~os.umask(os.umask(0))
