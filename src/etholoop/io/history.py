"""metrics/history.csv: one row per closed cycle, what the learning curve is drawn from.

Kept by Git and read by the report. The ledgers in ``cycles/`` say more, but they name the lock file, which names the
report, so a report that read them would change by being recorded.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from etholoop.errors import EthoLoopError
from etholoop.io import atomic

FIGURES = ("box_ap50", "box_ap", "oks_ap50", "oks_ap", "pck", "rmse_px", "median_px", "ece")


def header() -> list[str]:
    """Columns; ``_low`` and ``_high`` are the ends of the 95 % interval."""
    return ["cycle", "n_frames", "n_instances", *(f"{name}{end}" for name in FIGURES for end in ("", "_low", "_high"))]


def write(path: Path, cycles: Sequence[Mapping[str, Any]]) -> None:
    """Write closed cycles, each with ``cycle``, ``labels`` and ``metrics`` as in a ledger, by id."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=header(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(cycle) for cycle in sorted(cycles, key=lambda item: str(item["cycle"])))
    atomic.write_text(path, text.getvalue())


def read(path: Path) -> list[dict[str, Any]]:
    """The closed cycles, as :func:`write` takes them.

    Raises:
        EthoLoopError: the file is missing, its columns are others, or a figure is not a number.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            found = list(reader.fieldnames or [])
            rows = list(reader)
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found. `etholoop init .` makes an empty one.") from None
    if found != header():
        raise EthoLoopError(f"{path}: expected the columns {', '.join(header())}, found {', '.join(found) or 'an empty file'}.")
    return [_cycle(row, f"{path} row {number}") for number, row in enumerate(rows, start=2)]


def _row(cycle: Mapping[str, Any]) -> dict[str, Any]:
    metrics, labels = cycle["metrics"], cycle["labels"]
    row: dict[str, Any] = {"cycle": cycle["cycle"], "n_frames": labels["frames"], "n_instances": labels["instances"]}
    for name in FIGURES:
        low, high = (metrics.get("ci") or {}).get(name) or (None, None)
        for end, value in (("", metrics.get(name)), ("_low", low), ("_high", high)):
            row[f"{name}{end}"] = "" if value is None else value
    return row


def _cycle(row: Mapping[str, str], where: str) -> dict[str, Any]:
    metrics: dict[str, Any] = {name: _number(row[name], where) for name in FIGURES}
    metrics["ci"] = {name: [_number(row[f"{name}{end}"], where) for end in ("_low", "_high")] for name in FIGURES}
    labels = {"frames": int(row["n_frames"]), "instances": int(row["n_instances"])}
    return {"cycle": row["cycle"], "labels": labels, "metrics": metrics}


def _number(text: str, where: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise EthoLoopError(f"{where}: expected a number, found '{text}'. Restore the file from Git.") from None
