"""What every tracker plug-in must do, whatever is behind it; and what `etholoop` does where the originals are known to fail."""

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from etholoop import registry, runtime
from etholoop.core.tracking.detections import DetectionFrames
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import tables
from etholoop.modeling.trackers import settings_of
from etholoop.modeling.trackers._shared import COLUMNS
from etholoop.params import Section
from etholoop.schema.tracks import DETECTED, INTERPOLATED, NO_INSTANCE, Tracks

runtime.prepare()

TRACKERS = "etholoop.modeling.trackers"
NAMES = registry.names(TRACKERS)
ULTRALYTICS = ("botsort", "bytetrack", "ocsort")
FPS, WIDTH, HEIGHT = 25.0, 640, 480
every_tracker = pytest.mark.parametrize("name", NAMES)

Row = tuple[int, float, float]


def still(x: float, y: float, frames: range, dx: float = 0.0) -> list[Row]:
    """(frame, x, y) of an animal that is at (x, y) in frame 0 and walks by dx per frame; it trembles a little."""
    return [(frame, x + dx * frame + 0.5 * (frame % 3), y + 0.5 * (frame % 2)) for frame in frames]


def detections(*animals: list[Row], n_frames: int, n_animals: int | None = None, looked_at: Any = None) -> DetectionFrames:
    """Boxes of 40 x 40 px with four keypoints; within a frame the animals keep their order."""
    rows = sorted((row for animal in animals for row in animal), key=lambda row: row[0])
    frame = np.array([row[0] for row in rows], np.int64)
    middle = np.array([row[1:] for row in rows], float).reshape(-1, 2)
    around = np.array([[15.0, 0], [5, -6], [5, 6], [-15, 0]])
    points = np.concatenate([middle[:, None] + around, np.full((len(rows), 4, 1), 0.9)], axis=2)
    return DetectionFrames(
        frame=frame,
        box=np.concatenate([middle - 20, middle + 20], axis=1),
        confidence=np.full(len(rows), 0.9),
        species=np.full(len(rows), "mouse", dtype=object),
        instance=(np.arange(len(rows)) - np.searchsorted(frame, frame)).astype(np.int64),
        n_frames=n_frames,
        keypoints=points,
        looked_at=None if looked_at is None else np.asarray(looked_at, np.int64),
        n_animals=n_animals,
    )


def run(name: str, frames: DetectionFrames, **settings: Any) -> pd.DataFrame:
    """The plug-in's table, checked against the schema and against the detections it was made of."""
    plugin = registry.load(TRACKERS, name)
    table = plugin.track(frames, settings_of(name, settings, "test"), fps=FPS, width=WIDTH, height=HEIGHT)
    assert list(table.columns) == COLUMNS
    whole = table.assign(video_id=pd.Series("v", index=table.index, dtype="str"))[["video_id", *COLUMNS]]
    tables.check(whole, Tracks, name)
    assert table.equals(table.sort_values(["track", "frame"], ignore_index=True))
    own = {key: row for row, key in enumerate(zip(frames.frame.tolist(), frames.instance.tolist(), strict=True))}
    assert table["frame"].between(0, frames.n_frames - 1).all()
    seen = table[table["state"] == DETECTED]
    assert (table["state"].isin([DETECTED, INTERPOLATED])).all()
    assert not seen.duplicated(["frame", "instance"]).any(), "one detection is one animal"
    source = [own[key] for key in zip(seen["frame"], seen["instance"], strict=True)]
    assert np.allclose(seen[["x_min", "y_min", "x_max", "y_max"]].to_numpy(), frames.box[source])
    assert np.allclose(seen["confidence"], frames.confidence[source])
    filled = table[table["state"] == INTERPOLATED]
    assert (filled["instance"] == NO_INSTANCE).all()
    assert filled["confidence"].isna().all()
    return table


def at(table: pd.DataFrame, frame: int) -> list[int]:
    return sorted(table.loc[table["frame"] == frame, "track"].tolist())


