"""Linked recordings take their room once: the original, the project's file and DVC's object are one file on disk."""

import os

from etholoop.commands.init import make_project
from etholoop.commands.videos import add
from etholoop.services import dvc, process


def test_linked_recordings_share_their_room_and_go_on_sharing_it(tmp_path):
    project = make_project(tmp_path / "project")
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    first.write_bytes(os.urandom(5000))
    second.write_bytes(os.urandom(6000))
    add(project, [first], link=True)
    add(project, [second])  # DVC looks at the whole folder again
    linked, copied = project.raw_videos / "first.mp4", project.raw_videos / "second.mp4"
    assert linked.samefile(first) and first.stat().st_nlink == 3
    assert not copied.samefile(second)
    assert dvc.status(project).keys().isdisjoint({"data/raw/videos.dvc"})
    linked.unlink()
    process.run(["dvc", "checkout", "--quiet", "data/raw/videos.dvc"], project.root)
    assert linked.samefile(first)
