"""``etholoop stage NAME``: run one stage as ``dvc.yaml`` does."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from etholoop.project import Project


def register(app: typer.Typer) -> None:
    app.command("stage", help="Run one stage directly (dvc.yaml calls this; people type `etholoop repro`).")(stage)


def stage(name: str = typer.Argument(..., help="Stage name, as in dvc.yaml.")) -> None:
    from etholoop.project import find_project

    run_stage(name, find_project())


def run_stage(name: str, project: "Project") -> None:
    """Check the stage's section of params.yaml, then run it."""
    from etholoop import params as parameters
    from etholoop import registry, runtime

    runtime.prepare(project.root)
    module = registry.load("etholoop.stages", name)
    module.run(project, parameters.load(project.params, name, module.Params))
