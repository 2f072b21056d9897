"""A reader gives exactly the frame that was asked for: over every codec and oddity of the generated collection, in every way to ask.

Each frame of the collection shows its own number, so what is right does not depend on any reader. The default run takes a part of
the collection; the slow test takes all of it and at least 10 000 requests.
"""

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest

from etholoop.io import exactness, video
from etholoop.io._video_pixels import Pixels
from etholoop.simulation import corpus
from etholoop.simulation.corpus_encode import can_encode
from etholoop.simulation.numbered import NotNumbered, read_number

UNNOTICED = {"h264_hit.mp4", "h264_open_gop_hit.mkv", "h264_hit.ts", "hevc_hit.mp4", "vp9_hit.webm"}
"""Damaged files of which decoders do not notice everything: pictures may be spoilt, but a frame never shows another number."""

FAST = (
    *("h264_b_frames.mp4", "h264_open_gop.ts", "h264_intra_refresh.mp4", "h264_10_bit.mkv", "h264_odd_size.mp4", "h264_b_frames.avi"),
    *("h264_fragmented.mp4", "h264_no_cues.mkv", "h264_raw.h264", "h264_vfr.mp4", "h264_equal_times.mkv", "h264_clock_wraps.ts"),
    *("h264_edit_list_open.mov", "h264_clock_restarts.ts", "h264_clock_jumps.ts", "h264_turned_90.mp4", "h264_audio_first.mkv"),
    *("h264_cover.mp4", "h264_all_keys.mp4", "hevc_open_gop.mp4", "hevc_edit_list.mp4", "av1.mp4", "mpeg4_b_frames.avi"),
    *("mpeg4_packed.avi", "mpeg4_claims_more.avi", "mjpeg_dropped.avi", "vp9.webm", "vp8_hidden.webm", "ffv1.mkv", "mpeg2.mpg"),
    *("h264_cut.mp4", "mjpeg_cut.avi", "h264_open_gop_hit.mkv", "hevc_hit.mp4", "mpeg4_hit.avi", "mjpeg_hit.avi", "h264_begun_inside.ts"),
)
REQUESTS = 2 * len(exactness.WAYS)
ALL_REQUESTS = 10_000

KINDS = {kind.name: kind for kind in corpus.KINDS}


def written(name: str, folder: Path) -> corpus.Sample:
    """The file of this kind; the test is skipped where its encoder is missing."""
    if not can_encode(KINDS[name].codec):
        pytest.skip(f"PyAV has no encoder {KINDS[name].codec}, so {name} cannot be made here")
    return KINDS[name].write(folder)


def plainly_decoded(path: Path) -> list[int]:
    """Checksum of every frame: decoded from the start without index, seeking or reader; only the way to RGB is the reader's own."""
    with av.open(str(path)) as container:
        pixels, sums = None, []
        for picture in container.decode(video=0):
            pixels = pixels or Pixels(-picture.rotation % 360)
            sums.append(exactness.checksum(pixels.array(picture)))
    return sums


def number_on(image: np.ndarray) -> int | None:
    try:
        return read_number(image)
    except NotNumbered:
        return None


def wrong_frames(sample: corpus.Sample, index: video.VideoIndex, n_requests: int, seed: int) -> tuple[list[str], int]:
    """A line per wrong frame with file, asked and got; and how many frames were compared."""
    truth = plainly_decoded(sample.intact or sample.path)
    sums = truth if sample.intact is None else [truth[number] for number in sample.shown]
    unnoticed = sample.path.name in UNNOTICED
    reader, wrong, compared = video.VideoReader(sample.path, index), [], 0
    for request, _ in zip(exactness.requests(index, seed), range(n_requests), strict=False):
        for asked, given, image in exactness.answers(request, sample.path, reader):
            compared += 1
            number, expected = number_on(image), sample.shown[asked]
            same_number = number == expected or (unnoticed and number is None)
            same_bytes = exactness.checksum(image) == sums[asked] or unnoticed
            if given != asked or not same_number or not same_bytes:
                wrong.append(f"{sample.path.name}: asked {asked} ({request.way}), got {given} showing {number}, expected {expected}")
    return wrong, compared


@pytest.mark.parametrize("name", FAST)
def test_every_way_to_ask_gives_the_frame_asked_for(name, tmp_path):
    sample = written(name, tmp_path)
    info, index = video.probe(sample.path)
    assert info.n_frames == len(sample.shown)
    assert index.usable.sum() >= sample.usable
    wrong, compared = wrong_frames(sample, index, REQUESTS, seed=1)
    assert not wrong, "\n".join(wrong)
    assert compared > REQUESTS


