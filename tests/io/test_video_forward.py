"""Frames from front to back by several decoders: the very images, and the very faults, of VideoReader."""

import os
from pathlib import Path

import numpy as np
import pytest
from numbered_videos import make, number_of

from etholoop.errors import EthoLoopError
from etholoop.io import _video_forward
from etholoop.io._video_forward import forward
from etholoop.io.video import VideoFault, VideoReader, probe

KINDS = {
    "mpeg4": ("a.mp4", "mpeg4", {"g": "12"}, {}),
    "mpeg4 with B pictures": ("a.mp4", "mpeg4", {"g": "12", "bf": "2"}, {}),
    "h264": ("a.mp4", "libx264", {"g": "20", "bf": "3"}, {}),
    "h264 with open groups": ("a.mkv", "libx264", {"g": "20", "bf": "3", "x264-params": "open-gop=1"}, {}),
    "h264, one keyframe": ("a.mp4", "libx264", {"g": "600", "bf": "0", "sc_threshold": "0"}, {}),
    "h264 of other colours": ("a.mp4", "libx264", {"g": "20", "colorspace": "bt709", "color_primaries": "bt709"}, {}),
    "full range": ("a.avi", "mjpeg", {"strict": "unofficial"}, {"pix_fmt": "yuvj420p"}),
    "turned": ("a.mp4", "mpeg4", {"g": "12"}, {"rotation": 90}),
    "444": ("a.mp4", "libx264", {"g": "20"}, {"pix_fmt": "yuv444p"}),
    "even sizes that no vector divides": ("a.mp4", "mpeg4", {"g": "12"}, {"size": (134, 98)}),
    "narrow": ("a.mp4", "mpeg4", {"g": "12"}, {"size": (98, 130)}),
    "odd width": ("a.mp4", "mpeg4", {"g": "12"}, {"size": (129, 97)}),
    "uneven times": ("a.mkv", "libx264", {"g": "20"}, {"times_ms": [40 * n + 7 * (n % 3) for n in range(300)]}),
}


@pytest.fixture(params=sorted(KINDS))
def video(request, tmp_path) -> Path:
    name, codec, options, more = KINDS[request.param]
    return make(tmp_path / name, range(300), codec, options, **more)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_images_are_those_of_the_reader(video, threads):
    index = probe(video)[1]
    for frames in (
        list(range(index.info.n_frames)),
        list(range(7, 250)),
        [*range(30, 100), *range(103, 140, 2)],
        [5],
        list(range(0, 300, 40)),
    ):
        with VideoReader(video, index) as reader:
            expected = list(reader.read(frames))
        found = list(forward(video, index, frames, np.copy, threads))
        assert [frame for frame, _ in found] == frames
        assert all((one == other).all() for (_, one), (_, other) in zip(found, expected, strict=True))


def test_the_quick_way_is_taken(tmp_path, monkeypatch):
    video = make(tmp_path / "a.mp4", range(200), "mpeg4", {"g": "12"})
    monkeypatch.setattr(_video_forward, "VideoReader", None)
    for threads in (1, 2):
        found = list(forward(video, probe(video)[1], list(range(200)), number_of, threads))
        assert found == [(number, number) for number in range(200)]


@pytest.mark.parametrize("threads", [1, 2])
def test_damage_gives_the_faults_of_the_reader(tmp_path, threads):
    """Bytes in the middle are overwritten; the index does not know it."""
    video = make(tmp_path / "a.mp4", range(200), "libx264", {"g": "12"})
    index = probe(video)[1]
    with video.open("r+b") as stream:
        stream.seek(video.stat().st_size // 2)
        stream.write(b"\xff" * 400)

    def until_a_fault(images):
        found = []
        with pytest.raises(VideoFault) as caught:
            found += [(frame, image.sum()) for frame, image in images]
        return found, str(caught.value)

    with VideoReader(video, index, threads=1) as reader:
        expected = until_a_fault(reader.read(list(range(200))))[1]
    assert until_a_fault(forward(video, index, list(range(200)), np.copy, threads))[1] == expected


def test_what_make_raises_reaches_the_caller_and_threads_end(tmp_path):
    import threading

    video = make(tmp_path / "a.mp4", range(300), "mpeg4", {"g": "12"})
    index, before = probe(video)[1], threading.active_count()

    def fails(image):
        if number_of(image) == 150:
            raise ValueError("150")
        return number_of(image)

    found = []
    with pytest.raises(ValueError, match="150"):
        for frame, _ in forward(video, index, list(range(300)), fails, 2):
            found.append(frame)
    images = forward(video, index, list(range(300)), number_of, 2)
    assert next(images) == (0, 0)
    images.close()
    assert threading.active_count() == before and found == list(range(len(found))) and len(found) <= 150


def test_frames_outside_and_none(tmp_path):
    video = make(tmp_path / "a.mp4", range(60), "mpeg4", {"g": "12"})
    index = probe(video)[1]
    assert list(forward(video, index, [], np.copy)) == []
    with pytest.raises(EthoLoopError, match="frame 60 was asked for"):
        list(forward(video, index, list(range(61)), np.copy))


def test_threads_follow_the_environment(tmp_path, monkeypatch):
    video = make(tmp_path / "a.mp4", range(120), "mpeg4", {"g": "12"})
    made = []
    real = _video_forward._Forward.__init__
    monkeypatch.setattr(_video_forward._Forward, "__init__", lambda self, *given: made.append(1) or real(self, *given))
    monkeypatch.setenv("ETHOLOOP_DECODER_THREADS", "3")
    list(forward(video, probe(video)[1], list(range(120)), number_of))
    assert len(made) == 3
    monkeypatch.delenv("ETHOLOOP_DECODER_THREADS")
    list(forward(video, probe(video)[1], list(range(120)), number_of))
    assert len(made) == 3 + len(os.sched_getaffinity(0))
