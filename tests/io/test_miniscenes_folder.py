"""Pixels of mini-scenes, and the folder that people look at."""

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from etholoop.core import miniscene
from etholoop.core.affine import Affine
from etholoop.errors import EthoLoopError
from etholoop.io import miniscenes
from etholoop.io._miniscene_drawing import KABR_COLOURS, Overview, colour_of, timeline
from etholoop.io._miniscene_folder import metadata_path, scenes_in
from etholoop.io._video_sink import VideoSink
from etholoop.io.miniscenes import crops, pixels, read_metadata, write_folder
from etholoop.io.video import VideoReader

WIDE, HIGH = 160, 120


def picture(frame: int) -> np.ndarray:
    """Red grows to the right, green downwards, blue with the frame."""
    image = np.zeros((HIGH, WIDE, 3), np.uint8)
    image[..., 0], image[..., 1], image[..., 2] = np.arange(WIDE)[None], np.arange(HIGH)[:, None], frame
    return image


def scenes(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["track", "frame", "x_min", "y_min", "x_max", "y_max"])


def test_pixels_are_those_of_the_window():
    parts = miniscene.cuts([[20, 30, 60, 60]], WIDE, HIGH)
    assert (pixels(picture(7), parts, 0, (40, 30)) == picture(7)[30:60, 20:60]).all()


def test_beyond_the_edge_it_is_black_and_nothing_is_stretched():
    """kabr-tools stretches what is left of the picture."""
    parts = miniscene.cuts([[-10, -5, 30, 25]], WIDE, HIGH)
    scene = pixels(picture(7), parts, 0, (40, 30))
    assert (scene[:5] == 0).all() and (scene[:, :10] == 0).all()
    assert (scene[5:, 10:] == picture(7)[:25, :30]).all()


def test_a_window_outside_is_black():
    assert not pixels(picture(7), miniscene.cuts([[500, 0, 540, 30]], WIDE, HIGH), 0, (40, 30)).any()


def test_large_windows_are_reduced_by_area():
    parts = miniscene.cuts([[0, 0, 80, 60]], WIDE, HIGH)
    scene = pixels(picture(0), parts, 0, (40, 30))
    assert scene[0, :3, 0].tolist() in ([0, 2, 4], [1, 3, 5])  # means of 0 and 1, of 2 and 3, of 4 and 5


def test_one_pass_gives_all_animals_frame_by_frame():
    asked = []

    def images():
        for frame in range(4):
            asked.append(frame)
            yield frame, picture(frame)

    table = scenes((5, 2, 40, 0, 80, 30), (0, 2, 0, 0, 40, 30), (0, 1, 10, 10, 50, 40))
    found = list(crops(images(), table, (40, 30)))
    assert asked == [0, 1, 2, 3] and miniscenes.wanted_frames(table) == [1, 2]
    assert [(one.frame, one.tracks.tolist()) for one in found] == [(1, [0]), (2, [0, 5])]
    assert (found[0].images[0] == picture(1)[10:40, 10:50]).all()
    assert (found[1].images == np.stack([picture(2)[:30, :40], picture(2)[:30, 40:80]])).all()


def test_pictures_of_another_size_than_the_source():
    """A derived video at half the size: the window is that of the source, the pixels are those of the derived picture."""
    (one,) = crops([(0, picture(0))], scenes((0, 0, 40, 20, 120, 80)), (40, 30), Affine.scale(0.5, 0.5))
    assert (one.images[0] == picture(0)[10:40, 20:60]).all()


