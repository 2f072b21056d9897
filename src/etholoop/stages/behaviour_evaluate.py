"""behaviour_evaluate: bouts and scores against labels of the test split, by family, with intervals over whole videos."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from etholoop.core.bouts.intervals import flags_of
from etholoop.core.bouts.lines import Line, lines_of, truth_of
from etholoop.core.metrics import bootstrap
from etholoop.core.metrics.behaviour import Judged, Sums, confusion_rows, figures_by_weight, gather
from etholoop.core.metrics.behaviour_segments import segment_counts, segment_figures
from etholoop.io import atomic, tables
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.bouts import PredictedBouts, Unsure
from etholoop.schema.scores import Scores
from etholoop.schema.splits import Splits
from etholoop.stages._families import labels_for, read_families

BLOCKS = "one recording cut into blocks: figures say little about other recordings"
FIXED = "splits decided by hand: whether anything leaks is for people to know"
CONFUSION = ["family", "split", "truth", "said", "n"]
BY_VIDEO = ["family", "split", "video_id", "n_frames"]
SHOWN = ("accuracy_micro", "accuracy_macro", "f1_macro", "map", "kappa", "bout_f1_macro", "budget_error", "coverage")


class Params(Section):
    """``segment_frames``: length of KABR's segments; null leaves its protocol out."""

    split: Literal["test", "val", "train"] = "test"
    iou: float = Field(0.5, gt=0, le=1, description="overlap in time from which two bouts are the same")
    segment_frames: int | None = Field(90, ge=1)
    segment_label: Literal["majority", "union"] = "majority"
    n_bootstrap: int = Field(2000, ge=1)
    seed: int = 0


