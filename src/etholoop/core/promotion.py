"""Champion or not: the rule by which a trained model replaces the one in use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SCORES = ("oks_ap", "box_ap")
"""What decides, the first that both models have: keypoints when there are some, else boxes."""


@dataclass(frozen=True)
class Decision:
    """Whether the candidate becomes champion, and why in words."""

    promoted: bool
    reason: str


def decide(candidate: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> Decision:
    """Compare a candidate's test figures with those of the last promoted cycle.

    Args:
        candidate: ``test`` figures of ``metrics/evaluate.json``; empty when nothing could be evaluated.
        earlier: ledgers of closed cycles in order, each with ``cycle``, ``promoted`` and ``metrics``.
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
    if candidate[score] > before:
        return Decision(True, f"{score} {candidate[score]:.3f} beats {before:.3f} of {champion['cycle']}")
    return Decision(False, f"{score} {candidate[score]:.3f} does not beat {before:.3f} of {champion['cycle']}")
