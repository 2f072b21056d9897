"""The list of behaviour models that a stage leaves for the next one: ``families.json`` beside their folders."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from etholoop.errors import EthoLoopError
from etholoop.io import atomic, tables
from etholoop.project import Project
from etholoop.schema.behaviour import FrameLabels

NAME = "families.json"
NO_FAMILY = "no family of behaviour models is asked for (behaviour_train.families)"

FIXED = ["stretch", "video_id", "track", "frame", "split"]

Families = dict[str, dict[str, Any]]
"""What is known of each model by family: behaviours in the order of their columns, head, stride, …"""


def write_families(folder: Path, families: Families, reason: str = "") -> None:
    """Write the list; ``reason`` says why it is empty."""
    content: dict[str, Any] = {"families": families}
    if reason:
        content["reason"] = reason
    atomic.write_text(folder / NAME, json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n")


def read_families(folder: Path) -> tuple[Families, str]:
    """The list, and why it is empty if it is.

    Raises:
        EthoLoopError: the file is missing or is not JSON.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found. `etholoop repro` makes it.") from None
    except json.JSONDecodeError as error:
        raise EthoLoopError(f"{path}: not readable as JSON ({error}). Remove it and run `etholoop repro`.") from error
    return content["families"], content.get("reason", "")


def labels_for(project: Project, behaviours: Sequence[str]) -> pd.DataFrame:
    """Labels of frames with the behaviours of one model, in its order.

    Raises:
        EthoLoopError: a behaviour that the labels do not know: where nothing is known, 'does not happen' must not be read.
    """
    labels = tables.read(project / "data/datasets/behaviour/labels.parquet", FrameLabels)
    missing = [name for name in behaviours if f"y_{name}" not in labels.columns]
    if missing:
        raise EthoLoopError(
            f"the model names behaviours that the labels do not have: {', '.join(missing)}. label_studio/ethogram.yaml has changed "
            "since it was trained; run `etholoop repro`."
        )
    return labels[[*FIXED, *(f"y_{name}" for name in behaviours)]]
