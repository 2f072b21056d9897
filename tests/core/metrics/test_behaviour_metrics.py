"""Figures of behaviour: known answers on a handful of frames."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, cohen_kappa_score

from etholoop.core.metrics import bootstrap
from etholoop.core.metrics.behaviour import Judged, bout_counts, confusion_rows, figures_by_weight, gather, kappa
from etholoop.core.metrics.behaviour_segments import segment_counts, segment_figures
from etholoop.errors import EthoLoopError


def judged(truth: list[int], said: list[int], video_id: str = "v", scores: np.ndarray | None = None) -> Judged:
    """States of two exclusive behaviours: 0 none, 1 a, 2 b; truth -1 = not known."""
    true = np.array([[t == 1, t == 2] if t >= 0 else [-1, -1] for t in truth], np.int8)
    happens = np.array([[s == 1, s == 2] for s in said])
    return Judged(video_id, true, happens.astype(float) if scores is None else scores, happens, np.zeros(len(said), bool))


def figures(*animals: Judged) -> dict[str, float]:
    sums = gather(animals, ["a", "b"], [[0, 1]])
    return figures_by_weight(sums)(np.ones(len(sums.videos)))


def test_accuracies_and_f1() -> None:
    found = figures(judged([1, 1, 1, 2, 0], [1, 1, 2, 2, 0]))
    assert found["accuracy_micro"] == pytest.approx(4 / 5)
    assert found["accuracy_macro"] == pytest.approx((2 / 3 + 1) / 2)
    assert (found["f1/a"], found["f1/b"]) == (pytest.approx(4 / 5), pytest.approx(2 / 3))
    assert found["f1_macro"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    # shares of a: .6 labelled, .4 said; of b .2 and .4
    assert found["budget_error"] == pytest.approx(0.2)


def test_unlabelled_time_counts_neither_way() -> None:
    one = figures(judged([1, 1, 2, 2], [1, 2, 2, 2]))
    more = figures(judged([1, 1, 2, 2, -1, -1, -1], [1, 2, 2, 2, 1, 1, 2]))
    assert one == pytest.approx(more, nan_ok=True)


def test_unsure_frames_count_as_not_said_and_lower_the_coverage() -> None:
    animal = judged([1, 1, 2, 2], [1, 0, 2, 2])
    unsure = Judged("v", animal.truth, animal.scores, animal.happens, np.array([False, True, False, False]))
    found = figures(unsure)
    assert found["coverage"] == 0.75 and found["recall/a"] == 0.5


def test_bouts_are_matched_by_overlap_in_known_time() -> None:
    truth = np.array([1, 1, 1, 1, 0, 0, 1, 1, -1, -1])
    assert bout_counts(truth, np.array([0, 1, 1, 1, 0, 0, 0, 1, 1, 1], bool), 0.5) == (2, 2, 2)
    assert bout_counts(truth, np.array([0, 0, 0, 1, 0, 0, 0, 0, 1, 1], bool), 0.5) == (0, 2, 1)
    assert bout_counts(truth, np.ones(10, bool), 0.5) == (1, 2, 1)


def test_a_flickering_prediction_has_the_frames_right_and_the_bouts_wrong() -> None:
    truth = [1] * 9
    found = figures(judged(truth, [1, 1, 0, 1, 1, 0, 1, 1, 0]))
    assert found["recall/a"] == pytest.approx(6 / 9) and found["bout_f1/a"] == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=60))
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    matrix = np.zeros((3, 3))
    for a, b in pairs:
        matrix[a, b] += 1
    own = kappa(matrix)
    if not np.isnan(own):
        assert own == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=2, max_size=60).filter(lambda rows: any(y for y, _ in rows)))
@settings(deadline=None)
def test_average_precision_is_that_of_scikit_learn(rows: list[tuple[int, int]]) -> None:
    truth, scores = np.array([y for y, _ in rows]), np.array([s for _, s in rows]) / 20
    animal = Judged("v", truth[:, None].astype(np.int8), scores[:, None], scores[:, None] > 0.5, np.zeros(len(rows), bool))
    found = figures_by_weight(gather([animal], ["a"], [[0]]))(np.ones(1))
    assert found["ap/a"] == pytest.approx(average_precision_score(truth, scores))


def test_a_video_counted_twice_is_as_if_it_were_there_twice() -> None:
    one, other = judged([1, 2, 2], [1, 1, 2], "v"), judged([2, 2, 0], [2, 0, 0], "w")
    sums = gather([one, other], ["a", "b"], [[0, 1]])
    again = gather([one, other, judged([2, 2, 0], [2, 0, 0], "x")], ["a", "b"], [[0, 1]])
    assert figures_by_weight(sums)(np.array([1, 2])) == pytest.approx(figures_by_weight(again)(np.ones(3)), nan_ok=True)
    low, high = bootstrap.intervals(2, figures_by_weight(sums), 200)["accuracy_micro"]
    assert low <= 2 / 3 <= high


def test_behaviours_that_never_occur_do_not_enter_means() -> None:
    found = figures(judged([1, 1], [1, 1]))
    assert found["accuracy_macro"] == 1 and np.isnan(found["recall/b"]) and found["budget_error"] == 0


def test_nothing_known_is_nothing_judged() -> None:
    sums = gather([judged([-1], [1])], ["a", "b"], [[0, 1]])
    assert sums.videos == () and np.isnan(figures_by_weight(sums)(np.ones(0))["accuracy_micro"])


def test_confusion_rows_name_the_states() -> None:
    sums = gather([judged([1, 2, 0], [1, 1, 0])], ["a", "b"], [[0, 1]])
    rows = {(row["truth"], row["said"]): row["n"] for row in confusion_rows(sums, [[0, 1]])}
    assert len(rows) == 9 and rows["b", "a"] == 1 and rows["(none)", "(none)"] == 1 and rows["a", "b"] == 0


# --- segments ----------------------------------------------------------------------------------------------------------------------


def test_segments_take_the_majority_or_any() -> None:
    # two segments of 3: labels a a b and b b a, predicted a and a
    animal = judged([1, 1, 2, 2, 2, 1], [1] * 6)
    counts = segment_counts([animal], ["v"], 2, 3)
    assert counts[0].tolist() == [[1, 1], [0, 1]]
    assert segment_figures(counts)(np.ones(1)) == {"segment_accuracy_micro": 0.5, "segment_accuracy_macro": 0.5}
    assert segment_counts([animal], ["v"], 2, 3, "union")[0].tolist() == [[2, 2], [0, 2]]
    with pytest.raises(EthoLoopError, match="unknown reading"):
        segment_counts([animal], ["v"], 2, 3, "mean")


def test_segments_without_known_frames_do_not_count() -> None:
    assert segment_counts([judged([-1, -1, 0], [1, 1, 1])], ["v"], 2, 3).sum() == 0
