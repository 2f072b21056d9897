"""``etholoop params``: check params.yaml as a whole, or show what is really in force."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.params import Section
    from etholoop.project import Project


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Check params.yaml, or show the values in force.", no_args_is_help=True)
    group.command("check", short_help="Find misspelt keys and impossible values.", epilog=examples("etholoop params check"))(check)
    group.command("show", short_help="Print all values, defaults included.", epilog=examples("etholoop params show"))(show)
    app.add_typer(group, name="params")


def check() -> None:
    """Stop on a misspelt key or an impossible value, naming the nearest valid key."""
    from etholoop.project import find_project

    sections = check_all(find_project())
    typer.echo(f"params.yaml: {len(sections)} sections, all valid")


def show() -> None:
    """Print every section with its defaults filled in, as YAML."""
    import yaml

    from etholoop.project import find_project

    sections = check_all(find_project())
    typer.echo(yaml.safe_dump({name: section.model_dump(mode="json") for name, section in sections.items()}, sort_keys=False), nl=False)


def section_classes() -> dict[str, type["Section"]]:
    """Every section of params.yaml with its class; a stage's section has the stage's name."""
    from etholoop import registry
    from etholoop.stages.select import Cycle

    classes: dict[str, type[Section]] = {"cycle": Cycle}
    for name in registry.names("etholoop.stages"):
        classes[name] = registry.load("etholoop.stages", name).Params
    return classes


def check_all(project: "Project") -> dict[str, "Section"]:
    """Read every section; all faults of the file are reported together before any work starts."""
    from etholoop.errors import FaultsError
    from etholoop.params import nearest, read_yaml, section_from

    content = read_yaml(project.params)
    classes = section_classes()
    faults = [f"unknown section '{name}'; {nearest(name, list(classes))}" for name in content if name not in classes]
    sections = {}
    for name, section_class in classes.items():
        try:
            sections[name] = section_from(content, name, section_class, str(project.params))
        except FaultsError as error:
            faults += error.faults
    faults += _plugin_faults(sections)
    if faults:
        raise FaultsError(str(project.params), faults, "Correct the file; nothing has been run.")
    return sections


def merge_into(path: Path, changes: Mapping[str, Any]) -> None:
    """Put values into a parameter file, key by key; comments and all other keys stay as they are."""
    import io

    from ruamel.yaml import YAML

    from etholoop.io import atomic

    yaml = YAML()
    yaml.width = 160
    yaml.representer.add_representer(type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null"))
    content = yaml.load(path.read_text(encoding="utf-8"))
    _merge(content, changes)
    stream = io.StringIO()
    yaml.dump(content, stream)
    atomic.write_text(path, _spaced(stream.getvalue()))


def _spaced(text: str) -> str:
    """Empty lines between sections and not in them: a new key comes after the empty line that ended its section."""
    inside = re.sub(r"\n\n+(?=[ \t])", "\n", text)
    return re.sub(r"(?m)^((?!#).+)\n(?=\w+:)", r"\1\n\n", inside)


def _merge(content: Any, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(content.get(key), Mapping):
            _merge(content[key], value)
        else:
            content[key] = value


PLUGIN_FIELDS = {
    ("frames", "strategy"): "etholoop.core.sampling",
    ("refine_train", "refiner"): "etholoop.modeling.refiners",
    ("pose_train", "detector"): "etholoop.modeling.detectors",
    ("select", "acquisition"): "etholoop.acquisition",
}
"""Which fields name a plug-in, and in which package it is looked up."""


def _plugin_faults(sections: dict[str, "Section"]) -> list[str]:
    """Misspelt plug-in names; the plug-ins are only listed, not imported."""
    from etholoop import registry
    from etholoop.params import nearest_of

    faults = []
    for (section, field), package in PLUGIN_FIELDS.items():
        if section in sections:
            name, known = getattr(sections[section], field), registry.names(package)
            if name not in known:
                faults.append(f"{section}.{field}: unknown '{name}'; {nearest_of(name, known)}")
    return faults
