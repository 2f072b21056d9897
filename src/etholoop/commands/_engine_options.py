"""``--engine`` and ``--workers``: for this run, above ``engine.yaml``; stages that DVC starts see them through the environment."""

import os
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from etholoop.project import Project

ENGINE = typer.Option("", "--engine", help="Where videos are worked on: serial, processes, dask, dask:tcp://host:8786, slurm, pbs, …")
WORKERS = typer.Option(0, "--workers", min=0, help="How many at the same time; default: one for each core.")


def use(project: "Project", engine: str, workers: int) -> None:
    """Put the options in force and check them with ``engine.yaml`` before anything runs."""
    from etholoop.engines import _settings

    if engine:
        os.environ[_settings.ENGINE] = engine
        os.environ.pop(_settings.WORKERS, None)
    if workers:
        os.environ[_settings.WORKERS] = str(workers)
    _settings.read_settings(project.root)
