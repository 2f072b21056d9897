"""``etholoop repro``: rebuild the cycle, then bring MLflow up to date."""

from typing import TYPE_CHECKING

import typer

from etholoop.commands import _engine_options as options
from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project


def register(app: typer.Typer) -> None:
    app.command("repro", epilog=EXAMPLES)(command)


EXAMPLES = examples(
    "etholoop repro               rebuild what changed",
    "etholoop repro --dry-run     only say what would run, and why",
    "etholoop repro manifest      up to this stage",
)


def command(
    targets: list[str] = typer.Argument(None, help="Stages to rebuild up to; default: all."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would run and why, run nothing."),
    no_sync: bool = typer.Option(False, "--no-sync", help="Leave MLflow alone."),
    engine: str = options.ENGINE,
    workers: int = options.WORKERS,
) -> None:
    """Rebuild what changed (dvc repro) and record it in MLflow."""
    from etholoop.project import find_project

    project = find_project()
    options.use(project, engine, workers)
    if dry_run and engine:
        from etholoop.commands.engine import description

        typer.echo(description(project))
    repro(project, targets or [], dry_run=dry_run, sync=not no_sync)


def repro(project: "Project", targets: list[str] | None = None, *, dry_run: bool = False, sync: bool = True) -> None:
    """Check params.yaml as a whole, rebuild, then project the result into MLflow."""
    import json

    from etholoop.commands.params import check_all
    from etholoop.services import dvc

    check_all(project)
    check_targets(project, targets or [], places=not dry_run)
    for folder in (project.raw_videos, project.raw_images, project.init_weights):
        folder.mkdir(parents=True, exist_ok=True)
    if dry_run:
        for line in planned(project, targets or []):
            typer.echo(line)
        return
    dvc.repro(project, targets or [])
    if sync:
        from etholoop.commands.runs import sync_runs

        sync_runs(project)
    if targets:
        return
    if project.report.is_file():
        typer.echo(f"report: {project.report.relative_to(project.root)}")
    status_file = project.pose_model / "status.json"
    if status_file.is_file():
        status = json.loads(status_file.read_text(encoding="utf-8"))
        if not status["trained"]:
            typer.echo(f"No model yet: {status['reason']}")
            typer.echo("What to label next: data/selection/batch.parquet, with pictures in reports/cycle.html")


def check_targets(project: "Project", targets: list[str], *, places: bool) -> None:
    """Misspelt stages are named before DVC is asked; with ``places`` files that stages make are targets as well.

    Raises:
        EthoLoopError: a target that is neither.
    """
    from etholoop.errors import EthoLoopError
    from etholoop.params import nearest, read_yaml

    stages = list(read_yaml(project / "dvc.yaml")["stages"])
    unknown = [f"'{name}': {nearest(name, stages)}" for name in targets if name not in stages and not (places and _is_a_place(name))]
    if unknown:
        raise EthoLoopError(f"nothing was run: unknown stage {'; '.join(unknown)}")


def _is_a_place(target: str) -> bool:
    return any(sign in target for sign in "/.:")


def planned(project: "Project", targets: list[str]) -> list[str]:
    """Lines that say which stages would run, and why."""
    from etholoop.params import read_yaml
    from etholoop.services import dvc
    from etholoop.services.dvc_plan import plan

    stages = read_yaml(project / "dvc.yaml")["stages"]
    found = plan(dvc.status(project), stages, targets)
    width = max((len(name) for name, _ in found), default=0)
    return ["would run:", *(f"  {name:<{width}}  {reason}" for name, reason in found)] if found else ["nothing to do: all is up to date"]
