"""Bringing files of people into ``data/raw``: what is there already, whose names clash, copying all or nothing.

A plan maps the target of each file, below ``data/raw`` with ``/`` between folders (``videos/a.mp4``, ``images/cage1/3.png``), to the file.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from tqdm import tqdm

from etholoop.core.naming import source_id
from etholoop.errors import EthoLoopError
from etholoop.io import atomic, image_numbers, raw
from etholoop.io.memo import file_digest

Plan = Mapping[str, Path]


def source_path(target: str) -> str:
    """The path of the source that a file belongs to: the video itself, or the folder of the image."""
    return target if target.startswith("videos/") else target.rsplit("/", 1)[0]


def already_there(folder: Path, plan: Plan) -> tuple[set[str], list[str]]:
    """Targets that exist below ``folder`` with the same content, and a fault for each that exists with another."""
    there, faults = set(), []
    for target, source in plan.items():
        present = folder / target
        if not present.exists():
            continue
        if present.is_file() and (present.samefile(source) or file_digest(present) == file_digest(source)):
            there.add(target)
        else:
            faults.append(f"{source}: data/raw/{target} exists with other content; use --as, or rename the file")
    return there, faults


def twins(folder: Path, plan: Plan) -> dict[str, str]:
    """Videos whose content is there under another name, each with that name; of two new ones the second is the twin.

    Only files of one size are compared. Empty files are no twins: they are told as empty later.
    """
    digest = cache(file_digest)
    by_size: dict[int, list[tuple[str, Path]]] = {}
    for candidate in raw.scan(folder)[0]:
        if candidate.kind == "video":
            by_size.setdefault(candidate.files[0].stat().st_size, []).append((candidate.path, candidate.files[0]))
    found = {}
    for target, source in plan.items():
        size = source.stat().st_size
        if not target.startswith("videos/") or size == 0 or (folder / target).exists():
            continue
        alike = by_size.setdefault(size, [])
        same = next((name for name, other in alike if other.samefile(source) or digest(other) == digest(source)), None)
        if same:
            found[target] = same
        else:
            alike.append((target, source))
    return found


def id_faults(folder: Path, plan: Plan) -> list[str]:
    """Names that would get the id of another source, for example ``A.mp4`` beside ``a.mp4``."""
    owners = {candidate.video_id: candidate.path for candidate in raw.scan(folder)[0]}
    faults = []
    for path in sorted({source_path(target) for target in plan}):
        kind, _, name = path.partition("/")
        video_id = source_id(name, is_folder=kind == "images")
        if owners.setdefault(video_id, path) != path:
            faults.append(f"data/raw/{path}: its id '{video_id}' is that of data/raw/{owners[video_id]}; use --as, or rename the file")
    return faults


def image_lists(
    folder: Path, plan: Plan, wanted: Mapping[str, int] | None = None, known: Mapping[str, int] | None = None
) -> tuple[dict[Path, dict[str, int]], list[str]]:
    """Lists of numbers that folders of images need once the plan is carried out, by folder, and faults.

    Args:
        wanted: the number that an image must get, by target; the others get one by their name, or a free one.
        known: numbers that images had in the last manifest, by their path below ``data/raw``.
    """
    wanted = wanted or {}
    had: dict[str, dict[str, int]] = {}
    for target, number in (known or {}).items():
        had.setdefault(source_path(target), {})[target.rsplit("/", 1)[1]] = number
    names: dict[str, dict[str, int | None]] = {}
    for target in plan:
        if target.startswith("images/"):
            names.setdefault(source_path(target), {})[target.rsplit("/", 1)[1]] = wanted.get(target)
    lists, faults = {}, []
    for path, new in names.items():
        present = folder / path
        listed = image_numbers.read_list(present)
        numbers, found = image_numbers.settled(image_numbers.image_names(present), listed, new, had.get(path))
        faults += [f"data/raw/{path}/{fault}" for fault in found]
        if numbers != listed and (listed or image_numbers.needs_list(numbers)):
            lists[present] = numbers
    return lists, faults


def bring(folder: Path, new: Plan, *, link: bool = False) -> None:
    """Copy or link all files, each all or nothing, with one progress bar in bytes."""
    total = sum(source.stat().st_size for source in new.values())
    with tqdm(total=total, unit="B", unit_scale=True, desc="linking" if link else "copying", disable=None) as bar:
        for target, source in new.items():
            place = folder / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if link:
                _hard_link(source, place)
                bar.update(source.stat().st_size)
            else:
                _copy(source, place, bar.update)


def _hard_link(source: Path, place: Path) -> None:
    try:
        place.hardlink_to(source.resolve())
    except OSError as error:
        raise EthoLoopError(f"{source}: cannot be linked to {place} ({error.strerror}). Leave out --link to copy it.") from error


def _copy(source: Path, place: Path, tell: Callable[[int], object]) -> None:
    with atomic.new_file(place) as temporary, source.open("rb") as given, temporary.open("wb") as taken:
        while block := given.read(1 << 22):
            taken.write(block)
            tell(len(block))