def cut(image: np.ndarray, boxes: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    windows = miniscene.windows(boxes, (40, 30), 5)
    parts = miniscene.cuts(windows, WIDE, HIGH)
    return [pixels(image, parts, place, (40, 30)) for place in range(len(parts))], windows


BOXES = {
    3: {frame: (20.0 + frame, 20.0, 40.0 + frame, 40.0) for frame in (0, 1, 2, 5)},
    12: dict.fromkeys((4, 5), (100.0, 50.0, 110.0, 60.0)),
}


def made(folder: Path, frames=range(6), **options) -> miniscenes.Counts:
    options = {"fps": Fraction(24), "original": "day1/a.mp4", "write_tracks": lambda path: path.write_text("<x/>"), **options}
    images = ((frame, picture(40 * frame)) for frame in frames)
    return write_folder(folder, "a", images, BOXES, cut, n_frames=6, **options)


def test_folder_metadata_and_rates(tmp_path):
    counts = made(tmp_path / "s")
    files = sorted(path.relative_to(tmp_path / "s").as_posix() for path in (tmp_path / "s").rglob("*"))
    expected = ["12.mp4", "3.mp4", "a.mp4", "actions", "metadata", "metadata/a.jpg", "metadata/a_metadata.json", "metadata/a_tracks.xml"]
    assert files == expected and scenes_in(tmp_path / "s") == [3, 12]
    metadata = read_metadata(metadata_path(tmp_path / "s"))
    assert metadata.tracks == {"main": [0, 1, 2, 3, 4, 5], "3": [0, 1, 2, -1, -1, 3], "12": [-1, -1, -1, -1, 0, 1]}
    assert metadata.frames_of(3) == [0, 1, 2, 5] and metadata.original == "day1/a.mp4"
    assert metadata.colors == {"3": [69, 65, 127], "12": [141, 75, 0]}
    assert counts.frames == {3: 4, 12: 2} and counts.unreadable == {}
    for name, n, size in (("3", 4, (40, 30)), ("12", 2, (40, 30)), ("a", 6, (WIDE, HIGH))):
        reader = VideoReader(tmp_path / "s" / f"{name}.mp4")
        assert (reader.n_frames, reader.fps, (reader.width, reader.height)) == (n, 24, size)


def test_each_mini_scene_shows_its_own_frames(tmp_path):
    made(tmp_path / "s")
    blue = [image[..., 2].mean() for _, image in VideoReader(tmp_path / "s/3.mp4")]
    assert blue == pytest.approx([0, 40, 80, 200], abs=8)


def test_frames_that_cannot_be_read_are_counted(tmp_path):
    counts = made(tmp_path / "s", frames=[0, 2, 3, 4, 5])
    assert counts.frames == {3: 3, 12: 2} and counts.unreadable == {3: 1}
    metadata = read_metadata(metadata_path(tmp_path / "s"))
    assert metadata.tracks["main"] == [0, -1, 1, 2, 3, 4] and metadata.tracks["3"] == [0, -1, 1, -1, -1, 2]


def test_behaviour_files_survive_a_second_run(tmp_path):
    made(tmp_path / "s")
    (tmp_path / "s/actions/3.xml").write_text("weeks of work")
    (tmp_path / "s/99.mp4").write_text("old")
    made(tmp_path / "s")
    assert (tmp_path / "s/actions/3.xml").read_text() == "weeks of work"
    assert not (tmp_path / "s/99.mp4").exists()


def test_a_fault_leaves_nothing(tmp_path):
    def fails(path: Path) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        made(tmp_path / "s", write_tracks=fails)
    assert list(tmp_path.iterdir()) == []


def test_same_input_same_bytes(tmp_path):
    made(tmp_path / "one")
    made(tmp_path / "two")
    for path in sorted((tmp_path / "one").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes(), path.name


def test_metadata_of_other_kinds_is_refused(tmp_path):
    path = tmp_path / "x_metadata.json"
    for content in ("[]", "{}", "nonsense", json.dumps({"original": "a", "tracks": {"main": ["x"]}})):
        path.write_text(content)
        with pytest.raises(EthoLoopError, match="metadata"):
            read_metadata(path)
    with pytest.raises(EthoLoopError, match="found 0"):
        metadata_path(tmp_path)


def test_trails_end_where_an_animal_was_lost():
    overview, box = Overview(), np.array([[10, 10, 20, 20]])
    for frame in (0, 1, 2):
        overview.draw(frame, picture(0), [3], box + frame, box)
    assert list(overview.trails[3]) == [(15, 15), (16, 16), (17, 17)]
    overview.draw(9, picture(0), [3], box + 40, box)
    assert list(overview.trails[3]) == [(55, 55)]


def test_drawing_does_not_touch_the_image():
    image = picture(0)
    drawn = Overview().draw(0, image, [0], np.array([[50, 50, 70, 70]]), np.array([[40, 45, 80, 75]]))
    assert (image == picture(0)).all() and (drawn[74, 60] == KABR_COLOURS[0]).all()


def test_timeline_shows_single_frames_of_long_videos():
    places = [-1] * 100_000
    places[50_000] = 0
    image = timeline({"main": list(range(100_000)), "2": places})
    assert image.shape == (200, 1000, 3)
    assert (image[20, 5] == 127).all() and (image[190 - 5, 500] == colour_of(2)).all() and (image[190 - 5, 499] == 255).all()


def test_colours_begin_again():
    assert len(set(KABR_COLOURS)) == 19 and colour_of(19) == colour_of(0)


def test_sinks_refuse_another_size(tmp_path):
    with pytest.raises(EthoLoopError, match="one size"), VideoSink(tmp_path / "a.mp4", Fraction(25)) as sink:
        sink.add(picture(0))
        sink.add(picture(0)[:50])


def test_an_unused_sink_leaves_no_file(tmp_path):
    with VideoSink(tmp_path / "a.mp4", Fraction(25)):
        pass
    assert not (tmp_path / "a.mp4").exists()


def test_timeline_is_a_picture(tmp_path):
    made(tmp_path / "s")
    assert cv2.imread(str(tmp_path / "s/metadata/a.jpg")).shape == (300, 1000, 3)
