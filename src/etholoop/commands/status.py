"""``etholoop status``: where the loop stands and what comes next. Changes nothing."""

from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project


def register(app: typer.Typer) -> None:
    app.command("status", short_help="Where the loop stands, and what comes next.", epilog=examples("etholoop status"))(command)


def command() -> None:
    """Labels waiting on the server, the open batch, what `etholoop repro` would do and why."""
    from etholoop.project import find_project

    for line in lines(find_project()):
        typer.echo(line)


def lines(project: "Project") -> list[str]:
    """The whole status, one line per fact."""
    from etholoop import params
    from etholoop.stages.select import Cycle

    cycle = params.load(project.params, "cycle", Cycle)
    return [f"cycle {cycle.id}", *_batch(project, cycle.id), *_labels(project), *_server(project), *_pipeline(project)]


def _batch(project: "Project", cycle: str) -> list[str]:
    """How much of what was asked is answered in the snapshot."""
    from etholoop.io import label_studio_batches, snapshot

    batch = label_studio_batches.read(project.batches / f"{cycle}.json", cycle)
    if not batch.questions:
        return ["asked: nothing yet (`etholoop labels push` sends the batch)"]
    labels = snapshot.read_or_empty(project.snapshot)
    answered = {record["uid"] for record in labels.frames}
    found = []
    for purpose in sorted({question["purpose"] for question in batch.questions}):
        questions = batch.of(purpose)
        if purpose == "behaviour":
            done = sum(_looked_at(question, labels.behaviours) for question in questions)
        else:
            done = sum(question["uid"] in answered for question in questions)
        found.append(f"asked ({purpose}): {len(questions)}, answered {done}, open {len(questions) - done}")
    return found


def _looked_at(question: dict[str, Any], records: list[dict[str, Any]]) -> bool:
    """Whether somebody looked at any part of a window."""
    own = [record for record in records if (record["video"], record["subject"]) == (question["video_id"], question["subject"])]
    start, stop = question["start_frame"], question["stop_frame"]
    return any(first < stop and start < last for record in own for first, last in record["looked_at"])


def _labels(project: "Project") -> list[str]:
    from etholoop.io import snapshot

    labels = snapshot.read_or_empty(project.snapshot)
    seconds = sum(last - first for record in labels.behaviours for first, last in record["looked_at"])
    return [f"labels: {len(labels.frames)} frames, {seconds} frames of behaviour looked at"]


def _server(project: "Project") -> list[str]:
    """What a pull would bring; no server is no fault."""
    from etholoop.commands.labels_pull import pull
    from etholoop.errors import EthoLoopError

    try:
        pulled = pull(project, dry_run=True)
    except EthoLoopError as error:
        return [f"labelling server: {str(error).splitlines()[0]}"]
    waiting = f"{len(pulled.changes)} records would change with `etholoop labels pull`" if pulled.changes else "nothing new to pull"
    more = [f"{len(pulled.refused)} answers cannot be taken"] if pulled.refused else []
    more += [f"{pulled.counts[name]} {name}" for name in ("drafts", "skipped") if pulled.counts[name]]
    return [f"labelling server: {', '.join([waiting, *more])}"]


def _pipeline(project: "Project") -> list[str]:
    """Stages that repro would run, each with what changed."""
    from etholoop.params import read_yaml
    from etholoop.services import dvc, dvc_plan

    status = dvc.status(project)
    if not status:
        return ["pipeline: up to date"]
    stages = read_yaml(project / "dvc.yaml").get("stages") or {}
    data = [f"  {name}: {', '.join(dvc_plan.reasons(why))}" for name, why in status.items() if name.endswith(".dvc")]
    runs = [f"  {name}: {why}" for name, why in dvc_plan.plan(status, stages)]
    found = ["not versioned yet (`dvc add`):", *data] if data else []
    return [*found, "`etholoop repro` would run:", *runs] if runs else found
