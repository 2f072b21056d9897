"""``etholoop videos proxy``: small videos that any browser plays, each frame of which is known to the source."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from fractions import Fraction

    from etholoop.io.sources import Source
    from etholoop.project import Project
    from etholoop.stages._normalise_make import Job
    from etholoop.stages._normalise_plan import Plan

EXAMPLES = examples(
    "etholoop videos proxy                          every source of the manifest, at most 480 pixels high",
    "etholoop videos proxy cage1 cage2              these two",
    "etholoop videos proxy --height 720 --fps 25    larger, 25 frames a second",
    "",
    "data/proxies/<id>.mp4 plays in a browser; <id>.map.npz beside it tells which source frame each of its frames shows.",
    "Proxies are ignored by Git and DVC; removed ones are made again at any time.",
)

GOP = 12
"""Frames between keyframes at most: jumping in a browser costs a few milliseconds."""
CRF, SPEED = 23, "veryfast"


def register(group: typer.Typer) -> None:
    group.command("proxy", short_help="Small videos for browsers.", epilog=EXAMPLES)(proxy_command)


def proxy_command(
    video_ids: list[str] = typer.Argument(None, help="Sources, as `etholoop videos list` names them; default: all."),
    height: int = typer.Option(480, "--height", min=16, max=8192, help="Pixels at most; pictures are never made larger."),
    fps: str = typer.Option("", "--fps", help="Constant rate, for example 25 or 30000/1001; default: that of the source."),
) -> None:
    """Make browser proxies: H.264, constant rate, quick to jump in, with a frame map both ways."""
    from etholoop.project import find_project

    for path, made in proxies(find_project(), video_ids or [], height, fps or None):
        typer.echo(f"{path}{'' if made else ' (up to date)'}")


def proxies(project: "Project", video_ids: list[str], height: int = 480, fps: str | None = None) -> list[tuple[Path, bool]]:
    """Path of each proxy, and whether it had to be made.

    Raises:
        EthoLoopError: unknown sources, or a rate that is none.
        FaultsError: pieces that cannot be made; what is done stays in the memo.
    """
    from etholoop.stages._normalise_make import Quality, make, place

    wanted = [wish(project, job) for job in jobs(project, video_ids, height, fps)]
    stale = [one for one in wanted if not one.is_made()]
    quality = Quality(crf=CRF, gop=GOP, speed=SPEED)
    for one, made in zip(stale, make(project, [one.job for one in stale], quality), strict=True):
        place(made, one.path, key=one.key)
    return [(one.path, one in stale) for one in wanted]


@dataclass(frozen=True)
class Wish:
    """A proxy that should be there; ``key`` is a digest of everything it depends on."""

    job: "Job"
    path: Path
    key: str

    def is_made(self) -> bool:
        from etholoop.io import frame_maps

        way = self.path.with_suffix(".map.npz")
        return self.path.is_file() and way.is_file() and frame_maps.load(way)[2].get("key") == self.key


def wish(project: "Project", job: "Job") -> Wish:
    from dataclasses import asdict

    from etholoop.io.memo import digest
    from etholoop.io.transcode import VERSION, library

    plan = job.plan
    frames, ticks = digest(n=plan.frame_map.source.tolist()), digest(n=plan.ticks.tolist())
    key = digest(
        identity=job.identity,
        frames=frames,
        ticks=ticks,
        tick=str(plan.tick),
        layout=asdict(plan.layout),
        rotation=plan.rotation,
        encoding=[CRF, GOP, SPEED, VERSION, library()],
    )
    return Wish(job, project.proxies / f"{plan.video_id}.mp4", key)


def jobs(project: "Project", video_ids: list[str], height: int, fps: str | None) -> "list[Job]":
    """What is to be made, from the sources themselves: people label what the camera saw."""
    from etholoop.errors import EthoLoopError
    from etholoop.io import tables
    from etholoop.io.sources import open_sources
    from etholoop.params import nearest
    from etholoop.schema.videos import Images, Videos
    from etholoop.stages._normalise_make import Job
    from etholoop.stages.normalise import identities

    videos = tables.read(project.manifest / "videos.parquet", Videos)
    images = tables.read(project.manifest / "images.parquet", Images)
    sources = open_sources(project.root, videos, images)
    unknown = [f"'{name}': {nearest(name, sorted(sources))}" for name in video_ids if name not in sources]
    if unknown:
        raise EthoLoopError(f"no source in the manifest for {'; '.join(unknown)}")
    identity = identities(sources, images)
    return [Job(sources[name], plan_of(sources[name], height, fps), identity[name]) for name in video_ids or sorted(sources)]


def plan_of(source: "Source", height: int, fps: str | None) -> "Plan":
    """The whole picture, scaled so that shares of its width and height are those of the source, at a constant rate."""
    from etholoop.stages._normalise_plan import plan

    ratio = min(1.0, height / source.height)
    sides = {"width": _even(source.width * ratio), "height": _even(source.height * ratio), "fit": "stretch"}
    return plan(source, settings(fps=fps or source.fps, **sides) if source.fps else settings(**sides), {})


def settings(**changed: Any) -> dict[str, Any]:
    """Settings of ``normalise`` with nothing changed but these."""
    from etholoop.errors import FaultsError
    from etholoop.params import section_from
    from etholoop.stages.normalise import Changes

    given = {name: str(value) if name == "fps" else value for name, value in changed.items()}
    try:
        return section_from({"proxy": given}, "proxy", Changes, "etholoop videos proxy").model_dump()
    except FaultsError as error:
        error.remedy = ""
        raise


def _even(side: "float | Fraction") -> int:
    return max(16, 2 * round(side / 2))
