"""Parts of the tracker with answers that can be checked in one's head: gaps, queue, estimates, motion."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from walking_animals import detections, line

from etholoop.core.tracking.chains import after_of, chain_numbers, links_of, velocities
from etholoop.core.tracking.cost import judge_of, scene_of
from etholoop.core.tracking.detections import track_table
from etholoop.core.tracking.gaps import filled
from etholoop.core.tracking.identity_accuracy import calibration, estimated, first_share
from etholoop.core.tracking.motion import fit
from etholoop.core.tracking.risk_calibration import come_true, doubts_per_1000
from etholoop.core.tracking.risks import SINGLE, by_worth, risks_of, track_numbers
from etholoop.core.tracking.swaps import given_back
from etholoop.core.tracking.tracklets import candidate_pairs, tracklets
from etholoop.modeling.trackers import etholoop as tracker


def test_a_gap_is_filled_on_the_line():
    track, frame, box = np.array([3, 3]), np.array([10, 14]), np.array([[0.0, 0, 10, 10], [8, 4, 18, 14]])
    tracks, frames, boxes = filled(track, frame, box, limit=3)
    assert tracks.tolist() == [3, 3, 3]
    assert frames.tolist() == [11, 12, 13]
    assert boxes[:, 0].tolist() == [2, 4, 6]
    assert boxes[:, 3].tolist() == [11, 12, 13]
    assert not len(filled(track, frame, box, limit=2)[0]), "longer than the limit"


def test_gaps_are_counted_in_looks():
    track, frame, box = np.array([0, 0]), np.array([0, 15]), np.zeros((2, 4))
    assert filled(track, frame, box, limit=2, step=5)[1].tolist() == [5, 10]
    assert not len(filled(track, frame, box, limit=1, step=5)[1])


def test_chains():
    before = np.array([-1, -1, 0, 1, 3])
    assert chain_numbers(before).tolist() == [0, 1, 0, 1, 1]
    assert after_of(before).tolist() == [2, 3, -1, 4, -1]
    assert links_of(np.array([0, 1, 0, 1, 1]), np.array([0, 0, 1, 1, 2])).tolist() == before.tolist()
    place = np.array([[0.0, 0], [9, 9], [2, 0], [9, 10], [9, 13]])
    speed = velocities(lambda first, second: place[second] - place[first], np.array([0.0, 0, 1, 1, 2]), before)
    assert speed[2].tolist() == [2, 0]
    assert speed[4].tolist() == [0, 2]
    assert np.isnan(speed[0]).all()


def test_pairs_are_those_within_the_span():
    look = np.array([0.0, 0, 1, 3])
    every = np.arange(4)
    pairs = [
        (a, b) for first, second in candidate_pairs(look, every, every, 2) for a, b in zip(first.tolist(), second.tolist(), strict=True)
    ]
    assert pairs == [(0, 2), (1, 2), (2, 3)]


def test_damping_and_spread_are_learnt():
    rng = np.random.default_rng(0)
    way = rng.normal(0, 10, (2000, 2))
    scale, _, share, damping = fit(way, 0.5 * way + rng.normal(0, 2, way.shape), 0.01)
    assert damping == 0.5
    assert share == 0
    assert scale == pytest.approx(2, rel=0.3)


def risk_rows(*rows):
    columns = ["frame", "track_a", "track_b", "risk", "reasons", "start_frame", "stop_frame"]
    return pd.DataFrame([(frame, 0, 1, risk, reasons, frame, frame + 10) for frame, risk, reasons in rows], columns=columns)


def two_tracks(n=100):
    rows = [(track, frame, "detected") for track in (0, 1) for frame in range(n)]
    return pd.DataFrame(rows, columns=["track", "frame", "state"])


def test_no_risk_is_full_accuracy():
    assert estimated(two_tracks(), risk_rows()).accuracy == 1


def test_one_coin_flip_leaves_the_longer_part_sure():
    """Frames 0 to 60 are sure, of the 39 after them one half is right."""
    found = estimated(two_tracks(), risk_rows((60, 0.5, "small cost gap")))
    assert found.accuracy == pytest.approx((61 + 39 / 2) / 100)
    assert found.n_switches == 0.5


def test_a_single_detection_changes_nothing_after_it():
    found = estimated(two_tracks(), risk_rows((60, 0.5, SINGLE)))
    assert found.accuracy == 1
    assert found.n_switches == 1


def test_the_queue_is_cut_by_frames_shown():
    rows = risk_rows((0, 0.5, "x"), (20, 0.4, "x"), (40, 0.3, "x"))
    assert len(first_share(rows, 20)) == 2
    assert len(first_share(rows, 0)) == 1


def test_a_frame_that_was_shown_costs_nothing_again():
    rows = risk_rows((0, 0.5, "x"), (5, 0.4, "x"), (40, 0.3, "x"))
    assert len(first_share(rows, 15)) == 2
    assert len(first_share(rows.assign(video_id=["a", "b", "a"]), 15)) == 1, "frames of another video are others"


def test_a_long_place_comes_after_short_ones_that_show_more_for_each_frame():
    rows = risk_rows((0, 0.5, "x"), (100, 0.2, "x"))
    rows.loc[0, "stop_frame"] = 80
    assert by_worth(rows)["frame"].tolist() == [100, 0]
    assert first_share(rows, 20)["frame"].tolist() == [100]


def test_more_evidence_is_more_risk_and_more_doubt_too():
    nats = np.array([-20.0, -10, -3, 0, 3, 8, 40])
    for single in (False, True):
        kind = np.full(len(nats), single)
        calm, busy = (come_true(nats, kind, doubts) for doubts in (0.1, 1.0))
        assert (np.diff(calm) > 0).all() and (calm < busy).all()
        assert calm[0] < 0.01 and calm[-1] > 0.999
    assert doubts_per_1000(np.zeros(0), 0) == pytest.approx(0.1)
    assert doubts_per_1000(np.full(4, 0.5), 8000) == pytest.approx(0.22)


def test_a_few_detections_in_a_row_are_given_back():
    """The upper one's detections stand for three frames in the track of the lower one, which was not seen then."""
    rows = [*line(0, 60, 100, 100, dx=2, seed=1), *line(0, 60, 100, 160, dx=2, seed=2)]
    frames = detections([row for row in rows if not (row[2] > 130 and row[0] in (30, 31, 32))], n_animals=2)
    upper = (frames.box[:, 1] < 120).astype(np.int64)
    wrong = np.where(np.isin(frames.frame, (30, 31, 32)), 0, upper)
    scene = scene_of(frames)
    _, model, miss = tracklets(scene, 2)
    assert (given_back(judge_of(model, scene, miss, links_of(wrong, scene.look)), wrong) == upper).all()


