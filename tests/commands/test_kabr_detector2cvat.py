"""`etholoop kabr detector2cvat`: every fault of the original has a test."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import kabr_footage as footage
import numpy as np
import pytest
from typer.testing import CliRunner

from etholoop.__main__ import build_app
from etholoop.commands import kabr_detector2cvat as d2c
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import cvat
from etholoop.io.video import VideoReader
from etholoop.modeling.records import Prediction

SPECIES = ("zebra", "horse", "dog")
ZEBRA, HORSE, DOG = np.eye(3)
N_FRAMES = 12


class Detector:
    """In place of a network: one walking zebra, one horse at rest, and things that must not count. Remembers what it was shown."""

    species = SPECIES

    def __init__(self, hidden: tuple[int, ...] = ()) -> None:
        self.shown: list[np.ndarray] = []
        self.asked: dict[str, Any] = {}
        self.hidden = hidden

    def predict(self, images: list[np.ndarray], **asked: Any) -> list[Prediction]:
        self.asked = asked
        self.shown += images
        frame = len(self.shown) - 1
        found = [
            ([10.4 + 4 * frame, 20, 30.4 + 4 * frame, 40], 0.9 * ZEBRA),
            ([11.4 + 4 * frame, 20, 31.4 + 4 * frame, 40], 0.6 * HORSE),  # the same animal as another class
            ([100, 60, 130, 80], 0.8 * HORSE),
            ([200, 60, 220, 80], 0.95 * DOG),
            ([240, 60, 260, 80], 0.4 * ZEBRA),
        ]
        found = found[2:] if frame in self.hidden else found
        boxes, probabilities = (np.array([one[place] for one in found], float) for place in (0, 1))
        return [Prediction(boxes, probabilities.astype(np.float32), np.zeros((len(found), 0, 3)), np.zeros(1))]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    footage.video(tmp_path / "raw/day1/flight2/DJI_0001.mp4")
    return tmp_path / "raw"


def look(detector: Detector | None = None, *, compat: bool = False) -> d2c.Look:
    labels = d2c.Labels(None, None).known_to(SPECIES, Path("weights.pt"))
    return d2c.Look(detector or Detector(), labels, 320, 0.5, 0.5, swapped=compat)


def following(name: str = d2c.TRACKER, *, compat: bool = False) -> d2c.Following:
    return d2c.Following.of(d2c.COMPAT_TRACKER if compat else name, None, compat=compat)


def made(videos: Path, save: Path, detector: Detector | None = None, *, compat: bool = False, demo: bool = False) -> cvat.Annotations:
    (job,), _ = d2c.plan(videos, save)
    d2c.make(job, look(detector, compat=compat), following(compat=compat), demo=demo)
    return cvat.read(job.xml)


def test_files_and_what_is_in_them(videos: Path, tmp_path: Path) -> None:
    annotations = made(videos, tmp_path / "out", demo=True)
    folder = tmp_path / "out/day1/flight2"
    assert sorted(path.name for path in folder.iterdir()) == ["DJI_0001.xml", "DJI_0001_demo.mp4"]
    assert [(track.id, track.label, track.source) for track in annotations.tracks] == [(1, "Zebra", "auto"), (2, "Zebra", "auto")]
    assert annotations.meta.size == N_FRAMES
    assert [len(track.shapes) for track in annotations.tracks] == [N_FRAMES, N_FRAMES]
    assert annotations.tracks[0].shapes[1].coordinates == (14.4, 20, 34.4, 40)


def test_red_stays_red_for_the_detector(videos: Path, tmp_path: Path) -> None:
    """The original shows it red and blue exchanged; --compat does so too."""
    ours, theirs = Detector(), Detector()
    made(videos, tmp_path / "a", ours)
    made(videos, tmp_path / "b", theirs, compat=True)
    frame = VideoReader(next(videos.rglob("*.mp4")))[0]
    assert np.array_equal(ours.shown[0], frame)
    assert np.array_equal(theirs.shown[0], frame[..., ::-1])
    assert not np.array_equal(frame, frame[..., ::-1])


def test_the_last_box_stays_in_view(videos: Path, tmp_path: Path) -> None:
    """The original marks the last box of a track as outside, so that CVAT hides it."""
    ours, theirs = made(videos, tmp_path / "a"), made(videos, tmp_path / "b", compat=True)
    assert not any(shape.outside for track in ours.tracks for shape in track.shapes)
    assert [[shape.outside for shape in track.shapes] for track in theirs.tracks] == [[False] * (N_FRAMES - 1) + [True]] * 2
    assert all(track.source == "manual" for track in theirs.tracks)


def test_the_end_of_a_track_is_marked_in_the_frame_after_it(videos: Path, tmp_path: Path) -> None:
    """The original marks no end at all in the last 80 frames of a video."""
    hidden = (8, 9, 10, 11)
    ours = made(videos, tmp_path / "a", Detector(hidden)).tracks[0]
    assert [(shape.frame, shape.outside) for shape in ours.shapes][-2:] == [(7, False), (8, True)]
    theirs = made(videos, tmp_path / "b", Detector(hidden), compat=True).tracks[0]
    assert [(shape.frame, shape.outside) for shape in theirs.shapes][-1] == (7, False)


def test_missed_boxes_are_filled_and_are_no_keyframes(videos: Path, tmp_path: Path) -> None:
    track = made(videos, tmp_path / "a", Detector((5, 6))).tracks[0]
    assert [shape.frame for shape in track.shapes if not shape.keyframe] == [5, 6]
    assert track.shapes[5].coordinates == (30.4, 20, 50.4, 40)


def test_whole_pixels_are_for_compat_only(videos: Path, tmp_path: Path) -> None:
    assert made(videos, tmp_path / "a", compat=True).tracks[0].shapes[1].coordinates == (14, 20, 34, 40)


def test_the_demo_keeps_the_videos_own_rate(videos: Path, tmp_path: Path) -> None:
    """The original writes 29.97 whatever the video has, and needs a window."""
    made(videos, tmp_path / "out", demo=True)
    demo = VideoReader(next((tmp_path / "out").rglob("*_demo.mp4")))
    assert (demo.fps, demo.n_frames) == (VideoReader(next(videos.rglob("*.mp4"))).fps, N_FRAMES)


def test_what_the_detector_is_asked(videos: Path, tmp_path: Path) -> None:
    detector = Detector()
    made(videos, tmp_path / "out", detector)
    assert (detector.asked["imgsz"], detector.asked["confidence"]) == (320, 0.25)
    assert len(detector.shown) == N_FRAMES


def test_a_video_in_which_nothing_counts_says_what_was_seen(videos: Path, tmp_path: Path) -> None:
    (job,), _ = d2c.plan(videos, tmp_path / "out")
    seen = look()
    nothing = replace(seen, labels=d2c.Labels(["giraffe", "zebra"], {}), confidence=0.92)
    line = d2c.make(job, nothing, following(), demo=False)
    assert line.endswith(
        "The detector saw other labels than giraffe, zebra: dog 12 × (--target_labels); 24 not surer than 0.92 (--confidence)"
    )
    assert "The detector saw" not in d2c.make(job, seen, following(), demo=False)


def test_a_video_that_fails_is_named_and_the_others_are_made(videos: Path, tmp_path: Path) -> None:
    """The original prints that something went wrong, saves nothing, and ends with status 0."""
    broken = videos / "day1/flight2/DJI_0000.mp4"
    broken.write_bytes(b"no video")
    jobs, _ = d2c.plan(videos, tmp_path / "out")
    with pytest.raises(FaultsError, match=r"DJI_0000.mp4: [\s\S]*1 of 2 videos were done"):
        d2c.make_all(jobs, look(), following(), demo=False)
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["DJI_0001.xml"]


def test_every_way_to_write_an_extension(videos: Path, tmp_path: Path) -> None:
    """The original sees .mp4 in small letters only."""
    footage.video(videos / "day2/flight1/DJI_0001.mp4").rename(videos / "day2/flight1/DJI_0001.MP4")
    footage.video(videos / "!old/DJI_0002.mp4")
    footage.video(videos / "day2/flight1/!DJI_0003.mp4")
    jobs, left_out = d2c.plan(videos, tmp_path / "out")
    assert [job.xml.relative_to(tmp_path / "out").as_posix() for job in jobs] == ["day1/flight2/DJI_0001.xml", "day2/flight1/DJI_0001.xml"]
    assert len(left_out) == 2


def test_two_videos_for_one_file_are_refused(videos: Path, tmp_path: Path) -> None:
    """The original writes the second over the first."""
    footage.video(videos / "other/day1/flight2/DJI_0001.mp4")
    with pytest.raises(FaultsError, match=r"day1/flight2/DJI_0001.xml would come from .* and from"):
        d2c.plan(videos, tmp_path / "out")


def test_no_videos(tmp_path: Path) -> None:
    with pytest.raises(EthoLoopError, match="expected a folder of videos"):
        d2c.plan(tmp_path / "none", tmp_path)
    with pytest.raises(EthoLoopError, match="holds no videos"):
        d2c.plan(tmp_path, tmp_path)


def test_labels(tmp_path: Path) -> None:
    """Without a list: KABR's, or all of a detector that knows none of those."""
    assert d2c.Labels(None, None).known_to(SPECIES, Path("w")).target == ["zebra", "horse"]
    assert d2c.Labels(None, None).known_to(("fly",), Path("w")).target == ["fly"]
    (tmp_path / "labels.json").write_text(json.dumps(["dog", "cat"]), encoding="utf-8")
    (tmp_path / "map.json").write_text(json.dumps({"dog": "wild dog"}), encoding="utf-8")
    labels = d2c.Labels.read(tmp_path / "labels.json", tmp_path / "map.json")
    with pytest.raises(EthoLoopError, match="knows no cat; it knows: zebra, horse, dog"):
        labels.known_to(SPECIES, Path("w"))
    found = d2c.Look(Detector(), d2c.Labels(["dog"], labels.names), 320, 0.5, 0.5, swapped=False).at(np.zeros((90, 300, 3), np.uint8))
    assert found[2] == ["Wild dog"]


