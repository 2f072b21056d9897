"""``data/raw/metadata.csv``: what people know about each source."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from etholoop.errors import FaultsError
from etholoop.io import atomic
from etholoop.params import nearest, nearest_of

COLUMNS = ("path", "session", "subject", "camera", "start_time")
FIELDS = COLUMNS[1:]

TIME_FORMATS = ("%Y%m%d", "%Y%m%dT%H%M%S", "%Y%m%d-%H%M%S", "%Y%m%d_%H%M%S", "%Y-%m-%dT%H-%M-%S", "%Y-%m-%d_%H-%M-%S", "%Y-%m-%d-%H-%M-%S")
"""Ways to write a time in a file name, where colons are not allowed."""


@dataclass(frozen=True)
class Row:
    """One row; ``path`` is below ``data/raw`` (``videos/a.mp4``, ``images/folder``), ``line`` its line in the file.

    ``fields`` holds the values that were given, out of session, subject, camera and start_time.
    """

    path: str
    fields: dict[str, str]
    line: int


def read(path: Path) -> list[Row]:
    """Read the table; a missing file and one with only a header have no rows.

    Raises:
        FaultsError: all unknown columns, duplicate or unreadable rows together.
    """
    if not path.is_file():
        return []
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FaultsError(str(path), [f"byte {error.start} is not UTF-8 text"], "Save the file as CSV in UTF-8.") from None
    lines = csv.reader(io.StringIO(text, newline=""), strict=False, delimiter=_delimiter(text))
    header = [name.strip() for name in next(lines, list(COLUMNS))]
    faults = _header_faults(header)
    if faults:
        raise FaultsError(str(path), faults, f"The first line must be: {','.join(COLUMNS)}")
    rows: list[Row] = []
    for cells in lines:
        if any(cell.strip() for cell in cells):
            row, row_faults = _row(header, cells, lines.line_num)
            rows.append(row)
            faults += row_faults
    faults += _repeated(rows)
    if faults:
        raise FaultsError(str(path), faults, "Correct the file; nothing has been run.")
    return rows


def write(rows: Iterable[Row], path: Path) -> None:
    """Write rows sorted by path, all or nothing."""
    atomic.write_text(path, dumps(rows))


def dumps(rows: Iterable[Row]) -> str:
    """Rows sorted by path, as the text of the file."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in sorted(rows, key=lambda row: row.path):
        table.writerow([row.path, *(row.fields.get(name, "") for name in FIELDS)])
    return text.getvalue()


def unknown_paths(rows: Iterable[Row], known: Iterable[str]) -> list[str]:
    """A fault for each row whose path is not among ``known``."""
    names = sorted(known)
    places = set(names)
    faults = []
    for row in rows:
        if row.path not in places:
            hint = nearest(row.path, names[:1000]) if names else "data/raw holds no source"
            faults.append(f"row {row.line}: nothing lies at '{row.path}'; {hint}")
    return faults


def iso_time(text: str) -> str | None:
    """A date or time as ISO 8601 text; None if it cannot be read as one."""
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        pass
    for pattern in TIME_FORMATS:
        try:
            return datetime.strptime(text, pattern).isoformat()
        except ValueError:
            continue
    return None


def pattern_fields(pattern: str) -> list[str]:
    """Names in braces of a file-name pattern such as ``{session}_{subject}_{camera}``.

    Raises:
        ValueError: none, an unknown or a repeated name, or two names without text between them.
    """
    names = re.findall(r"\{([^{}]*)\}", pattern)
    unknown = [name for name in names if name not in FIELDS]
    if unknown:
        raise ValueError(f"unknown field {{{unknown[0]}}}; {nearest_of(unknown[0], list(FIELDS))}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"each field may stand once and at least one must; known: {', '.join(FIELDS)}")
    if "}{" in pattern:
        raise ValueError("two fields need some text between them, for example '_'")
    return names


def match(pattern: str, stem: str) -> dict[str, str] | None:
    """Values that a file name without extension (or a folder name) gives; None if the pattern does not fit.

    Each field is as short as possible, so ``{session}_{camera}`` reads ``a_b_c`` as session ``a``, camera ``b_c``.
    """
    pattern_fields(pattern)
    parts = re.split(r"\{([^{}]*)\}", pattern)
    expression = "".join(re.escape(part) if place % 2 == 0 else f"(?P<{part}>.+?)" for place, part in enumerate(parts))
    found = re.fullmatch(expression, stem)
    return found.groupdict() if found else None


def clean_path(text: str) -> str:
    """A path as it is compared: composed Unicode, ``/`` between folders, no ``./`` in front."""
    return unicodedata.normalize("NFC", text.strip().replace("\\", "/")).removeprefix("./").removeprefix("data/raw/").rstrip("/")


def _delimiter(text: str) -> str:
    """Spreadsheet programs of many countries write semicolons."""
    first = text.split("\n", 1)[0]
    return ";" if ";" in first and "," not in first else ","


def _header_faults(header: list[str]) -> list[str]:
    faults = [f"unknown column '{name}'; {nearest(name, list(COLUMNS))}" for name in header if name not in COLUMNS]
    faults += [f"column '{name}' stands twice" for name in COLUMNS if header.count(name) > 1]
    if "path" not in header:
        faults.append("there is no column 'path'")
    return faults


def _row(header: list[str], cells: list[str], line: int) -> tuple[Row, list[str]]:
    faults = []
    if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
        faults.append(f"row {line}: {len(cells)} values for {len(header)} columns")
    values = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if cell.strip()}
    path = clean_path(values.pop("path", ""))
    if not path:
        faults.append(f"row {line}: no path")
    if "start_time" in values:
        time = iso_time(values["start_time"])
        if time is None:
            faults.append(f"row {line}: start_time '{values['start_time']}' is not ISO 8601, for example 2026-05-01T09:30:00")
        values["start_time"] = time or ""
    return Row(path, values, line), faults


def _repeated(rows: list[Row]) -> list[str]:
    first: dict[str, int] = {}
    faults = []
    for row in rows:
        if row.path and row.path in first:
            faults.append(f"row {row.line}: '{row.path}' stands already in row {first[row.path]}")
        first.setdefault(row.path, row.line)
    return faults
