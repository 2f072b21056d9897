"""How every gate stage ends: a small report when green; when red, the table of what failed and no report, so that nothing runs on."""

import json
import sys
from typing import TYPE_CHECKING

from etholoop.errors import GateError
from etholoop.io import atomic
from etholoop.project import Project

if TYPE_CHECKING:
    from etholoop.checks.engine import Gate, GateResult


def ask(project: Project, gate: "Gate") -> None:
    """Run a gate and write its answer.

    Raises:
        GateError: the gate is red.
    """
    from etholoop.checks.engine import run_gate

    write_gate(project, run_gate(gate))


def write_gate(project: Project, result: "GateResult") -> None:
    """Write ``reports/gates/<name>.json``; a red gate writes every bad row to ``reports/gates/failed/<name>.json`` instead.

    Raises:
        GateError: the gate is red.
    """
    name = result.gate.name
    path, failed = project.gates / f"{name}.json", project.gates / "failed" / f"{name}.json"
    for warning, rows in result.gate.warnings.items():
        if len(rows.rows):
            print(f"warning: gate '{name}': {warning}: {len(rows.rows)} × {rows.meaning}", file=sys.stderr)
    if result.success:
        failed.unlink(missing_ok=True)
        atomic.write_text(path, _json(result.content()))
        return
    path.unlink(missing_ok=True)
    atomic.write_text(failed, _json(result.content(shown=None)))
    print(result.failures_text(), file=sys.stderr)
    rules = ", ".join(f"{table}.{rule}" for table, rule in result.failed)
    raise GateError(f"gate '{name}' is red ({rules}); every bad row is in reports/gates/failed/{name}.json. Nothing after it was run.")


def _json(content: dict[str, object]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
