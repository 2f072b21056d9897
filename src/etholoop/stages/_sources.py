"""The sources of a project: opened once by a stage, and once by each worker that reads them."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from etholoop.io import tables
from etholoop.project import Project
from etholoop.schema.videos import Images, Videos
from etholoop.stages._normalised import read_normalised

if TYPE_CHECKING:
    from etholoop.io.sources import Source


def project_sources(project: Project) -> dict[str, "Source"]:
    """All sources of the manifest by id."""
    from etholoop.io.sources import open_sources

    videos = tables.read(project.manifest / "videos.parquet", Videos)
    images = tables.read(project.manifest / "images.parquet", Images)
    return open_sources(project.root, videos, images, read_normalised(project))


def source_of(root: Path, video_id: str) -> "Source":
    """One source, in a worker; the manifest is read again only when it has changed."""
    return _remembered(root, _stamp(root))[video_id]


@lru_cache(maxsize=1)
def _remembered(root: Path, stamp: tuple[tuple[int, int], ...]) -> dict[str, "Source"]:
    return project_sources(Project(root))


def _stamp(root: Path) -> tuple[tuple[int, int], ...]:
    project = Project(root)
    tables_of_sources = [*sorted(project.manifest.glob("*.parquet")), *sorted((root / "data/normalised").glob("*.parquet"))]
    return tuple((path.stat().st_ino, path.stat().st_mtime_ns) for path in tables_of_sources)
