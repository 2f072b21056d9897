"""Derived videos: the same bytes whatever the memory holds, pieces that join without a seam, and checks that catch what is wrong."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from av.video.frame import VideoFrame

from etholoop.core.picture_layout import layout
from etholoop.io import transcode, video
from etholoop.io.transcode import EncoderFault, Encoding
from etholoop.io.transcode_filters import Recipe, clean, filtered
from etholoop.simulation.numbered import numbered_frame, read_number

WIDTH, HEIGHT = 160, 120
PLAIN = layout((WIDTH, HEIGHT), None, None, None, "keep")
ENCODING = Encoding(WIDTH, HEIGHT, Fraction(1, 25), preset="veryfast")


def picture(number, width=WIDTH, height=HEIGHT):
    return VideoFrame.from_ndarray(numbered_frame(number, width, height), format="rgb24")


def planes(number):
    return clean(picture(number).reformat(format="yuv420p").to_ndarray())


def write(path, numbers, ticks=None, encoding=ENCODING):
    transcode.write_chunk(path, map(planes, numbers), numbers if ticks is None else ticks, encoding)
    return path


def numbers_of(path):
    return [read_number(image) for _, image in video.VideoReader(path).stream()]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_pieces_join_into_the_whole(tmp_path, codec):
    encoding = replace(ENCODING, codec=codec, encoder=transcode.SOFTWARE[codec], tick=Fraction(1001, 30000))
    parts = [write(tmp_path / f"{start}.mp4", range(start, start + 20), encoding=encoding) for start in (0, 20, 40)]
    transcode.join(parts, np.arange(60), encoding, tmp_path / "all.mp4")
    info, index = video.probe(tmp_path / "all.mp4")
    assert (info.n_frames, info.fps, info.variable_rate) == (60, Fraction(30000, 1001), False)
    assert numbers_of(tmp_path / "all.mp4") == list(range(60))
    assert {0, 20, 40} <= set(index.keyframes.tolist())  # each piece is closed


def test_uneven_times_are_kept(tmp_path):
    ticks = np.cumsum([0, 40, 17, 90, 33, 40, 400, 1])
    encoding = replace(ENCODING, tick=Fraction(1, 1000))
    parts = [
        write(tmp_path / "a.mp4", range(4), ticks[:4].tolist(), encoding),
        write(tmp_path / "b.mp4", range(4, 8), ticks[4:].tolist(), encoding),
    ]
    transcode.join(parts, ticks, encoding, tmp_path / "all.mp4")
    _, index = video.probe(tmp_path / "all.mp4")
    assert np.allclose(index.times_s(), ticks / 1000, atol=1e-9)


CHILD = """
import hashlib, sys
from fractions import Fraction
import numpy as np
from pathlib import Path
from etholoop.io.transcode import Encoding, write_chunk
from etholoop.io.transcode_filters import clean
width, height = 332, 250
noise = np.random.default_rng(0).integers(16, 236, (40 + height * 3 // 2, width), dtype=np.uint8)
pictures = (clean(noise[n : n + height * 3 // 2].copy()) for n in range(40))
write_chunk(Path(sys.argv[1]), pictures, range(40), Encoding(width, height, Fraction(1, 25)))
print(hashlib.sha256(Path(sys.argv[1]).read_bytes()).hexdigest())
"""


def test_the_bytes_do_not_depend_on_what_memory_held(tmp_path):
    # without cpu-independent libx264 gives other bytes for this very content when fresh memory is not zero (seen with av 18.1)
    digests = set()
    for filling in ("0", "85", "170"):
        environment = {**os.environ, "MALLOC_PERTURB_": filling, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", CHILD, str(tmp_path / f"{filling}.mp4")]
        digests.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(digests) == 1


def test_the_same_twice_in_one_process(tmp_path):
    first, second = (write(tmp_path / name, range(30)).read_bytes() for name in ("a.mp4", "b.mp4"))
    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()


@pytest.mark.parametrize("n, words", [(19, "19 frames, expected"), (21, "the chunks hold 20 frames, expected 21")])
def test_a_wrong_number_of_frames_is_never_placed(tmp_path, n, words):
    part = write(tmp_path / "a.mp4", range(20))
    with pytest.raises(EncoderFault):
        transcode.join([part], np.arange(n), ENCODING, tmp_path / "all.mp4")
    assert not (tmp_path / "all.mp4").exists()


def test_other_times_are_found(tmp_path):
    part = write(tmp_path / "a.mp4", range(20))
    ticks = np.arange(20)
    ticks[7:] += 1
    with pytest.raises(EncoderFault, match="frame 7 has another time"):
        transcode.check_times(part, ticks, ENCODING.tick)


def test_pieces_of_different_encoders_do_not_join(tmp_path):
    parts = [write(tmp_path / "a.mp4", range(5)), write(tmp_path / "b.mp4", range(5), encoding=replace(ENCODING, preset="slow"))]
    with pytest.raises(EncoderFault, match="another encoder"):
        transcode.join(parts, np.arange(10), ENCODING, tmp_path / "all.mp4")


@pytest.mark.parametrize("n_ticks", [3, 7])
def test_more_or_fewer_pictures_than_times(tmp_path, n_ticks):
    with pytest.raises(EncoderFault):
        write(tmp_path / "a.mp4", range(5), list(range(n_ticks)))
    assert list(tmp_path.iterdir()) == []


def test_hardware_that_is_not_there_falls_back(monkeypatch):
    monkeypatch.setitem(transcode.HARDWARE, "h264", ("h264_nothing", "h264_v4l2m2m"))
    assert transcode.working_encoder("h264", "auto", 320, 240) == "libx264"
    assert transcode.working_encoder("hevc", "cpu", 320, 240) == "libx265"
    with pytest.raises(EncoderFault, match="does not work on this machine"):
        transcode.working_encoder("h264", "h264_nothing", 320, 240)


def test_an_encoder_that_loses_pictures_is_no_encoder(monkeypatch):
    monkeypatch.setattr(transcode, "_encode", lambda *_: 2)
    assert transcode.trial(ENCODING) == "it gave 2 of 3 pictures"


# --- filters -----------------------------------------------------------------------------------------------------------------------


def luma(recipe, pictures):
    return [frame.to_ndarray()[: recipe.layout.canvas[1]] for frame in filtered(pictures, recipe)]


def test_the_curve_of_gamma_brightness_and_contrast():
    levels = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    grey = VideoFrame.from_ndarray(np.concatenate([levels, np.full((8, 256), 128, np.uint8)]), format="yuv420p")
    recipe = Recipe(layout((256, 16), None, None, None, "keep"), gamma=1.8, brightness=0.17, contrast=1.3)
    value = np.maximum(1.3 * (np.arange(256) / 255 - 0.5) + 0.5 + 0.17, 0)
    expected = np.clip(np.floor(256 * value ** (1 / 1.8)), 0, 255)
    assert np.array_equal(luma(recipe, [grey])[0][0], expected)


def test_grey_has_no_colour():
    red = VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), (200, 30, 40), np.uint8), format="rgb24")
    (frame,) = filtered([red], Recipe(PLAIN, grey=True))
    chroma = frame.to_ndarray()[HEIGHT:]
    assert chroma.min() == chroma.max() == 128


@pytest.mark.parametrize("rotation, corner", [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_turned_as_the_file_asks(rotation, corner):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:20, :20] = 255
    shown = (WIDTH, HEIGHT) if rotation % 180 == 0 else (HEIGHT, WIDTH)
    recipe = Recipe(layout(shown, None, None, None, "keep"), rotation=rotation)
    (result,) = luma(recipe, [VideoFrame.from_ndarray(image, format="rgb24")])
    assert result.shape == shown[::-1]
    assert result[corner] > 200 and (result > 128).sum() == 400


@pytest.mark.parametrize(
    "crop, wanted, fit",
    [
        ((31, 17, 101, 73), (None, None), "keep"),
        (None, (80, 80), "pad"),
        ((10, 0, 120, 120), (96, 64), "crop"),
        (None, (200, 50), "stretch"),
    ],
)
def test_the_affine_tells_where_pixels_went(crop, wanted, fit):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[60:72, 84:100] = 255  # middle at (92, 66)
    place = layout((WIDTH, HEIGHT), crop, *wanted, fit)
    (result,) = luma(Recipe(place), [VideoFrame.from_ndarray(image, format="rgb24")])
    weight = np.maximum(result.astype(float) - 30, 0)
    rows, columns = np.arange(result.shape[0]) + 0.5, np.arange(result.shape[1]) + 0.5
    found = [(weight.sum(0) * columns).sum() / weight.sum(), (weight.sum(1) * rows).sum() / weight.sum()]
    assert np.allclose(found, place.affine.points(np.array([92.0, 66.0])), atol=0.15)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("width, height", [(161, 123), (161, 122), (160, 123)])
def test_odd_sizes_lose_no_row_and_no_column(width, height, grey):
    image = numbered_frame(77, width, height)
    place = layout((width, height), None, None, None, "keep")
    (result,) = luma(Recipe(place, grey=grey), [VideoFrame.from_ndarray(image, format="rgb24")])
    assert result.shape == (height + height % 2, width + width % 2)
    shown = (result.astype(float) - 16) * 255 / 219
    assert np.abs(shown[:height, :width] - image.mean(axis=2)).max() < 3
    # the column and the row that only make sides even repeat their neighbours
    assert np.abs(shown[:height, -1] - image[:, -1].mean(axis=1)).max() < 3 and np.abs(shown[-1, :width] - image[-1].mean(axis=1)).max() < 3


def test_the_mask_hides():
    kept = np.ones((HEIGHT, WIDTH), bool)
    kept[:40, :60] = False
    white = VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), (250, 200, 90), np.uint8), format="rgb24")
    (frame,) = filtered([white], Recipe(PLAIN, mask=kept))
    rgb = frame.to_ndarray(format="rgb24")
    assert rgb[:38, :58].max() <= 2
    assert rgb[42:, 62:].min() > 80


@pytest.mark.parametrize("changes", [{"denoise": "temporal"}, {"deflicker": 5}, {"deflicker": 8, "denoise": "temporal"}])
def test_pieces_with_their_context_are_the_whole(changes):
    recipe = Recipe(PLAIN, **changes)
    rng = np.random.default_rng(1)
    flicker, noise = rng.uniform(0.7, 1.2, 60), rng.normal(0, 4, (60, HEIGHT, WIDTH, 3))
    images = [np.clip(numbered_frame(n, WIDTH, HEIGHT) * flicker[n] + noise[n], 0, 255).astype(np.uint8) for n in range(60)]
    whole = luma(recipe, (VideoFrame.from_ndarray(image, format="rgb24") for image in images))
    before, after = recipe.context
    for start, stop in ((20, 40), (40, 60)):
        first = max(0, start - before)
        piece = luma(recipe, (VideoFrame.from_ndarray(image, format="rgb24") for image in images[first : stop + after]))
        assert all(np.array_equal(a, b) for a, b in zip(piece[start - first :][: stop - start], whole[start:stop], strict=True))
    plain = luma(Recipe(PLAIN), (VideoFrame.from_ndarray(image, format="rgb24") for image in images))
    assert len(whole) == 60 and sum(not np.array_equal(a, b) for a, b in zip(whole, plain, strict=True)) > 50


def test_pictures_must_be_alike():
    with pytest.raises(Exception, match="must be alike"):
        list(filtered([picture(0), picture(1, 320, 240)], Recipe(PLAIN)))