def near(table: pd.DataFrame, frame: int, x: float) -> int:
    """Track whose box is at x in that frame."""
    here = table[table["frame"] == frame]
    distance = ((here["x_min"] + here["x_max"]) / 2 - x).abs()
    assert distance.min() < 10
    return int(here.loc[distance.idxmin(), "track"])


def test_the_trackers_that_are_promised() -> None:
    assert {"etholoop", "behavtrack", "centroid_kalman", *ULTRALYTICS} <= set(NAMES)


@every_tracker
def test_signature_and_version(name: str) -> None:
    plugin = registry.load(TRACKERS, name)
    assert isinstance(plugin.VERSION, int)
    assert issubclass(plugin.Params, Section)
    assert list(inspect.signature(plugin.track).parameters) == ["frames", "settings", "fps", "width", "height"]


@every_tracker
def test_settings_are_strict_and_checked_without_a_heavy_library(name: str) -> None:
    with pytest.raises(FaultsError, match="unknown key"):
        settings_of(name, {"no_such_setting": 1}, "test")
    code = (
        f"import sys; from etholoop.modeling.trackers import settings_of; settings_of('{name}', {{}}, 'x'); print('torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "False"


def test_an_unknown_tracker_names_the_nearest() -> None:
    with pytest.raises(EthoLoopError, match="unknown tracker 'bytetrak'; did you mean 'bytetrack'"):
        settings_of("bytetrak", {}, "test")


@every_tracker
def test_no_detections_at_all(name: str) -> None:
    assert run(name, detections(n_frames=30, n_animals=2)).empty
    assert run(name, detections(n_frames=0)).empty


@every_tracker
def test_one_frame(name: str) -> None:
    table = run(name, detections(still(100, 100, range(1)), still(400, 100, range(1)), n_frames=1, n_animals=2))
    assert len(table) == 2
    assert table["track"].nunique() == 2


@every_tracker
def test_two_animals_that_stay_apart_keep_their_tracks(name: str) -> None:
    table = run(name, detections(still(100, 100, range(60), dx=1), still(400, 300, range(60)), n_frames=60, n_animals=2))
    assert len(table) == 120
    assert [len(rows) for _, rows in table.groupby("track")] == [60, 60]


@every_tracker
def test_an_empty_beginning_loses_nothing_but_the_first_frame(name: str) -> None:
    """The original behavtrack ends with a KeyError here. Ultralytics' trackers confirm a late animal in its second frame."""
    table = run(name, detections(still(100, 100, range(10, 60)), n_frames=60, n_animals=1))
    assert table["track"].nunique() == 1
    assert table["frame"].min() <= 11
    assert table["frame"].max() == 59


@every_tracker
def test_a_gap_of_a_few_frames_keeps_the_identity(name: str) -> None:
    seen = [*range(30), *range(38, 70)]
    table = run(name, detections([row for row in still(100, 100, range(70)) if row[0] in seen], n_frames=70, n_animals=1))
    assert table["track"].nunique() == 1
    gap = table[table["frame"].between(30, 37)]
    assert (gap["state"] == INTERPOLATED).all()


@every_tracker
def test_a_lost_animal_has_no_row(name: str) -> None:
    """The original behavtrack repeats its last box for ever; kabr-tools' keeps it as a track without boxes."""
    table = run(name, detections(still(100, 100, range(200)), still(400, 300, range(60)), n_frames=200, n_animals=2))
    other = table[table["x_min"] > 300]
    assert other["frame"].max() == 59
    assert len(table[table["frame"] == 150]) == 1


@every_tracker
def test_more_animals_than_are_known_of_do_no_harm(name: str) -> None:
    animals = [still(60 + 90 * number, 200, range(50)) for number in range(6)]
    table = run(name, detections(*animals, n_frames=50, n_animals=4))
    assert table["track"].nunique() >= 4
    assert len(at(table, 25)) >= 4


@every_tracker
def test_the_same_detections_give_the_same_tracks(name: str) -> None:
    frames = detections(still(100, 100, range(80), dx=2), still(260, 100, range(80), dx=-2), n_frames=80, n_animals=2)
    assert run(name, frames).equals(run(name, frames))


@every_tracker
def test_a_second_video_knows_nothing_of_the_first(name: str) -> None:
    second = detections(still(300, 200, range(5, 60), dx=1), still(100, 300, range(60)), n_frames=60, n_animals=2)
    alone = run(name, second)
    run(name, detections(*[still(60 + 100 * number, 100, range(90)) for number in range(5)], n_frames=90, n_animals=5))
    assert run(name, second).equals(alone)


@every_tracker
def test_the_detections_are_left_as_they_were(name: str) -> None:
    frames = detections(still(100, 100, range(40)), still(400, 300, range(40)), n_frames=40, n_animals=2)
    before = {field.name: np.copy(value) for field in dataclasses.fields(frames) if (value := getattr(frames, field.name)) is not None}
    run(name, frames)
    for field, value in before.items():
        assert np.array_equal(value, getattr(frames, field)), field


@every_tracker
def test_every_fifth_frame(name: str) -> None:
    """Where the detector looked at some frames only, an unseen frame is no missed animal."""
    looked_at = list(range(0, 200, 5))
    rows = [row for row in still(100, 100, range(200)) if row[0] in looked_at]
    table = run(name, detections(rows, n_frames=200, n_animals=1, looked_at=looked_at))
    assert table["track"].nunique() == 1
    assert set(table.loc[table["state"] == DETECTED, "frame"]) == set(looked_at)


@every_tracker
def test_boxes_alone_are_enough(name: str) -> None:
    frames = dataclasses.replace(detections(still(100, 100, range(40)), n_frames=40, n_animals=1), keypoints=None)
    assert len(run(name, frames)) == 40


# --- the settings of Ultralytics' files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ULTRALYTICS)
def test_defaults_are_those_of_the_installed_file(name: str) -> None:
    """A new version of Ultralytics with other defaults is seen here, not in results."""
    import ultralytics

    content = yaml.safe_load((Path(ultralytics.__file__).parent / "cfg" / "trackers" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert content.pop("tracker_type") == name
    content.pop("model", None)
    if "gmc_method" in content:
        content["gmc_method"] = "none"  # no pixels reach a tracker
    assert settings_of(name, {}, "test").model_dump() == content


@pytest.mark.parametrize("name", ULTRALYTICS)
def test_ids_are_those_of_ultralytics_own_run(name: str) -> None:
    """Fed with Ultralytics' own boxes, frame by frame, its tracker says the same."""
    import torch
    from ultralytics.engine.results import Boxes
    from ultralytics.trackers.track import TRACKER_MAP
    from ultralytics.utils import IterableSimpleNamespace

    rng = np.random.default_rng(3)
    animals = [[row for row in still(60 + 70 * n, 150, range(80), dx=(-1) ** n) if rng.uniform() > 0.15] for n in range(5)]
    frames = detections(*animals, n_frames=80)
    frames = dataclasses.replace(frames, confidence=rng.uniform(0.05, 1, frames.n).round(3))
    tracker = TRACKER_MAP[name](IterableSimpleNamespace(**settings_of(name, {}, "x").model_dump(), model="auto"))
    expected: list[tuple[int, int, int]] = []
    for number in range(frames.n_frames):
        rows = np.flatnonzero(frames.frame == number)
        data = np.column_stack([frames.box[rows], frames.confidence[rows], np.zeros(len(rows))]).astype(np.float32).reshape(-1, 6)
        found = tracker.update(Boxes(torch.from_numpy(data), (HEIGHT, WIDTH)).numpy())
        expected += [(int(row[4]) - 1, number, int(row[7])) for row in found]
    table = run(name, frames)
    assert sorted(expected) == list(zip(table["track"], table["frame"], table["instance"], strict=True))


def test_appearance_needs_embeddings() -> None:
    frames = detections(still(100, 100, range(30)), still(400, 300, range(30)), n_frames=30)
    with pytest.raises(EthoLoopError, match="the detections have no embeddings"):
        run("botsort", frames, with_reid=True)
    vectors = np.eye(2, 8, dtype=np.float32)[frames.instance]
    assert len(run("botsort", dataclasses.replace(frames, embedding=vectors), with_reid=True)) == 60


def test_a_moving_camera_cannot_be_compensated() -> None:
    with pytest.raises(FaultsError, match="gmc_method"):
        settings_of("botsort", {"gmc_method": "sparseOptFlow"}, "test")


@pytest.mark.parametrize("name", ULTRALYTICS)
def test_a_missing_solver_is_named_and_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = registry.load(TRACKERS, name)
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    with pytest.raises(EthoLoopError, match="need the package lap"):
        plugin.track(detections(still(1, 1, range(2)), n_frames=2), plugin.Params(), fps=FPS, width=WIDTH, height=HEIGHT)


# --- proven faults of the originals: kept in their repetition, and what `etholoop` does instead --------------------------------------


def test_a_far_new_animal_while_another_is_lost() -> None:
    """kabr-tools: no track for 41 frames, and then short ones vanish. etholoop: a track at once, and the lost one stays lost."""
    frames = detections(still(60, 60, range(60)), still(300, 400, range(120)), still(580, 60, range(65, 120)), n_frames=120)
    theirs, ours = run("centroid_kalman", frames), run("etholoop", frames)
    assert not ((theirs["x_min"] > 500) & (theirs["frame"] < 100)).any()
    assert set(ours.loc[ours["x_min"] > 500, "frame"]) == set(range(65, 120))
    assert ours["track"].nunique() == 3


def test_short_tracks() -> None:
    """kabr-tools: an animal seen for 40 frames is forgotten. etholoop: it is kept."""
    frames = detections(still(300, 400, range(200)), still(60, 60, range(40)), n_frames=200)
    assert (run("centroid_kalman", frames)["x_min"] > 200).all()
    ours = run("etholoop", frames)
    assert len(ours[ours["x_min"] < 200]) == 40


def test_fast_animals_that_meet() -> None:
    """kabr-tools: the filter lags 28 px behind at 20 px per frame, so their identities are exchanged. etholoop: they are not."""
    frames = detections(still(60, 200, range(26), dx=20), still(560, 204, range(26), dx=-20), n_frames=26, n_animals=2)
    theirs, ours = run("centroid_kalman", frames), run("etholoop", frames)
    assert near(theirs, 1, 80) != near(theirs, 25, 560)
    assert near(ours, 1, 80) == near(ours, 25, 560)


def test_a_jump_to_any_distance() -> None:
    """behavtrack: a lost mouse's id is held for one frame and then jumps to whoever comes. etholoop, open world: another animal."""
    frames = detections(still(60, 60, range(40)), still(300, 400, range(100)), still(580, 60, range(42, 100)), n_frames=100)
    theirs, ours = run("behavtrack", frames), run("etholoop", frames, world="open")
    assert near(theirs, 20, 60) == near(theirs, 90, 580)
    assert near(ours, 20, 60) != near(ours, 90, 580)


def test_a_long_gap_of_all_animals() -> None:
    """behavtrack: after 30 empty frames ids are dealt out anew. etholoop in a closed world: everybody is who they were."""
    seen = [*range(40), *range(75, 120)]
    places = (60, 320, 580)
    animals = [[row for row in still(x, 100, range(120)) if row[0] in seen] for x in places]
    frames = detections(*animals, n_frames=120, n_animals=3)
    theirs, ours = run("behavtrack", frames), run("etholoop", frames)
    assert [near(theirs, 20, x) for x in places] != [near(theirs, 110, x) for x in places]
    assert [near(ours, 20, x) for x in places] == [near(ours, 110, x) for x in places]


def test_numbers_above_the_number_of_animals() -> None:
    """behavtrack: an id above max_ids in the first frame stays. etholoop in a closed world: there are no such numbers."""
    animals = [still(60 + 90 * number, 200, range(50)) for number in range(6)]
    frames = detections(*animals, n_frames=50, n_animals=6)
    assert run("behavtrack", frames, max_ids=5)["track"].max() >= 5
    assert run("etholoop", dataclasses.replace(frames, n_animals=5))["track"].max() <= 4