def run(project: Project, params: Params) -> None:
    """Write metrics/behaviour.json and the tables of its plots."""
    families, reason = read_families(project / "data/scores")
    splits = tables.read(project.splits, Splits)
    notes = [text for mode, text in (("blocks", BLOCKS), ("fixed", FIXED)) if mode in set(splits["mode"])]
    content: dict[str, Any] = {"families": {}, "splits_mode": "+".join(sorted(set(splits["mode"])))}
    if reason:
        content["reason"] = reason
    confusion, by_video = [], []
    for family, about in sorted(families.items()):
        evidence = Evidence(project, family, about)
        content["families"][family] = {}
        for split in dict.fromkeys([params.split, "val"]):
            sums, animals = evidence.sums(split, params)
            content["families"][family][split] = judged(sums, animals, params, notes)
            place = {"family": family, "split": split}
            if sums.videos:
                confusion += [{**place, **row} for row in confusion_rows(sums, evidence.groups)]
                by_video += [{**place, **row} for row in video_rows(sums)]
    text = json.dumps(tidy(content), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    atomic.write_text(project.metrics / "behaviour.json", text + "\n")
    _write_csv(project, "behaviour_test_confusion", confusion, CONFUSION)
    _write_csv(project, "behaviour_by_video", by_video, [*BY_VIDEO, *SHOWN])


class Evidence:
    """Scores, bouts and labels of one family."""

    def __init__(self, project: Project, family: str, about: dict[str, Any]):
        self.behaviours, self.stride = tuple(about["behaviours"]), int(about["stride"])
        rules = json.loads((project / "data/bouts/rules.json").read_text(encoding="utf-8"))["families"][family]
        self.groups = [[self.behaviours.index(name) for name in group] for group in rules["groups"]]
        self.scores = tables.read(project / f"data/scores/{family}/scores.parquet", Scores)
        self.labels = labels_for(project, self.behaviours)
        bouts, unsure = (
            tables.read(project / f"data/bouts/{name}.parquet", schema) for name, schema in (("bouts", PredictedBouts), ("unsure", Unsure))
        )
        self.bouts = _by_animal(bouts[bouts["family"] == family])
        self.unsure = _by_animal(unsure[unsure["family"] == family])

    def sums(self, split: str, params: Params) -> tuple[Sums, list[Judged]]:
        """What was right and wrong in one split."""
        animals = list(self.animals(split))
        return gather(animals, self.behaviours, self.groups, params.iou), animals

    def animals(self, split: str) -> Iterator[Judged]:
        """Every animal with labels in this split, over all the time that is labelled or scored."""
        labels = self.labels[self.labels["split"] == split]
        known = dict(iter(labels.groupby(["video_id", "track"], sort=True)))
        wanted = self.scores.merge(labels[["video_id", "track"]].drop_duplicates(), on=["video_id", "track"])
        lines = {(line.video_id, line.track): line for line in lines_of(wanted, self.behaviours, self.stride)}
        key: Any
        for key, rows in known.items():
            yield self._judged(str(key[0]), int(key[1]), rows, lines.get(key))

    def _judged(self, video_id: str, track: int, rows: pd.DataFrame, line: Line | None) -> Judged:
        start, stop = int(rows["frame"].min()), int(rows["frame"].max()) + 1
        if line is not None:
            start, stop = min(start, line.start_frame), max(stop, line.stop_frame)
        scores = np.full((stop - start, len(self.behaviours)), np.nan, np.float32)
        if line is not None:
            scores[line.start_frame - start : line.stop_frame - start] = line.scores
        bouts, unsure = self.bouts.get((video_id, track)), self.unsure.get((video_id, track))
        happens = np.column_stack([_flags(bouts, name, start, stop) for name in self.behaviours])
        doubtful = _flags(unsure, None, start, stop)
        return Judged(video_id, truth_of(rows, self.behaviours, start, stop - start), scores, happens, doubtful)


def _by_animal(table: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    return dict(iter(table.groupby(["video_id", "track"])))


def _flags(rows: pd.DataFrame | None, behaviour: str | None, start: int, stop: int) -> np.ndarray:
    if rows is None:
        return np.zeros(stop - start, bool)
    own = rows if behaviour is None else rows[rows["behaviour"] == behaviour]
    return flags_of((own[["start_frame", "stop_frame"]].to_numpy() - start).tolist(), stop - start)


def judged(sums: Sums, animals: Sequence[Judged], params: Params, notes: Sequence[str]) -> dict[str, Any]:
    """Figures of one split with intervals and what to think of them."""
    n_videos = len(sums.videos)
    if not n_videos:
        return {"evaluated": False, "reason": "no labelled behaviour in this split"}
    figures = figures_by_weight(sums)
    content = _with_intervals(figures, n_videos, params)
    if params.segment_frames is not None:
        counts = segment_counts(animals, sums.videos, len(sums.behaviours), params.segment_frames, params.segment_label)
        segments = _with_intervals(segment_figures(counts), n_videos, params)
        content["kabr"] = {
            **segments["figures"],
            "ci": segments["ci"],
            "frames": params.segment_frames,
            "label": params.segment_label,
            "n_segments": int(counts[:, :, 1].sum()),
        }
    reliable = bootstrap.reliable(n_videos)
    figures_ = content.pop("figures")
    return {
        "evaluated": True,
        **{name: value for name, value in figures_.items() if "/" not in name},
        "behaviours": _of_behaviours(figures_, sums),
        **content,
        "n_videos": n_videos,
        "n_animals": int(sums.animals.sum()),
        "n_frames": int(sums.time[:, 0].sum()),
        "ci_reliable": reliable,
        "note": "; ".join([*notes, *([] if reliable else [bootstrap.UNRELIABLE])]),
    }


def _with_intervals(figures: Any, n_videos: int, params: Params) -> dict[str, Any]:
    intervals = bootstrap.intervals(n_videos, figures, params.n_bootstrap, params.seed)
    return {"figures": figures(np.ones(n_videos)), "ci": {name: list(interval) for name, interval in intervals.items()}}


def _of_behaviours(figures: dict[str, float], sums: Sums) -> dict[str, dict[str, Any]]:
    frames = sums.binary.sum(axis=0)
    result: dict[str, dict[str, Any]] = {}
    for k, name in enumerate(sums.behaviours):
        own = {figure.split("/")[0]: value for figure, value in figures.items() if figure.endswith(f"/{name}")}
        result[name] = {**own, "n_frames": int(frames[k, :2].sum()), "n_bouts": int(sums.bouts[:, k, 1].sum())}
    return result


def video_rows(sums: Sums) -> list[dict[str, Any]]:
    """Figures of each video alone."""
    figures = figures_by_weight(sums)
    rows = []
    for number, video_id in enumerate(sums.videos):
        alone = figures(np.eye(len(sums.videos))[number])
        rows.append({"video_id": video_id, "n_frames": int(sums.time[number, 0]), **{name: alone[name] for name in SHOWN}})
    return rows


def tidy(value: Any) -> Any:
    """Six decimals; a figure that does not exist is null."""
    if isinstance(value, dict):
        return {key: tidy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [tidy(item) for item in value]
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, 6)
    return value


def _write_csv(project: Project, name: str, rows: list[dict[str, Any]], columns: list[str]) -> None:
    text = pd.DataFrame(rows, columns=columns).round(6).to_csv(index=False, lineterminator="\n")
    atomic.write_text(project.metrics / f"plots/{name}.csv", text)
