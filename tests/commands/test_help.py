"""``--help`` of every command: examples that can be copied, summaries that are not cut off."""

import shlex
import subprocess
import sys

import click
import pytest
import typer
from typer.testing import CliRunner

from etholoop.__main__ import build_app

ROOT = typer.main.get_command(build_app())


def commands(group: click.Group, *path: str) -> list[tuple[str, ...]]:
    found = []
    for name, command in sorted(group.commands.items()):
        found += commands(command, *path, name) if hasattr(command, "commands") else [(*path, name)]
    return found


ALL = commands(ROOT)  # type: ignore[arg-type]


def command_of(path: tuple[str, ...]) -> click.Command:
    command: click.Command = ROOT
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]
    return command


def help_of(path: tuple[str, ...]) -> str:
    return CliRunner().invoke(build_app(), [*path, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}).output


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_shows_an_example_of_itself(path):
    text = help_of(path)
    assert "Example" in text
    assert f"etholoop {' '.join(path)}" in " ".join(text.split("Example", 1)[1].split())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_examples_name_options_that_exist(path):
    """A renamed option would otherwise live on in the examples."""
    known = {name for parameter in command_of(path).params for name in parameter.opts}
    for line in (command_of(path).epilog or "").splitlines():
        if line.strip().startswith(f"etholoop {' '.join(path)}"):
            used = {word for word in shlex.split(line.split("   ")[0]) if word.startswith("--")}
            assert used <= known


@pytest.mark.parametrize("path", [(), *sorted({path[:-1] for path in ALL if len(path) > 1})], ids=lambda path: " ".join(path) or "etholoop")
def test_summaries_are_not_cut_off(path):
    listed = help_of(path).split("Commands:", 1)[1]
    assert [line for line in listed.splitlines() if line.rstrip().endswith("...")] == []


def test_a_wrong_call_names_the_command_that_people_type():
    """Inside a project the program runs as a module of that project's code."""
    done = subprocess.run([sys.executable, "-m", "etholoop", "tracks", "swap"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("Usage: etholoop tracks swap")
