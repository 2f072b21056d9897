"""split: manifest → which sources, or parts of sources, are for training, choosing and judging."""

import sys
from typing import Any, Literal

import pandas as pd
from pydantic import Field, model_validator

from etholoop.core import splits
from etholoop.core.block_splits import Cutting, by_blocks
from etholoop.core.listed_splits import by_list
from etholoop.errors import EthoLoopError
from etholoop.io import tables
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.splits import Splits
from etholoop.schema.videos import Images, Videos


class Params(Section):
    """``group``: whole groups by a stable hash. ``blocks``: a single recording cut in pieces. ``fixed``: data/raw/splits.csv."""

    mode: Literal["group", "blocks", "fixed"] = "group"
    group: Literal["session", "subject", "video_id", "camera"] = "session"
    seed: int = 7
    test: float = Field(0.2, ge=0, lt=1)
    val: float = Field(0.15, ge=0, lt=1)
    assign: dict[str, Literal["train", "val", "test"]] = Field({})
    """Groups decided by hand; they win over the hash."""
    blocks: int = Field(10, ge=1)
    gap_s: float = Field(2.0, ge=0)
    """Seconds left out between blocks of different splits."""
    gap_frames: int = Field(2, ge=0)
    """The same for image folders, which have no frame rate: existing images left out."""

    @model_validator(mode="after")
    def _something_to_train_on(self) -> "Params":
        if self.test + self.val >= 1:
            raise ValueError(f"test + val must stay below 1 so that something is left for training, got {self.test} + {self.val}")
        if self.mode == "fixed" and self.assign:
            raise ValueError("assign has no meaning in mode fixed; write the splits into data/raw/splits.csv")
        return self


def run(project: Project, params: Params) -> None:
    """Write the table of splits; a table that cannot serve all three purposes is written too, and the data set gate reports it."""
    videos = tables.read(project.manifest / "videos.parquet", Videos)
    images = tables.read(project.manifest / "images.parquet", Images)
    table = tables.typed(make_splits(project, params, videos, images), Splits)
    tables.write(table, Splits, project.splits)
    for fault in splits.split_faults(table):
        print(f"warning: {fault}", file=sys.stderr)


def make_splits(project: Project, params: Params, videos: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table for the chosen mode."""
    shares: dict[str, Any] = {"seed": params.seed, "test": params.test, "val": params.val, "assign": params.assign}
    if params.mode == "group":
        return splits.by_group(videos, params.group, **shares)
    if params.mode == "blocks":
        return by_blocks(videos, images, Cutting(params.blocks, params.gap_s, params.gap_frames, **shares))
    return by_list(read_listed(project), videos, "data/raw/splits.csv")


def read_listed(project: Project) -> pd.DataFrame:
    """The hand-made list as texts.

    Raises:
        EthoLoopError: the file is missing or is not CSV.
    """
    path = project.fixed_splits
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except FileNotFoundError:
        raise EthoLoopError(
            f"{path}: file not found, but params.yaml has split.mode: fixed. Write it (video_id,start_frame,stop_frame,split[,group]) "
            "or set split.mode to group or blocks."
        ) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise EthoLoopError(
            f"{path}: not readable as CSV: {error}. Expected the columns video_id,start_frame,stop_frame,split[,group]."
        ) from None
