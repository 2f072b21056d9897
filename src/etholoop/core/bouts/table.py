"""Decisions as rows of bouts, and a rule as plain values for a JSON file."""

from dataclasses import asdict
from typing import Any

import numpy as np

from etholoop.core.bouts.decide import Decision, Rule
from etholoop.core.bouts.intervals import intervals_of


def bout_rows(decision: Decision, behaviours: tuple[str, ...], start_frame: int) -> list[dict[str, Any]]:
    """One row per bout: behaviour, [start_frame, stop_frame) and its confidence: the mean calibrated score inside it."""
    rows = []
    for k, behaviour in enumerate(behaviours):
        for start, stop in intervals_of(decision.happens[:, k]):
            confidence = float(np.clip(np.nanmean(decision.scores[start:stop, k]), 0, 1))
            times = {"start_frame": start_frame + int(start), "stop_frame": start_frame + int(stop)}
            rows.append({"behaviour": behaviour, **times, "confidence": round(confidence, 6)})
    return rows


def unsure_rows(unsure: np.ndarray, start_frame: int) -> list[dict[str, int]]:
    """[start_frame, stop_frame) of the time of which nothing is said."""
    return [{"start_frame": start_frame + int(start), "stop_frame": start_frame + int(stop)} for start, stop in intervals_of(unsure)]


def rule_values(rule: Rule) -> dict[str, Any]:
    """The rule as plain values, for people and for the record."""
    values = asdict(rule)
    values["groups"] = [[rule.behaviours[k] for k in group] for group in rule.groups]
    values["chains"] = [
        {"share": np.round(chain.share, 6).tolist(), "transition": np.round(chain.transition, 6).tolist()} for chain in rule.chains
    ]
    for name in ("thresholds", "min_frames", "max_gaps"):
        values[name] = dict(zip(rule.behaviours, values[name], strict=True)) if values[name] else {}
    return values
