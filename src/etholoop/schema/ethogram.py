"""Ethogram: the behaviours that may be recorded, each with a definition people can agree on."""

from dataclasses import dataclass
from typing import Any

from etholoop.errors import FaultsError
from etholoop.params import nearest

CATCH_ALL = frozenset(
    {"none", "other", "others", "background", "misc", "miscellaneous", "unknown", "nothing", "no_behaviour", "no behavior"}
)
"""Names that mean 'whatever is left'."""

CATCH_ALL_REASON = (
    "is a catch-all: time in which no behaviour is marked already means 'none of these', and time that nobody looked at must stay "
    "unlabelled, not become a behaviour. Remove it, or name what the animal does"
)


@dataclass(frozen=True)
class Behaviour:
    """One behaviour. A *state* lasts; a *point* event has a moment only. Behaviours of one ``exclusive_group`` never overlap."""

    name: str
    definition: str
    kind: str
    exclusive_group: str | None
    key: str | None


@dataclass(frozen=True)
class Ethogram:
    """The behaviours in the order of the file; that order is the class order of every behaviour model."""

    name: str
    behaviours: tuple[Behaviour, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(behaviour.name for behaviour in self.behaviours)


def ethogram_from(content: dict[str, Any], where: str) -> Ethogram:
    """Build an ethogram from the content of ``ethogram.yaml``.

    Raises:
        FaultsError: all faults of the file together.
    """
    known = ["name", "behaviours"]
    faults = [f"unknown key '{key}'; {nearest(key, known)}" for key in content if key not in known]
    behaviours = []
    for position, item in enumerate(content.get("behaviours") or []):
        behaviour, item_faults = _behaviour_from(item, f"behaviours[{position}]")
        faults += item_faults
        if behaviour:
            behaviours.append(behaviour)
    faults += _repeated([b.name for b in behaviours], "behaviour")
    faults += _repeated([b.key for b in behaviours if b.key], "key")
    if faults:
        raise FaultsError(where, faults, "Correct the file; nothing has been run.")
    return Ethogram(str(content.get("name", "")), tuple(behaviours))


def _behaviour_from(item: Any, where: str) -> tuple[Behaviour | None, list[str]]:
    known = ["name", "definition", "kind", "exclusive_group", "key"]
    if not isinstance(item, dict) or not item.get("name"):
        return None, [f"{where}: expected a mapping with a name, found {item!r}"]
    name, where = str(item["name"]), f"{where} '{item['name']}'"
    faults = [f"{where}: unknown key '{key}'; {nearest(key, known)}" for key in item if key not in known]
    if name.strip().lower() in CATCH_ALL:
        faults.append(f"{where}: '{name}' {CATCH_ALL_REASON}")
    if not str(item.get("definition") or "").strip():
        faults.append(f"{where}: no definition; two annotators need one to agree on")
    kind = item.get("kind", "state")
    if kind not in ("state", "point"):
        faults.append(f"{where}: kind must be 'state' or 'point', found {kind!r}")
    key = item.get("key")
    if key is not None and len(str(key)) != 1:
        faults.append(f"{where}: key must be one character, found {key!r}")
    group = item.get("exclusive_group")
    behaviour = Behaviour(
        name, str(item.get("definition") or ""), str(kind), str(group) if group else None, str(key) if key is not None else None
    )
    return behaviour, faults


def _repeated(values: list[str], what: str) -> list[str]:
    return [f"{what} '{value}' is used twice" for value in sorted(set(values)) if values.count(value) > 1]
