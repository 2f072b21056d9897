"""Outlines, movement along and across the body, and the motion family on drawn animals whose behaviour is known."""

from pathlib import Path

import numpy as np
import pytest
from egg_animals import LENGTH, SIDE, TASK, egg, floor, strip, strips

from etholoop import runtime

runtime.prepare()

from etholoop.errors import EthoLoopError, FaultsError  # noqa: E402 - the runtime comes first
from etholoop.modeling.behaviour import _motion_classifier, _motion_clips  # noqa: E402
from etholoop.modeling.behaviour import _motion_pairs as pairs  # noqa: E402
from etholoop.modeling.behaviour._motion_classifier import Examples, candidates, choose  # noqa: E402
from etholoop.modeling.behaviour._motion_examples import chosen_frames, clips_of_strip  # noqa: E402
from etholoop.modeling.behaviour._motion_pairs import Look, of_pair, part  # noqa: E402
from etholoop.modeling.behaviour._shared import Init, Strip, Task  # noqa: E402
from etholoop.modeling.behaviour._silhouette import silhouette  # noqa: E402
from etholoop.modeling.behaviour._trees_model import Trees, fit_trees  # noqa: E402
from etholoop.modeling.behaviour.families import motion, settings_of  # noqa: E402


def params(**more: object) -> motion.Params:
    settings = settings_of("motion", {"n_pictures": 9, "lengths": [3, 9], "crop_px": SIDE, **more}, "test")
    assert isinstance(settings, motion.Params)
    return settings


def train(folder: Path, train_set: list[Strip], task: Task = TASK, val_set: list[Strip] | None = None, **more: object) -> motion.Predictor:
    motion.train(train_set, val_set or [], task, params(**more), seed=0, out=folder / "w.pt", scratch=folder / "s")
    return motion.Predictor.load(folder / "w.pt")


def said(predictor: motion.Predictor, one: Strip, place: int) -> np.ndarray:
    """Scores (K,) of one moment, looked at as in use."""
    assert one.windows is not None
    places = np.clip(place + predictor.offsets, 0, len(one.images) - 1)
    looks = [predictor.see(np.asarray(one.images[[k]])[0], one.windows[k]) for k in places]
    return np.asarray(predictor.predict(predictor.clip(looks)[None])[0])


def look(centre: np.ndarray, heading: float, seed: int = 1) -> Look:
    image = floor(seed)
    egg(image, centre, heading)
    x, y = np.round(centre - SIDE / 2).astype(int)
    return Look(image[y : y + SIDE, x : x + SIDE], np.array([x, y, x + SIDE, y + SIDE], float))


# --- outlines ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heading", [0.0, 0.7, 2.0, -1.1])
def test_an_outline_covers_the_animal_and_lies_along_it(heading: float) -> None:
    whole = np.full((SIDE, SIDE, 3), 255, np.uint8)
    egg(whole, np.full(2, SIDE / 2), heading, (0, 0, 0))
    truth = whole[..., 0] < 128
    found = silhouette(look(np.array([200.0, 200.0]), heading).picture)
    assert found.found
    assert (found.mask & truth).sum() / (found.mask | truth).sum() > 0.8
    assert abs(np.sin(found.angle - heading)) < 0.08
    assert found.half_axes[0] / found.half_axes[1] == pytest.approx(LENGTH / 2 / (LENGTH / 4.5), rel=0.25)


def test_where_nothing_stands_out_a_disc_stands_for_the_animal() -> None:
    for picture in (np.full((SIDE, SIDE, 3), 90, np.uint8), np.zeros((SIDE, SIDE, 3), np.uint8)):
        found = silhouette(picture)
        assert found.mask.any() and np.isfinite(found.half_axes).all()
        assert np.isfinite(of_pair(Look(picture, np.array([0.0, 0, 9, 9])), Look(picture, np.array([0.0, 0, 9, 9])))).all()


# --- pairs -------------------------------------------------------------------------------------------------------------------------


