"""Champion or not: the rule by which a trained model replaces the one in use.

Two models are compared on the same held-out videos, video by video: the interval of the mean difference comes from resampling videos
(paired bootstrap; Efron and Tibshirani 1993, chapter 16), and all of it must lie above zero. A better mean alone may be luck of the
few videos that judge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from etholoop.core.metrics.bootstrap import UNRELIABLE, Interval, bootstrap, reliable

ByVideo = Mapping[str, Mapping[str, Any]]
"""Figures by video."""

SCORES = ("oks_ap", "box_ap")
"""What decides, the first that both models have: keypoints when there are some, else boxes."""


@dataclass(frozen=True)
class Decision:
    """Whether the candidate becomes champion, and why in words."""

    promoted: bool
    reason: str


def decide(candidate: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]], by_video: ByVideo | None = None) -> Decision:
    """Compare a candidate's test figures with those of the last promoted cycle.

    Args:
        candidate: ``test`` figures of ``metrics/evaluate.json``; empty when nothing could be evaluated.
        earlier: ledgers of closed cycles in order, each with ``cycle``, ``promoted``, ``metrics`` and, of newer ones, ``by_video``.
        by_video: the candidate's test figures of each video. Where fewer than two videos were judged in both cycles there is no
            interval, the plain figures decide, and the reason says so.
    """
    champion = next((ledger for ledger in reversed(earlier) if ledger["promoted"]), None)
    score = next((name for name in SCORES if candidate.get(name) is not None), None)
    if score is None:
        return Decision(False, "no figures on held-out groups, so nothing shows that this model is better")
    if candidate[score] <= 0:
        return Decision(False, f"{score} is 0 on held-out groups: the model finds nothing")
    if champion is None:
        return Decision(True, f"first model with figures on held-out groups ({score} {candidate[score]:.3f})")
    before = champion["metrics"].get(score)
    if before is None:
        return Decision(True, f"the champion of {champion['cycle']} has no {score}; this model has {candidate[score]:.3f}")
    differences = paired(by_video or {}, champion.get("by_video") or {}, score)
    words = f"{score} {candidate[score]:.3f} against {before:.3f} of {champion['cycle']}"
    if len(differences) < 2:
        better = bool(candidate[score] > before)
        return Decision(better, f"{words}; {len(differences)} videos judged both, too few for an interval")
    low, high = interval(differences)
    caution = "" if reliable(len(differences)) else f"; {UNRELIABLE}"
    words += f"; mean difference over {len(differences)} videos {differences.mean():+.3f} (95 % CI {low:+.3f} to {high:+.3f}{caution})"
    return Decision(low > 0, words if low > 0 else f"{words}: not surely better")


def paired(candidate: ByVideo, champion: ByVideo, score: str) -> np.ndarray:
    """Candidate minus champion for each video that both have a figure of, in the order of their names."""
    common = sorted(set(candidate) & set(champion))
    pairs = [(candidate[name].get(score), champion[name].get(score)) for name in common]
    values = [float(after) - float(before) for after, before in pairs if after is not None and before is not None]
    return np.array([value for value in values if np.isfinite(value)])


def interval(differences: np.ndarray) -> Interval:
    """95 % interval of their mean over resampled videos."""
    return bootstrap(list(differences), lambda drawn: float(np.mean(drawn)))
