"""`etholoop kabr tracks_extractor`: every fault of the original has a test."""

import json
import zipfile
from pathlib import Path

import kabr_footage as footage
import pytest
from kabr_footage import annotation, boxes
from typer.testing import CliRunner

from etholoop.__main__ import build_app
from etholoop.commands import kabr_tracks_extractor as extractor
from etholoop.errors import FaultsError
from etholoop.io import cvat
from etholoop.io.cvat import Track
from etholoop.io.video import VideoReader


def extract(video: Path, xml: Path, output: Path, **options) -> tuple[Path, dict, list[str]]:
    """Folder, metadata and what was said."""
    planned = {name: options.pop(name) for name in ("overwrite",) if name in options}
    (job,) = extractor.plan(video, xml, output, compat=options.get("compat", False), **planned)
    lines = extractor.extract(job, **options)
    return job.folder, json.loads((job.folder / f"metadata/{video.stem}_metadata.json").read_text()), lines


@pytest.fixture
def clip(tmp_path) -> Path:
    return footage.video(tmp_path / "raw/day1/flight2/DJI_0001.mp4")


def test_boxes_outside_are_not_cut(clip, tmp_path):
    xml = annotation(tmp_path / "a.xml", Track(4, "Zebra", boxes(12, hidden=(5, 6, 11))))
    folder, metadata, lines = extract(clip, xml, tmp_path / "ms")
    assert metadata["tracks"]["4"] == [0, 1, 2, 3, 4, -1, -1, 5, 6, 7, 8, -1]
    assert VideoReader(folder / "4.mp4").n_frames == 9
    assert lines == [f"{folder}: 1 mini-scenes, 9 frames"]
    theirs = extract(clip, xml, tmp_path / "compat", compat=True)[1]
    assert theirs["tracks"]["4"] == list(range(12))


@pytest.mark.parametrize("size", [4, 400, None])
def test_the_size_in_the_file_does_not_matter(clip, tmp_path, size):
    """The original ends with an IndexError where it is smaller than the video, and nothing is finalised."""
    xml = annotation(tmp_path / "a.xml", Track(0, "Zebra", boxes(3)), size=size)
    _, metadata, _ = extract(clip, xml, tmp_path / "ms")
    assert metadata["tracks"] == {"main": list(range(12)), "0": [0, 1, 2] + [-1] * 9}


@pytest.mark.parametrize("level", ["task", "job", ""])
def test_exports_of_a_job_and_without_meta(clip, tmp_path, level):
    xml = annotation(tmp_path / "a.xml", Track(0, "Zebra", boxes(3)), level=level)
    assert extract(clip, xml, tmp_path / "ms")[1]["tracks"]["0"][:4] == [0, 1, 2, -1]


def test_the_source_rate_is_kept(clip, tmp_path):
    """The original writes 29.97 whatever the video has."""
    xml = annotation(tmp_path / "a.xml", Track(0, "Zebra", boxes(3)))
    folder, _, _ = extract(clip, xml, tmp_path / "ms")
    assert [VideoReader(folder / f"{name}.mp4").fps for name in ("0", "DJI_0001")] == [24, 24]


def test_names_hold_the_session(tmp_path, monkeypatch):
    videos = [Path("/d/day1/flight2/DJI_0001.mp4"), Path("/d/day2/flight2/DJI_0001.mp4")]
    assert extractor.folder_names(videos) == ["day1_flight2_DJI_0001", "day2_flight2_DJI_0001"]
    # the last three parts are the same: more of the path tells them apart
    videos = [Path("/d/x/day1/f/DJI_0001.mp4"), Path("/d/y/day1/f/DJI_0001.mp4")]
    assert extractor.folder_names(videos) == ["x_day1_f_DJI_0001", "y_day1_f_DJI_0001"]
    assert extractor.folder_names(videos, compat=True) == ["day1_f_DJI_0001"] * 2
    # inside the folder of a session the original has only the file's name
    (tmp_path / "day3").mkdir()
    monkeypatch.chdir(tmp_path / "day3")
    assert extractor.folder_names([Path("DJI_0001.mp4")])[0].endswith("_day3_DJI_0001")
    assert extractor.folder_names([Path("DJI_0001.mp4")], compat=True) == ["DJI_0001"]


def test_a_folder_of_videos_with_any_extension(tmp_path):
    """The original only sees .mp4 in small letters."""
    for name in ("s1/A.MP4", "s2/A.mp4"):
        footage.video(tmp_path / "videos" / name, 3)
    for name in ("s1/A.xml", "s2/A.xml"):
        annotation(tmp_path / "xml" / name, Track(0, "Zebra", boxes(3)))
    jobs = extractor.plan(tmp_path / "videos", tmp_path / "xml", tmp_path / "ms")
    assert [job.video.name for job in jobs] == ["A.MP4", "A.mp4"]
    assert [job.folder.name for job in jobs] == ["videos_s1_A", "videos_s2_A"]