@pytest.mark.slow
def test_ten_thousand_requests_give_no_wrong_frame(tmp_path):
    kinds = corpus.kinds()
    each = -(-ALL_REQUESTS // len(kinds))
    wrong, compared = [], 0
    for seed, kind in enumerate(kinds):
        sample = kind.write(tmp_path)
        info, index = video.probe(sample.path)
        if (info.n_frames, index.usable.sum() >= sample.usable) != (len(sample.shown), True):
            wrong.append(f"{kind.name}: {info.n_frames} frames, {index.usable.sum()} usable; expected {len(sample.shown)}, {sample.usable}")
        found, n = wrong_frames(sample, index, each, seed)
        wrong, compared = wrong + found, compared + n
        for path in tmp_path.iterdir():
            path.unlink()
    assert not wrong, "\n".join(wrong)
    assert compared > each * len(kinds) >= ALL_REQUESTS


@pytest.mark.slow
def test_files_of_camera_traps_give_no_wrong_frame(public_data):
    paths = sorted((public_data / "data/cameratrap_messy_avi").iterdir())
    verdicts = {path.name: exactness.verify(path, video.probe(path)[1], accesses=2 * len(exactness.WAYS)) for path in paths}
    assert {name: verdict.wrong for name, verdict in verdicts.items() if verdict.wrong} == {}
    assert len(verdicts) == 19


@pytest.mark.parametrize("name", ["h264_b_frames.mp4", "h264_10_bit.mkv", "h264_turned_90.mp4"])
def test_scaled_and_grey_frames_show_their_number(name, tmp_path):
    sample = written(name, tmp_path)
    index = video.probe(sample.path)[1]
    size = (60, 80) if "turned" in name else (80, 60)
    reader = video.VideoReader(sample.path, index, size=size, grey=True)
    shown = [(frame, number_on(image), image.shape[:2]) for frame, image in reader.read([200, 3, 77, 76, 3])]
    assert shown == [(frame, frame, size[::-1]) for frame in (200, 3, 77, 76, 3)]


@pytest.fixture
def short(tmp_path) -> tuple[Path, video.VideoIndex]:
    path = tmp_path / "short.mp4"
    KINDS["h264_b_frames.mp4"].make(path, range(60))
    return path, video.probe(path)[1]


def test_verify_says_which_frame_came_instead(short, monkeypatch):
    path, index = short
    assert exactness.verify(path, index, accesses=9).wrong == ()
    monkeypatch.setattr(video.VideoReader, "__getitem__", lambda self, key: next(self.read([40]))[1])
    wrong = exactness.verify(path, index, accesses=len(exactness.WAYS), seed=3).wrong
    assert {fault.way for fault in wrong} >= {"reused"}
    assert [fault.got for fault in wrong if fault.way == "reused"] == ["frame 40"]


def test_verify_counts_an_error_as_wrong(short, monkeypatch):
    path, index = short
    monkeypatch.setattr(video.VideoReader, "at_time", lambda self, seconds: 1 / 0)
    wrong = exactness.verify(path, index, accesses=len(exactness.WAYS)).wrong
    assert [(fault.way, fault.got) for fault in wrong] == [("time", "ZeroDivisionError: division by zero")]


def test_verify_notices_missing_frames(short, monkeypatch):
    path, index = short
    monkeypatch.setattr(video.VideoReader, "batches", lambda self, frames, size: iter([]))
    wrong = exactness.verify(path, index, accesses=len(exactness.WAYS)).wrong
    assert {"batches"} <= {fault.way for fault in wrong} <= {"batches", "slice"}  # slices may be read as batches


def test_requests_are_the_same_for_a_seed_and_avoid_gaps(short):
    _, index = short
    damaged = dataclasses.replace(index, gaps=(video.Gap(10, 50, "damaged"),))
    found = [request for request, _ in zip(exactness.requests(damaged, 5), range(300), strict=False)]
    assert found == [request for request, _ in zip(exactness.requests(damaged, 5), range(300), strict=False)]
    assert {request.way for request in found} == set(exactness.WAYS)
    assert {frame for request in found for frame in request.frames} == {*range(10), *range(50, 60)}


def test_repeated_pictures_are_counted(tmp_path):
    path = tmp_path / "still.avi"
    KINDS["ffv1.mkv"].make(path, [1, 1, 1, 2, 3])
    verdict = exactness.verify(path, video.probe(path)[1], accesses=5)
    assert (verdict.repeated, verdict.wrong) == (2, ())
