"""Markov smoothing, lengths, groups, abstaining, and the whole rule."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from etholoop.core.bouts import MULTICLASS, MULTILABEL, hmm, lengths
from etholoop.core.bouts.decide import Rule, decide, smoothed
from etholoop.core.bouts.fit import Wish, fit, groups_of, whole_bouts
from etholoop.core.bouts.intervals import flags_of, intervals_of, runs_of
from etholoop.core.bouts.lines import dense, lines_of
from etholoop.core.bouts.states import flags_of_states, state_probabilities, states_of
from etholoop.core.bouts.table import bout_rows, rule_values, unsure_rows

LINE = hnp.arrays(bool, st.integers(0, 60))


def line(text: str) -> np.ndarray:
    return np.array([letter == "x" for letter in text])


def text(flags: np.ndarray) -> str:
    return "".join("x" if flag else "." for flag in flags)


# --- intervals ---------------------------------------------------------------------------------------------------------------------


@given(LINE)
def test_intervals_there_and_back(flags: np.ndarray) -> None:
    assert (flags_of(intervals_of(flags), len(flags)) == flags).all()


def test_runs() -> None:
    assert runs_of(np.array([2, 2, -1, 0])).tolist() == [[0, 2, 2], [2, 3, -1], [3, 4, 0]]
    assert runs_of(np.zeros(0)).tolist() == []


# --- lengths -----------------------------------------------------------------------------------------------------------------------


def test_short_bouts_go_and_short_gaps_close() -> None:
    assert text(lengths.without_short(line("x..xx.xxx"), 2)) == "...xx.xxx"
    assert text(lengths.without_gaps(line(".x.xx...x."), 1)) == ".xxxx...x."
    assert text(lengths.without_gaps(line("x.x"), 1, line("x.x"))) == "x.x", "something else goes on there"


def test_deepethograms_min_bout() -> None:
    # length 1: the gap closes first, then single frames go; beyond the ends counts as the other value
    assert text(lengths.deepethogram_cleaned(line("..x.x..x.."), 1)) == "..xxx....."
    assert text(lengths.deepethogram_cleaned(line(".xxx"), 1)) == "xxxx"
    # length 2 after length 1
    assert text(lengths.deepethogram_cleaned(line("...xx...xxx..xxx..."), 2)) == "........xxxxxxxx..."


@given(LINE, st.integers(1, 8))
def test_after_removing_nothing_short_is_left(flags: np.ndarray, n: int) -> None:
    after = lengths.without_short(flags, n)
    assert all(stop - start >= n for start, stop in intervals_of(after)) and not (after & ~flags).any()
    closed = lengths.without_gaps(flags, n)
    bouts = intervals_of(closed)
    assert all(b - a > n for (_, a), (b, _) in itertools.pairwise(bouts)) and not (flags & ~closed).any()


def test_the_learnt_length_is_a_percentile_of_whole_bouts() -> None:
    assert lengths.learnt_min_frames([]) == 1
    assert lengths.learnt_min_frames([4] * 50 + [9] * 50) == 4
    truth = np.array([1, 1, 0, 1, 0, 1, -1, 1, 1])
    assert whole_bouts(truth).tolist() == [[3, 4]], "bouts at the edge of what was looked at may be longer"


# --- states ------------------------------------------------------------------------------------------------------------------------


def test_state_probabilities_of_both_heads() -> None:
    assert state_probabilities(np.array([[0.2, 0.5]]), MULTICLASS) == pytest.approx(np.array([[0.3, 0.2, 0.5]]))
    # odds 1 and 3 against none: 1 : 1 : 3
    assert state_probabilities(np.array([[0.5, 0.75]]), MULTILABEL) == pytest.approx(np.array([[0.2, 0.2, 0.6]]))


@given(hnp.arrays(np.int64, st.integers(0, 20), elements=st.integers(0, 3)))
def test_states_there_and_back(states: np.ndarray) -> None:
    assert (states_of(flags_of_states(states, 3).astype(np.int8)) == states).all()


def test_unknown_states() -> None:
    assert states_of(np.array([[0, -1], [1, -1], [-1, -1], [0, 0]], np.int8)).tolist() == [-1, 1, -1, 0]


# --- Markov ------------------------------------------------------------------------------------------------------------------------


def test_transitions_are_counted_and_unknown_frames_part_them() -> None:
    chain = hmm.learn([np.array([0, 0, 1, -1, 1, 1])], 2, pseudo=1)
    # counts 0→0 1, 0→1 1, 1→1 1, and one a priori of each
    assert chain.transition == pytest.approx(np.array([[0.5, 0.5], [1 / 3, 2 / 3]]))
    assert chain.share == pytest.approx(np.array([3 / 7, 4 / 7]))


def test_a_state_that_no_label_showed_does_not_win_by_its_small_share() -> None:
    chain = hmm.learn([np.repeat([1, 2], 500)], 3)
    assert chain.unseen is not None and chain.unseen.tolist() == [True, False, False]
    # 'none' has .1 of the probability left over in each frame
    log_emission = hmm.emissions(np.tile([0.1, 0.6, 0.3], (20, 1)), chain)
    assert hmm.viterbi(log_emission, chain).tolist() == [1] * 20


def _by_trying_all(log_emission: np.ndarray, chain: hmm.Chain) -> tuple[np.ndarray, np.ndarray]:
    n, n_states = log_emission.shape
    paths = np.array(list(itertools.product(range(n_states), repeat=n)))
    logs = np.log(chain.share)[paths[:, 0]] + log_emission[np.arange(n), paths].sum(axis=1)
    logs += sum(np.log(chain.transition)[paths[:, t], paths[:, t + 1]] for t in range(n - 1))
    weights = np.exp(logs - logs.max())
    shares = np.array([[weights[paths[:, t] == s].sum() for s in range(n_states)] for t in range(n)])
    return paths[logs.argmax()], shares / weights.sum()


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_viterbi_and_posterior_equal_trying_all_paths(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    chain = hmm.Chain(rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3), 3))
    log_emission = rng.normal(size=(n, 3))
    path, shares = _by_trying_all(log_emission, chain)
    assert (hmm.viterbi(log_emission, chain) == path).all()
    assert hmm.posterior(log_emission, chain) == pytest.approx(shares)


def test_flicker_is_smoothed_away_and_a_real_change_stays() -> None:
    labels = np.repeat([1, 0, 1, 0], 50)[:, None].astype(np.int8)
    scores = np.where(labels == 1, 0.8, 0.2)
    scores[20] = 0.2
    rule = fit(Wish(method="hmm", calibration="none", min_frames=1), ["a"], [[0]], MULTILABEL, val=[], labels=[labels]).rule
    assert (decide(scores, rule).happens == (labels == 1)).all()


# --- the whole rule ----------------------------------------------------------------------------------------------------------------

RULE = Rule(behaviours=("a", "b"), groups=((0, 1),), head=MULTICLASS, method="argmax")


def test_kabr_takes_the_best_in_each_frame() -> None:
    happens = decide(np.array([[0.6, 0.4], [0.1, 0.9], [0.3, 0.3]]), RULE).happens
    assert happens.tolist() == [[True, False], [False, True], [False, False]], "in the last, none of them has .4"


def test_frames_without_scores_are_unsure_and_nothing_is_closed_over_them() -> None:
    scores = np.array([[0.9], [0.9], [np.nan], [0.9]])
    rule = Rule(("a",), ((0,),), MULTILABEL, "threshold", thresholds=(0.5,), min_frames=(1,), max_gaps=(5,))
    decision = decide(scores, rule)
    assert decision.happens[:, 0].tolist() == [True, True, False, True] and decision.unsure.tolist() == [False, False, True, False]
    assert unsure_rows(decision.unsure, 100) == [{"start_frame": 102, "stop_frame": 103}]


def test_a_gap_in_which_another_of_the_group_goes_on_is_not_closed() -> None:
    scores = np.array([[0.9, 0], [0, 0.9], [0.9, 0], [0, 0], [0.9, 0]])
    rule = Rule(("a", "b"), ((0, 1),), MULTICLASS, "argmax", min_frames=(1, 1), max_gaps=(1, 1))
    assert text(decide(scores, rule).happens[:, 0]) == "x.xxx"


def test_thresholds_in_a_group_leave_the_highest() -> None:
    rule = Rule(("a", "b", "c"), ((0, 1), (2,)), MULTILABEL, "threshold", thresholds=(0.5, 0.8, 0.1))
    happens = decide(np.array([[0.7, 0.9, 0.2], [0.6, 0.7, 0.05]]), rule).happens
    assert happens.tolist() == [[False, True, True], [True, False, False]]


def test_abstaining_says_nothing_where_nothing_is_probable() -> None:
    rule = Rule(("a", "b"), ((0, 1),), MULTICLASS, "argmax", unsure_below=0.6)
    decision = decide(np.array([[0.9, 0.1], [0.5, 0.4]]), rule)
    assert decision.happens.tolist() == [[True, False], [False, False]] and decision.unsure.tolist() == [False, True]


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(0, 40), st.just(3)), elements=st.floats(0, 1)),
    st.sampled_from(["argmax", "threshold", "hmm"]),
)
@settings(deadline=None)
def test_behaviours_of_one_group_never_overlap(scores: np.ndarray, method: str) -> None:
    labels = [np.array([[1, 0, 1], [0, 1, 1], [0, 0, 0], [1, 0, 0]], np.int8)]
    wish = Wish(method=method, calibration="none", threshold=0.3, min_frames=2, max_gap=2)
    rule = fit(wish, ["a", "b", "c"], [[0, 1], [2]], MULTILABEL, val=[], labels=labels).rule
    happens = decide(scores, rule).happens
    assert happens.shape == scores.shape and not happens[:, :2].all(axis=1).any()


def test_rows_and_values_can_be_written() -> None:
    decision = decide(np.array([[0.6, 0.4], [0.8, 0.2], [0.1, 0.9]]), RULE)
    assert bout_rows(decision, RULE.behaviours, 10) == [
        {"behaviour": "a", "start_frame": 10, "stop_frame": 12, "confidence": 0.7},
        {"behaviour": "b", "start_frame": 12, "stop_frame": 13, "confidence": 0.9},
    ]
    assert rule_values(RULE)["groups"] == [["a", "b"]]


def test_fitting_says_what_it_had_to_do_without() -> None:
    fitted = fit(Wish(method="hmm"), ["a"], [[0]], MULTILABEL, val=[], labels=[])
    assert len(fitted.notes) == 3 and fitted.rule.calibration.kind == "none"
    scores, truth = np.array([[0.2], [0.7]]), np.array([[0], [0]], np.int8)
    assert "a: never seen" in fit(Wish(calibration="platt"), ["a"], [[0]], MULTILABEL, val=[(scores, truth)], labels=[truth]).notes[0]


def test_groups_follow_the_ethogram_and_a_multiclass_head_is_one_group() -> None:
    assert groups_of(["g", None, "g", None], MULTILABEL) == ((0, 2), (1,), (3,))
    assert groups_of(["g", None], MULTICLASS) == ((0, 1),)


# --- lines -------------------------------------------------------------------------------------------------------------------------


def test_a_stride_is_filled_in_and_a_lost_animal_is_not() -> None:
    filled = dense(np.array([3, 5, 9]), np.array([[0.0], [1.0], [1.0]]), 2)
    assert filled[:, 0][:3].tolist() == [0, 0.5, 1] and np.isnan(filled[3:6, 0]).all() and filled[6, 0] == 1


def test_lines_by_animal_with_truth_only_where_people_looked() -> None:
    scores = pd.DataFrame({"video_id": "v", "track": [1, 0, 0], "frame": [7, 3, 2], "p_a": np.array([0.5, 0.25, 0.75], np.float16)})
    labels = pd.DataFrame({"video_id": ["v", "v"], "track": [0, 0], "frame": [3, 99], "y_a": [1, 1]})
    first, second = lines_of(scores, ["a"], 1, labels)
    assert (first.track, first.start_frame, first.scores[:, 0].tolist(), first.truth[:, 0].tolist()) == (0, 2, [0.75, 0.25], [-1, 1])
    assert (second.track, second.truth[:, 0].tolist(), second.stop_frame) == (1, [-1], 8)


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(2)), elements=st.floats(0, 1)), st.integers(1, 9).map(lambda n: 2 * n - 1)
)
def test_a_moving_mean_stays_between_the_extremes(scores: np.ndarray, n: int) -> None:
    after = smoothed(scores, n)
    assert after.shape == scores.shape and after.min() >= scores.min() - 1e-9 and after.max() <= scores.max() + 1e-9


def test_frames_are_trusted_as_far_as_validation_frames_say() -> None:
    """Scores that stay mildly wrong for a while: trusted in full they add up to a bout, trusted less they do not."""
    rng = np.random.default_rng(0)
    lines, labels = [], []
    for _ in range(12):
        truth = np.zeros((400, 1), np.int8)
        truth[100:160] = 1
        scores = np.full((400, 1), 0.02)
        scores[100:160] = 0.9
        at = int(rng.integers(200, 320))
        scores[at : at + 70] = 0.35  # for a while it looks like it, a little
        lines.append((scores, truth))
        labels.append(truth)
    fitted = fit(Wish(calibration="none"), ["follow"], [(0,)], MULTILABEL, val=lines, labels=labels)
    plain = fit(Wish(calibration="none", emission_weight=1.0), ["follow"], [(0,)], MULTILABEL, val=lines, labels=labels)
    scores, truth = lines[0]
    assert plain.rule.emission_weights == (1.0,) and fitted.rule.emission_weights[0] < 1
    assert (decide(scores, plain.rule).happens[:, 0] & (truth[:, 0] == 0)).sum() >= 40
    assert (decide(scores, fitted.rule).happens[:, 0] & (truth[:, 0] == 0)).sum() == 0
    assert decide(scores, fitted.rule).happens[100:160, 0].all()


def test_without_validation_labels_frames_are_trusted_in_full() -> None:
    truth = np.zeros((50, 1), np.int8)
    truth[10:20] = 1
    assert fit(Wish(calibration="none"), ["a"], [(0,)], MULTILABEL, val=[], labels=[truth]).rule.emission_weights == (1.0,)
