"""``etholoop engine``: which engine works on the videos here, and whether it does."""

from typing import TYPE_CHECKING

import typer

from etholoop.commands import _engine_options as options
from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Where videos are worked on: this computer, or a cluster.", short_help="Where videos are worked on.", no_args_is_help=True
    )
    group.command("show", short_help="Print the settings in force.", epilog=examples("etholoop engine show"))(show)
    group.command(
        "check", short_help="Let every worker say where it runs.", epilog=examples("etholoop engine check --engine processes --workers 4")
    )(check)
    app.add_typer(group, name="engine")


def show(engine: str = options.ENGINE, workers: int = options.WORKERS) -> None:
    """Print the settings in force, and the job script of a batch system; start nothing."""
    from etholoop.project import find_project

    project = find_project()
    options.use(project, engine, workers)
    typer.echo(description(project))


def check(engine: str = options.ENGINE, workers: int = options.WORKERS) -> None:
    """Start the engine and let every worker say where it runs; a batch system may let you wait."""
    from etholoop.engines import open_engine
    from etholoop.engines._settings import read_settings
    from etholoop.errors import FaultsError
    from etholoop.io import atomic
    from etholoop.project import find_project

    project = find_project()
    options.use(project, engine, workers)
    with atomic.scratch_folder(project.memo / "engine") as scratch, open_engine(read_settings(project.root), scratch) as running:
        found = [outcome for _, outcome in running.map(whereabouts, [scratch] * 2 * running.workers)]
    faults = [outcome.message for outcome in found if not outcome.ok]
    if faults:
        raise FaultsError("engine", faults, "Correct engine.yaml; `etholoop engine show` prints what is in force.")
    for line in sorted({str(outcome.value) for outcome in found}):
        typer.echo(line)


def whereabouts(scratch: object) -> str:
    """In a worker: its computer and process, and whether it sees the project's disk."""
    import os
    import socket
    from pathlib import Path

    from etholoop.errors import EthoLoopError

    place = f"{socket.gethostname()} process {os.getpid()}"
    if not Path(str(scratch)).is_dir():
        raise EthoLoopError(f"{place} does not see {scratch}: workers must share the project's folder.")
    return place


def description(project: "Project") -> str:
    """The settings in words, and what a batch system would be told."""
    from etholoop.engines._settings import FILE, QUEUES, read_settings

    settings = read_settings(project.root)
    where = FILE if (project / FILE).is_file() else f"no {FILE}, defaults"
    lines = [f"engine {settings.engine}: {settings.n_workers} workers, {settings.threads_of(settings.n_workers)} threads each ({where})"]
    if settings.address:
        lines.append(f"scheduler {settings.address}")
    if settings.engine in QUEUES:
        from etholoop.engines.dask import job_script

        jobs = -(-settings.n_workers // settings.job.processes)
        lines += [f"{jobs} jobs like this one:", "", job_script(settings, project.memo / "engine/run")]
    return "\n".join(lines)
