"""Numbers of the images of a folder. An image keeps its number whatever is added beside it, because labels go by numbers.

The number is the last whole number in the file's name (``img_007.png`` is 7). Where names do not tell images apart (no number, or one
number twice), the folder holds ``numbers.csv`` with one row ``name,number`` per image; ``etholoop videos add`` and the imports of labels
write it, and rows of it are never changed. An image that has no number by either way is put aside with the reason.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from etholoop.errors import FaultsError
from etholoop.io import atomic
from etholoop.io.images import is_image

LIST = "numbers.csv"
HEADER = ["name", "number"]
LARGEST = 10**12
"""Numbers from here on are taken for something else, for example a time in nanoseconds."""

REMEDY = f"`etholoop videos number` gives it one, which is kept in {LIST}."


@dataclass(frozen=True)
class Numbers:
    """``images``: by number, ascending. ``without``: images that have no number, each with a sentence why."""

    images: dict[int, Path]
    without: dict[Path, str]


def numbers_of(images: Iterable[Path], folder: Path | None = None) -> Numbers:
    """Numbers of all images of one folder (``folder``: where the list lies; default: beside the first image).

    Raises:
        FaultsError: the folder's list cannot be read.
    """
    paths = {path.name: path for path in images}
    folder = folder or next((path.parent for path in paths.values()), None)
    listed = read_list(folder) if folder else {}
    if listed:
        found = {listed[name]: path for name, path in paths.items() if name in listed}
        without = {path: f"The image is not in {LIST} of its folder. {REMEDY}" for name, path in paths.items() if name not in listed}
    else:
        told = number_by_name(paths)
        found = {number: paths[name] for name, number in told.items()}
        without = {path: _why_not(name, paths) for name, path in paths.items() if name not in told}
    return Numbers(dict(sorted(found.items())), dict(sorted(without.items())))


def number_by_name(names: Iterable[str]) -> dict[str, int]:
    """Numbers of those names that tell one, and one of their own."""
    told = {name: last_number(name) for name in names}
    counts = Counter(told.values())
    return {name: number for name, number in told.items() if number is not None and counts[number] == 1}


def last_number(name: str) -> int | None:
    """The last whole number in a file name without its extension."""
    found = re.findall(r"[0-9]+", Path(name).stem)
    number = int(found[-1]) if found else None
    return number if number is None or number < LARGEST else None


def settled(
    present: Iterable[str], listed: Mapping[str, int], new: Mapping[str, int | None], known: Mapping[str, int] | None = None
) -> tuple[dict[str, int], list[str]]:
    """A number for every image of a folder, old and new, and faults.

    Args:
        present: names in the folder; those that have a number keep it, by the list or (without one) by their name.
        new: names that come in, with the number they must get; None = by the name where it is free, else the next free one.
        known: numbers that images had when the folder was last looked at; they count where there is no list yet.
    """
    numbers = dict(listed) or _present_numbers(set(present), known or {})
    faults = []
    for name, wanted in sorted(new.items(), key=lambda item: _natural_key(item[0])):
        if wanted is None:
            continue
        owner = next((other for other, number in numbers.items() if number == wanted and other != name), None)
        if numbers.get(name, wanted) != wanted:
            faults.append(f"{name}: its number is {numbers[name]} already, it cannot become {wanted}")
        elif owner:
            faults.append(f"{name}: number {wanted} is that of {owner}")
        else:
            numbers[name] = wanted
    open_names = sorted({*present, *new} - numbers.keys(), key=_natural_key)
    told = number_by_name(open_names)
    taken = set(numbers.values())
    numbers |= {name: number for name, number in told.items() if number not in taken}
    following = max(numbers.values(), default=-1) + 1
    rest = [name for name in open_names if name not in numbers]
    return numbers | {name: following + place for place, name in enumerate(rest)}, faults


def _present_numbers(present: set[str], known: Mapping[str, int]) -> dict[str, int]:
    """Numbers that the images of a folder have without a list: those they had before, then those that their names tell."""
    had = {name: number for name, number in known.items() if name in present}
    told = number_by_name(present)
    return had | {name: number for name, number in told.items() if name not in had and number not in had.values()}


def needs_list(numbers: Mapping[str, int]) -> bool:
    """Whether the names alone do not tell these numbers."""
    return any(last_number(name) != number for name, number in numbers.items())


def read_list(folder: Path) -> dict[str, int]:
    """Names and numbers of ``numbers.csv``; empty when there is none.

    Raises:
        FaultsError: rows that are not a name and a number of their own, each with its line.
    """
    path = folder / LIST
    if not path.is_file():
        return {}
    try:
        lines = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    except UnicodeDecodeError as error:
        raise FaultsError(str(path), [f"byte {error.start} is not UTF-8 text"], "Save the file as CSV in UTF-8.") from None
    faults = [] if lines and [cell.strip() for cell in lines[0]] == HEADER else [f"the first line must be {','.join(HEADER)}"]
    numbers: dict[str, int] = {}
    for line, cells in enumerate(lines[1:], start=2):
        if not any(cells):
            continue
        good = len(cells) == 2 and cells[1].strip().isdecimal() and int(cells[1]) < LARGEST
        if not good:
            faults.append(f"line {line}: expected a name and a whole number, found {','.join(cells)}")
        elif cells[0] in numbers or int(cells[1]) in numbers.values():
            faults.append(f"line {line}: name or number of '{','.join(cells)}' stands there already")
        else:
            numbers[cells[0]] = int(cells[1])
    if faults:
        raise FaultsError(str(path), faults, "Correct the file, or bring back the last good one.")
    return numbers


def write_list(folder: Path, numbers: Mapping[str, int]) -> None:
    """Write ``numbers.csv`` by number, all or nothing."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(HEADER)
    table.writerows((name, numbers[name]) for name in sorted(numbers, key=lambda name: numbers[name]))
    atomic.write_text(folder / LIST, text.getvalue())


def image_names(folder: Path) -> list[str]:
    """Names of the images that lie in a folder itself."""
    return sorted(path.name for path in folder.iterdir() if path.is_file() and is_image(path)) if folder.is_dir() else []


def _why_not(name: str, names: Iterable[str]) -> str:
    number = last_number(name)
    if number is None:
        return f"The name holds no number, so the image has none. {REMEDY}"
    others = ", ".join(sorted(other for other in names if other != name and last_number(other) == number)[:3])
    return f"The name tells number {number}, and so does {others}. {REMEDY}"


def _natural_key(name: str) -> list[tuple[int, int, str]]:
    """``img2`` before ``img10``."""
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(part), part) if part.isascii() and part.isdigit() else (1, 0, part) for part in parts]
