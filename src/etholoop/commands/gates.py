"""``etholoop gates``: the state of all gates, and Great Expectations' pages about them."""

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from etholoop.project import Project

GATES = ("videos", "labels", "dataset", "predictions")
"""In the order of the pipeline; the gate ``videos`` is asked by the stage ``check_videos``."""


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The questions the data must answer before the pipeline goes on.", no_args_is_help=True)
    group.command("show", help="One line per gate: green, red with what failed, or not asked yet.")(show)
    group.command("docs", help="Write Great Expectations' Data Docs to reports/data_docs (works offline).")(docs)
    app.add_typer(group, name="gates")


def show() -> None:
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
