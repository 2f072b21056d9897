"""What a reader can be asked for, and that nothing depends on how it is asked."""

import gc
import pickle
import random
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numbered_videos import HEIGHT, N_FRAMES, WIDTH, make, number_of

from etholoop.core.pixels import grey
from etholoop.errors import EthoLoopError
from etholoop.io import _video_reader, video
from etholoop.io._read_ahead import read_ahead


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("read")


@pytest.fixture(scope="module")
def path(folder) -> Path:
    return make(folder / "plain.mp4", range(N_FRAMES), options={"g": "20", "bf": "3"})


@pytest.fixture(scope="module")
def reader(path) -> video.VideoReader:
    return video.VideoReader(path)


def numbers(images) -> list[int]:
    return [number_of(image) for image in images]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, N_FRAMES - 1), max_size=12))
def test_any_list_comes_in_the_order_asked(reader, wanted):
    found = list(reader.read(wanted))
    assert [frame for frame, _ in found] == wanted
    assert numbers(image for _, image in found) == wanted


def test_an_unsorted_list_needs_no_more_memory_than_its_window(reader, monkeypatch):
    monkeypatch.setattr(_video_reader, "WINDOW_BYTES", 5 * WIDTH * HEIGHT * 1.5)
    wanted = random.Random(0).sample(range(N_FRAMES), 40)
    sizes = [len(part) for part in reader._parts(wanted)]
    assert sizes == [5] * 8
    assert len(list(reader._parts([3, 5, 5, 9]))) == 1, "repeats in an ascending list need no window"
    assert numbers(image for _, image in reader.read(wanted)) == wanted


@pytest.fixture(scope="module")
def long(folder) -> Path:
    return make(folder / "long.mp4", range(900), options={"g": "50", "bf": "3"})


def side_by_side_threads() -> int:
    return sum("side by side" in thread.name for thread in threading.enumerate())


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 899), min_size=8, max_size=40).map(sorted), st.sampled_from([None, (64, 48)]), st.booleans())
def test_scattered_frames_are_the_same_whoever_looks_for_them(long, wanted, size, grey):
    alone = video.VideoReader(long, size=size, grey=grey, threads=1)
    several = video.VideoReader(long, size=size, grey=grey, threads=3)
    expected, found = list(alone.read(wanted)), list(several.read(wanted))
    assert [frame for frame, _ in found] == wanted
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(expected, found, strict=True))


