"""The ``etholoop`` command. Heavy libraries are imported by the commands that use them, never here."""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from etholoop import __version__
from etholoop.errors import EthoLoopError, GateError

if TYPE_CHECKING:
    import typer

EPILOG = "Start with `etholoop doctor`, then `etholoop init my-project`. The README walks through a first project."


def build_app(only: str | None = None) -> "typer.Typer":
    """All commands, or those of one file; each file in ``commands/`` registers its own."""
    import typer

    from etholoop import registry

    app = typer.Typer(
        name="etholoop",
        help="From raw animal videos to ethograms that get better with every correction.",
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    @app.callback()
    def version(show: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True)) -> None:
        if show:
            typer.echo(__version__)
            raise typer.Exit

    for name in [only] if only is not None else registry.names("etholoop.commands"):
        if not name.startswith("videos_"):  # these stand in the group `videos`, which takes them in itself
            import_module(f"etholoop.commands.{name}").register(app)
    return app


def main() -> None:
    """Run the command line; faults a person can mend are printed without a traceback."""
    run_project_code()
    if sys.argv[1:2] == ["stage"]:
        from etholoop import _warm

        status = _warm.elsewhere(sys.argv[1:])
        if status is not None:
            sys.exit(status)
    try:
        # a pipeline starts this program once per stage, so that way is kept short
        build_app("stage" if sys.argv[1:2] == ["stage"] else None)(prog_name="etholoop")
    except GateError as error:
        sys.exit(f"gate red: {error}")
    except EthoLoopError as error:
        sys.exit(f"etholoop: {error}")
    except OSError as error:
        if error.errno is None:
            raise
        sys.exit(f"etholoop: {error.strerror}: {error.filename or 'no file named'}. Nothing half-written was kept.")


def run_project_code() -> None:
    """Inside a project, run the project's own ``src/``: the files that ``dvc.yaml`` names and DVC hashes.

    Without this a project copied from the repository would be hashed by its own code and computed by another.
    """
    own = _project_source(Path.cwd())
    running = Path(__file__).resolve().parents[1]
    if own is None or own == running or os.environ.get("ETHOLOOP_CODE") == str(own):
        return
    path = os.pathsep.join(filter(None, [str(own), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "ETHOLOOP_CODE": str(own)}
    os.execve(sys.executable, [sys.executable, "-m", "etholoop", *sys.argv[1:]], environment)


def _project_source(start: Path) -> Path | None:
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / "dvc.yaml").is_file() and (folder / "src/etholoop/__main__.py").is_file():
            return folder / "src"
    return None


if __name__ == "__main__":
    main()