def test_missing_videos_are_named_before_anything_is_made(tmp_path):
    footage.video(tmp_path / "videos/A.mp4", 3)
    for name in ("A", "B", "C"):
        annotation(tmp_path / f"xml/{name}.xml", Track(0, "Zebra", boxes(3)))
    with pytest.raises(FaultsError) as caught:
        extractor.plan(tmp_path / "videos", tmp_path / "xml", tmp_path / "ms")
    assert len(caught.value.faults) == 2 and not (tmp_path / "ms").exists()


def test_nothing_is_replaced_unasked_and_behaviour_files_are_kept(clip, tmp_path):
    xml = annotation(tmp_path / "a.xml", Track(0, "Zebra", boxes(3)))
    folder, _, _ = extract(clip, xml, tmp_path / "ms")
    (folder / "actions/0.xml").write_text("weeks of work")
    with pytest.raises(FaultsError, match="--overwrite"):
        extract(clip, xml, tmp_path / "ms")
    extract(clip, xml, tmp_path / "ms", overwrite=True)
    assert (folder / "actions/0.xml").read_text() == "weeks of work"


def test_boxes_behind_the_end_or_of_another_size_are_refused(clip, tmp_path):
    xml = annotation(tmp_path / "a.xml", Track(0, "Zebra", boxes(14)))
    with pytest.raises(FaultsError, match="2 boxes from frame 12 on"):
        extract(clip, xml, tmp_path / "ms")
    other = footage.video(tmp_path / "other.mp4")
    small = tmp_path / "small.xml"
    cvat.write(small, cvat.Annotations((Track(0, "Zebra", boxes(3)),), cvat.Meta("task", width=960, height=720)))
    with pytest.raises(FaultsError, match="annotation_rescale"):
        extract(other, small, tmp_path / "ms")
    assert not (tmp_path / "ms").exists() or list((tmp_path / "ms").iterdir()) == []


def test_an_annotation_without_animals(clip, tmp_path):
    xml = annotation(tmp_path / "a.xml", Track(7, "Zebra", boxes(12, hidden=tuple(range(12)))))
    folder, metadata, lines = extract(clip, xml, tmp_path / "ms")
    assert metadata["tracks"] == {"main": list(range(12))} and sorted(path.name for path in folder.glob("*.mp4")) == ["DJI_0001.mp4"]
    assert "track 7 is never in view" in lines[1]


def test_tracking_with_a_missed_box_has_colours_and_its_own_numbers(clip, tmp_path):
    """The original ends with a TypeError at the first missed box; its colours stay empty, and the boxes it saves keep the old numbers."""
    xml = annotation(tmp_path / "a.xml", Track(40, "Zebra", boxes(12, hidden=(5,))), Track(7, "Giraffe", boxes(12, left=220.0)))
    folder, metadata, _ = extract(clip, xml, tmp_path / "ms", tracking=True)
    assert set(metadata["tracks"]) == {"main", "1", "2"} == {"main", *metadata["colors"]}
    saved = {track.id: track for track in cvat.read(folder / "metadata/DJI_0001_tracks.xml").tracks}
    assert {number: track.label for number, track in saved.items()} == {1: "Zebra", 2: "Giraffe"}
    assert [shape.frame for shape in saved[1].shapes] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    for number, track in saved.items():
        assert [frame for frame, place in enumerate(metadata["tracks"][str(number)]) if place >= 0] == [s.frame for s in track.shapes]


def test_an_archive_as_cvat_gives_it(clip, tmp_path):
    xml = annotation(tmp_path / "a.xml", Track(0, "Zebra", boxes(3)))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(xml, "annotations.xml")
    folder, _, _ = extract(clip, tmp_path / "a.zip", tmp_path / "ms")
    assert cvat.read(folder / "metadata/DJI_0001_tracks.xml") == cvat.read(xml)


def test_the_documented_command_line(clip, tmp_path, monkeypatch):
    xml = annotation(tmp_path / "a.xml", Track(0, "Zebra", boxes(3)))
    monkeypatch.chdir(tmp_path)
    call = ["kabr", "tracks_extractor", "--video", str(clip), "--annotation", str(xml), "--imshow"]
    dry = CliRunner().invoke(build_app("kabr_tracks_extractor"), [*call, "--dry-run"])
    assert dry.exit_code == 0 and "day1_flight2_DJI_0001" in dry.output and not (tmp_path / "mini-scenes").exists()
    done = CliRunner().invoke(build_app("kabr_tracks_extractor"), call)
    assert done.exit_code == 0 and "without a screen" in done.output
    assert (tmp_path / "mini-scenes/day1_flight2_DJI_0001/0.mp4").is_file()
