"""The index that packets promise: the same as a probe's for good files, and no frame is ever left out of a bad one."""

from fractions import Fraction

import numpy as np
import pytest

from etholoop.io._video_promise import promised_index
from etholoop.io.video import VideoFault, VideoReader, probe, write_video


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    pictures = (rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(30))
    write_video(tmp_path / "a.mp4", pictures, Fraction(25))
    return tmp_path / "a.mp4"


def test_it_is_the_index_of_a_probe(path):
    promised, probed = promised_index(path), probe(path)[1]
    assert not promised.info.decoded and promised.info.n_frames == 30
    assert (promised.pts == probed.pts).all() and promised.info.fps == probed.info.fps and promised.info.width == 64
    both = zip(VideoReader(path, promised).stream(), VideoReader(path, probed).stream(), strict=True)
    assert all(a[0] == b[0] and (a[1] == b[1]).all() for a, b in both)


def test_damage_is_found_by_reading(path):
    """Bytes in the middle are wiped out: the promised frames do not all come, and that is a fault."""
    body = bytearray(path.read_bytes())
    start = body.find(b"mdat") + 4
    end = start + (len(body) - start) // 2
    body[start + 64 : end] = bytes(end - start - 64)
    path.write_bytes(body)
    with pytest.raises(VideoFault):
        index = promised_index(path)
        assert sum(1 for _ in VideoReader(path, index).read(range(30))) == 30


def test_what_is_no_video(tmp_path):
    (tmp_path / "a.mp4").write_text("words")
    with pytest.raises(VideoFault):
        promised_index(tmp_path / "a.mp4")
    with pytest.raises(VideoFault):
        promised_index(tmp_path / "none.mp4")
