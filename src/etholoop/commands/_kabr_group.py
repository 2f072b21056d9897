"""The group ``etholoop kabr``: the commands of kabr-tools, by their own names and flags.

Each command is a file ``commands/kabr_<command>.py`` whose ``register(app)`` adds it by ``kabr_group(app).command("<command>", …)``;
a new file is found by itself, nothing is listed here.
"""

import typer

IMSHOW_HELP = "Accepted and not needed: no window is opened, so this works without a screen; look at the videos that are written."


def kabr_group(app: typer.Typer) -> typer.Typer:
    """The group, made by whichever of its files asks first."""
    for known in app.registered_groups:
        if known.name == "kabr" and known.typer_instance is not None:
            return known.typer_instance
    group = typer.Typer(help="The commands of kabr-tools, faults mended.", no_args_is_help=True)
    app.add_typer(group, name="kabr")
    return group
