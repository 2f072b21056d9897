"""Silhouettes: which body a detection sits on, where bodies end, and what that saves when a detector sees one animal twice."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from etholoop.core.tracking.bodies import one_animal_each, spare
from etholoop.core.tracking.detections import DetectionFrames
from etholoop.modeling import silhouettes
from etholoop.modeling.trackers import etholoop as tracker

N_FRAMES, WIDTH, HEIGHT = 160, 320, 200
TWICE = range(40, 80)
TOUCHING = range(100, 130)
LENGTH, BREADTH = 36, 18


def places(frame):
    """Centres of the two animals: they stand apart, then the right one comes until they touch, then it leaves."""
    away = 160.0 if frame < 80 else np.interp(frame, [80, 95, 135, 150], [160, 20, 20, 160])
    return [(80.0, 100.0 + 10 * np.sin(frame / 9)), (80.0 + away, 100.0 + 10 * np.sin(frame / 9))]


def picture(frame, tint=(1.0, 1.0, 1.0)):
    rng = np.random.default_rng(frame)
    image = rng.integers(20, 40, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    for x, y in places(frame):
        cv2.ellipse(image, (round(x), round(y)), (LENGTH // 2, BREADTH // 2), 0, 0, 360, [int(200 * one) for one in tint], -1)
    return image


def seen(n_animals=2):
    """One detection of each animal, but in the frames ``TWICE`` two of the left one and none of the right one."""
    rows = []
    rng = np.random.default_rng(0)
    for frame in range(N_FRAMES):
        (x, y), (x2, y2) = places(frame)
        if frame in TWICE:
            x, x2, y2 = x - 4, x + 12, y
        rows += [(frame, x, y), (frame, x2, y2)]
    centre = np.array([row[1:] for row in rows]) + rng.normal(0, 0.5, (len(rows), 2))
    half = np.array([LENGTH, BREADTH]) / 2 + 2
    frame = np.array([row[0] for row in rows])
    species = np.full(len(rows), "mouse", dtype=object)
    box = np.concatenate([centre - half, centre + half], axis=1)
    return DetectionFrames(frame, box, np.full(len(rows), 0.9), species, np.arange(len(rows)) % 2, N_FRAMES, n_animals=n_animals)


def read(frames):
    for frame in frames:
        yield frame, picture(frame)


@pytest.fixture(scope="module")
def looked():
    return silhouettes.watched(seen(), read, np.arange(N_FRAMES))


def test_an_animal_is_one_body_until_it_touches_another(looked):
    body = looked.body.reshape(-1, 2)
    assert len(set(body[:40].ravel())) == 2 and (body[:40] >= 0).all()
    assert (body[list(TOUCHING)] == -1).all()
    after = body[-8:]
    assert (after >= 0).all() and not set(after.ravel()) & set(body[:80].ravel())


def test_two_detections_of_one_animal_sit_on_one_body(looked):
    body = looked.body.reshape(-1, 2)
    assert (body[list(TWICE)] == body[0, 0]).all()
    again = spare(looked).reshape(-1, 2)
    assert again[list(TWICE)].sum(1).tolist() == [1] * len(TWICE)
    assert again[list(TWICE), 1].all()  # the one beside the animal
    assert not np.delete(again, list(TWICE), axis=0).any()


def test_the_animal_that_was_not_seen_keeps_its_identity(looked):
    table = tracker.track(looked, tracker.Params(), fps=25, width=WIDTH, height=HEIGHT)
    found = table[table["state"] == "detected"]
    twice = found[found["frame"].isin(TWICE)]
    assert len(twice) == len(TWICE) and twice["track"].nunique() == 1
    before, after = (found[found["frame"] == frame].sort_values("x_min")["track"].tolist() for frame in (39, 80))
    assert before == after and twice["track"].iloc[0] == before[0]


def test_an_embedding_tells_large_from_small_and_is_missing_where_two_are_one(looked):
    known = np.isfinite(looked.embedding).all(1)
    assert (known == (looked.body >= 0)).all()
    assert looked.embedding.shape == (looked.n, silhouettes.FEATURES)
    area = np.exp(looked.embedding[known, 0])
    assert np.median(area) == pytest.approx(np.pi / 4 * LENGTH * BREADTH, rel=0.15)


def test_how_many_there_are_must_be_known():
    open_world = silhouettes.watched(seen(n_animals=None), read, np.arange(N_FRAMES))
    assert (open_world.body == -1).all()
    assert not spare(open_world).any()


def test_frames_are_read_once_forwards_and_not_kept():
    held, asked = [], []

    def counting(frames):
        import weakref

        for frame in frames:
            image = picture(frame)
            held.append(weakref.ref(image))
            asked.append(frame)
            yield frame, image
            del image

    silhouettes.watched(seen(), counting, np.arange(N_FRAMES))
    assert asked[silhouettes.SAMPLE :] == list(range(N_FRAMES))
    assert sum(one() is not None for one in held) <= 2


def test_a_reflection_that_is_never_detected_is_no_animal():
    """Two that touch and something of their size beside them: three silhouettes could be two animals and are not."""
    frame = np.repeat(np.arange(20), 2)
    box = np.tile([[0.0, 0, 10, 10], [8.0, 0, 18, 10]], (20, 1))
    frames = DetectionFrames(frame, box, np.ones(40), np.full(40, "", dtype=object), np.arange(40) % 2, 20, n_animals=2)
    spans = np.array([[0, 19], [0, 19]])
    assert (one_animal_each(frames, np.zeros(40, np.int64), spans) == -1).all()
    apart = np.tile([0, 1], 20)
    assert (one_animal_each(frames, apart, spans) == apart).all()


def test_of_two_on_one_body_the_one_that_fits_stays():
    frames = replace(seen(), body=np.zeros(2 * N_FRAMES, np.int64), body_fit=np.tile(np.float32([0.4, 0.8]), N_FRAMES))
    assert spare(frames).reshape(-1, 2).tolist() == [[True, False]] * N_FRAMES


@pytest.mark.parametrize("shown", [np.arange(0), np.arange(500, 600)])
def test_no_frame_to_look_at_changes_nothing(shown):
    frames = seen()
    assert silhouettes.watched(frames, read, shown) is frames
