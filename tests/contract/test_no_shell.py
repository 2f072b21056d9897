"""No text ever reaches a shell: names of videos are only names."""

import ast
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[2] / "src").rglob("*.py"))

SHELLS = {
    "os": {"system", "popen", "execlp", "execvp", "spawnlp", "spawnvp"},
    "subprocess": {"getoutput", "getstatusoutput"},
    "asyncio": {"create_subprocess_shell"},
    "commands": {"getoutput"},
}
"""Functions that give a line to a shell, or look for a program by an unchecked name."""


def shell_calls(code: str) -> list[int]:
    """Line numbers where a shell may be started: one of the functions above, or ``shell=`` with anything but False."""
    lines = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in SHELLS.get(node.value.id, ()):
            lines.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and {alias.name for alias in node.names} & SHELLS.get(node.module or "", set()):
            lines.append(node.lineno)
        if isinstance(node, ast.Call):
            lines += [node.lineno for word in node.keywords if word.arg == "shell" and getattr(word.value, "value", True) is not False]
    return lines


@pytest.mark.parametrize(
    "code, lines",
    [
        ("import os\nos.system('ls')", [2]),
        ("from os import popen", [1]),
        ("import subprocess\nsubprocess.run('ls', shell=True)", [2]),
        ("import subprocess\nsubprocess.run(x, shell=y)", [2]),
        ("import subprocess\nsubprocess.run(['ls'], shell=False)\nsubprocess.run(['ls'])", []),
        ("import subprocess\nprint(subprocess.getoutput('ls'))", [2]),
    ],
)
def test_the_search_finds_what_it_should(code, lines):
    assert shell_calls(code) == lines


def test_nothing_starts_a_shell():
    assert len(SOURCES) > 100
    found = {path.name: lines for path in SOURCES if (lines := shell_calls(path.read_text(encoding="utf-8")))}
    assert found == {}
