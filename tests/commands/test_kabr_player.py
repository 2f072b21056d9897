"""`etholoop kabr player`: what the original could not: its own folders, more than 20 animals, no screen, model labels, the same moment."""

import json

import cv2
import kabr_footage as footage
import numpy as np
import pytest
from kabr_footage import annotation, behaviours, boxes

from etholoop.commands import kabr_player
from etholoop.commands import kabr_tracks_extractor as extractor
from etholoop.commands._miniscene_show import MinisceneShow
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io.cvat import Track
from etholoop.io.video import VideoReader, write_video
from etholoop.simulation.numbered import numbered_frame

N = 12


@pytest.fixture
def folder(tmp_path):
    """Track 4 is in view in frames 0-4 and 7-11, track 23 in frames 0-11."""
    clip = tmp_path / "raw/day1/flight2/DJI_0001.mp4"
    write_video(clip, (numbered_frame(frame, footage.WIDE, footage.HIGH) for frame in range(N)), footage.FPS, crf=10)
    xml = annotation(tmp_path / "a.xml", Track(4, "Zebra", boxes(N, hidden=(5, 6))), Track(23, "Zebra", boxes(N, left=150)))
    (job,) = extractor.plan(clip, xml, tmp_path / "ms")
    extractor.extract(job)
    return job.folder


def frame_of(picture: bytes, left: int = 0, top: int = 0) -> int:
    """Which frame of the clip a picture shows; ``left``, ``top``: where the clip's corner lies in it."""
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)[top:, left:, ::-1].astype(int)
    high, wide = min(image.shape[0], footage.HIGH), min(image.shape[1], footage.WIDE)
    clip = [numbered_frame(frame, footage.WIDE, footage.HIGH)[:high, :wide] for frame in range(N)]
    return int(np.argmin([np.abs(image[:high, :wide] - frame).mean() for frame in clip]))


def test_the_folder_of_tracks_extractor_opens_as_it_is(folder):
    show = MinisceneShow(folder)
    assert show.about()["videos"] == [{"id": "DJI_0001", "n_frames": N, "fps": [24, 1]}]
    assert [track["id"] for track in show.video("DJI_0001")["tracks"]] == [4, 23], "track numbers above 20 too"


@pytest.mark.parametrize("source_is_there", [True, False])
def test_an_animal_is_shown_at_the_same_moment_as_the_whole(folder, tmp_path, source_is_there):
    if not source_is_there:
        (tmp_path / "raw/day1/flight2/DJI_0001.mp4").unlink()
    show = MinisceneShow(folder)
    whole = dict(show.pictures("DJI_0001", range(N), 960, None))
    scene = dict(show.pictures("DJI_0001", range(N), 960, 4))
    assert [frame_of(whole[frame]) for frame in range(N)] == list(range(N))
    assert [frame for frame in range(N) if not scene[frame]] == [5, 6], "the animal is not in view"
    # the animal's centre in frame 7 is (42, 55), and the centre of the mini-scene is (200, 150)
    assert [frame_of(scene[frame], 200 - 35 - frame, 150 - 55) for frame in (0, 4, 7, 11)] == [0, 4, 7, 11]


def test_labels_of_people_stand_at_the_frames_of_the_source(folder):
    behaviours(folder / "actions/4.xml", *["Walk"] * 4, *["Graze"] * 6)
    bouts = [(bout["behaviour"], bout["start"], bout["stop"]) for bout in MinisceneShow(folder).bouts]
    assert bouts == [("Walk", 0, 4), ("Graze", 4, 5), ("Graze", 7, 12)]


def test_labels_of_the_model_are_shown_by_name(folder, tmp_path):
    rows = "".join(f"DJI_0001 23 {frame} {0 if frame < 5 else 3}\n" for frame in range(N))
    (tmp_path / "out.csv").write_text("video track frame label\n" + rows)
    (tmp_path / "classes.json").write_text(json.dumps({"Walk": 0, "Head Up": 3}))
    show = MinisceneShow(folder, tmp_path / "out.csv", kabr_player.names_of(tmp_path / "classes.json"))
    assert [(bout["track"], bout["behaviour"], bout["start"], bout["stop"]) for bout in show.bouts] == [
        (23, "Walk", 0, 5),
        (23, "Head Up", 5, N),
    ]


def test_a_video_is_written_without_a_screen(folder):
    show = MinisceneShow(folder)
    path = kabr_player.write(show, folder / "x_demo.mp4")
    reader = VideoReader(path)
    assert (reader.n_frames, reader.fps) == (N, 24)
    drawn = np.abs(reader[3].astype(int) - numbered_frame(3, footage.WIDE, footage.HIGH).astype(int))
    assert drawn[50:65, 22:25].mean() > 30 and drawn[200:, 100:140].mean() < 15


def test_what_is_wrong_is_said(folder, tmp_path):
    with pytest.raises(EthoLoopError, match=r"no file \*_metadata\.json"):
        MinisceneShow(tmp_path)
    (tmp_path / "bad.csv").write_text("video track frame label\nDJI 23 x 1\nDJI 23 4\n")
    with pytest.raises(FaultsError, match=r"(?s)row 2.*row 3"):
        MinisceneShow(folder, tmp_path / "bad.csv")
    (tmp_path / "comma.csv").write_text("video,track,frame,label\n")
    with pytest.raises(EthoLoopError, match="expected the columns"):
        MinisceneShow(folder, tmp_path / "comma.csv")
    behaviours(folder / "actions/9.xml", "Walk")
    with pytest.raises(EthoLoopError, match="no mini-scene has this name"):
        MinisceneShow(folder)
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(EthoLoopError, match="expected JSON like"):
        kabr_player.names_of(tmp_path / "list.json")
