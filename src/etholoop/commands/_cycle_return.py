"""Going back to a closed cycle, forward again, and comparing two of them."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etholoop.project import Project

Ledger = dict[str, Any]


def restore(project: "Project", cycle: str) -> list[str]:
    """Bring everything back to how it was when the cycle was closed: code, parameters, labels, data, weights.

    Nothing is lost: where something was not committed, nothing is done; where DVC does not have all the data, it goes back.

    Raises:
        FaultsError: there is uncommitted work, or what came back is not what the ledger says.
        EthoLoopError: no such cycle, or its data are not in the cache.
    """
    from filelock import FileLock

    from etholoop.errors import EthoLoopError
    from etholoop.services import dvc, git, git_return, label_studio_server, process

    tag = f"cycle/{cycle}"
    if not git.has_tag(project, tag):
        closed = [name.removeprefix("cycle/") for name in git_return.tags(project, "cycle/*")]
        raise EthoLoopError(f"no cycle {cycle} was closed; there are {', '.join(closed) or 'none yet'}.")
    with FileLock(str(label_studio_server.place(project).root / "pull.lock")):
        _require_nothing_uncommitted(project)
        before = git_return.branch(project) or git.head(project) or "HEAD"
        git_return.visit(project, tag)
        try:
            process.run(["dvc", "checkout", "--quiet"], project.root)
        except EthoLoopError as error:
            _go_back(project, before)
            raise EthoLoopError(
                f"the data of {cycle} are not all here, so everything is as it was. `dvc fetch --rev {tag}` may bring them "
                f"from the remote. DVC said: {error}"
            ) from None
        _require_same(project, cycle)
    changed = dvc.status(project)
    state = "up to date" if not changed else f"DVC would redo {', '.join(changed)}"
    return [
        f"this is {cycle} as it was closed; data and pipeline: {state}",
        "look, compute, export as you like; `etholoop cycle open` goes back to the newest state",
        f"to go on from here instead: `etholoop cycle open NEW-ID --branch NAME` (the labels since {cycle} stay on the other branch)",
    ]


def _go_back(project: "Project", before: str) -> None:
    from etholoop.services import git_return, process

    if git_return.remembered(project) == before:
        git_return.switch(project, before)
    else:
        git_return.visit(project, before)
    process.run(["dvc", "checkout", "--quiet"], project.root, ok=(0, 1, 255))


def _require_nothing_uncommitted(project: "Project") -> None:
    """Raises FaultsError, naming every file."""
    from etholoop.errors import FaultsError
    from etholoop.services import git, process

    faults = [f"not committed: {line[3:]}" for line in git.dirty(project)]
    data = json.loads(process.run(["dvc", "data", "status", "--json"], project.root) or "{}").get("uncommitted") or {}
    faults += [f"not versioned ({kind}): {path}" for kind in ("added", "modified") for path in data.get(kind) or []]
    faults += [f"renamed, not versioned: {item['old']}" for item in data.get("renamed") or []]
    if faults:
        remedy = (
            "Nothing was changed. Commit it (`git commit -a`, `dvc add` or `dvc commit`), or put it aside (`git stash`), then try again."
        )
        raise FaultsError("there is work that going back would lose", faults, remedy)


def _require_same(project: "Project", cycle: str) -> None:
    """Digests of what came back against the ledger; raises FaultsError."""
    from etholoop.errors import FaultsError
    from etholoop.io.memo import file_digest
    from etholoop.services import dvc

    ledger = json.loads((project.cycles / f"{cycle}.json").read_text(encoding="utf-8"))
    places = {"pose": project.pose_model / "best.pt", "refiner": project.refiner_model / "weights.pt"}
    found = {f"weights of {name}": (expected, file_digest(places[name])) for name, expected in ledger["weights"].items()}
    found["dvc.lock"] = ledger["dvc_lock_md5"], dvc.lock_digest(project)
    found["snapshot of labels"] = ledger["snapshot_md5"], dvc.file_md5(project.snapshot)
    found["batch"] = ledger["batch_sha256"], file_digest(project.selection / "batch.parquet")
    faults = [f"{name}: the ledger has {expected}, found {digest}" for name, (expected, digest) in found.items() if expected != digest]
    if faults:
        raise FaultsError(f"{cycle} came back otherwise than it was closed", faults, "`etholoop cycle open` goes back to the newest state.")


def reopen(project: "Project") -> list[str]:
    """From a restored cycle back to the branch that was left.

    Raises:
        FaultsError: there is uncommitted work.
        EthoLoopError: nobody knows which branch.
    """
    from filelock import FileLock

    from etholoop import params
    from etholoop.errors import EthoLoopError
    from etholoop.services import git_return, label_studio_server, process
    from etholoop.stages.select import Cycle

    if git_return.branch(project):
        return [f"{params.load(project.params, 'cycle', Cycle).id} is open (branch {git_return.branch(project)})"]
    name = git_return.remembered(project)
    if name is None:
        raise EthoLoopError("there are several branches and none was left for this cycle; `git switch BRANCH && dvc checkout` goes there.")
    with FileLock(str(label_studio_server.place(project).root / "pull.lock")):
        _require_nothing_uncommitted(project)
        git_return.switch(project, name)
        process.run(["dvc", "checkout", "--quiet"], project.root)
    return [f"back on branch {name}; {params.load(project.params, 'cycle', Cycle).id} is open"]


def open_new(project: "Project", cycle: str, branch: str) -> list[str]:
    """Open a cycle by name: the next one by hand, or, on a restored cycle, one on a branch of its own.

    Raises:
        EthoLoopError: a cycle of that name was closed or is open, or the branch is there already.
    """
    import re

    from etholoop import params
    from etholoop.commands.cycle import set_cycle_id
    from etholoop.errors import EthoLoopError
    from etholoop.services import git, git_return
    from etholoop.stages.select import Cycle

    if not re.fullmatch(r"c\d{3,}", cycle):
        raise EthoLoopError(f"'{cycle}' is no id of a cycle: c and at least three digits, for example c007.")
    if git.has_tag(project, f"cycle/{cycle}"):
        raise EthoLoopError(f"cycle {cycle} was closed already. `etholoop cycle restore {cycle}` shows it; give a new id to go on.")
    if git_return.branch(project) is None and not branch:
        raise EthoLoopError("this is a closed cycle, looked at. Name a branch for what comes from it: --branch NAME.")
    now = params.load(project.params, "cycle", Cycle).id
    if now == cycle and not branch:
        raise EthoLoopError(f"cycle {cycle} is open.")
    if branch:
        git_return.new_branch(project, branch)
    set_cycle_id(project.params, cycle)
    git.commit(project, f"Open cycle {cycle}", [project.params])
    return [f"{cycle} is open on branch {git_return.branch(project)}; next: `etholoop repro`, `etholoop labels push`"]


# --- comparing ---------------------------------------------------------------------------------------------------------------------


def compare(project: "Project", one: str, other: str) -> list[str]:
    """Labels, figures with their intervals, weights and parameters of two closed cycles.

    Raises:
        EthoLoopError: one of them was not closed.
    """
    a, b = ledger_of(project, one), ledger_of(project, other)
    lines = [f"{'':<22}{one:>24}{other:>24}{'difference':>14}"]
    lines += [_row(f"labelled {name}", a["labels"].get(name), b["labels"].get(name)) for name in a["labels"]]
    names = [name for name, value in a["metrics"].items() if isinstance(value, int | float) and not isinstance(value, bool)]
    names += [name for name, value in b["metrics"].items() if isinstance(value, int | float) and name not in a["metrics"]]
    for name in names:
        ends = [(ledger["metrics"].get("ci") or {}).get(name) for ledger in (a, b)]
        lines.append(_row(name, a["metrics"].get(name), b["metrics"].get(name), ends))
    same = {"snapshot of labels": "snapshot_md5", "splits": "split_md5", "initial weights": "init_weights_md5", "batch": "batch_sha256"}
    lines += [f"{name:<22}{'the same' if a[key] == b[key] else 'differs':>24}" for name, key in same.items()]
    lines += [
        f"{f'weights of {name}':<22}{'the same' if a['weights'].get(name) == b['weights'].get(name) else 'differs':>24}"
        for name in sorted({*a["weights"], *b["weights"]})
    ]
    if a["split_md5"] != b["split_md5"]:
        lines.append("the two were judged on different splits: their figures are not of the same frames")
    lines += [f"{ledger['cycle']}: {'champion' if ledger['promoted'] else 'not champion'}, {ledger['reason']}" for ledger in (a, b)]
    return lines + _parameters(project, one, other)


def ledger_of(project: "Project", cycle: str) -> Ledger:
    """The ledger as it was tagged, whatever is checked out now."""
    from etholoop.errors import EthoLoopError
    from etholoop.services import git, git_return

    text = git_return.show(project, f"cycle/{cycle}", f"cycles/{cycle}.json") if git.has_tag(project, f"cycle/{cycle}") else None
    if text is None:
        raise EthoLoopError(f"no cycle {cycle} was closed; `etholoop cycle list` names those that were.")
    return json.loads(text)


def _row(name: str, a: float | None, b: float | None, ends: list[Any] | None = None) -> str:
    values = [_said(value, interval) for value, interval in zip((a, b), ends or (None, None), strict=True)]
    both = a is not None and b is not None
    difference = "" if not both else f"{b - a:+d}" if isinstance(a, int) and isinstance(b, int) else f"{b - a:+.4f}"  # type: ignore[operator]
    return f"{name:<22}{values[0]:>24}{values[1]:>24}{difference:>14}"


def _said(value: float | None, interval: Any) -> str:
    if value is None:
        return "–"
    text = str(value) if isinstance(value, int) else f"{value:.4f}"
    return f"{text} [{interval[0]:.3f}, {interval[1]:.3f}]" if interval and None not in interval else text


def _parameters(project: "Project", one: str, other: str) -> list[str]:
    """Parameters that differ, one line each."""
    import yaml

    from etholoop.services import git_return

    texts = [git_return.show(project, f"cycle/{cycle}", "params.yaml") or "" for cycle in (one, other)]
    a, b = (_flat(yaml.safe_load(text) or {}) for text in texts)
    keys = [key for key in sorted({*a, *b}) if a.get(key) != b.get(key) and key != "cycle.id"]
    return [f"parameter {key}: {a.get(key, 'not set')} → {b.get(key, 'not set')}" for key in keys]


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(content, dict):
        return {prefix: content}
    return {name: value for key, part in content.items() for name, value in _flat(part, f"{prefix}.{key}" if prefix else str(key)).items()}
