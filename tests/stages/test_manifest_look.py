"""Reading what lies in data/raw: what is remembered, what is read again, and files that crash the reader."""

import os
import shutil
from fractions import Fraction
from pathlib import Path

import map_tasks as tasks
import numpy as np
import pytest

from etholoop.engines import _settings
from etholoop.errors import FaultsError
from etholoop.io import images, tables, video
from etholoop.project import Project
from etholoop.schema.videos import Images, Quarantine, Videos
from etholoop.stages import _manifest_look as look
from etholoop.stages import manifest


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


def add_video(project: Project, name: str, level: int) -> Path:
    path = project.raw_videos / name
    path.parent.mkdir(parents=True, exist_ok=True)
    video.write_video(path, (np.full((32, 48, 3), level + k, np.uint8) for k in range(5)), Fraction(25))
    return path


def run(project: Project) -> dict[str, str]:
    """Run the stage: reason by path of what was put aside."""
    manifest.run(project, manifest.Params())
    table = tables.read(project.manifest / "quarantine.parquet", Quarantine)
    return dict(zip(table["path"], table["reason"], strict=True))


def hashed(monkeypatch) -> list[str]:
    """Names of the files that are hashed from now on."""
    names, original = [], look.file_digest
    monkeypatch.setattr(look, "file_digest", lambda path: names.append(path.name) or original(path))
    return names


def test_only_new_files_are_hashed(project, monkeypatch):
    names = hashed(monkeypatch)
    add_video(project, "a.mp4", 10)
    run(project)
    add_video(project, "b.mp4", 60)
    run(project)
    assert names == ["a.mp4", "b.mp4"]


def test_an_edit_that_puts_size_and_time_back_is_seen(project, monkeypatch):
    """The same size, the same inode, the same modification time: the time of the inode's change tells."""
    path = add_video(project, "a.mp4", 10)
    run(project)
    before = tables.read(project.manifest / "videos.parquet", Videos)["sha256"].tolist()
    state, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    with path.open("r+b") as stream:
        stream.write(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_ino, path.stat().st_mtime_ns) == (state.st_size, state.st_ino, state.st_mtime_ns)
    names = hashed(monkeypatch)
    run(project)
    assert names == ["a.mp4"]
    assert tables.read(project.manifest / "videos.parquet", Videos)["sha256"].tolist() != before


def test_a_file_that_changed_a_moment_ago_is_waited_for(project, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(look.time, "sleep", waits.append)
    now = look.time.time_ns()
    look._settle([(1, 1, 1, now - 5 * 10**9)])
    assert waits == []
    look._settle([(1, 1, 1, now | 1)])
    assert 0 < waits.pop() <= look.TICK_S
    whole_second = (now // 10**9) * 10**9
    look._settle([(1, 1, 1, whole_second)])
    assert waits.pop() > look.TICK_S


def test_a_file_that_changes_while_it_is_read_is_refused(project, monkeypatch):
    path = add_video(project, "a.mp4", 10)
    probe = video.probe

    def grows(path, **options):
        found = probe(path, **options)
        with path.open("ab") as stream:
            stream.write(b"more")
        return found

    monkeypatch.setattr(video, "probe", grows)
    with pytest.raises(FaultsError, match=r"a\.mp4 changed while being read"):
        run(project)
    assert path.exists()


def test_a_video_that_crashes_the_reader_is_put_aside_with_its_log(project, monkeypatch):
    monkeypatch.setenv(_settings.ENGINE, "processes:2")
    monkeypatch.setattr(look, "probe_into", tasks.die_on_bad)
    add_video(project, "bad.mp4", 10)
    add_video(project, "good.mp4", 60)
    assert run(project) == {"videos/bad.mp4": "crashed"}
    detail = tables.read(project.manifest / "quarantine.parquet", Quarantine)["detail"].iloc[0]
    log = next(word.rstrip(".") for word in detail.split() if word.startswith(".memo/log/"))
    assert "the decoder's last words" in (project / log).read_text()
    assert tables.read(project.manifest / "videos.parquet", Videos)["video_id"].tolist() == ["good"]
    monkeypatch.undo()
    shutil.rmtree(project.memo / "log")
    assert run(project) == {}, "a crash is not remembered"


def test_a_video_on_which_the_decoder_hangs_is_put_aside_with_the_place(project, monkeypatch):
    monkeypatch.setenv(_settings.ENGINE, "processes:2")
    monkeypatch.setattr(look, "probe_into", tasks.hang_on_bad)
    add_video(project, "bad.mp4", 10)
    add_video(project, "good.mp4", 60)
    assert run(project) == {"videos/bad.mp4": "crashed"}
    detail = tables.read(project.manifest / "quarantine.parquet", Quarantine)["detail"].iloc[0]
    log = next(word.rstrip(".") for word in detail.split() if word.startswith(".memo/log/"))
    assert "hang_on_bad" in (project / log).read_text()
    assert tables.read(project.manifest / "videos.parquet", Videos)["video_id"].tolist() == ["good"]


def test_an_image_that_crashes_the_reader_is_put_aside_alone(project, monkeypatch):
    monkeypatch.setenv(_settings.ENGINE, "processes:2")
    monkeypatch.setattr(look, "look_into", tasks.die_on_white)
    for number, name in enumerate(("img0", "white1", "img2")):
        images.write_rgb(project.raw_images / "set" / f"{name}.png", np.full((8, 8, 3), 50 * number, np.uint8))
    assert run(project) == {"images/set/white1.png": "crashed"}
    assert tables.read(project.manifest / "images.parquet", Images)["frame"].tolist() == [0, 2]
