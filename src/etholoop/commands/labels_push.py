"""``etholoop labels push``: what should be labelled next, sent to the labelling server. Twice is the same as once."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.io.label_studio_batches import Batch
    from etholoop.project import Project
    from etholoop.services.label_studio import Client
    from etholoop.services.label_studio_project import Pushed

Question = dict[str, Any]
Say = Callable[[str], None]

BATCH, HELD_OUT, WINDOW = "batch", "held_out", "behaviour"
KINDS = {"frame": "frames", "behaviour": "behaviour"}
"""Kind of a question → kind of the Label Studio project that holds it."""

EXAMPLES = examples(
    "etholoop labels push",
    "etholoop labels push --held-out",
    "etholoop labels push --annotators anna,ben --double 0.1",
)


def register(app: typer.Typer) -> None:
    from etholoop.commands._labels_group import labels_group

    labels_group(app).command(
        "push",
        short_help="Send what should be labelled next to Label Studio.",
        epilog=EXAMPLES,
    )(command)


@dataclass(frozen=True)
class Order:
    """What to push, and to whom.

    Args:
        purpose: ``batch``, ``held_out`` or ``behaviour``.
        windows: file of behaviour windows, for ``behaviour``.
        double: share of the tasks that go to two people.
        more: add what select asks now to a batch that is frozen already.
        media: prefix of addresses of pictures, for a server that reads them from elsewhere; '' = the own server's.
    """

    purpose: str = BATCH
    windows: Path | None = None
    annotators: tuple[str, ...] = ()
    double: float = 0.0
    more: bool = False
    media: str = ""


@dataclass
class Done:
    """What a push did, by kind of project."""

    pushed: "dict[str, Pushed]" = field(default_factory=dict)
    frozen: int = 0
    waiting: int = 0
    addresses: list[str] = field(default_factory=list)


def command(
    *,
    held_out: bool = typer.Option(False, "--held-out", help="Send frames of the test groups, nothing drawn in, instead of the batch."),
    windows: Path = typer.Option(None, "--windows", help="Send behaviour windows: JSON list (docs/annotating.md says its form)."),
    annotators: str = typer.Option("", help="Names, with commas: tasks are shared out in turn, each person gets a tab."),
    double: float = typer.Option(0.0, min=0, max=1, help="Share of the tasks that two people answer, for agreement."),
    more: bool = typer.Option(False, "--more", help="Add what select asks now to the batch that was frozen before."),
    media_url: str = typer.Option("", "--media-url", help="Where a server elsewhere finds the media folder, for example s3://lab/media/."),
) -> None:
    """Send the selected batch to Label Studio, predictions drawn in, and freeze what was asked."""
    from etholoop.project import find_project

    names = tuple(name.strip() for name in annotators.split(",") if name.strip())
    purpose = WINDOW if windows else HELD_OUT if held_out else BATCH
    done = push(find_project(), Order(purpose, windows, names, double, more, media_url), typer.echo)
    for kind, pushed in done.pushed.items():
        typer.echo(f"{kind}: {pushed}")
    if done.waiting:
        typer.echo(f"{done.waiting} questions that select asks now are not in the frozen batch; --more adds them")
    for address in done.addresses:
        typer.echo(f"label here: {address}")


def push(project: "Project", order: Order, say: Say = lambda _: None) -> Done:
    """Freeze what is asked, then bring the server to hold it.

    Raises:
        EthoLoopError: nothing to ask, no server, or the server refuses.
    """
    from filelock import FileLock

    from etholoop import params
    from etholoop.io import label_studio_batches as batches
    from etholoop.services import label_studio, label_studio_server
    from etholoop.stages.select import Cycle

    cycle = params.load(project.params, "cycle", Cycle).id
    path = project.batches / f"{cycle}.json"
    where = label_studio_server.place(project)
    with FileLock(str(where.root / "push.lock")), label_studio.connect(project) as client:
        client.version()  # no server: say so before anything is frozen
        batch, waiting = _frozen(project, batches.read(path, cycle), order)
        batches.write(batch, path)
        done = Done(frozen=len(batch.questions), waiting=waiting)
        unfinished = where.root / "push.unfinished"
        was_killed = unfinished.exists()
        unfinished.touch()
        for kind in KINDS:
            questions = [question for question in batch.of(order.purpose) if question["kind"] == kind]
            if questions:
                _send(project, client, kind, questions, cycle, order, done, was_killed, say)
        unfinished.unlink(missing_ok=True)
    return done


# --- freezing ----------------------------------------------------------------------------------------------------------------------


def _frozen(project: "Project", batch: "Batch", order: Order) -> "tuple[Batch, int]":
    """The batch with this order's questions in it, and how many questions of now are left out because others are frozen already."""
    from etholoop.errors import EthoLoopError
    from etholoop.io.label_studio_batches import Batch, assigned

    asked = {question["uid"] for question in batch.of(order.purpose)}
    present = batch.of(order.purpose)
    new = [] if present and not order.more and order.purpose != WINDOW else _questions(project, order)
    new = [question for question in new if question["uid"] not in asked]
    if not present and not new:
        raise EthoLoopError(
            f"nothing to ask ({order.purpose}): {'the file of windows is empty.' if order.windows else 'run `etholoop repro`; select fills data/selection.'}"  # noqa: E501
        )
    people = assigned([question["uid"] for question in new], order.annotators, order.double)
    frozen = [{**question, "assigned_to": people[question["uid"]]} for question in new]
    waiting = 0
    if present and not order.more and order.purpose != WINDOW and (project.selection / "tasks.json").is_file():
        waiting = sum(question["uid"] not in asked for question in _questions(project, order))
    return Batch(batch.cycle, batch.questions + frozen), waiting


