"""Every frame by number is the frame that sequential decoding gives, and files that cannot be trusted are refused by name."""

import os
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numbered_videos import HEIGHT, N_FRAMES, WIDTH, make, number_of, numbered

from etholoop.errors import EthoLoopError
from etholoop.io import _video_cursor, _video_probe, video

KINDS = {
    "h264_b_frames.mp4": ("libx264", {"g": "20", "bf": "3"}, "yuv420p"),
    "h264_open_gop.mp4": ("libx264", {"g": "20", "bf": "3", "x264-params": "open-gop=1:keyint=20:min-keyint=20"}, "yuv420p"),
    "h264_intra_refresh.mp4": ("libx264", {"g": "20", "x264-params": "intra-refresh=1"}, "yuv420p"),
    "h264_10_bit.mkv": ("libx264", {"g": "20"}, "yuv420p10le"),
    "h264.ts": ("libx264", {"g": "20", "bf": "3"}, "yuv420p"),
    "mpeg4.avi": ("mpeg4", {"g": "12"}, "yuv420p"),
    "mpeg4_b_frames.avi": ("mpeg4", {"g": "12", "bf": "2"}, "yuv420p"),
    "mjpeg.avi": ("mjpeg", {}, "yuvj420p"),
    "vp9.webm": ("libvpx-vp9", {"g": "20", "deadline": "realtime", "cpu-used": "8"}, "yuv420p"),
    "mpeg2.mpg": ("mpeg2video", {"g": "12", "bf": "2"}, "yuv420p"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def plain(folder) -> Path:
    return make(folder / "plain.mp4", range(N_FRAMES), options={"g": "20", "bf": "3"})


@pytest.mark.parametrize("name", KINDS)
def test_random_access_is_sequential_decoding(folder, name):
    codec, options, pix_fmt = KINDS[name]
    path = make(folder / name, range(N_FRAMES), codec, options, pix_fmt)
    info, index = video.probe(path)
    assert info.n_frames == N_FRAMES
    assert (info.width, info.height, info.rotation) == (WIDTH, HEIGHT, 0)
    reader = video.VideoReader(path, index)
    sequential = [image.copy() for _, image in reader.stream()]
    assert [number_of(image) for image in sequential] == list(range(N_FRAMES))
    generator = random.Random(0)
    for _ in range(12):
        wanted = sorted(generator.sample(range(N_FRAMES), 3))
        for frame, image in reader.read(wanted):
            np.testing.assert_array_equal(image, sequential[frame])


@pytest.mark.parametrize("name", ["h264_b_frames.mp4", "h264_open_gop.mp4", "mpeg4.avi", "mjpeg.avi"])
def test_seeking_is_used_and_starts_at_keyframes(folder, name, monkeypatch):
    codec, options, pix_fmt = KINDS[name]
    path = make(folder / f"seek_{name}", range(N_FRAMES), codec, options, pix_fmt)
    reader = video.VideoReader(path)
    decoded = []
    number = _video_cursor.Cursor._number
    monkeypatch.setattr(_video_cursor.Cursor, "_number", lambda self, picture: decoded.append(number(self, picture)) or decoded[-1])
    assert [number_of(image) for _, image in reader.read([85])] == [85]
    assert len(decoded) < 40, "frame 85 must not be reached by decoding from the start"


def test_variable_rate_keeps_times(folder):
    times = [0, 40, 80, 500, 510, 600, 1600, 1640, 1700, 3000]
    path = make(folder / "vfr.mkv", range(10), times_ms=times)
    info, index = video.probe(path)
    assert info.variable_rate
    assert info.fps == Fraction(9, 3)  # 9 steps in 3 seconds
    np.testing.assert_allclose(index.times_s(), np.array(times) / 1000, atol=1e-9)
    assert [number_of(image) for _, image in video.VideoReader(path, index).read([3, 6, 9])] == [3, 6, 9]


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_start_time_other_than_zero(folder, suffix):
    path = make(folder / f"late.{suffix}", range(30), options={"g": "10", "bf": "2"}, times_ms=[5000 + 40 * k for k in range(30)])
    info, index = video.probe(path)
    assert index.pts[0] > 0 and index.times_s()[0] == 0
    assert (info.n_frames, info.fps, info.variable_rate) == (30, Fraction(25), False)
    assert [number_of(image) for _, image in video.VideoReader(path, index).read([0, 17, 29])] == [0, 17, 29]


@pytest.mark.parametrize("counter_clockwise, clockwise", [(90, 270), (-90, 90), (180, 180)])
def test_display_rotation_is_applied(folder, counter_clockwise, clockwise):
    path = make(folder / f"rotated_{clockwise}.mp4", range(5), rotation=counter_clockwise)
    reader = video.VideoReader(path)
    assert reader.index.info.rotation == clockwise
    assert (reader.width, reader.height) == ((WIDTH, HEIGHT) if clockwise == 180 else (HEIGHT, WIDTH))
    image = next(iter(reader.read([3])))[1]
    assert image.shape == (reader.height, reader.width, 3)
    assert number_of(np.rot90(image, k=clockwise // 90)) == 3


def test_odd_sizes(folder):
    path = make(folder / "odd.avi", range(4), "mjpeg", pix_fmt="yuvj444p", size=(131, 97))
    assert [image.shape for _, image in video.VideoReader(path).stream()] == [(97, 131, 3)] * 4


def test_frames_without_usable_times_are_read_from_the_start(folder, plain):
    _, index = video.probe(plain)
    blind = video.VideoIndex(index.info, np.zeros_like(index.pts), index.keyframes, index.time_base, timed=False)
    assert [number_of(image) for _, image in video.VideoReader(plain, blind).read([2, 50])] == [2, 50]
    assert np.isnan(blind.times_s()).all()


def test_stream_takes_a_slice(plain):
    assert [frame for frame, _ in video.VideoReader(plain).stream(10, 30, 7)] == [10, 17, 24]
    assert [number_of(image) for _, image in video.VideoReader(plain).stream(80, 10**9, 5)] == [80, 85]


def test_several_readings_side_by_side(plain):
    reader = video.VideoReader(plain)
    pairs = zip(reader.stream(0, 20), reader.stream(40, 60), strict=True)
    assert all(number_of(late[1]) - number_of(early[1]) == 40 for early, late in pairs)


def test_wrong_requests(plain):
    reader = video.VideoReader(plain)
    with pytest.raises(EthoLoopError, match=f"frame {N_FRAMES} was asked for; the file holds frames 0 to {N_FRAMES - 1}"):
        list(reader.read([N_FRAMES]))
    assert list(reader.read([])) == []


def test_index_round_trip_and_same_bytes(plain, tmp_path):
    info, index = video.probe(plain)
    index.save(tmp_path / "a.npz")
    index.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    loaded = video.VideoIndex.load(tmp_path / "a.npz")
    assert (loaded.info, loaded.time_base, loaded.timed) == (info, index.time_base, index.timed)
    np.testing.assert_array_equal(loaded.pts, index.pts)
    np.testing.assert_array_equal(loaded.keyframes, index.keyframes)
    (tmp_path / "c.npz").write_bytes(b"PK nothing")
    with pytest.raises(EthoLoopError, match=r"c\.npz: not readable as a video index"):
        video.VideoIndex.load(tmp_path / "c.npz")


@pytest.mark.parametrize("name", ["h264_b_frames.mp4", "h264_open_gop.mp4", "mjpeg.avi"])
def test_trusted_demux_index_equals_decoding(folder, name):
    codec, options, pix_fmt = KINDS[name]
    path = make(folder / f"trust_{name}", range(N_FRAMES), codec, options, pix_fmt)
    (quick_info, quick), (full_info, full) = video.probe(path, decode=False), video.probe(path, decode=True)
    assert (quick_info.decoded, full_info.decoded) == (False, True)
    np.testing.assert_array_equal(quick.pts, full.pts)
    np.testing.assert_array_equal(quick.keyframes, full.keyframes)


def test_an_untrustworthy_index_is_decoded_whatever_its_length(folder, monkeypatch):
    monkeypatch.setattr(_video_probe, "DECODE_ALL_PIXELS", 0)
    trusted = make(folder / "long.mp4", range(30))
    doubtful = make(folder / "long.avi", range(30), "mpeg4")
    assert not video.probe(trusted)[0].decoded
    assert video.probe(doubtful)[0].decoded


def test_header_count_is_kept_beside_the_true_count(folder):
    path = make(folder / "claims.avi", range(30), "mpeg4")
    content = path.read_bytes()
    stream_header = content.index(b"strh")
    length_at = stream_header + 8 + 32  # AVISTREAMHEADER.dwLength
    path.write_bytes(content[:length_at] + (77).to_bytes(4, "little") + content[length_at + 4 :])
    info, _ = video.probe(path)
    assert (info.n_frames, info.n_frames_header) == (30, 77)


def test_damage_met_while_reading_names_the_frame(folder):
    path = make(folder / "later.mp4", range(N_FRAMES), options={"g": "30"})
    _, index = video.probe(path)
    content = bytearray(path.read_bytes())
    for k in range(40):
        content[len(content) * 6 // 10 + 5 * k] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(video.VideoFault, match=r"later\.mp4: frame [0-9]+ cannot be decoded"):
        list(video.VideoReader(path, index).stream())
    assert number_of(next(iter(video.VideoReader(path, index).read([1])))[1]) == 1


@pytest.mark.parametrize("name", ["Käfig 1; rm -rf $HOME.mp4", "concat:a|b.mp4", "老鼠 %03d.mp4", "http:x.mp4"])
def test_strange_names_are_only_names(plain, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(plain.read_bytes())
    assert video.probe(path)[0].n_frames == N_FRAMES


def test_relative_paths(plain, monkeypatch):
    monkeypatch.chdir(plain.parent)
    assert video.VideoReader(Path(plain.name)).n_frames == N_FRAMES


def test_write_video_is_exact_and_repeatable(tmp_path):
    frames = [numbered(k) for k in range(40)]
    for name in ("a.mp4", "b.mp4"):
        video.write_video(tmp_path / name, frames, Fraction(30000, 1001))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    reader = video.VideoReader(tmp_path / "a.mp4")
    assert (reader.n_frames, reader.fps) == (40, Fraction(30000, 1001))
    assert [number_of(image) for _, image in reader.stream()] == list(range(40))


def test_write_video_faults_leave_nothing(tmp_path):
    with pytest.raises(EthoLoopError, match="no frames were given"):
        video.write_video(tmp_path / "a.mp4", [], Fraction(25))
    with pytest.raises(EthoLoopError, match="must have one size"):
        video.write_video(tmp_path / "a.mp4", [numbered(0), numbered(1)[:50]], Fraction(25))
    assert list(tmp_path.iterdir()) == []


def test_memory_stays_flat_while_streaming(folder):
    """Between the 50th and the last of 2000 frames (73 MB decoded) the process may grow by 15 MB."""
    path = make(folder / "many.mp4", (k % 4096 for k in range(2000)), options={"preset": "ultrafast", "g": "50"})
    early = 0
    for frame, _ in video.VideoReader(path).stream():
        if frame == 50:
            early = resident_mb()
    assert resident_mb() - early < 15


def resident_mb() -> float:
    status = Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("needs /proc")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


HEADER_AND_DECODABLE = {
    "FID_20_Duboscia_2013-6-14_0083.AVI": (1820, 854),
    "PICT0026.AVI": (1093, 860),
    "EK000018.AVI": (1627, 1559),
    "f4636736.avi": (1068, 1038),
    "FID_31_Abel_2013-5-6_0027.AVI": (1820, 1819),
    "01110103.AVI": (1802, 1801),
    "02120086.AVI": (1812, 1811),
    "07120049.AVI": (1815, 1814),
    "11060025.AVI": (462, 461),
}


def test_camera_trap_counts(public_data):
    """Counts measured with OpenCV's sequential decoding (docs/datasets.md); the ten other files agree with their headers."""
    files = sorted(path for path in (public_data / "data/cameratrap_messy_avi").iterdir() if path.suffix.lower() in (".avi", ".mp4"))
    assert len(files) == 19
    for path in files:
        info, _ = video.probe(path)
        header, decodable = HEADER_AND_DECODABLE.get(path.name, (info.n_frames_header, info.n_frames_header))
        assert (path.name, info.n_frames_header, info.n_frames) == (path.name, header, decodable)


def test_camera_trap_access_is_exact(public_data):
    for name in ("FID_20_Duboscia_2013-6-14_0083.AVI", "01110103.AVI", "chimp.mp4"):
        reader = video.VideoReader(public_data / "data/cameratrap_messy_avi" / name)
        wanted = sorted(random.Random(2).sample(range(reader.n_frames), 8))
        expected = {frame: image.copy() for frame, image in reader.stream() if frame in wanted}
        for frame in wanted:
            np.testing.assert_array_equal(next(iter(reader.read([frame])))[1], expected[frame])