def test_single_detections_in_a_row_are_one_place():
    rows = [*line(0, 100, 100, 100, dx=2, seed=1), *line(0, 100, 100, 124, dx=2, seed=2)]
    frames = detections([row for row in rows if not (row[2] > 112 and row[0] in (50, 51, 52))], n_animals=2)
    number = (frames.box[:, 1] > 102).astype(np.int64)
    number[np.isin(frames.frame, (50, 51, 52))] = 1  # the upper one's detections in the lower one's track
    table = track_table(number, frames.frame, frames.box, frames.species, frames.confidence, frames.instance)
    risks = risks_of(frames, table)
    single = risks[(risks["reasons"] == SINGLE) & risks["frame"].between(48, 54)]
    assert single[["start_frame", "stop_frame"]].to_numpy().tolist() == [[50, 53]]
    assert single["risk"].iloc[0] > 0.5


def test_calibration_counts():
    table = calibration(np.array([0.1, 0.1, 0.9, 0.7]), np.array([False, True, True, True]), (0.0, 0.5, 1.0))
    assert table[["n", "observed"]].to_numpy().tolist() == [[2, 0.5], [2, 1.0]]
    assert table["estimated"].tolist() == pytest.approx([0.1, 0.8])


def meeting():
    """Two look-alikes that meet head on, both unseen for a while, and go apart; it cannot be known who is who."""
    rows = [*line(0, 40, 100, 200, dx=4, jitter=1, seed=1), *line(0, 40, 440, 200, dx=-4, jitter=1, seed=2)]
    rows += [(frame + 60, x, y) for frame, x, y in line(0, 40, 270, 170, dy=-3, jitter=1, seed=3)]
    rows += [(frame + 60, x, y) for frame, x, y in line(0, 40, 270, 230, dy=3, jitter=1, seed=4)]
    return detections(rows, n_animals=2)


