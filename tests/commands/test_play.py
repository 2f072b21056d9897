"""The player gives the exact frame that it names, and knows tracks, bouts, risks; overlay videos show where animals are."""

import http.client
import json
import shutil
import struct
from fractions import Fraction

import cv2
import numpy as np
import pytest

from etholoop.commands import tracks_draw
from etholoop.commands._project_show import ProjectShow
from etholoop.errors import EthoLoopError
from etholoop.io import behaviour_charts, tables, video
from etholoop.project import Project
from etholoop.schema.annotations import Bouts
from etholoop.schema.behaviour import Stretches
from etholoop.schema.bouts import PredictedBouts
from etholoop.schema.predictions import Detections, PredictedKeypoints
from etholoop.schema.tracks import SwapRisks, TrackNames, Tracks
from etholoop.services.player import HOST, Player
from etholoop.simulation.numbered import numbered_frame, read_number
from etholoop.stages import manifest

N = 60
SKELETON = "species: [mouse]\nkeypoints: [nose, tail]\nedges: [[nose, tail]]\nanimals: 2\n"


def walking(track: int, frame: int) -> list[float]:
    """Track 0 walks to the right along y = 20, track 1 stays; both 20 x 10 pixels."""
    x = 10 + frame if track == 0 else 100
    return [x, 20 + 60 * track, x + 20, 30 + 60 * track]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("play"))
    video.write_video(project.raw_videos / "cage.mp4", (numbered_frame(k) for k in range(N)), Fraction(25), crf=10)
    video.write_video(project.raw_videos / "bare.mp4", (numbered_frame(1000 + k) for k in range(5)), Fraction(25), crf=10)
    project.skeleton.parent.mkdir(parents=True)
    project.skeleton.write_text(SKELETON)
    manifest.run(project, manifest.Params())
    rows = []
    for track in (0, 1):
        for frame in range(N):
            if (track, frame) == (1, 30):
                continue
            box = dict(zip(("x_min", "y_min", "x_max", "y_max"), map(float, walking(track, frame)), strict=True))
            state = "interpolated" if frame == 7 else "detected"
            confidence = float("nan") if frame == 7 else 0.9
            row = {"video_id": "cage", "track": track, "frame": frame, **box, "species": "mouse", "confidence": confidence}
            rows.append({**row, "state": state, "instance": -1 if frame == 7 else track})
    write(project, "data/tracks/tracks.parquet", rows, Tracks)
    name = {"video_id": "cage", "species": "mouse", "start_frame": 0, "stop_frame": N, "n_detected": N - 1, "n_interpolated": 1}
    write(project, "data/tracks/names.parquet", [{**name, "track": 0, "name": "Ada"}, {**name, "track": 1, "name": None}], TrackNames)
    risk = {
        "video_id": "cage",
        "frame": 40,
        "track_a": 0,
        "track_b": 1,
        "risk": 0.5,
        "reasons": "overlap",
        "start_frame": 38,
        "stop_frame": 42,
    }
    write(project, "data/tracks/swap_risks.parquet", [risk], SwapRisks)
    bout = {
        "video_id": "cage",
        "subject": "Ada",
        "behaviour": "walk",
        "start_frame": 5,
        "stop_frame": 25,
        "confidence": None,
        "source": "kim",
    }
    write(project, "data/annotations/bouts.parquet", [bout], Bouts)
    found = {"video_id": "bare", "frame": 2, "instance": 0, "species": "mouse", "source": "w", "confidence": 0.8}
    boxes = {"x_min": 1.0, "y_min": 2.0, "x_max": 30.0, "y_max": 40.0}
    doubtful = {**found, **boxes, "instance": 1, "confidence": 0.1}
    write(project, "data/predictions/pose/detections.parquet", [{**found, **boxes}, doubtful], Detections)
    point = {"video_id": "bare", "frame": 2, "instance": 0, "confidence": 0.9}
    points = [{**point, "keypoint": "nose", "x": 5.0, "y": 6.0}, {**point, "keypoint": "tail", "x": float("nan"), "y": float("nan")}]
    write(project, "data/predictions/pose/keypoints.parquet", points, PredictedKeypoints)
    return project


def write(project: Project, place: str, rows: list[dict], schema) -> None:
    path = project / place
    path.parent.mkdir(parents=True, exist_ok=True)
    tables.write(tables.from_rows(rows, schema), schema, path)


