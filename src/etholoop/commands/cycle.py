"""``etholoop cycle``: close a cycle so that it can be returned to, and look back at closed ones."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.core.promotion import Decision
    from etholoop.project import Project

LISTED = ("box_ap50", "oks_ap50", "rmse_px")


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Close cycles and look back at them.", no_args_is_help=True)
    group.command(
        "close", short_help="Record this cycle, open the next.", epilog=examples("etholoop cycle close", "etholoop cycle close --dry-run")
    )(close_command)
    group.command("list", help="Closed cycles with their labels and figures.", epilog=examples("etholoop cycle list"))(list_command)
    group.command(
        "open",
        short_help="Back to the open cycle, or open one by name.",
        epilog=examples("etholoop cycle open", "etholoop cycle open c010 --branch without-mouse-7"),
    )(open_command)
    group.command("compare", short_help="Two closed cycles side by side.", epilog=examples("etholoop cycle compare c001 c004"))(
        compare_command
    )
    group.command("restore", short_help="Everything as it was when a cycle was closed.", epilog=examples("etholoop cycle restore c001"))(
        restore_command
    )
    app.add_typer(group, name="cycle")


def close_command(
    next_id: str = typer.Option("", "--next", help="Id of the cycle to open; default: the next number."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Check that the cycle can be closed, change nothing."),
) -> None:
    """Close the cycle: DVC must be clean and all gates green; brings report and MLflow up to date, writes the ledger, commits, tags,
    promotes, opens the next."""
    from etholoop.project import find_project

    close(find_project(), next_id=next_id or None, dry_run=dry_run)


def list_command() -> None:
    from etholoop.project import find_project

    closed = ledgers(find_project())
    if not closed:
        typer.echo("no cycle was closed yet; `etholoop cycle close` does it when DVC is clean and all gates are green")
    for ledger in closed:
        figures = "  ".join(f"{name} {ledger['metrics'][name]:.3f}" for name in LISTED if ledger["metrics"].get(name) is not None)
        champion = "champion" if ledger["promoted"] else ""
        typer.echo(f"{ledger['cycle']}  {ledger['labels']['frames']:>6} labelled frames  {figures or 'no figures'}  {champion}")


def open_command(
    cycle: str = typer.Argument("", help="Id of a cycle to open; without: go back to the open one."),
    branch: str = typer.Option("", help="Git branch to make for it; needed where a restored cycle is gone on from."),
) -> None:
    """Go back from a restored cycle to the newest state; or open a cycle by name."""
    from etholoop.commands import _cycle_return
    from etholoop.project import find_project

    project = find_project()
    for line in _cycle_return.open_new(project, cycle, branch) if cycle else _cycle_return.reopen(project):
        typer.echo(line)


def compare_command(
    one: str = typer.Argument(..., help="Id of a closed cycle."), other: str = typer.Argument(..., help="Id of another one.")
) -> None:
    """Labels, figures, weights and parameters of two closed cycles side by side."""
    from etholoop.commands import _cycle_return
    from etholoop.project import find_project

    for line in _cycle_return.compare(find_project(), one, other):
        typer.echo(line)


def restore_command(cycle: str = typer.Argument(..., help="Id of a closed cycle.")) -> None:
    """Bring code, parameters, labels, data and weights back to how they were when the cycle was closed, and check them by digest.

    Refuses where there is work that is not committed. `etholoop cycle open` goes forward again.
    """
    from etholoop.commands import _cycle_return
    from etholoop.project import find_project

    for line in _cycle_return.restore(find_project(), cycle):
        typer.echo(line)


def ledgers(project: "Project") -> list[dict[str, Any]]:
    """Ledgers of all closed cycles, by id."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(project.cycles.glob("c*.json"))]


