"""Files that come in: the same content is not taken twice, folders of images get the numbers they need."""

from pathlib import Path

import pytest

from etholoop.errors import EthoLoopError
from etholoop.io import image_numbers, incoming


@pytest.fixture
def raw(tmp_path) -> Path:
    put(tmp_path / "raw/videos/old.mp4", b"one")
    return tmp_path / "raw"


def put(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_video_under_another_name_is_a_twin(raw, tmp_path):
    plan = {
        "videos/new.mp4": put(tmp_path / "new.mp4", b"one"),
        "videos/other.mp4": put(tmp_path / "other.mp4", b"two"),
        "videos/again.mp4": put(tmp_path / "again.mp4", b"two"),
        "videos/old.mp4": put(tmp_path / "old.mp4", b"one"),
        "videos/empty1.mp4": put(tmp_path / "empty1.mp4"),
        "videos/empty2.mp4": put(tmp_path / "empty2.mp4"),
    }
    assert incoming.twins(raw, plan) == {"videos/new.mp4": "videos/old.mp4", "videos/again.mp4": "videos/other.mp4"}


def test_lists_are_made_only_where_names_do_not_tell(raw, tmp_path):
    image = put(tmp_path / "x.png")
    put(raw / "images/told/1.png")
    put(raw / "images/untold/nose.png")
    image_numbers.write_list(raw / "images/untold", {"nose.png": 4})
    plan = {"images/told/2.png": image, "images/untold/tail.png": image, "images/new/a1.png": image, "images/new/b1.png": image}
    lists, faults = incoming.image_lists(raw, plan)
    assert faults == []
    assert lists == {
        raw / "images/untold": {"nose.png": 4, "tail.png": 5},
        raw / "images/new": {"a1.png": 0, "b1.png": 1},
    }


def test_a_copy_that_fails_leaves_nothing(raw, tmp_path):
    with pytest.raises(OSError):
        incoming.bring(raw, {"videos/a.mp4": put(tmp_path / "a.mp4", b"one"), "videos/b.mp4": tmp_path})
    assert sorted(path.name for path in (raw / "videos").iterdir()) == ["a.mp4", "old.mp4"]


def test_a_link_that_cannot_be_made_says_what_to_do(raw, tmp_path):
    source = put(tmp_path / "a.mp4", b"one")
    with pytest.raises(EthoLoopError, match="Leave out --link"):
        incoming.bring(raw, {"videos/old.mp4": source}, link=True)