@pytest.fixture(scope="module")
def player(project):
    player = Player(ProjectShow(project))
    player.start()
    yield player
    player.stop()


def get(player: Player, path: str, host: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, player.server.server_port, timeout=30)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def pictures(content: bytes) -> dict[int, bytes]:
    found, place = {}, 0
    while place < len(content):
        frame, length = struct.unpack_from("<II", content, place)
        found[frame] = content[place + 8 : place + 8 + length]
        place += 8 + length
    return found


def decoded(content: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize(("start", "count", "step"), [(0, 16, 1), (33, 5, 1), (10, 4, 7), (58, 9, 1), (3, 1, 1)])
def test_every_picture_shows_the_frame_it_is_named_after(player, start, count, step):
    status, content = get(player, f"/api/frames/cage?start={start}&count={count}&step={step}")
    found = pictures(content)
    assert status == 200 and list(found) == [frame for frame in range(start, start + count * step, step) if frame < N]
    assert all(read_number(decoded(picture)) == frame for frame, picture in found.items())


def test_pictures_are_made_smaller_never_larger(player):
    for width, expected in ((80, 80), (2000, 160)):
        _, content = get(player, f"/api/frames/cage?start=0&count=1&width={width}")
        assert decoded(pictures(content)[0]).shape[1] == expected


def test_an_animal_is_followed_and_its_absence_is_told(player):
    _, content = get(player, "/api/frames/cage?start=29&count=3&track=1")
    found = pictures(content)
    assert found[30] == b"" and decoded(found[29]).shape == (300, 400, 3)
    # the animal's centre is the scene's centre: everything outside the picture of 160 x 120 is black
    scene = decoded(found[29])
    left, top = 200 - 110, 150 - 85
    assert (
        scene[:, : left - 8].max() < 30 and scene[: top - 8].max() < 30 and scene[top + 20 : top + 100, left + 20 : left + 140].mean() > 60
    )


def test_what_is_known_about_a_recording(player):
    facts = json.loads(get(player, "/api/video/cage")[1])
    assert (facts["n_frames"], facts["fps"], facts["width"], facts["height"]) == (N, [25, 1], 160, 120)
    assert [(track["id"], track["name"]) for track in facts["tracks"]] == [(0, "Ada"), (1, None)]
    assert facts["bouts"] == [{"track": 0, "behaviour": "walk", "start": 5, "stop": 25, "source": "kim"}]
    assert [(risk["frame"], risk["risk"]) for risk in facts["risks"]] == [(40, 0.5)]
    assert facts["edges"] == [[0, 1]]


def test_bouts_of_a_subject_lie_on_the_tracks_that_are_it(project, tmp_path):
    project = Project(shutil.copytree(project.root, tmp_path / "project"))
    bout = {"video_id": "cage", "behaviour": "walk", "start_frame": 5, "stop_frame": 25, "confidence": None, "source": "kim"}
    write(project, "data/annotations/bouts.parquet", [{**bout, "subject": "Bob"}, {**bout, "subject": "Zoe"}], Bouts)
    stretch = {"video_id": "cage", "subject": "Bob", "split": "test", "group": "g", "context_start_frame": 0, "context_stop_frame": 50}
    parts = [(0, 0, 10, 1), (1, 12, 50, 0), (2, 30, 50, 0)]
    rows = [{**stretch, "stretch": number, "start_frame": a, "stop_frame": b, "track": track} for number, a, b, track in parts]
    write(project, "data/datasets/behaviour/stretches.parquet", rows, Stretches)
    predicted = {**bout, "track": 0, "family": "motion", "confidence": 0.9}
    predicted = {name: predicted[name] for name in PredictedBouts.columns}
    write(project, "data/bouts/bouts.parquet", [predicted], PredictedBouts)
    show = ProjectShow(project)
    found = [(bout["track"], bout["start"], bout["stop"], bout["source"]) for bout in show.video("cage")["bouts"]]
    assert found == [(1, 5, 10, "kim"), (0, 12, 25, "kim"), (-1, 5, 25, "kim"), (0, 5, 25, "motion")]
    (drawn,) = [animal for animal in show.animals("cage", 15, 16)[15] if animal.track == 0]
    assert drawn.text == "Ada: walk"


def test_a_behaviour_has_the_colour_that_it_has_in_the_report(project, tmp_path):
    project = Project(shutil.copytree(project.root, tmp_path / "project"))
    names = [*"abcdefgh", "walk", "ancient"]
    project.ethogram.write_text("behaviours:\n" + "".join(f"  - {{name: {name}, definition: d}}\n" for name in names[:-1]))
    bout = {"video_id": "cage", "start_frame": 5, "stop_frame": 25, "subject": "Ada", "confidence": None, "source": "kim"}
    write(project, "data/annotations/bouts.parquet", [{**bout, "behaviour": name} for name in ("walk", "ancient", "c")], Bouts)
    player = Player(ProjectShow(project))
    player.start()
    facts = json.loads(get(player, "/api/video/cage")[1])
    player.stop()
    assert facts["behaviours"] == ["c", "walk", "ancient"], "as in the ethogram; what it has no more comes last"
    for name, (colour, hatch) in facts["looks"].items():
        style = behaviour_charts.style_of(names.index(name))
        assert (colour, behaviour_charts.HATCHES[hatch]) == (style["facecolor"], style["hatch"])
    assert facts["looks"]["walk"][1] == 1, "the ninth behaviour is hatched"


def test_boxes_of_a_window(player):
    content = json.loads(get(player, "/api/window/cage?start=6&stop=9")[1])
    assert list(content["boxes"]) == ["6", "7", "8"]
    assert content["boxes"]["6"] == [[0, *walking(0, 6), 1], [1, *walking(1, 6), 1]]
    assert content["boxes"]["7"][0][-1] == 0, "a box between two detections says so"


def test_detections_are_shown_before_there_are_tracks(player):
    content = json.loads(get(player, "/api/window/bare?start=0&stop=5")[1])
    assert content["boxes"] == {"2": [[-1, 1, 2, 30, 40, 1]]}, "the doubtful one is left out"
    assert content["points"] == {"2": [[-1, 5, 6, None, None]]}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/video/none", 404), ("/api/frames/none?start=0&count=1", 404), ("/api/window/none?start=0&stop=3", 404),
        ("/../../etc/passwd", 404), ("/api/frames/cage?start=-1&count=1", 400), ("/api/frames/cage?count=1", 400),
        ("/api/frames/cage?start=0&count=1&track=x", 400),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(player, path, status):
    found, content = get(player, path)
    assert found == status and json.loads(content)["error"]


def test_other_sites_are_refused(player):
    assert get(player, "/api/about", host="evil.example")[0] == 403
    assert get(player, "/api/about")[0] == 200


def test_a_taken_port_is_said(player, project):
    with pytest.raises(EthoLoopError, match="cannot be used"):
        Player(ProjectShow(project), player.server.server_port)


def test_no_recordings_is_said(tmp_path):
    with pytest.raises(EthoLoopError, match="no recordings"):
        ProjectShow(Project(tmp_path))


def test_overlay_videos_show_the_animals_where_they_are(project, tmp_path):
    (path,) = tracks_draw.draw(project, ["cage"], out=tmp_path, trail=10)
    reader = video.VideoReader(path)
    assert (path.name, reader.n_frames, reader.fps) == ("cage_tracks.mp4", N, 25)
    for frame in (0, 45):
        x_min, y_min, _, y_max = (int(value) for value in walking(0, frame))
        before, after = numbered_frame(frame).astype(int), reader[frame].astype(int)
        edge = np.abs(after - before)[y_min + 2 : y_max - 2, x_min - 1 : x_min + 2].mean()
        far = np.abs(after - before)[50:70, 20:90].mean()
        assert edge > 40 and far < 15


def test_overlay_videos_of_nothing_are_refused(project, tmp_path):
    with pytest.raises(EthoLoopError, match="no tracks for 'bare'"):
        tracks_draw.draw(project, ["bare"], out=tmp_path)
    with pytest.raises(EthoLoopError, match="unknown colours"):
        tracks_draw.draw(project, ["cage"], out=tmp_path, colours="rainbow")
    shutil.copytree(project.root, tmp_path / "empty")
    shutil.rmtree(tmp_path / "empty/data/tracks")
    with pytest.raises(EthoLoopError, match="there are no tracks yet"):
        tracks_draw.draw(Project(tmp_path / "empty"), [])
