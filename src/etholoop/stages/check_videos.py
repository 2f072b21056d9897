"""DVC stage `check_videos`: stop here if the sources cannot be relied on."""

from typing import TYPE_CHECKING

from etholoop.io import tables
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.videos import Gaps, Images, Quarantine, Videos
from etholoop.stages import _gate

if TYPE_CHECKING:
    from etholoop.checks.engine import Gate


class Params(Section):
    """Nothing to choose."""


def run(project: Project, params: Params) -> None:
    _gate.ask(project, gate(project, params))


def gate(project: Project, params: Params) -> "Gate":
    """What is asked."""
    from etholoop.checks import videos

    return videos.gate(
        tables.read(project.manifest / "videos.parquet", Videos),
        tables.read(project.manifest / "quarantine.parquet", Quarantine),
        tables.read(project.manifest / "images.parquet", Images),
        tables.read(project.manifest / "gaps.parquet", Gaps),
    )
