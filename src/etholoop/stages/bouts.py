"""bouts: scores of every behaviour model → bouts, by rules that are fitted to validation labels and never to test ones."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from etholoop.core.bouts.decide import Rule, decide
from etholoop.core.bouts.fit import Fitted, Wish, fit, groups_of
from etholoop.core.bouts.lines import Line, lines_of
from etholoop.core.bouts.table import bout_rows, rule_values, unsure_rows
from etholoop.io import atomic, tables
from etholoop.io.vocabulary import read_ethogram
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.bouts import PredictedBouts, Unsure
from etholoop.schema.scores import Scores
from etholoop.stages._families import labels_for, read_families

PRESETS: dict[str, dict[str, Any]] = {
    "etholoop": {"method": "hmm", "calibration": "platt", "min_frames": None, "min_share": 0.5},
    "deepethogram": {"method": "threshold", "calibration": "none", "min_frames": None, "deepethogram_lengths": True},
    "kabr": {"method": "argmax", "calibration": "none", "min_frames": 1},
}
"""etholoop: calibrated and smoothed by what labels say of durations. deepethogram: a threshold by F1 for each behaviour, then its
``min_bout_per_behavior``. kabr: the most probable behaviour of each frame, nothing else."""


class Params(Section):
    """How scores become bouts. What is not set comes from the preset."""

    preset: Literal["etholoop", "deepethogram", "kabr"] = "etholoop"
    method: Literal["hmm", "threshold", "argmax"] | None = None
    calibration: Literal["none", "temperature", "platt", "isotonic"] | None = None
    objective: Literal["f1", "informedness"] = Field("f1", description="what a threshold is chosen by, for method: threshold")
    threshold: float | None = Field(None, ge=0, le=1, description="one threshold for all behaviours; null = chosen for each")
    smooth_frames: int = Field(1, ge=1, description="moving mean of the scores over so many frames, an odd number")
    min_frames: int | None = Field(None, ge=1, description="shortest bout; null = as the preset says, by default learnt from labels")
    min_percentile: float = Field(1.0, ge=0, le=100, description="percentile of the labelled lengths that is the learnt shortest bout")
    min_share: float | None = Field(None, gt=0, le=1, description="the learnt shortest bout is this share of the percentile")
    max_gap: int = Field(0, ge=0, description="gaps of at most so many frames inside a bout are closed")
    unsure_below: float = Field(0.0, ge=0, le=1, description="nothing is said where what would be said is less probable than this")
    emission_weight: float | None = Field(
        None, gt=0, le=1, description="below 1 the Markov model trusts single frames less; null = what is best on val, for each group"
    )
    pseudo: float = Field(1.0, gt=0, description="a priori counts of transitions that labels may not show")

    def wish(self) -> Wish:
        """The settings together with those of the preset."""
        given = self.model_dump(exclude={"preset"})
        return Wish(**{**PRESETS[self.preset], **{name: value for name, value in given.items() if value is not None}})


def run(project: Project, params: Params) -> None:
    """Write bouts, unsure time and the fitted rules."""
    families, reason = read_families(project / "data/scores")
    bouts: list[dict[str, Any]] = []
    unsure: list[dict[str, Any]] = []
    rules: dict[str, Any] = {}
    for family, about in sorted(families.items()):
        scores = tables.read(project / f"data/scores/{family}/scores.parquet", Scores)
        fitted = fitted_rule(project, params, about, scores)
        rules[family] = values_of(fitted)
        for line, happening, doubtful in decided(scores, about, fitted.rule):
            place = {"video_id": line.video_id, "track": line.track, "family": family}
            bouts += [{**place, **row} for row in happening]
            unsure += [{**place, **row} for row in doubtful]
    content = {"families": rules, "reason": reason} if reason else {"families": rules}
    with atomic.new_folder(project / "data/bouts") as folder:
        tables.write(_sorted(bouts, PredictedBouts), PredictedBouts, folder / "bouts.parquet")
        tables.write(_sorted(unsure, Unsure), Unsure, folder / "unsure.parquet")
        atomic.write_text(folder / "rules.json", json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n")


def fitted_rule(project: Project, params: Params, about: dict[str, Any], scores: pd.DataFrame) -> Fitted:
    """The rule of one model: its scores on validation frames and the labels of train and val decide."""
    behaviours = about["behaviours"]
    ethogram = {behaviour.name: behaviour.exclusive_group for behaviour in read_ethogram(project.ethogram).behaviours}
    labels = labels_for(project, behaviours)
    labels = labels[labels["split"].isin(["train", "val"])]
    names = [f"y_{name}" for name in behaviours]
    val = labels[labels["split"] == "val"]
    judged = scores.merge(val[["video_id", "track"]].drop_duplicates(), on=["video_id", "track"])
    lines = [(line.scores, line.truth) for line in lines_of(judged, behaviours, about["stride"], val)]
    known = [rows.sort_values("frame")[names].to_numpy(np.int8) for _, rows in labels.groupby("stretch", sort=True)]
    groups = groups_of([ethogram.get(name) for name in behaviours], about["head"])
    return fit(params.wish(), behaviours, groups, about["head"], val=lines, labels=known)


def decided(scores: pd.DataFrame, about: dict[str, Any], rule: Rule) -> Iterator[tuple[Line, list[dict[str, Any]], list[dict[str, Any]]]]:
    """Each animal with the rows of its bouts and of its unsure time."""
    for line in lines_of(scores, about["behaviours"], about["stride"]):
        decision = decide(line.scores, rule)
        yield (
            line,
            bout_rows(decision, rule.behaviours, line.start_frame),
            [dict(row) for row in unsure_rows(decision.unsure, line.start_frame)],
        )


def values_of(fitted: Fitted) -> dict[str, Any]:
    """A rule with how it came about; a figure that does not exist is null."""
    reached = [None if np.isnan(value) else round(value, 6) for value in fitted.reached]
    names = fitted.rule.behaviours
    return {**rule_values(fitted.rule), "notes": list(fitted.notes), "reached_on_val": dict(zip(names, reached, strict=True))}


def _sorted(rows: list[dict[str, Any]], schema: Any) -> pd.DataFrame:
    table = tables.from_rows(rows, schema)
    order = [name for name in ("video_id", "track", "family", "start_frame", "stop_frame", "behaviour") if name in table.columns]
    return tables.typed(table.sort_values(order, kind="stable"), schema)