def close(project: "Project", *, next_id: str | None = None, dry_run: bool = False) -> dict[str, Any]:
    """Close the current cycle and open the next; returns the ledger.

    Raises:
        EthoLoopError: something is not up to date, a gate is red or missing, or the cycle is closed already.
    """
    from etholoop.commands.params import check_all
    from etholoop.commands.runs import sync_runs
    from etholoop.core.promotion import decide
    from etholoop.io import atomic
    from etholoop.services import dvc, git

    cycle: str = check_all(project)["cycle"].id  # type: ignore[attr-defined]
    _require_closable(project, cycle)
    figures, by_video = _test_figures(project)
    decision = decide(figures, ledgers(project), by_video)
    if dry_run:
        typer.echo(f"{cycle} can be closed; champion: {decision.promoted} ({decision.reason})")
        return {}
    _write_history(project, cycle, figures)
    # the report shows the history, so it is brought up to date before the lock is recorded; _require_closable saw that all before it is
    with _mlflow_comes_meanwhile(project):
        dvc.repro(project, ["report"], alone=True)
    runs = sync_runs(project)
    ledger = _ledger(project, cycle, figures, decision) | {"by_video": by_video}
    atomic.write_text(project.cycles / f"{cycle}.json", json.dumps(ledger, indent=2, sort_keys=True) + "\n")
    git.commit(project, f"Close cycle {cycle}: {decision.reason}")
    git.tag(project, f"cycle/{cycle}", f"EthoLoop cycle {cycle}")
    _tag_runs(project, cycle, decision.promoted)
    following = next_id or f"c{int(cycle[1:]) + 1:03d}"
    _open_next(project, following, decision.promoted)
    typer.echo(f"closed {cycle} (tag cycle/{cycle}, {runs} new runs in MLflow); champion: {decision.promoted}, {decision.reason}")
    typer.echo(f"open now: {following}. Back to this one: `etholoop cycle restore {cycle}`")
    return ledger


@contextmanager
def _mlflow_comes_meanwhile(project: "Project") -> Iterator[None]:
    """Import MLflow, which takes seconds, while the body waits for another program."""
    from etholoop import runtime

    runtime.prepare(project.root)

    def bring() -> None:
        with suppress(ImportError):  # the one who needs it says what is missing
            import_module("etholoop.services.mlflow_store")

    thread = Thread(target=bring, daemon=True)
    thread.start()
    yield
    thread.join()


def _require_closable(project: "Project", cycle: str) -> None:
    from etholoop.errors import EthoLoopError, FaultsError
    from etholoop.services import dvc, dvc_plan, git, git_return

    if git_return.branch(project) is None:
        raise EthoLoopError("this is an old cycle, looked at (`cycle restore`). `etholoop cycle open` goes back to the open one.")
    if git.has_tag(project, f"cycle/{cycle}"):
        raise EthoLoopError(f"cycle {cycle} is closed already (tag cycle/{cycle}). Set a new cycle.id in params.yaml.")
    # closing rebuilds the report with this cycle in its history, so it alone may be behind
    changed = {name: why for name, why in dvc.status(project).items() if name != "report"}
    if changed:
        faults = [f"{name}: {', '.join(dvc_plan.reasons(why))}" for name, why in changed.items()]
        raise FaultsError("not up to date", faults, "Run `etholoop repro` first.")
    faults = []
    for name in ("videos", "labels", "dataset", "predictions"):
        path = project.gates / f"{name}.json"
        if not path.is_file():
            faults.append(f"gate {name}: no result at {path.relative_to(project.root)}")
        elif not json.loads(path.read_text(encoding="utf-8"))["success"]:
            faults.append(f"gate {name} is red")
    if faults:
        raise FaultsError(f"cycle {cycle} cannot be closed", faults, "Run `etholoop repro` and mend what the gates name.")


