"""All or nothing: what was there survives a fault in the middle of writing."""

import errno
import os
import shutil
import subprocess
import sys
import time

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


def test_what_a_killed_process_left_is_swept_away_by_the_next_and_work_in_hand_is_not(tmp_path):
    with atomic.new_file(tmp_path / "a.json") as mine, atomic.new_folder(tmp_path / "out") as folder:
        gone = subprocess.run(
            [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
        ).stdout.strip()
        left = [mine.with_name(item.name.replace(f"-{os.getpid()}-", f"-{gone}-")) for item in (mine, folder)]
        left[0].write_text("half")
        left[1].mkdir()
        (left[1] / "half").write_text("half")
        atomic.sweep(tmp_path)
        assert mine.exists()
        assert folder.exists()
        assert not left[0].exists()
        assert not left[1].exists()


def test_work_on_other_computers_is_left_alone_until_it_is_a_week_old(tmp_path):
    other = tmp_path / ".out.0123abcd-1-deadbeef"
    other.mkdir()
    atomic.sweep(tmp_path)
    assert other.exists()
    long_ago = time.time() - atomic.FORGOTTEN_S - 1
    os.utime(other, (long_ago, long_ago))
    atomic.sweep(tmp_path)
    assert not other.exists()


def test_a_folder_is_never_seen_half_removed(tmp_path, monkeypatch):
    """An old folder is out of sight before the first file in it is removed."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "old").write_text("1")
    rmtree, seen = shutil.rmtree, []

    def watched(path, **options):
        seen.append([item.name for item in folder.iterdir()] if folder.exists() else None)
        rmtree(path, **options)

    monkeypatch.setattr(shutil, "rmtree", watched)
    with atomic.new_folder(folder) as temporary:
        (temporary / "new").write_text("2")
    assert seen == [["new"]]


def test_two_makers_of_one_folder_do_not_disturb_each_other(tmp_path):
    with atomic.new_folder(tmp_path / "out") as one, atomic.new_folder(tmp_path / "out") as other:
        (one / "x").write_text("1")
        (other / "x").write_text("1")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out/x").read_text() == "1"


def test_long_names_leave_room_for_the_temporary_one(tmp_path):
    path = tmp_path / ("ä" * 120 + ".json")
    atomic.write_text(path, "x")
    assert path.read_text() == "x"
