"""Family posture on animals that walk a known line: words of bodies have known values, and do not depend on what they should not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etholoop import runtime

runtime.prepare()

from etholoop.modeling.behaviour._bodies import mirrored, placed, present, spoiled  # noqa: E402 - the runtime comes first
from etholoop.modeling.behaviour._body_words import FAR, Axis, learn_axis, untwisted, words_of  # noqa: E402
from etholoop.modeling.behaviour._boosted_model import Boosting, fit_boosted  # noqa: E402
from etholoop.modeling.behaviour._grouped_classifier import arrays_of, fit_grouped, from_arrays, groups_of  # noqa: E402
from etholoop.modeling.behaviour._shared import Task  # noqa: E402
from etholoop.modeling.behaviour.families import posture  # noqa: E402

T, SIZE = 21, 40.0


def body(centre: np.ndarray, heading: np.ndarray, size: float = SIZE) -> np.ndarray:
    """Bodies (t, 11) at places (t, 2): nose and tail half a size before and behind the centre."""
    ahead = np.stack([np.cos(heading), np.sin(heading)], axis=-1) * size / 2
    nose, tail, ones = centre + ahead, centre - ahead, np.ones((len(centre), 1))
    return np.column_stack([centre - size / 2, centre + size / 2, size * ones, nose, ones, tail, ones]).astype(np.float32)


def walk(start: tuple[float, float], heading: float, speed: float) -> np.ndarray:
    """Goes straight on, ``speed`` pixels a step."""
    way = np.array([np.cos(heading), np.sin(heading)])
    return body(np.array(start) + speed * np.arange(T)[:, None] * way, np.full(T, heading))


def clip(*bodies: np.ndarray) -> np.ndarray:
    return np.stack(bodies, axis=1)[None]


AXIS = Axis(rear=1, front=0)


@pytest.mark.parametrize("heading", [0.0, 1.0, 2.5, -2.0])
def test_the_axis_points_where_the_animal_walks(heading: float) -> None:
    assert learn_axis(clip(walk((0, 0), heading, 4))) == AXIS
    assert learn_axis(clip(walk((0, 0), heading, -4))) == Axis(rear=0, front=1)


def test_one_keypoint_has_no_axis_and_still_has_words() -> None:
    one = clip(walk((0, 0), 0, 4)[:, :8])
    axis = learn_axis(one)
    assert axis == Axis(-1, -1) and np.isfinite(words_of(one, axis)).all()
    boxes_only = clip(walk((0, 0), 0, 4)[:, :5])
    assert np.isfinite(words_of(boxes_only, learn_axis(boxes_only))).all()


@settings(max_examples=40, deadline=None)
@given(
    turn=st.floats(-3, 3),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
    zoom=st.floats(0.5, 3),
)
def test_words_do_not_depend_on_where_and_how_large_the_animals_are(turn: float, shift: tuple[float, float], zoom: float) -> None:
    def scene(about: float, offset: np.ndarray, size: float) -> np.ndarray:
        def place(x: float, y: float) -> tuple[float, float]:
            cos, sin = np.cos(about), np.sin(about)
            found = size * np.array([x * cos - y * sin, x * sin + y * cos]) + offset
            return float(found[0]), float(found[1])

        def one(x: float, y: float, heading: float, speed: float) -> np.ndarray:
            way = np.array([np.cos(heading + about), np.sin(heading + about)])
            return body(np.array(place(x, y)) + size * speed * np.arange(T)[:, None] * way, np.full(T, heading + about), size * SIZE)

        return clip(one(0, 0, 0.3, 4), one(60, 20, 0.5, 3), one(-30, 90, 2.0, 1))

    still = words_of(scene(0, np.zeros(2), 1), AXIS)
    moved = words_of(scene(turn, np.array(shift), zoom), AXIS)
    assert moved == pytest.approx(still, abs=2e-3)


def test_going_and_following_have_known_values() -> None:
    """A follower two sizes behind reaches in 10 steps where its leader was: it is on its trail. Beside it, it is not."""
    behind, leader, beside = walk((0, 0), 0, 8), walk((80, 0), 0, 8), walk((80, 80), 0, 8)
    plain = posture.Rule(AXIS, (T,))
    on_trail, off_trail = words_of(clip(behind, leader), AXIS)[0], words_of(clip(beside, leader), AXIS)[0]
    alone = words_of(clip(behind), AXIS)[0]
    n_alone = 4 + 1 + 2 * 4 + 3 * (5 + 2 + 1)  # posture and movement; what follows is about others
    assert on_trail[:, :n_alone] == pytest.approx(alone[:, :n_alone])
    going = on_trail[T // 2, 13]
    assert going == pytest.approx(8 / SIZE)
    nearest, trail = on_trail[T // 2, n_alone], on_trail[T // 2, n_alone + 2]
    assert nearest == pytest.approx(2) and trail == pytest.approx(0, abs=1e-6)
    assert off_trail[T // 2, n_alone] == pytest.approx(2) and off_trail[T // 2, n_alone + 2] > 2
    assert alone[T // 2, n_alone] == FAR
    assert plain.rows(clip(behind, leader)).shape == plain.rows(clip(behind)).shape


def test_gaps_keep_a_keypoint_where_it_was_in_the_box() -> None:
    own = walk((0, 0), 0, 4)
    seen = clip(own.copy())
    seen[0, 5:9, 0, 5:8] = np.nan  # the nose is hidden while the animal walks on
    filled = placed(seen)
    assert filled.points[0, :, 0, 0] == pytest.approx(own[:, 5:7], abs=1e-4)
    assert not filled.seen[0, 5:9, 0, 0].any() and filled.seen[0, :5, 0, 0].all()
    seen[0, :, 0, 5:8] = np.nan  # never seen: the middle of the box
    assert placed(seen).points[0, :, 0, 0] == pytest.approx(own[:, :2] + SIZE / 2)


def test_others_that_are_never_there_change_nothing() -> None:
    me, other, nobody = walk((0, 0), 0, 4), walk((50, 10), 1, 3), np.full((T, 11), np.nan, np.float32)
    full, short = clip(me, nobody, other), clip(me, other)
    assert present(full[0]).shape == short[0].shape
    assert (words_of(full, AXIS) == words_of(short, AXIS)).all()


def test_a_mirror_changes_sides_and_nothing_else() -> None:
    scene = clip(walk((0, 0), 0.4, 4), walk((60, 20), 0.9, 3))
    twice = mirrored(mirrored(scene, (0, 1)), (0, 1))
    assert (twice == scene).all()
    once, plain = words_of(mirrored(scene, (0, 1)), AXIS), words_of(scene, AXIS)
    assert np.abs(once) == pytest.approx(np.abs(plain), abs=1e-4)


def test_a_nose_taken_for_a_tail_for_a_moment_is_put_right() -> None:
    own = walk((0, 0), 0.7, 4)
    twisted = own.copy()
    twisted[8:12, 5:8], twisted[8:12, 8:11] = own[8:12, 8:11], own[8:12, 5:8]
    assert untwisted(placed(clip(twisted)), AXIS).points == pytest.approx(placed(clip(own)).points)
    assert words_of(clip(twisted), AXIS) == pytest.approx(words_of(clip(own), AXIS), abs=1e-4)


def test_an_animal_that_turns_round_is_left_as_it_is() -> None:
    turning = body(np.zeros((T, 2)), np.linspace(0, np.pi, T))
    assert (untwisted(placed(clip(turning)), AXIS).points == placed(clip(turning)).points).all()


def test_spoiled_bodies_have_the_errors_of_a_pose_model_and_nothing_else() -> None:
    scene = np.repeat(clip(walk((0, 0), 0.4, 4), walk((60, 20), 0.9, 3)), 200, axis=0)
    worse = spoiled(scene, np.random.default_rng(0), (0, 1), 0.3)
    assert (worse[..., :5] == scene[..., :5]).all()
    lost = np.isnan(worse[..., 5]).any(axis=1)
    exchanged = (np.linalg.norm(worse[..., 5:7] - scene[..., 8:10], axis=-1) < 5).any(axis=1)
    assert 0.08 < lost.mean() < 0.22 and 0.2 < exchanged.mean() < 0.4
    kept = ~np.isnan(worse[..., 5]) & (np.linalg.norm(worse[..., 5:7] - scene[..., 5:7], axis=-1) < 5)
    assert np.std((worse - scene)[..., 5:7][kept]) == pytest.approx(0.02 * SIZE, rel=0.1)
    assert (spoiled(scene, np.random.default_rng(0), (0, 1), 0.3)[5] == worse[5]).sum() > 0.9 * worse[5].size - np.isnan(worse[5]).sum()


def test_groups_follow_the_ethogram_and_the_labels() -> None:
    task = Task(("a", "b", "c", "d"), ("g", "g", None, "h"))
    labels = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], np.int8)
    assert groups_of(task, labels) == [(0, 1), (2,), (3,)]
    labels[0, 1] = 1  # they overlap, whatever the ethogram says
    assert groups_of(task, labels) == [(0,), (1,), (2,), (3,)]


def test_exclusive_behaviours_share_one_probability_and_survive_storage() -> None:
    rng = np.random.default_rng(0)
    which = rng.integers(0, 3, 300)
    rows = np.column_stack([which + rng.normal(0, 0.2, 300), rng.random(300)]).astype(np.float32)
    extra = rows[:, 1] > 0.5
    labels = np.column_stack([which == 0, which == 1, extra]).astype(np.int8)  # the third class is none of the group
    task = Task(("a", "b", "c"), ("g", "g", None))

    def make(head: str) -> dict[str, posture.Make]:
        return posture._candidates(head, boosting=Boosting(40, 0.1, 8, 5), seed=0)

    grouped, losses = fit_grouped(rows, labels, np.arange(300) // 30, task, make, n_folds=3)
    scores = grouped.probabilities(rows)
    assert set(losses) == {"a or b", "c"} and grouped.head == "multilabel"
    assert (scores[:, :2].sum(axis=1) <= 1 + 1e-6).all()
    assert ((scores > 0.5) == labels.astype(bool)).mean() > 0.97
    again = from_arrays(*arrays_of(grouped))
    assert (again.probabilities(rows) == scores).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_boosted_trees_say_what_scikit_learn_says(n_classes: int) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(1)
    rows = rng.normal(size=(400, 6)).astype(np.float32)
    classes = np.digitize(rows[:, 0] + rows[:, 1] ** 2, np.linspace(0, 1.5, n_classes - 1))
    ours = fit_boosted(rows, np.eye(n_classes, dtype=np.int8)[classes], "multiclass", boosting=Boosting(25, 0.1, 8, 10), seed=3, never=-30)
    settings = {
        "max_iter": 25,
        "learning_rate": 0.1,
        "max_leaf_nodes": 8,
        "min_samples_leaf": 10,
        "l2_regularization": 5.0,
        "max_features": 0.1,
    }
    theirs = HistGradientBoostingClassifier(**settings, early_stopping=False, random_state=3).fit(rows, classes)
    logits = ours.logits(rows)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert shares / shares.sum(axis=1, keepdims=True) == pytest.approx(theirs.predict_proba(rows), abs=1e-6)
    again = type(ours).of_arrays(ours.arrays(), "multiclass")
    assert (again.logits(rows) == logits).all() and ours.known.all()


def test_boosted_trees_never_say_what_they_never_saw() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    targets = np.zeros((60, 3), np.int8)
    targets[:, 0], targets[30:, 1] = 1, 1
    found = fit_boosted(rows, targets, "multilabel", boosting=Boosting(5, 0.1, 4, 5), seed=0, never=-30)
    assert found.known.tolist() == [True, True, False]
    assert (found.logits(rows)[:, 0] == 30).all() and (found.logits(rows)[:, 2] == -30).all()