def test_going_is_measured_against_the_ground_in_body_lengths() -> None:
    heading, step = 0.4, np.array([3.0, 1.0])
    before, now = look(np.array([200.0, 200.0]), heading), look(np.array([200.0, 200.0]) + step, heading)
    values = of_pair(before, now)
    length = np.exp(values[part("size")][0])
    axis = np.array([np.cos(now.outline.angle), np.sin(now.outline.angle)])
    assert values[part("going")] * length == pytest.approx([axis @ step, axis[0] * step[1] - axis[1] * step[0]], abs=0.5)


@pytest.mark.parametrize("turn", [-0.1, 0.1])
def test_turning_left_and_right_differ_by_sign(turn: float) -> None:
    centre = np.array([200.0, 200.0])
    values = of_pair(look(centre, 0.5), look(centre, 0.5 + turn))
    assert values[part("turning")][0] == pytest.approx(turn, rel=0.5)


def test_pictures_by_half_a_turn_show_the_same_with_head_and_rear_exchanged() -> None:
    centre = np.array([200.0, 200.0])
    looks = look(centre, 0.3), look(centre + 2, 0.4)
    values = of_pair(*looks)[: pairs.N_VALUES]
    before, now = (Look(np.ascontiguousarray(one.picture[::-1, ::-1]), -one.window[[2, 3, 0, 1]]) for one in looks)
    other = of_pair(before, now)[: pairs.N_VALUES]
    assert pairs.turned(values) == pytest.approx(other, abs=0.01)
    assert np.abs(other - values).max() > 0.1


def test_the_head_is_learnt_from_animals_that_walk() -> None:
    walking = [strip("go", seed) for seed in range(4)]
    clips = np.concatenate([clips_of_strip(one, np.arange(4, 20), motion.offsets_of(9, 1)) for one in walking])
    head = _motion_clips.learn_head(clips.reshape(-1, pairs.N_COLUMNS))
    still = strip("stand", 9)
    values = clips_of_strip(still, np.arange(4, 20), motion.offsets_of(9, 1))
    oriented, _ = _motion_clips.oriented(values, head)
    # the narrow end of the drawn animals is the head: the last slices are narrower than the first
    widths = oriented[..., part("widths")]
    assert (widths[..., -3:].sum(axis=-1) < widths[..., :3].sum(axis=-1)).mean() > 0.95
    assert not _motion_clips.learn_head(values.reshape(-1, pairs.N_COLUMNS)).any()


# --- learning ----------------------------------------------------------------------------------------------------------------------


def test_behaviours_of_other_animals_are_recognised(tmp_path: Path) -> None:
    predictor = train(tmp_path, strips(range(4)), val_set=strips(range(10, 11)))
    assert predictor.head == "multiclass" and predictor.behaviours == TASK.behaviours
    for seed in (20, 21):
        for number, behaviour in enumerate(TASK.behaviours):
            scores = said(predictor, strip(behaviour, seed), 12)
            assert scores.argmax() == number and scores[number] > 0.6, (behaviour, scores)
            assert scores.sum() == pytest.approx(1, abs=1e-5)


def test_training_says_what_it_found(tmp_path: Path) -> None:
    trained = motion.train(strips(range(3)), strips(range(10, 11)), TASK, params(), seed=0, out=tmp_path / "w.pt", scratch=tmp_path / "s")
    assert trained.metrics["val_accuracy_macro"] > 0.8 and trained.metrics["n_train_frames"] == 3 * 4 * 24
    assert {(row["truth"], row["said"]) for row in trained.confusion} >= {("left", "left"), ("right", "right")}
    assert np.isfinite(trained.metrics["cv_loss"]) and any("by cross-validated loss (logistic 0.001: " in note for note in trained.notes)


def test_training_and_use_see_the_same_clips(tmp_path: Path) -> None:
    predictor, one = train(tmp_path, strips(range(2)), every=2), strip("go", 5)
    for place in (0, 1, 12, 23):
        clip = clips_of_strip(one, np.array([place]), predictor.offsets)[0]
        assert one.windows is not None
        places = np.clip(place + predictor.offsets, 0, 23)
        looks = [predictor.see(one.images[k], one.windows[k]) for k in places]
        assert (predictor.clip(looks) == clip).all()


