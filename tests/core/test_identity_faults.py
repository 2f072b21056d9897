"""The proven faults of the originals, on animals that walk a known line: none of them may come back."""

import numpy as np
import pytest
from walking_animals import detections, line

from etholoop.modeling.trackers import etholoop as tracker
from etholoop.schema.tracks import Tracks


def tracked(rows, n_animals=None, **settings):
    frames = detections(rows, n_frames=max(row[0] for row in rows) + 1 if rows else 1, n_animals=n_animals)
    table = tracker.track(frames, tracker.Params(**settings), fps=25, width=640, height=480)
    Tracks.validate(table.assign(video_id="cage")[["video_id", *table.columns]].astype({"video_id": "str"}))
    return table


def track_at(table, frame, x, y):
    """Number of the track whose box is about (x, y) in a frame."""
    rows = table[table["frame"] == frame]
    distance = np.hypot((rows["x_min"] + rows["x_max"]) / 2 - x, (rows["y_min"] + rows["y_max"]) / 2 - y)
    assert distance.min() < 5
    return int(rows["track"].iloc[int(distance.to_numpy().argmin())])


def test_an_empty_first_frame_loses_nothing():
    table = tracked(line(7, 60, 100, 100, dx=2), n_animals=1)
    assert sorted(set(table["frame"])) == list(range(7, 60))
    assert set(table["track"]) == {0}


def test_no_detection_at_all_gives_no_track():
    assert tracked([], n_animals=3).empty


def test_identities_stay_over_a_gap_of_all():
    rows = [*line(0, 40, 50, 100, dx=1, seed=1), *line(0, 40, 50, 300, dx=1, seed=2)]
    rows += [*line(90, 140, 50, 100, dx=1, seed=3), *line(90, 140, 50, 300, dx=1, seed=4)]
    table = tracked(rows, n_animals=2)
    assert set(table["track"]) == {0, 1}
    for y in (100, 300):
        assert track_at(table, 10, 60, y) == track_at(table, 120, 170, y)
    assert not table["frame"].between(40, 89).any(), "a long gap is not filled"


def test_a_lost_animal_has_no_box():
    rows = [*line(0, 200, 100, 100, seed=1), *line(0, 30, 400, 300, seed=2)]
    table = tracked(rows, n_animals=2)
    lost = table[table["track"] == track_at(table, 10, 400, 300)]
    assert lost["frame"].max() == 29


def test_a_new_animal_does_not_become_the_lost_one():
    """Open world: one animal leaves at the left while another comes in at the right."""
    rows = [*line(0, 150, 300, 400, seed=1), *line(0, 50, 60, 60, dx=-1, seed=2), *line(53, 150, 600, 60, dx=-0.5, seed=3)]
    table = tracked(rows)
    assert track_at(table, 100, 550, 60) != track_at(table, 20, 40, 60)
    assert table["track"].nunique() == 3


def test_numbers_stay_below_the_number_of_animals():
    """Also where more is detected than there are animals, from the first frame on."""
    rows = [row for number in range(4) for row in line(0, 80, 60 + 100 * number, 100, dy=1, seed=number)]
    rows += [(0, 500, 400), (1, 502, 30), (40, 300, 450), (41, 20, 460)]
    table = tracked(rows, n_animals=4)
    assert set(table["track"]) == {0, 1, 2, 3}
    assert len(table) == 4 * 80


def test_a_duplicate_box_is_no_animal():
    one = line(0, 100, 100, 100, dx=2, seed=1)
    double = [(frame, x + 2, y + 1, 0.6) for frame, x, y in one if frame % 9 == 4]
    table = tracked([*one, *double, *line(0, 100, 100, 300, dx=2, seed=2)], n_animals=2)
    assert len(table) == 200
    assert table.loc[table["track"] == track_at(table, 4, 108, 100), "confidence"].eq(0.9).all()


def test_crossing_animals_keep_their_ways():
    """Two look-alikes walk through each other, and for six frames only one box is seen."""
    one, two = line(0, 100, 100, 200, dx=4, seed=1), line(0, 100, 500, 200, dx=-4, seed=2)
    two = [row for row in two if not 47 <= row[0] < 53]
    table = tracked([*one, *two], n_animals=2)
    assert track_at(table, 20, 180, 200) == track_at(table, 80, 420, 200)
    assert track_at(table, 20, 420, 200) == track_at(table, 80, 180, 200)


def test_an_exchange_during_occlusion_is_told_by_size():
    """A small and a large animal stand together unseen and come out on each other's side."""
    small = [(frame, x, y, 0.9, 14.0) for frame, x, y in [*line(0, 100, 150, 200, dx=1, seed=1), *line(112, 220, 150, 200, dx=1, seed=2)]]
    large = [(frame, x, y, 0.9, 26.0) for frame, x, y in [*line(0, 100, 350, 200, dx=-1, seed=3), *line(112, 220, 350, 200, dx=-1, seed=4)]]
    table = tracked([*small, *large], n_animals=2)
    side = table["x_max"] - table["x_min"]
    seen = table["state"] == "detected"
    assert side[seen].groupby(table["track"]).std().max() < 1


def test_short_gaps_are_filled_and_marked():
    rows = [row for row in line(0, 60, 100, 100, dx=2, jitter=0.1) if row[0] not in (30, 31, 32)]
    table = tracked(rows, n_animals=1)
    filling = table[table["state"] == "interpolated"]
    assert filling["frame"].tolist() == [30, 31, 32]
    assert filling["confidence"].isna().all()
    assert (filling["instance"] == -1).all()
    assert np.allclose((filling["x_min"] + filling["x_max"]) / 2, [160, 162, 164], atol=0.5)
    assert (tracked(rows, n_animals=1, fill_s=0)["state"] == "detected").all()


def test_every_fifth_frame_is_enough():
    rows = [(5 * frame, x, y) for frame, x, y in [*line(0, 60, 50, 100, dx=2, seed=1), *line(0, 60, 50, 250, dx=2, seed=2)]]
    frames = detections(rows, n_animals=2, looked_at=np.arange(0, 300, 5))
    table = tracker.track(frames, tracker.Params(), fps=25, width=640, height=480)
    assert len(table) == 120, "frames nobody looked at are not filled"
    assert table["track"].nunique() == 2


def test_the_same_detections_give_the_same_table():
    rows = [row for number in range(3) for row in line(0, 50, 60 + 30 * number, 100, dy=1, seed=number)]
    assert tracked(rows, n_animals=3).equals(tracked(rows, n_animals=3))


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_detections_are_enough(n):
    assert len(tracked([(frame, 100.0, 100.0) for frame in range(n)], n_animals=1)) == n
