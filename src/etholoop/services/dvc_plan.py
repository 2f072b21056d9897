"""What a rebuild would do, worked out from DVC's status: `dvc repro --dry` stops at the first output that does not exist yet."""

from collections.abc import Iterable, Mapping
from typing import Any

Status = Mapping[str, list[Any]]
"""What ``dvc status`` says, by stage or ``.dvc`` file."""


def plan(status: Status, stages: Mapping[str, Any], targets: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Stages that would run, in the order of the graph, each with the reason.

    Args:
        stages: section ``stages`` of dvc.yaml.
        targets: only these and what they need; none = all.
    """
    wanted = needed(stages, list(targets) or list(stages))
    touched = {str(name.removesuffix(".dvc")) for name in status if name.endswith(".dvc")}
    found: list[tuple[str, str]] = []
    running: set[str] = set()
    for name in _in_order(stages):
        if name not in wanted:
            continue
        before = [other for other in _inputs_of(name, stages) if other in running]
        own = reasons(status.get(name, []), _made_by(stages, before)) + sorted(touched & set(_paths(stages[name], "deps")))
        if own or before:
            running.add(name)
            found.append((name, "; ".join(list(dict.fromkeys(own)) or [f"if {', '.join(before)} gives something new"])))
    return found


def reasons(changes: Iterable[Any], expected: Iterable[str] = ()) -> list[str]:
    """Why a stage is out of date, in words; changes of ``expected`` paths are left out."""
    left_out, words = set(expected), []
    for change in changes:
        if not isinstance(change, Mapping):
            words.append(str(change))
            continue
        for kind, items in change.items():
            for path, what in items.items() if isinstance(items, Mapping) else [(str(items), "")]:
                if path not in left_out:
                    words.append(_words(kind, path, what))
    if "not made yet" in words:
        return ["not made yet"]
    return list(dict.fromkeys(words))


def _words(kind: str, path: str, what: Any) -> str:
    if kind == "changed outs":
        return "not made yet" if what == "deleted" else f"{path} was changed by hand"
    if path == "params.yaml":
        return f"params.yaml: {', '.join(what)}" if isinstance(what, Mapping) else "params.yaml"
    return "its code" if path.startswith("src/") else path


def needed(stages: Mapping[str, Any], targets: Iterable[str]) -> set[str]:
    """These stages and all that come before them."""
    found: set[str] = set()
    queue = [target for target in targets if target in stages]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += _inputs_of(name, stages)
    return found


def _in_order(stages: Mapping[str, Any]) -> list[str]:
    """Every stage after those it needs; otherwise as in the file."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name not in ordered:
            for other in _inputs_of(name, stages):
                visit(other)
            ordered.append(name)

    for name in stages:
        visit(name)
    return ordered


def _inputs_of(name: str, stages: Mapping[str, Any]) -> list[str]:
    needed = _paths(stages[name], "deps")
    return [other for other in stages if other != name and any(_overlap(path, out) for out in _outs(stages[other]) for path in needed)]


def _made_by(stages: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    return [out for name in names for out in _outs(stages[name])]


def _outs(stage: Mapping[str, Any]) -> list[str]:
    return [path for kind in ("outs", "metrics", "plots") for path in _paths(stage, kind)]


def _paths(stage: Mapping[str, Any], kind: str) -> list[str]:
    return [item if isinstance(item, str) else next(iter(item)) for item in stage.get(kind, [])]


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
