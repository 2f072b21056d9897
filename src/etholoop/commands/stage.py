"""``etholoop stage NAME``: run one stage as ``dvc.yaml`` does."""

import signal
import sys
from typing import TYPE_CHECKING

import typer

from etholoop.commands import _engine_options as options
from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project


def register(app: typer.Typer) -> None:
    app.command("stage", short_help="Run one stage; dvc.yaml calls this.", epilog=examples("etholoop stage manifest"))(stage)


def stage(
    name: str = typer.Argument(..., help="Stage name, as in dvc.yaml."),
    engine: str = options.ENGINE,
    workers: int = options.WORKERS,
) -> None:
    """Run one stage directly, as dvc.yaml does; people type `etholoop repro`."""
    from etholoop.project import find_project

    signal.signal(signal.SIGTERM, _stop)
    project = find_project()
    options.use(project, engine, workers)
    run_stage(name, project)


def _stop(number: int, _: object) -> None:
    """Leave as Ctrl-C does: nothing half-written, no process behind. Batch systems send this at the end of the time."""
    sys.exit(128 + number)


def run_stage(name: str, project: "Project") -> None:
    """Check the stage's section of params.yaml, then run it."""
    from etholoop import params as parameters
    from etholoop import registry, runtime

    runtime.prepare(project.root)
    module = registry.load("etholoop.stages", name)
    from etholoop.services.dvc_beside import noted
    from etholoop.stages._map import keep_engines

    with noted(name), keep_engines():
        module.run(project, parameters.load(project.params, name, module.Params))