def _questions(project: "Project", order: Order) -> list[Question]:
    from etholoop.commands._label_windows import window_questions

    return window_questions(project, order.windows) if order.windows else _frame_questions(project, order.purpose)


def _frame_questions(project: "Project", purpose: str) -> list[Question]:
    """Questions of select, in its order."""
    from etholoop.errors import EthoLoopError

    path = project.selection / "tasks.json"
    if not path.is_file():
        raise EthoLoopError(f"{path}: not there. Run `etholoop repro`; its stage select says what to label next.")
    tasks = json.loads(path.read_text(encoding="utf-8"))
    version = _model_version(project)
    chosen = sorted((task for task in tasks if task["purpose"] == purpose), key=lambda task: task["rank"])
    return [{**task, "uid": task["frame_uid"], "kind": "frame", "model_version": version} for task in chosen]


def _model_version(project: "Project") -> str:
    """Names the weights that made the predictions, so that people can tell which model they correct."""
    from etholoop.io import memo

    weights = project.pose_model / "best.pt"
    return f"pose-{memo.file_digest(weights)[:8]}" if weights.is_file() else "pose-none"


# --- sending -----------------------------------------------------------------------------------------------------------------------


def _send(  # noqa: PLR0917
    project: "Project",
    client: "Client",
    kind: str,
    questions: Sequence[Question],
    cycle: str,
    order: Order,
    done: Done,
    was_killed: bool,
    say: Say,
) -> None:
    from etholoop.errors import FaultsError
    from etholoop.io.label_studio_check import prediction_faults
    from etholoop.services import label_studio_project as studio
    from etholoop.services import label_studio_server

    config, *older = screens_of(project, kind)
    tasks = [_task(project, question, cycle, order) for question in questions]
    faults = prediction_faults(config, tasks)
    if faults:
        raise FaultsError("predictions", faults, "Nothing was pushed. The words of the model and of skeleton.yaml or ethogram.yaml differ.")
    found = studio.ensure(client, project_key(project), kind, title=f"{project.root.name[:30]} {KINDS[kind]}", config=config, older=older)
    number = int(found["id"])
    if not order.media:
        studio.ensure_media(client, number, [label_studio_server.place(project).media / name for name in ("frames", "proxies")])
    if was_killed:
        studio.settle(client, number)
    people = {question["uid"]: len(question["assigned_to"]) or 1 for question in questions}
    done.pushed[KINDS[kind]] = studio.reconcile(client, number, tasks, people, say)
    studio.ensure_tabs(client, number, _tabs(questions, cycle))
    done.addresses.append(f"{client.url}/projects/{number}/data")


