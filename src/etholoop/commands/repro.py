"""``etholoop repro``: rebuild the cycle, then bring MLflow up to date."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from etholoop.project import Project


def register(app: typer.Typer) -> None:
    app.command("repro", epilog="Examples: `etholoop repro` rebuilds what changed; `etholoop repro --dry-run` only says what would run.")(
        command
    )


def command(
    targets: list[str] = typer.Argument(None, help="Stages to rebuild up to; default: all."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would run and why, run nothing."),
    no_sync: bool = typer.Option(False, "--no-sync", help="Leave MLflow alone."),
) -> None:
    """Rebuild what changed (dvc repro) and record it in MLflow."""
    from etholoop.project import find_project

    repro(find_project(), targets or [], dry_run=dry_run, sync=not no_sync)


def repro(project: "Project", targets: list[str] | None = None, *, dry_run: bool = False, sync: bool = True) -> None:
    """Check params.yaml as a whole, rebuild, then project the result into MLflow."""
    import json

    from etholoop.commands.params import check_all
    from etholoop.services import dvc

    check_all(project)
    for folder in (project.raw_videos, project.raw_images, project.init_weights):
        folder.mkdir(parents=True, exist_ok=True)
    dvc.repro(project, targets or [], dry=dry_run)
    if dry_run:
        return
    if sync:
        from etholoop.commands.runs import sync_runs

        sync_runs(project)
    status_file = project.pose_model / "status.json"
    if status_file.is_file():
        status = json.loads(status_file.read_text(encoding="utf-8"))
        if not status["trained"]:
            typer.echo(f"No model yet: {status['reason']}")
            typer.echo("What to label next: data/selection/batch.parquet, with pictures in reports/cycle.html")
