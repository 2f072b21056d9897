"""The group ``etholoop labels``, to which several files add their commands."""

import typer


def labels_group(app: typer.Typer) -> typer.Typer:
    """The group that ``commands/labels.py`` makes; made here when that file was not asked yet."""
    for known in app.registered_groups:
        if known.name == "labels" and known.typer_instance is not None:
            return known.typer_instance
    group = typer.Typer(help="Import, export and count labels.", no_args_is_help=True)
    app.add_typer(group, name="labels")
    return group
