"""What the stages left of behaviour, as the report reads it."""

from functools import cached_property
from typing import Any

import pandas as pd

from etholoop.core.behaviour_facts import Intervals, Key
from etholoop.project import Project
from etholoop.schema.annotations import LookedAt
from etholoop.schema.behaviour import FrameLabels, Stretches
from etholoop.schema.bouts import PredictedBouts, Unsure
from etholoop.stages._report_inputs import plot, record, table_or_empty

DATASET = "data/datasets/behaviour"


class Behaviour:
    """All that the stages left of behaviour; what none has written yet is empty."""

    def __init__(self, project: Project, videos: pd.DataFrame):
        self.project = project
        self.judged: dict[str, Any] = record(project.metrics / "behaviour.json").get("families", {})
        self.trained: dict[str, Any] = record(project.metrics / "behaviour_train.json").get("families", {})
        self.rules: dict[str, Any] = record(project / "data/bouts/rules.json").get("families", {})
        self.counts = record(project / f"{DATASET}/counts.json")
        self.confusions, self.by_video, self.curves = (
            plot(project, f"behaviour_{name}") for name in ("test_confusion", "by_video", "curves")
        )
        rates = zip(videos["video_id"], videos["fps_num"], videos["fps_den"], strict=True)
        self.seconds = {str(video_id): int(den) / int(num) if num else None for video_id, num, den in rates}

    @property
    def exists(self) -> bool:
        """Whether the project has anything to do with behaviour: a family is asked for, or people marked bouts."""
        return bool(self.trained) or bool(self.counts.get("n_frames_looked_at"))

    @cached_property
    def families(self) -> list[str]:
        """Families whose scores became bouts."""
        return sorted(self.rules)

    @cached_property
    def behaviours(self) -> list[str]:
        return list(self.counts.get("behaviours", []))

    @cached_property
    def annotators(self) -> list[str]:
        looked_at = table_or_empty(self.project.annotations / "looked_at.parquet", LookedAt)
        return sorted({str(name) for name in looked_at["source"]})

    def split_of(self, family: str) -> str:
        """The split that judges."""
        own = self.judged.get(family, {})
        return next((split for split in own if split != "val"), "val")

    def figures_of(self, family: str) -> dict[str, Any]:
        return dict(self.judged.get(family, {}).get(self.split_of(family), {}))

    @cached_property
    def labels(self) -> pd.DataFrame:
        """Labelled frames of the split that judges, each with its ``subject``."""
        labels = table_or_empty(self.project / f"{DATASET}/labels.parquet", FrameLabels)
        labels = labels[labels["split"] == (self.split_of(self.families[0]) if self.families else "test")]
        subjects = self.stretches.set_index("stretch")["subject"]
        return labels.assign(subject=labels["stretch"].map(subjects).astype(str))

    @cached_property
    def bouts(self) -> pd.DataFrame:
        return table_or_empty(self.project / "data/bouts/bouts.parquet", PredictedBouts)

    @cached_property
    def unsure(self) -> pd.DataFrame:
        return table_or_empty(self.project / "data/bouts/unsure.parquet", Unsure)

    @cached_property
    def stretches(self) -> pd.DataFrame:
        """Which track was which animal, and when."""
        return table_or_empty(self.project / f"{DATASET}/stretches.parquet", Stretches)

    def others_than(self, key: Key) -> Intervals:
        """When the track of an animal was known to be other ones, ascending and apart."""
        video_id, track, subject = key
        rows = self.stretches
        rows = rows[(rows["video_id"] == video_id) & (rows["track"] == track) & (rows["subject"] != subject)]
        return rows[["start_frame", "stop_frame"]].sort_values("start_frame").to_numpy("int64")