def test_scattered_frames_are_looked_for_side_by_side_and_nothing_stays(long):
    reader = video.VideoReader(long, threads=2)
    assert reader._is_scattered([0, 100, 200, 300]) and not reader._is_scattered([0, 1, 2, 300 // 100])
    assert not reader._is_scattered([300, 200, 100, 0]) and not video.VideoReader(long, threads=1)._is_scattered([0, 100, 200, 300])
    images = reader.read(list(range(0, 900, 30)))
    assert number_of(next(images)[1]) == 0
    assert side_by_side_threads() > 0
    images.close()
    assert side_by_side_threads() == 0


def test_a_frame_that_cannot_be_decoded_comes_in_its_turn(long, monkeypatch):
    take = _video_reader.Cursor.take

    def refuses(cursor, frame):
        if frame == 400:
            raise video.VideoFault("undecodable", "frame 400 cannot be decoded.", cursor.path)
        return take(cursor, frame)

    monkeypatch.setattr(_video_reader.Cursor, "take", refuses)
    found = []
    with pytest.raises(video.VideoFault, match="frame 400"):
        for frame, _ in video.VideoReader(long, threads=2).read(range(0, 900, 50)):
            found.append(frame)
    assert found == list(range(0, 400, 50))
    assert side_by_side_threads() == 0


def test_repeated_frames_are_arrays_of_their_own(reader):
    for wanted in ([7, 7, 7], [9, 7, 7, 9]):
        found = []
        for _, image in reader.read(wanted):
            found.append(number_of(image))
            image[:] = 0
        assert found == wanted


def test_images_may_be_written_to_without_harm_to_later_ones(reader):
    found = []
    for _, image in reader.stream(0, 30):
        found.append(number_of(image))
        image[:] = 0
    assert found == list(range(30))


def test_images_stay_as_they_are_while_others_are_read(reader):
    kept = [image for _, image in reader.stream(0, 40)]
    assert numbers(kept) == list(range(40))


def test_by_number_and_slice(reader):
    assert number_of(reader[17]) == 17
    assert reader[10:30:7].shape == (3, HEIGHT, WIDTH, 3)
    assert numbers(reader[10:30:7]) == [10, 17, 24]
    assert numbers(reader[5:2:-1]) == [5, 4, 3]
    assert reader[50:50].shape == (0, HEIGHT, WIDTH, 3)
    assert len(reader) == N_FRAMES
    with pytest.raises(EthoLoopError, match="frame -1 was asked for"):
        reader[-1]


def test_by_time(folder, reader):
    assert [reader.at_time(seconds)[0] for seconds in (0, 0.039, 0.04, 1.0, 3.599)] == [0, 0, 1, 25, 89]
    assert number_of(reader.at_time(1.0)[1]) == 25
    for seconds in (-0.001, 3.6):
        with pytest.raises(EthoLoopError, match=r"shown from 0 to 3\.6 s"):
            reader.at_time(seconds)
    uneven = video.VideoReader(make(folder / "uneven.mkv", range(5), times_ms=[1000, 1040, 1080, 1500, 1510]))
    times = uneven.index.times_s()
    assert [uneven.at_time(seconds)[0] for seconds in times] == [0, 1, 2, 3, 4]
    assert uneven.at_time(0.4999)[0] == 2


def test_every_own_time_gives_its_frame(reader):
    for rate in (Fraction(30000, 1001), Fraction(25)):
        index = video.VideoIndex(reader.index.info, np.arange(N_FRAMES) * 1001, reader.index.keyframes, 1 / (rate * 1001), timed=True)
        assert [index.frame_at(seconds) for seconds in index.times_s()] == list(range(N_FRAMES))


def test_batches_are_arrays_with_memory_of_their_own(reader):
    batches = list(reader.batches(range(0, 50, 5), 4))
    assert [batch.shape[0] for batch in batches] == [4, 4, 2]
    assert [numbers(batch) for batch in batches] == [[0, 5, 10, 15], [20, 25, 30, 35], [40, 45]]
    assert all(batch.flags.c_contiguous and batch.flags.writeable and batch.dtype == np.uint8 for batch in batches)
    assert list(reader.batches([], 4)) == []


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_reading_ahead_change_no_byte(path, reader, threads):
    expected = reader[0:N_FRAMES]
    for ahead in (0, 1, 7):
        other = video.VideoReader(path, reader.index, threads=threads, read_ahead=ahead)
        np.testing.assert_array_equal(np.stack([image for _, image in other]), expected)
        np.testing.assert_array_equal(np.stack([image for _, image in other.stream(3, None, 9)]), expected[3::9])


def test_threads_by_environment(path, reader, monkeypatch):
    monkeypatch.setenv(video.THREADS_VARIABLE, "3")
    assert video.VideoReader(path, reader.index).threads == 3
    assert video.VideoReader(path, reader.index, threads=1).threads == 1
    monkeypatch.setenv(video.THREADS_VARIABLE, "many")
    with pytest.raises(EthoLoopError, match="expected a number of threads"):
        video.VideoReader(path, reader.index)


def test_another_size_and_grey(path, reader):
    small = video.VideoReader(path, reader.index, size=(WIDTH // 2, HEIGHT // 2))
    assert (small.width, small.height) == (WIDTH // 2, HEIGHT // 2)
    assert small[3].shape == (HEIGHT // 2, WIDTH // 2, 3)
    halved = reader[3].reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean(axis=(1, 3))
    assert np.abs(small[3] - halved).mean() < 2
    dull = video.VideoReader(path, reader.index, grey=True)
    assert dull[3].shape == (HEIGHT, WIDTH) and dull[0:0].shape == (0, HEIGHT, WIDTH)
    assert next(dull.batches([1, 2], 2)).shape == (2, HEIGHT, WIDTH)
    top = np.s_[:8]  # the blocks of the number are black and white
    np.testing.assert_allclose(dull[3][top].astype(float), grey(reader[3])[top], atol=3)


def test_size_and_rotation(folder):
    turned = make(folder / "turned.mp4", range(5), rotation=-90)
    reader = video.VideoReader(turned, size=(HEIGHT // 2, WIDTH // 2))
    assert reader[2].shape == (WIDTH // 2, HEIGHT // 2, 3)


def test_ten_bits_become_eight(folder):
    deep = make(folder / "deep.mkv", range(20), options={"g": "10"}, pix_fmt="yuv420p10le")
    for reader in (video.VideoReader(deep), video.VideoReader(deep, size=(WIDTH, HEIGHT)), video.VideoReader(deep, grey=True)):
        assert reader[7].dtype == np.uint8
    assert numbers(video.VideoReader(deep)[5:8]) == [5, 6, 7]


def test_several_threads_read_one_reader(path, reader):
    wrong = []

    def work(seed: int) -> None:
        wanted = random.Random(seed).sample(range(N_FRAMES), 15)
        wrong.extend(frame for frame, image in reader.read(wanted) if number_of(image) != frame)
        wrong.extend(frame for frame in wanted[:4] if number_of(reader[frame]) != frame)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_a_reader_can_be_sent_to_another_process(reader):
    number_of(reader[3])
    assert number_of(pickle.loads(pickle.dumps(reader))[3]) == 3


def test_stopping_early_ends_the_thread_and_closes_the_file(path, reader):
    before = {thread.ident for thread in threading.enumerate()}
    for frame, _ in reader.stream():
        if frame == 3:
            break
    stream = reader.stream()
    next(stream)
    del stream
    gc.collect()
    assert {thread.ident for thread in threading.enumerate()} <= before
    with video.VideoReader(path, reader.index) as other:
        other[3]
        assert len(other._idle) == 1
    assert other._idle == []


def test_only_what_is_wanted_is_decoded(path, reader, monkeypatch):
    """Of pictures that no other is made from, only the wanted ones come out of the decoder."""
    from etholoop.io import _video_cursor

    came = []
    known = _video_cursor.Cursor._number
    monkeypatch.setattr(_video_cursor.Cursor, "_number", lambda self, picture: came.append(known(self, picture)) or came[-1])
    assert numbers(image for _, image in reader.read([0, 85])) == [0, 85]
    assert len(came) < 30


# reading ahead -----------------------------------------------------------------------------------------------------------


def test_items_come_in_order_and_not_too_many_in_advance():
    made = []

    def items():
        for number in range(50):
            made.append(number)
            yield number

    for number in read_ahead(items(), 3):
        time.sleep(0.001)
        assert made[-1] <= number + 3 + 2  # one is being used, one is being handed over
    assert made == list(range(50))


def test_an_exception_comes_behind_the_items_before_it():
    def items():
        yield 1
        yield 2
        raise OSError("gone")

    ahead = read_ahead(items(), 8)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(OSError, match="gone"):
        next(ahead)


def test_stopping_early_closes_the_items():
    closed = []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(True)

    ahead = read_ahead(items(), 2)
    next(ahead)
    ahead.close()
    assert closed == [True]
