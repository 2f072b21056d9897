"""Files that may be hostile are refused by name: no playlists, no references to other files, nothing beyond the limits."""

import os
import random
import struct
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numbered_videos import HEIGHT, N_FRAMES, WIDTH, make

from etholoop.io import _video_apart, _video_open, video


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def plain(folder) -> Path:
    return make(folder / "plain.mp4", range(N_FRAMES), options={"g": "20", "bf": "3"})


def fault_of(path: Path, **limits) -> video.VideoFault:
    with pytest.raises(video.VideoFault) as caught:
        video.probe(path, limits=replace(video.VideoLimits(), **limits))
    return caught.value


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("empty.mp4", b"", "empty"),
        ("text.mp4", b"these are only words\n" * 200, "not_a_video"),
        ("noise.mp4", random.Random(1).randbytes(5000), "not_a_video"),
        ("concat.mp4", b"ffconcat version 1.0\nfile plain.mp4\n", "forbidden_container"),
        ("hls.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\nplain.mp4\n#EXT-X-ENDLIST\n", "forbidden_container"),
        ("bom.avi", b"\xef\xbb\xbf#EXTM3U\nhttp://example.org/a.mp4\n", "forbidden_container"),
        ("dash.mpd", b'<?xml version="1.0"?><MPD></MPD>', "forbidden_container"),
    ],
)
def test_files_that_are_no_videos(folder, plain, name, content, reason):
    (folder / name).write_bytes(content)
    assert fault_of(folder / name).reason == reason


def test_containers_outside_the_list_are_refused_by_the_demuxer(folder):
    path = folder / "animation.mp4"
    with av.open(str(path), "w", format="gif") as container:
        stream = container.add_stream("gif", rate=5)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "rgb8"
        for k in range(3):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.full((16, 16, 3), 90 * k, np.uint8), "rgb24").reformat(format="rgb8"))
            )
        container.mux(stream.encode())
    assert fault_of(path).reason == "forbidden_container"


def test_missing_file_and_sound_only(folder):
    assert fault_of(folder / "nowhere.mp4").reason == "unreadable"
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert fault_of(path).reason == "no_video_stream"


@pytest.mark.parametrize(
    "limits, reason, words",
    [
        ({"max_bytes": 1000}, "too_large", "bytes, beyond the limit of 1000"),
        ({"max_pixels": WIDTH * HEIGHT - 1}, "too_large", f"Frames of {WIDTH}x{HEIGHT} pixels"),
        ({"max_duration_s": 3.5}, "too_long", "lasts 4 s"),
        ({"probe_s": -1e9}, "too_slow", "took longer than"),
    ],
)
def test_limits(plain, limits, reason, words):
    fault = fault_of(plain, **limits)
    assert fault.reason == reason and words in fault.detail


def test_more_frames_than_allowed(plain):
    assert fault_of(plain, max_frames=N_FRAMES - 10).reason == "too_long"
    assert video.probe(plain, limits=video.VideoLimits(max_frames=N_FRAMES))[0].n_frames == N_FRAMES


def test_a_small_file_gets_little_time_and_a_long_one_more(plain, tmp_path):
    limits = video.VideoLimits(probe_s=10, probe_bytes_per_s=1000)
    (tmp_path / "a").write_bytes(bytes(5000))
    assert limits.deadline(tmp_path / "a").allowed_s == 15


def test_codecs_outside_the_list_are_not_decoded(folder):
    path = folder / "screen.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("zmbv", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "bgr0"
        for k in range(3):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 4), 60 * k, np.uint8), "bgra")
            container.mux(stream.encode(picture.reformat(format="bgr0")))
        container.mux(stream.encode())
    fault = fault_of(path)
    assert fault.reason == "forbidden_codec" and "'zmbv'" in fault.detail


def test_things_that_are_no_files(tmp_path):
    assert fault_of(tmp_path).reason == "unreadable"
    os.mkfifo(tmp_path / "pipe.mp4")  # opening it would wait for ever
    assert "it is not a file" in fault_of(tmp_path / "pipe.mp4").detail


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def with_outside_reference(movie: bytes, target: Path) -> bytes:
    """A QuickTime movie (index at its end) whose data lie in another file, named by its absolute path in a Macintosh alias."""
    name = str(target).encode()
    alias = bytes(10) + bytes([1]) + b"v" + bytes(26) + bytes(12) + bytes([1]) + b"f" + bytes(62) + bytes(16)
    alias += struct.pack(">hh", 1, 1) + bytes(16) + struct.pack(">HH", 2, len(name)) + name + b"\0" * (len(name) % 2)
    alias += struct.pack(">hH", -1, 0) + bytes(200)
    data_reference = box(b"dref", struct.pack(">II", 0, 1) + box(b"alis", bytes(4) + alias))
    place = movie.index(b"dref") - 4
    size = struct.unpack(">I", movie[place : place + 4])[0]
    longer = bytearray(movie[:place] + data_reference + movie[place + size :])
    for parent in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        at = longer.index(parent) - 4
        longer[at : at + 4] = struct.pack(">I", struct.unpack(">I", longer[at : at + 4])[0] + len(data_reference) - size)
    return bytes(longer)


def test_movies_that_refer_to_other_files_do_not_open_them(folder):
    secret = folder / "secret.mov"
    with av.open(str(secret), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for k in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), 40 * k, np.uint8), "rgb24")))
        container.mux(stream.encode())
    path = folder / "points_elsewhere.mov"
    path.write_bytes(with_outside_reference(secret.read_bytes(), secret))
    with av.open(str(path), container_options={"enable_drefs": "1", "use_absolute_path": "1"}) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == 5, "the reference must work where it is allowed"
    assert fault_of(path).reason in ("undecodable", "not_a_video")


def test_no_container_on_the_list_is_a_list_of_files():
    for name in ("hls", "concat", "dash", "imf", "image2", "lavfi", "tty", "webvtt", "sdp", "rtsp"):
        assert name not in _video_open.CONTAINERS.split(",")


# in a process of its own -------------------------------------------------------------------------------------------------


def test_probing_apart_says_the_same(plain, folder):
    (info, index), (expected_info, expected) = video.probe_apart(plain), video.probe(plain)
    assert info == expected_info and index.gaps == expected.gaps
    np.testing.assert_array_equal(index.pts, expected.pts)
    (folder / "words.mp4").write_text("words " * 100)
    with pytest.raises(video.VideoFault) as caught:
        video.probe_apart(folder / "words.mp4")
    assert (caught.value.reason, caught.value.detail) == ("not_a_video", fault_of(folder / "words.mp4").detail)
    with pytest.raises(video.VideoFault, match="there is none"):
        video.probe_apart(folder / "nowhere.mp4")


@pytest.mark.parametrize(
    "code, reason, words",
    [
        ("import time; time.sleep(60)", "too_slow", "was stopped"),
        ("import os; os.kill(os.getpid(), 11)", "crashed", "exit code -11"),
        ("raise MemoryError('too much')", "crashed", "exit code 1: MemoryError: too much"),
    ],
)
def test_a_decoder_that_hangs_or_dies_takes_nobody_along(plain, monkeypatch, code, reason, words):
    monkeypatch.setattr(_video_apart, "CHILD", (sys.executable, "-c", code))
    monkeypatch.setattr(_video_apart, "START_S", 1.5 if reason == "too_slow" else 60)
    with pytest.raises(video.VideoFault) as caught:
        video.probe_apart(plain, limits=video.VideoLimits(probe_s=0.1, probe_bytes_per_s=1e9))
    assert caught.value.reason == reason and words in caught.value.detail
