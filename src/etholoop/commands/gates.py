"""``etholoop gates``: the state of all gates, and Great Expectations' pages about them."""

import json
from typing import TYPE_CHECKING

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project

GATES = ("videos", "labels", "dataset", "predictions")
"""In the order of the pipeline; the gate ``videos`` is asked by the stage ``check_videos``."""


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="The questions the data must answer before the pipeline goes on.",
        short_help="Is the data good enough to go on?",
        no_args_is_help=True,
    )
    group.command("show", epilog=examples("etholoop gates show"))(show)
    group.command("docs", short_help="Pages about all questions, for a browser.", epilog=examples("etholoop gates docs"))(docs)
    app.add_typer(group, name="gates")


def show() -> None:
    """One line per gate: green, red with what failed, or not asked yet."""
    from etholoop.project import find_project

    project = find_project()
    for name in GATES:
        typer.echo(f"{name:<12} {state(project, name)}")


def state(project: "Project", name: str) -> str:
    """What is known of a gate, in words."""
    red, green = project.gates / "failed" / f"{name}.json", project.gates / f"{name}.json"
    if green.is_file():
        content = json.loads(green.read_text(encoding="utf-8"))
        overrides = [f"overridden: {rule} ({entry['reason']})" for rule, entry in content["overrides"].items() if entry["needed"]]
        return "; ".join(["green", *overrides, *content["notes"]])
    if red.is_file():
        return f"RED, every bad row is in {red.relative_to(project.root)}"
    return "not asked yet: `etholoop repro`"


def docs() -> None:
    """Write Great Expectations' Data Docs to reports/data_docs; they work offline."""
    from etholoop import params as parameters
    from etholoop import registry, runtime
    from etholoop.project import find_project

    project = find_project()
    runtime.prepare(project.root)
    from etholoop.checks.data_docs import build_data_docs

    gates = []
    for name in GATES:
        stage = registry.load("etholoop.stages", f"check_{name}")
        gates.append(stage.gate(project, parameters.load(project.params, f"check_{name}", stage.Params)))
    typer.echo(f"Data Docs: {build_data_docs(project / 'reports/data_docs', gates).relative_to(project.root)}")
