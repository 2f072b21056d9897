"""The derived picture of each source, for stages that have images and coordinates but do not open sources."""

from dataclasses import dataclass

import pandas as pd

from etholoop.core.affine import Affine
from etholoop.io import tables
from etholoop.project import Project
from etholoop.schema.normalised import Normalised


@dataclass(frozen=True)
class Picture:
    """Size of the pictures that are read, and the way there from source pixels."""

    width: int
    height: int
    affine: Affine


def read_normalised(project: Project) -> pd.DataFrame:
    """Table ``Normalised``.

    Raises:
        EthoLoopError: the stage has not run yet.
    """
    return tables.read(project.normalised / "normalised.parquet", Normalised)


def pictures(project: Project) -> dict[str, Picture]:
    """The picture of each source by id."""
    return pictures_of(read_normalised(project))


def pictures_of(table: pd.DataFrame) -> dict[str, Picture]:
    """The picture of each source of a table ``Normalised`` by id."""
    columns = ["video_id", "width", "height", *"abcdef"]
    rows = table[columns].itertuples(index=False, name=None)
    return {video_id: Picture(int(width), int(height), Affine(*map(float, way))) for video_id, width, height, *way in rows}
