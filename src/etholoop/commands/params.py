"""``etholoop params``: check params.yaml as a whole, or show what is really in force."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from etholoop.params import Section
    from etholoop.project import Project


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Check params.yaml, or show the values in force.", no_args_is_help=True)
    group.command("check", help="Stop on a misspelt key or an impossible value, naming the nearest valid key.")(check)
    group.command("show", help="Print every section with its defaults filled in, as YAML.")(show)
    app.add_typer(group, name="params")


def check() -> None:
    from etholoop.project import find_project

    sections = check_all(find_project())
    typer.echo(f"params.yaml: {len(sections)} sections, all valid")


def show() -> None:
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
    from etholoop.params import nearest

    faults = []
    for (section, field), package in PLUGIN_FIELDS.items():
        if section in sections:
            name, known = getattr(sections[section], field), registry.names(package)
            if name not in known:
                faults.append(f"{section}.{field}: unknown '{name}'; {nearest(name, known)} (known: {', '.join(known)})")
    return faults
