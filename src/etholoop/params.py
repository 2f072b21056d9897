"""Strict sections of ``params.yaml``.

Each stage keeps its own small class beside it; this module holds only the base class and the loader.
"""

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from etholoop.errors import EthoLoopError, FaultsError


class Section(BaseModel):
    """One section of ``params.yaml``: unknown keys are refused and values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


SectionT = TypeVar("SectionT", bound=Section)


def nearest(word: str, known: list[str]) -> str:
    """Return ``", did you mean 'x'?"`` for the closest known word, or the list of known words."""
    same_but_case = [name for name in known if name.lower() == word.lower()]
    match = same_but_case or difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if match:
        return f"did you mean '{match[0]}'?"
    return f"known: {', '.join(sorted(known))}"


def nearest_of(word: str, known: list[str]) -> str:
    """Like ``nearest``, and after a likely word all known ones as well."""
    answer, listed = nearest(word, known), f"known: {', '.join(known)}"
    return f"{answer} ({listed})" if answer.startswith("did you mean") else listed


def parse_yaml(text: str) -> Any:
    """As ``yaml.safe_load``, several times as fast where PyYAML has its C library.

    Raises:
        yaml.YAMLError: not YAML.
    """
    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return yaml.safe_load(text)  # this one's message shows the line


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; an empty file is an empty mapping.

    Raises:
        EthoLoopError: the file is missing, is not YAML, or is not a mapping.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found. Run this inside a project, or make one with `etholoop init`.") from None
    except yaml.YAMLError as error:
        raise EthoLoopError(f"{path}: not readable as YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise EthoLoopError(f"{path}: expected a mapping of names to values, found {type(content).__name__}.")
    return content


def section_from(content: dict[str, Any], name: str, section_class: type[SectionT], where: str) -> SectionT:
    """Check one section. A section left out means all its defaults.

    Raises:
        FaultsError: naming every unknown key (with the nearest valid one) and every impossible value.
    """
    try:
        given = content.get(name)
        return section_class.model_validate({} if given is None else given)
    except ValidationError as error:
        faults = [_fault(name, section_class, item) for item in error.errors()]
        raise FaultsError(where, faults, "Correct the file; nothing has been run.") from None


def load(path: Path, name: str, section_class: type[SectionT]) -> SectionT:
    """Read section ``name`` of a parameter file into its class."""
    return section_from(read_yaml(path), name, section_class, str(path))


def _fault(section: str, section_class: type[Section], item: Any) -> str:
    location = ".".join([section, *map(str, item["loc"])])
    if item["type"] == "extra_forbidden":
        known = _known_keys(section_class, item["loc"][:-1])
        return f"{location}: unknown key; {nearest(str(item['loc'][-1]), known)}"
    if item["type"] == "value_error":  # from one of our validators: its words are enough
        return f"{location}: {item['ctx']['error']}"
    if item["type"] in ("model_type", "dict_type", "model_attributes_type"):
        return f"{location}: expected keys with values, found {item.get('input')!r}"
    return f"{location}: {item['msg']} (got {item.get('input')!r})"


def _known_keys(section_class: type[BaseModel], parents: tuple[Any, ...]) -> list[str]:
    """Keys valid at the place where an unknown key was met, following nested sections."""
    current: Any = section_class
    for parent in parents:
        field = current.model_fields.get(parent)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        current = field.annotation
    return list(current.model_fields)
