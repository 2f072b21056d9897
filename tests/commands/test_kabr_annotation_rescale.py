"""`etholoop kabr annotation_rescale`."""

import kabr_footage as footage
import pytest
from kabr_footage import annotation, boxes
from typer.testing import CliRunner

from etholoop.__main__ import build_app
from etholoop.commands import kabr_annotation_rescale as rescale
from etholoop.errors import EthoLoopError
from etholoop.io import cvat
from etholoop.io.cvat import Annotations, Meta, Shape, Track


def run(*words: object):
    return CliRunner().invoke(build_app("kabr_annotation_rescale"), ["kabr", "annotation_rescale", *map(str, words)])


def test_boxes_and_size_grow_and_everything_else_stays(tmp_path):
    """The original makes every animal a Grevy's zebra, hides the last box and once lost the meta part."""
    xml = annotation(tmp_path / "a.xml", Track(3, "Giraffe", boxes(4, hidden=(2,), keyframe=False)), source="a.mp4")
    done = run("--annotation", xml, "--output", tmp_path / "b.xml", "--factor", 3)
    assert done.exit_code == 0, done.output
    before, after = cvat.read(xml), cvat.read(tmp_path / "b.xml")
    assert (after.meta.width, after.meta.height) == (960, 720) and after.meta.source == "a.mp4" and after.meta.size == 12
    assert after.tracks[0].label == "Giraffe"
    for old, new in zip(before.tracks[0].shapes, after.tracks[0].shapes, strict=True):
        assert new == old._replace(coordinates=tuple(3 * value for value in old.coordinates))


def test_points_are_moved_by_width_and_height():
    made = rescale.rescaled(Annotations((Track(0, "a", (Shape(0, (1, 2, 3, 4), cvat.POINTS),)),)), 2, 10)
    assert made.tracks[0].shapes[0].coordinates == (2, 20, 6, 40) and made.meta == Meta()


def test_to_the_size_of_a_video(tmp_path):
    video = footage.video(tmp_path / "v.mp4", 2)
    xml = tmp_path / "a.xml"
    cvat.write(xml, Annotations((Track(0, "a", boxes(2)),), Meta("job", width=640, height=480)))
    assert run("--annotation", xml, "--output", tmp_path / "b.xml", "--video", video).exit_code == 0
    assert cvat.read(tmp_path / "b.xml").tracks[0].shapes[0].coordinates == (10, 20, 25, 35)
    with pytest.raises(EthoLoopError, match="no picture size"):
        rescale.factors(Annotations(), xml, 0, video)


def test_as_the_original_cuts_and_labels(tmp_path):
    shapes = (*boxes(2), *(shape._replace(frame=shape.frame + 2, keyframe=False) for shape in boxes(2)))
    xml = annotation(tmp_path / "a.xml", Track(0, "Zebra", shapes))
    run("--annotation", xml, "--output", tmp_path / "b.xml", "--factor", 2, "--label", "Grevy", "--cut_after_last_keyframe")
    (track,) = cvat.read(tmp_path / "b.xml").tracks
    assert track.label == "Grevy" and [shape.frame for shape in track.shapes] == [0, 1]


def test_one_of_factor_and_video_and_no_file_is_replaced(tmp_path):
    xml = annotation(tmp_path / "a.xml", Track(0, "Zebra", boxes(2)))
    assert "either --factor or --video" in str(run("--annotation", xml, "--output", tmp_path / "b.xml").exception)
    assert "--overwrite" in str(run("--annotation", xml, "--output", xml, "--factor", 2).exception)
    assert cvat.read(xml).tracks[0].shapes == boxes(2)