def test_behaviours_may_overlap_and_be_unknown(tmp_path: Path) -> None:
    task = Task(("moves", "left"), (None, None))
    known = [strip(b, seed, behaviours=("go", "left")) for seed in range(3) for b in ("stand", "go", "left")]
    # who turns moves too; of the animals that go nobody said whether they turn
    labels = {"stand": (0, 0), "go": (1, -1), "left": (1, 1)}
    train_set = [Strip(s.name, s.images, np.tile(labels[s.name[:-1]], (24, 1)).astype(np.int8), s.windows) for s in known]
    predictor = train(tmp_path, train_set, task)
    assert predictor.head == "multilabel"
    assert (said(predictor, strip("left", 7), 12) > 0.5).tolist() == [True, True]
    assert (said(predictor, strip("stand", 7), 12) > 0.5).tolist() == [False, False]
    assert said(predictor, strip("go", 7), 12)[0] > 0.5


def test_none_of_the_behaviours_is_a_class_without_a_column(tmp_path: Path) -> None:
    task = Task(("left", "right"), ("way", "way"))
    train_set = [strip(b, seed, behaviours=task.behaviours) for seed in range(3) for b in ("stand", "left", "right")]
    predictor = train(tmp_path, train_set, task)
    assert said(predictor, strip("stand", 8), 12).sum() < 0.4
    assert said(predictor, strip("right", 8), 12).argmax() == 1


def test_a_behaviour_that_training_never_saw_is_never_said(tmp_path: Path) -> None:
    some = [one for one in strips(range(3)) if not one.name.startswith("left")]
    trained = motion.train(some, [], TASK, params(), seed=0, out=tmp_path / "w.pt", scratch=tmp_path / "s")
    assert any("Never seen in training, so never predicted: left." in note for note in trained.notes)
    assert said(motion.Predictor.load(tmp_path / "w.pt"), strip("left", 8), 12)[2] < 1e-6


def test_one_behaviour_alone_is_always_said(tmp_path: Path) -> None:
    predictor = train(tmp_path, [strip("go", seed, behaviours=("go",)) for seed in range(2)], Task(("go",), ("way",)))
    assert said(predictor, strip("stand", 8), 12) == pytest.approx([1.0])


def test_frames_without_labels_teach_nothing(tmp_path: Path) -> None:
    early = np.arange(24)[:, None] < 12
    hidden = [Strip(s.name, s.images, np.where(early, s.labels, -1).astype(np.int8), s.windows) for s in strips(range(2))]
    assert [frames.max() for frames in chosen_frames(hidden, "multiclass", per_bout=40, most=10_000)] == [11] * 8
    # what lies beyond the frames that clips of labelled ones show does not matter either
    blank = [Strip(one.name, np.where(np.arange(24)[:, None, None, None] < 16, one.images, 0), one.labels, one.windows) for one in hidden]
    weights = []
    for number, train_set in enumerate((hidden, blank)):
        (tmp_path / str(number)).mkdir()
        train(tmp_path / str(number), train_set)
        weights.append((tmp_path / str(number) / "w.pt").read_bytes())
    assert weights[0] == weights[1]


def test_long_bouts_and_large_sets_are_thinned_evenly() -> None:
    labels = np.zeros((100, 2), np.int8)
    labels[:90, 0], labels[90:, 1] = 1, 1
    one = Strip("s", np.zeros((100, 1, 1, 3), np.uint8), labels)
    (frames,) = chosen_frames([one], "multiclass", per_bout=10, most=1000)
    assert len(frames) == 20 and frames[[0, 9, 10, 19]].tolist() == [0, 89, 90, 99]
    assert sum(map(len, chosen_frames([one, one], "multiclass", per_bout=10, most=7))) == 7


def test_folds_keep_groups_together() -> None:
    groups = np.repeat([0, 1, 2, 3], [10, 4, 4, 3])
    masks = list(_motion_classifier.folds(groups, 3))
    assert np.sum(masks, axis=0).tolist() == [1] * 21
    assert all(len(set(groups[mask]) & set(groups[~mask])) == 0 for mask in masks)
    assert list(_motion_classifier.folds(np.zeros(5, int), 3)) == []


# --- faults ------------------------------------------------------------------------------------------------------------------------