@pytest.mark.parametrize("content", ["{", '{"zebra": 1}', "[1]"])
def test_a_faulty_list_of_labels(tmp_path: Path, content: str) -> None:
    (tmp_path / "labels.json").write_text(content, encoding="utf-8")
    with pytest.raises(EthoLoopError, match=r"labels\.json: "):
        d2c.Labels.read(tmp_path / "labels.json", None)


def test_compat_goes_with_the_originals_tracker_only() -> None:
    with pytest.raises(EthoLoopError, match="--compat writes what kabr-tools' own tracker finds"):
        d2c.Following.of("bytetrack", None, compat=True)


def test_tracker_settings_are_checked(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"max_distanze": 3}', encoding="utf-8")
    with pytest.raises(FaultsError, match="did you mean 'max_distance'"):
        d2c.Following.of("centroid_kalman", tmp_path / "s.json", compat=False)


def test_the_command(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def load(*_: Any, swapped: bool, **__: Any) -> d2c.Look:
        asked.append(swapped)
        return look(compat=swapped)

    monkeypatch.setattr(d2c.Look, "load", load)
    run = CliRunner().invoke
    given = ["kabr", "detector2cvat", "--video", str(videos), "--save", str(tmp_path / "out"), "--imshow", "--no-demo"]
    planned = run(build_app(), [*given, "--dry-run"])
    assert (planned.exit_code, asked) == (0, []), planned.output
    first = run(build_app(), given)
    assert (first.exit_code, asked) == (0, [False]), first.output
    assert "2 tracks from 24 detections in 12 frames" in first.output
    again = run(build_app(), given)
    assert (again.exit_code, asked) == (0, [False]), "nothing is left to do, so no detector is loaded"
    assert "is there already and stays as it is" in again.output
    assert run(build_app(), [*given, "--overwrite", "--compat"]).exit_code == 0
    assert asked == [False, True]


def test_the_same_video_gives_the_same_bytes(videos: Path, tmp_path: Path) -> None:
    for name in "ab":
        made(videos, tmp_path / name)
    one, other = (next((tmp_path / name).rglob("*.xml")).read_bytes() for name in "ab")
    assert one == other


def test_a_real_detector_is_asked_in_rgb(public_data: Path, tmp_path: Path) -> None:
    """One frame through the public YOLOv8n: the file loads, its species are known, and its boxes lie in the picture."""
    weights = public_data / "data/weights/yolov8n.pt"
    labels = d2c.Labels(["zebra", "giraffe", "person"], {})
    real = d2c.Look.load(weights, labels, "cpu", imgsz=320, confidence=0.3, iou=0.5, swapped=False)
    with VideoReader(public_data / "data/human_action_clips/demo.mp4") as reader:
        image = reader[0]
    box, confidence, label = real.at(image)
    assert set(label) == {"Person"}
    assert (confidence > 0.3).all()
    assert (box >= 0).all()
    assert (box[:, 2] <= image.shape[1]).all()