def _test_figures(project: "Project") -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Figures on held-out groups over all videos together, and those of each video that decide who is champion."""
    from etholoop.core.promotion import SCORES

    content = json.loads((project.metrics / "evaluate.json").read_text(encoding="utf-8"))
    videos = content.get("by_video", {}).get("test", {})
    return content.get("test") or {}, {name: {score: row.get(score) for score in SCORES} for name, row in sorted(videos.items())}


def _write_history(project: "Project", cycle: str, figures: dict[str, Any]) -> None:
    """Put this cycle among the closed ones of metrics/history.csv."""
    from etholoop.io import history

    path = project.metrics / "history.csv"
    others = [row for row in history.read(path) if row["cycle"] != cycle]
    history.write(path, [*others, {"cycle": cycle, "labels": _label_counts(project), "metrics": figures}])


def _label_counts(project: "Project") -> dict[str, int]:
    from etholoop.io import tables
    from etholoop.schema.annotations import Bouts, Boxes, LabelledFrames

    frames = tables.read(project.annotations / "labelled_frames.parquet", LabelledFrames)
    boxes = tables.read(project.annotations / "boxes.parquet", Boxes)
    bouts = tables.read(project.annotations / "bouts.parquet", Bouts)
    return {"frames": len(frames), "instances": len(boxes), "bouts": len(bouts)}


def _ledger(project: "Project", cycle: str, figures: dict[str, Any], decision: "Decision") -> dict[str, Any]:
    from etholoop.io.memo import file_digest
    from etholoop.services import dvc

    stages = dvc.lock(project)
    weights = {
        name: file_digest(path)
        for name, path in (("pose", project.pose_model / "best.pt"), ("refiner", project.refiner_model / "weights.pt"))
        if path.is_file()
    }
    deps = {dep["path"]: dep["md5"] for entry in stages.values() for dep in entry.get("deps", [])}
    return {
        "cycle": cycle,
        "snapshot_md5": deps["label_studio/exports/snapshot.json"],
        "labels": _label_counts(project),
        "init_weights_md5": deps["models/init"],
        "weights": weights,
        "dvc_lock_md5": dvc.lock_digest(project),
        "split_md5": dvc.output_digest(stages, "split", "data/splits"),
        "batch_sha256": file_digest(project.selection / "batch.parquet"),
        "metrics": figures,
        "promoted": decision.promoted,
        "reason": decision.reason,
    }


def _tag_runs(project: "Project", cycle: str, promoted: bool) -> None:
    """Give the runs of this cycle the commit they belong to, and the registry its champion."""
    from etholoop.commands.runs import STAGES
    from etholoop.services import dvc, git, mlflow_store

    stages = dvc.lock(project)
    tags = {"git.commit": git.head(project) or "", "git.dirty": "false", "dvc.lock.md5": dvc.lock_digest(project), "closed": "true"}
    with mlflow_store.opened(project) as client:
        for name, experiment in STAGES.items():
            number = mlflow_store.experiment_id(client, project, experiment)
            run = mlflow_store.find_run(client, number, "stage_key", mlflow_store.stage_key(stages[name]))
            if run is None:
                continue
            mlflow_store.set_tags(client, run.info.run_id, tags)
            if name == "pose_train" and promoted:
                sha256 = run.data.tags["weights_sha256"]
                mlflow_store.register_weights(client, "pose", run.info.run_id, sha256, pointer={}, alias="champion")
        mlflow_store.set_tags(client, mlflow_store.cycle_run(client, project, cycle), tags)


def _open_next(project: "Project", following: str, promoted: bool) -> None:
    """Set the next cycle id; where training starts from the champion, hand its weights on."""
    from etholoop.commands.params import check_all
    from etholoop.io import atomic
    from etholoop.services import dvc, git

    sections = check_all(project)
    if promoted and sections["pose_train"].init == "previous":  # type: ignore[attr-defined]
        # a new file: the old one may be one with DVC's object, which must not change
        with atomic.new_file(project.init_weights / "champion.pt") as temporary:
            shutil.copyfile(project.pose_model / "best.pt", temporary)
        dvc.add(project, project.init_weights)
    set_cycle_id(project.params, following)
    git.commit(project, f"Open cycle {following}")


def set_cycle_id(path: Path, cycle: str) -> None:
    """Change ``cycle.id`` in params.yaml and nothing else, comments included.

    Raises:
        EthoLoopError: the file has no line ``id:`` below ``cycle:``.
    """
    from etholoop.errors import EthoLoopError
    from etholoop.io import atomic

    text = path.read_text(encoding="utf-8")
    changed, n_changes = re.subn(r"(?m)^(cycle:(?:[^\n]*\n(?:[ \t#][^\n]*\n)*?)?[ \t]+id:[ \t]*)[^\s#,}]+", rf"\g<1>{cycle}", text, count=1)
    if n_changes == 0:
        raise EthoLoopError(f"{path}: no line `id:` below `cycle:` to change. Write `cycle:` and `  id: {cycle}` on two lines.")
    atomic.write_text(path, changed)