def test_faults_are_named(tmp_path: Path) -> None:
    options = {"seed": 0, "out": tmp_path / "w.pt", "scratch": tmp_path / "s"}
    one = strip("go", 1)
    empty = Strip("a", one.images, np.full((24, 4), -1, np.int8), one.windows)
    with pytest.raises(EthoLoopError, match="no labelled frame to learn from"):
        motion.train([empty], [], TASK, params(), **options)  # type: ignore[arg-type]
    with pytest.raises(EthoLoopError, match="with their windows"):
        motion.train([Strip("a", one.images, one.labels)], [], TASK, params(), **options)  # type: ignore[arg-type]
    with pytest.raises(EthoLoopError, match=r"names w\.pyth for motion, which always learns anew"):
        motion.train([one], [], TASK, params(), init=Init({}, "w.pyth", ""), **options)  # type: ignore[arg-type]
    with pytest.raises(FaultsError, match="expected odd numbers"):
        params(n_pictures=8)
    with pytest.raises(FaultsError, match="1 to n_pictures"):
        params(lengths=[11])
    with pytest.raises(FaultsError, match="did you mean 'lengths'"):
        params(length=[3])


# --- trees -------------------------------------------------------------------------------------------------------------------------


def two_sided(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, 3) and targets (n, 2) that no straight line tells apart: the second class lies on both sides of the first."""
    rows = np.random.default_rng(seed).normal(size=(n, 3))
    outside = np.abs(rows[:, 1]) > 0.7
    return rows, np.column_stack([~outside, outside]).astype(np.int8)


@pytest.mark.parametrize("head", ["multiclass", "multilabel"])
def test_trees_learn_what_has_two_sides_and_come_back_from_their_arrays(head: str) -> None:
    model = fit_trees(*two_sided(), head, balance=1.0, n_trees=20, seed=0, never=-30.0)
    rows, targets = two_sided(seed=1)
    logits = model.logits(rows)
    assert (logits.argmax(axis=1) == targets.argmax(axis=1)).mean() > 0.85
    again = Trees.of_arrays(model.arrays(), head)
    assert (again.logits(rows) == logits).all() and again.known.all()


def test_trees_as_arrays_are_those_of_scikit_learn() -> None:
    from sklearn.ensemble import ExtraTreesClassifier

    rows, targets = two_sided()
    model = fit_trees(rows, targets, "multiclass", balance=0.0, n_trees=10, seed=4, never=-30.0)
    theirs = ExtraTreesClassifier(10, min_samples_leaf=4, random_state=4).fit(rows.astype(np.float32), targets.argmax(axis=1))
    (forest,) = model.forests
    assert forest is not None
    assert forest.shares(rows) == pytest.approx(theirs.predict_proba(rows.astype(np.float32)), abs=1e-6)


def test_classes_that_never_or_always_occur_need_no_tree() -> None:
    rows, targets = two_sided()
    three = np.column_stack([targets, np.zeros(len(rows), np.int8)])
    one = fit_trees(rows, three, "multiclass", balance=1.0, n_trees=5, seed=0, never=-30.0)
    assert one.known.tolist() == [True, True, False] and (one.logits(rows)[:, 2] == -30).all()
    many = fit_trees(rows, np.column_stack([three, three[:, 2] + 1]), "multilabel", balance=1.0, n_trees=5, seed=0, never=-30.0)
    assert many.logits(rows[:1])[0, 2:].tolist() == [-30, 30]
    again = Trees.of_arrays(many.arrays(), "multilabel")
    assert (again.logits(rows) == many.logits(rows)).all()


def test_the_better_classifier_is_chosen_by_groups_that_it_did_not_see() -> None:
    rows, targets = two_sided(600)
    examples = Examples(rows, targets, np.repeat(np.arange(6), 100))
    chosen = choose(examples, "multiclass", candidates("multiclass", (0.01, 1.0), 30, balance=1.0, seed=0), n_folds=3)
    assert chosen.name == "trees" and chosen.losses["trees"] < 0.5 < chosen.losses["logistic 1"]
    straight = np.column_stack([rows[:, 1] > 0, rows[:, 1] <= 0]).astype(np.int8)
    few = Examples(rows[:40], straight[:40], np.repeat(np.arange(4), 10))
    assert choose(few, "multiclass", candidates("multiclass", (1.0,), 30, balance=1.0, seed=0), n_folds=4).name == "logistic 1"