def config_of(project: "Project", kind: str) -> str:
    """The labelling screen of a kind of question, from the project's YAML."""
    return screens_of(project, kind)[0]


def screens_of(project: "Project", kind: str) -> list[str]:
    """The screen of today and, where the ethogram was changed, one that has the old words too: a server keeps words that are in use."""
    from etholoop.commands.labels_behaviours import read_history
    from etholoop.core.ethogram_changes import retired
    from etholoop.io import label_studio_config as screens
    from etholoop.io.vocabulary import read_ethogram, read_skeleton

    if kind == "frame":
        return [screens.frames_config(read_skeleton(project.skeleton))]
    ethogram, old = read_ethogram(project.ethogram), retired(read_history(project))
    return [screens.behaviour_config(ethogram, words) for words in ([{}, old] if old else [{}])]


def project_key(project: "Project") -> str:
    """The name under which this project is known on any server; made once and kept by Git, so that all clones find the same tasks."""
    import secrets

    from etholoop.io import atomic

    path = project / "label_studio/server_key.txt"
    if not path.is_file():
        atomic.write_text(path, f"{secrets.token_hex(6)}\n")
    return path.read_text(encoding="utf-8").strip()


def _task(project: "Project", question: Mapping[str, Any], cycle: str, order: Order) -> dict[str, Any]:
    from etholoop.commands._label_windows import lend_proxy
    from etholoop.io import label_studio_tasks as tasks
    from etholoop.io.vocabulary import read_ethogram

    people = " ".join(f"[{name}]" for name in question["assigned_to"] if name)
    about = {"cycle": cycle, "assigned_to": people, "order": f"{question['purpose']} {question['rank']:06d}"}
    if question["kind"] == "frame":
        return tasks.frame_task(question, model_version=question["model_version"], image=_lend_frame(project, question, order), about=about)
    video = lend_proxy(project, question, order.media)
    if question.get("bouts") is not None:
        question = {**question, "bouts": _in_words_of_today(project, question["bouts"])}
    return tasks.behaviour_task(
        question, read_ethogram(project.ethogram), model_version=question["model_version"], video=video, about=about
    )


def _in_words_of_today(project: "Project", bouts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Predicted bouts of a frozen batch; those whose word was removed since are not drawn in."""
    from etholoop.commands.labels_behaviours import read_history
    from etholoop.core.ethogram_changes import followed

    made, _ = followed({"bouts": bouts}, read_history(project))
    return made["bouts"]


def _lend_frame(project: "Project", question: Mapping[str, Any], order: Order) -> str:
    from etholoop.io import label_studio_media as media
    from etholoop.services import label_studio_server

    image = str(question["image"]).removeprefix("data/frames/")
    target = label_studio_server.place(project).media / "frames" / image
    if (project.frames / image).is_file() or not target.is_file():  # a frame lent before stays when `frames` no longer has it
        media.lend_frame(project.frames / image, target)
    return f"{order.media}frames/{image}" if order.media else media.frame_address(image)


def _tabs(questions: Sequence[Question], cycle: str) -> dict[str, dict[str, Any]]:
    """One tab per cycle and purpose, and one per cycle and annotator: a person works through the own tab from the top."""
    from etholoop.services.label_studio_project import tab

    purposes = sorted({question["purpose"] for question in questions})
    names = sorted({name for question in questions for name in question["assigned_to"] if name})
    tabs = {f"{cycle} {purpose}": tab({"cycle": cycle, "purpose": purpose}) for purpose in purposes}
    return tabs | {f"{cycle} {name}": tab({"cycle": cycle, "assigned_to": f"[{name}]"}) for name in names}
