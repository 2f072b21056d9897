"""Behaviour windows: what is asked, and what their small videos show."""

import json

import av
import numpy as np
import pytest

from etholoop.commands import _label_windows as windows
from etholoop.errors import EthoLoopError
from etholoop.io import tables
from etholoop.project import Project
from etholoop.schema.miniscenes import MiniScenes
from etholoop.services import label_studio_server

WIDTH, HEIGHT = 800, 600


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A recording of 40 frames in which a white square walks right on grey, and the mini-scene of track 3 that follows it."""
    from fractions import Fraction

    from etholoop.io.video import write_video
    from etholoop.stages import manifest

    project = Project(tmp_path_factory.mktemp("windows"))
    for folder in (project.raw_videos, project.raw_images, project.ethogram.parent):
        folder.mkdir(parents=True)

    def picture(number):
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        image[300:340, centre(number) - 20 : centre(number) + 20] = 255
        return image

    write_video(project.raw_videos / "a.mp4", (picture(number) for number in range(40)), Fraction(25))
    project.metadata.write_text("path,session,subject,camera,start_time\n")
    project.ethogram.write_text("behaviours:\n  - {name: walk, definition: moves}\n")
    manifest.run(project, manifest.Params())
    rows = [
        {"video_id": "a", "track": 3, "frame": frame, "x_min": x - 200.0, "y_min": 170.0, "x_max": x + 200.0, "y_max": 470.0}
        for frame, x in ((frame, centre(frame)) for frame in range(5, 35))
    ]
    tables.write(tables.from_rows(rows, MiniScenes), MiniScenes, project / windows.MINI_SCENES)
    return project


def centre(number):
    return 60 + 18 * number


def ask(project, **window):
    path = project / "windows.json"
    path.write_text(json.dumps([{"video_id": "a", **window}]))
    return windows.window_questions(project, path)[0]


def shown_images(project, question):
    windows.lend_proxy(project, question, "")
    folder = label_studio_server.place(project).media / "proxies"
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    with av.open(str(newest)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_mini_scene_follows_its_animal(project):
    question = ask(project, track=3, start_frame=0, stop_frame=20)
    assert (question["subject"], question["shown"]) == ("track3", [[5, 20]]), "only frames in which the animal is there"
    images = shown_images(project, question)
    assert [image.shape for image in images] == [(300, 400, 3)] * 15
    for image in images:
        rows, columns = np.nonzero(image[..., 0] > 170)
        assert (rows.mean(), columns.mean()) == pytest.approx((149.5, 199.5), abs=1.5), "the animal stays in the middle"
    assert images[0][100, 20].mean() < 20, "beyond the picture it is black"


def test_without_a_track_the_whole_picture_is_shown(project):
    question = ask(project, start_frame=3, stop_frame=7, subject="B12")
    assert question["subject"] == "B12" and question["shown"] == [[3, 7]]
    assert [image.shape for image in shown_images(project, question)] == [(600, 800, 3)] * 4


def test_another_track_is_another_video(project):
    question = ask(project, track=3)
    address = windows.lend_proxy(project, question, "")
    table = tables.read(project / windows.MINI_SCENES, MiniScenes)
    try:
        tables.write(table.assign(x_min=table["x_min"] + 1), MiniScenes, project / windows.MINI_SCENES)
        assert windows.lend_proxy(project, question, "") != address
    finally:
        tables.write(table, MiniScenes, project / windows.MINI_SCENES)


@pytest.mark.parametrize(
    ("window", "why"),
    [
        ({"track": 9}, "no mini-scene of track 9"),
        ({"video_id": "b"}, "no such source"),
        ({"bouts": [{"behaviour": "wlak", "start": 0, "stop": 5}]}, "unknown behaviour 'wlak'; did you mean 'walk'"),
        ({"start_frame": 90, "stop_frame": 99}, "no usable frame from 90 to 99"),
    ],
)
def test_what_cannot_be_asked_is_told(project, window, why):
    with pytest.raises(EthoLoopError, match=why):
        ask(project, **window)