def test_what_cannot_be_known_stands_first_in_the_queue():
    frames = meeting()
    found = tracker.track(frames, tracker.Params(), fps=25, width=640, height=480)
    risks = risks_of(frames, found)
    first = risks.iloc[0]
    assert first["risk"] > 0.1, "even where one place tells nothing, the tracks as a whole were right more often than not"
    assert first["start_frame"] <= 45
    assert first["stop_frame"] >= 58
    assert "not seen" in first["reasons"]


def test_sure_ways_give_no_risk():
    frames = detections([*line(0, 100, 100, 100, dx=3, seed=1), *line(0, 100, 100, 400, dx=3, seed=2)], n_animals=2)
    assert risks_of(frames, tracker.track(frames, tracker.Params(), fps=25, width=640, height=480)).empty


def test_an_exchange_by_another_tracker_is_found():
    """The risks are of the tracks that are given, whoever made them: a swap in the open stands out."""
    frames = detections([*line(0, 100, 100, 100, dx=3, seed=1), *line(0, 100, 100, 160, dx=3, seed=2)], n_animals=2)
    found = tracker.track(frames, tracker.Params(), fps=25, width=640, height=480)
    later = found["frame"] >= 50
    found.loc[later, "track"] = 1 - found.loc[later, "track"]
    top = risks_of(frames, found).iloc[0]
    assert (top["start_frame"], top["stop_frame"]) == (49, 51)
    assert top["risk"] > 0.99
    assert "speed jump" in top["reasons"]


def test_the_order_of_detections_does_not_matter():
    frames = meeting()
    rng = np.random.default_rng(0)
    order = np.lexsort((rng.random(frames.n), frames.frame))
    other = replace(frames, box=frames.box[order])
    one, two = (track_numbers(each, tracker.track(each, tracker.Params(), fps=25, width=640, height=480)) for each in (frames, other))
    same = one[order] == two
    assert same.all() or not same.any()


def test_real_detections_with_false_ones(public_data):
    """dreem_two_flies: three false flies in the first frames, and nobody is exchanged."""
    table = pd.read_csv(public_data / "data/dreem_two_flies/derived_two_flies_noisy_keypoints.csv").sort_values(["frame", "track"])
    points = np.stack([table.filter(like="_x").to_numpy(float), table.filter(like="_y").to_numpy(float)], axis=2)
    box = np.concatenate([np.nanmin(points, 1) - 6, np.nanmax(points, 1) + 6], axis=1)
    middle = (box[:, :2] + box[:, 2:]) / 2
    frames = detections([(frame, *place) for frame, place in zip(table["frame"], middle.tolist(), strict=True)], n_animals=2)
    sure = np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=2)
    number = track_numbers(
        frames, tracker.track(replace(frames, box=box, keypoints=sure), tracker.Params(), fps=25, width=1024, height=1024)
    )
    truth = table["track"].to_numpy()
    assert pd.crosstab(number[truth >= 0], truth[truth >= 0]).max(axis=1).sum() == 256
