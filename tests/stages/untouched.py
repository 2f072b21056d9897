"""Table ``Normalised`` for tests whose sources are read as they are."""

from pathlib import Path

from etholoop.io import tables
from etholoop.project import Project
from etholoop.schema.normalised import Normalised
from etholoop.schema.videos import Videos

SAME = {"a": 1.0, "b": 0.0, "c": 0.0, "d": 0.0, "e": 1.0, "f": 0.0}


def write_untouched(project: Project, sizes: dict[str, tuple[int, int]] | None = None) -> Path:
    """One row per source of the manifest, or of ``sizes`` (width, height) by id."""
    if sizes is None:
        videos = tables.read(project.manifest / "videos.parquet", Videos)
        sizes = {row.video_id: (row.width, row.height) for row in videos.itertuples()}
    rows = [
        {
            "video_id": video_id,
            "path": "",
            "sha256": "",
            "n_frames": 1,
            "width": width,
            "height": height,
            "fps_num": 0,
            "fps_den": 1,
            **SAME,
        }
        for video_id, (width, height) in sorted(sizes.items())
    ]
    path = project.normalised / "normalised.parquet"
    tables.write(tables.from_rows(rows, Normalised), Normalised, path)
    return path
