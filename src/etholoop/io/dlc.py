"""DeepLabCut projects: ``config.yaml`` and ``labeled-data/<video>/CollectedData_<scorer>.{csv,h5}``.

The format: one row per image, one pair of columns x, y per body part, empty = not visible or not labelled. Header rows: scorer,
(individuals,) bodyparts, coords. The first column is the image's path, or in newer projects three columns hold its parts. In
multi-animal projects body parts that belong to no individual ("unique") stand under the individual ``single``.

Pixels: DeepLabCut's places come from a picture drawn so that whole numbers are pixel *centres*; here the centre of the top-left pixel is
(0.5, 0.5). So half a pixel is added when reading and taken away when writing (``SHIFT_PX``).

There are no boxes and no "hidden" keypoints in this format: boxes are drawn around the keypoints, visibility is 2. A row without any
keypoint does not say "no animal" (it may not have been labelled), so it is reported and left out unless the reader says otherwise.
"""

import csv
import io
import pickle
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from etholoop.core.labels import box_around
from etholoop.core.naming import source_id
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic, image_numbers, images
from etholoop.params import nearest, read_yaml
from etholoop.schema.columns import frame_uid

SHIFT_PX = 0.5
SINGLE = "single"
"""Name DeepLabCut gives to the owner of unique body parts."""

AGREE_PX = 1e-3
"""The CSV and the H5 file of a folder are the same labels; more than this between them means that one is out of date."""

Record = dict[str, Any]
Columns = list[tuple[str, str, str]]


@dataclass(frozen=True)
class Collected:
    """One CollectedData file. ``columns`` are (individual, body part, coordinate), individual '' in single-animal projects.

    ``values`` is (n_images, n_columns) in DeepLabCut's pixels, NaN = empty.
    """

    path: Path
    scorer: str
    image_names: list[str]
    columns: Columns
    values: np.ndarray


@dataclass(frozen=True)
class Project:
    """What a DeepLabCut project says, in our words.

    ``frames`` are frame records (``io.snapshot``); ``images`` the image files by folder name; ``skeleton`` the content of a skeleton.yaml;
    ``empty_rows`` the images without any keypoint; ``outside`` the keypoints left out; ``videos`` those in the project's folder.
    """

    frames: list[Record]
    images: dict[str, list[Path]]
    skeleton: dict[str, Any]
    empty_rows: list[Path]
    outside: list[str]
    videos: list[Path]
    numbers: dict[str, dict[str, int]]
    """Frame numbers of the labelled images, by folder and file name."""


@dataclass(frozen=True)
class Reading:
    """How to read what the format leaves open."""

    species: str = "mouse"
    margin: float = 0.15
    min_margin_px: float = 8.0
    empty_means_no_animal: bool = False
    keep_individuals: bool = True
    """False: the names of individuals are only slots within a frame, as in projects whose animals cannot be told apart."""
    outside_is_missing: bool = False
    """True: keypoints outside of the image are left out and counted; otherwise they are faults."""


def read_project(path: Path, reading: Reading | None = None, target: Path | None = None) -> Project:
    """Read a project folder or its configuration file.

    Args:
        target: folder whose subfolders will hold the images; images that lie there already take part in numbering.

    Raises:
        EthoLoopError: no configuration, or no labels.
        FaultsError: all faulty rows of all files together.
    """
    reading = reading or Reading()
    config_path = _configuration(path)
    config, root = read_yaml(config_path), config_path.parent
    skeleton, faults = skeleton_of(config, reading.species, str(config_path))
    found = _Found([], [], [], {}, faults)
    files = [collected for group in _label_files(root) if (collected := _agreed(group, found.faults))]
    numbers = {}
    for folder in {collected.path.parent for collected in files}:
        names = {name for other in files if other.path.parent == folder for name in other.image_names}
        numbers[folder.name] = _numbers(names, target / folder.name if target else None)
    for collected in files:
        _read_frames(collected, skeleton, reading, numbers[collected.path.parent.name], found)
    if found.faults:
        remedy = "Nothing was imported. Correct these labels in DeepLabCut, or the files."
        hint = " --outside-is-missing leaves out the keypoints outside of the image." if found.outside else ""
        raise FaultsError(str(config_path), found.faults, remedy + hint)
    image_files = {name: sorted(paths) for name, paths in sorted(found.images.items())}
    videos = sorted(item for item in (root / "videos").glob("*") if item.is_file() and not item.name.startswith("."))
    return Project(found.frames, image_files, skeleton, sorted(set(found.empty)), found.outside, videos, numbers)


def _configuration(path: Path) -> Path:
    """The project's config.yaml.

    Raises:
        EthoLoopError: there is none; other YAML files of the folder are named.
    """
    given = path / "config.yaml" if path.is_dir() else path
    if given.is_file():
        return given
    if not path.exists():
        raise EthoLoopError(f"{path}: not found. Give the folder of a DeepLabCut project, which holds config.yaml and labeled-data.")
    others = sorted(file.name for file in path.glob("*.y*ml"))
    hint = f" One of these may be it: {', '.join(others)}; give its path." if others else ""
    raise EthoLoopError(f"{path}: no config.yaml here. Give the folder of a DeepLabCut project, which holds it beside labeled-data.{hint}")


@dataclass
class _Found:
    """What has been read so far."""

    frames: list[Record]
    empty: list[Path]
    outside: list[str]
    images: dict[str, set[Path]]
    faults: list[str]


# --- configuration -----------------------------------------------------------------------------------------------------------------


def skeleton_of(config: dict[str, Any], species: str, where: str) -> tuple[dict[str, Any], list[str]]:
    """The project's body parts as the content of a skeleton.yaml, and faults.

    Unique body parts become a class of their own, ``single``. Mirror pairs are those whose names differ only in left and right.
    """
    multi = bool(config.get("multianimalproject"))
    parts = list(map(str, (config.get("multianimalbodyparts") if multi else config.get("bodyparts")) or []))
    unique = list(map(str, config.get("uniquebodyparts") or [])) if multi else []
    individuals = list(config.get("individuals") or []) if multi else [""]
    names = parts + [name for name in unique if name not in parts]
    key = "multianimalbodyparts" if multi else "bodyparts"
    faults = [] if names else [f"{where}: no body parts; expected a list under '{key}'"]
    edges = [[str(name) for name in edge] for edge in config.get("skeleton") or [] if isinstance(edge, list) and len(edge) == 2]
    content = {
        "name": str(config.get("Task") or "deeplabcut"),
        "species": [species, SINGLE] if unique else [species],
        "keypoints": names,
        "edges": [edge for edge in edges if set(edge) <= set(names)],
        "left_right": mirror_pairs(names),
        "animals": len(individuals) + bool(unique) or None,
    }
    return content, faults


def mirror_pairs(names: Sequence[str]) -> list[list[str]]:
    """Pairs of names that differ only in left and right, or in a last letter L and R after a small one (``earL``, ``earR``)."""
    pairs = []
    for name in names:
        for left, right in (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT")):
            if left in name and name.replace(left, right) in names:
                pairs.append([name, name.replace(left, right)])
        if re.search(r"([a-z]|_)L$", name) and f"{name[:-1]}R" in names:
            pairs.append([name, f"{name[:-1]}R"])
    return pairs


def _label_files(root: Path) -> list[list[Path]]:
    """CollectedData files of the same labels together: CSV first, then H5."""
    files = sorted((root / "labeled-data").glob("*/CollectedData_*.csv")) + sorted((root / "labeled-data").glob("*/CollectedData_*.h5"))
    if not files:
        raise EthoLoopError(f"{root}: no labeled-data/*/CollectedData_*.csv or .h5. Give the folder of a DeepLabCut project with labels.")
    groups: dict[tuple[Path, str], list[Path]] = {}
    for path in files:
        groups.setdefault((path.parent, path.stem), []).append(path)
    return [groups[key] for key in sorted(groups)]


def _agreed(group: list[Path], faults: list[str]) -> Collected | None:
    """The one content of a CSV and its H5 twin; a fault when they differ."""
    read = []
    for path in group:
        try:
            read.append(read_csv(path) if path.suffix == ".csv" else read_h5(path))
        except FaultsError as error:
            faults += [f"{path}: {fault}" for fault in error.faults]
        except EthoLoopError as error:
            faults.append(str(error))
    if len(read) == 2 and not _same(read[0], read[1]):
        faults.append(f"{group[0]} and {group[1].name} hold different labels; save them again in DeepLabCut, or remove the wrong one")
        return None
    return read[0] if len(read) == len(group) else None


def _same(one: Collected, other: Collected) -> bool:
    alike = one.image_names == other.image_names and one.columns == other.columns
    return alike and bool(np.allclose(one.values, other.values, atol=AGREE_PX, rtol=0, equal_nan=True))


# --- rows to records ---------------------------------------------------------------------------------------------------------------


def _read_frames(collected: Collected, skeleton: dict[str, Any], reading: Reading, numbers: dict[str, int], found: _Found) -> None:
    """Add the rows of one file to what was found; ``numbers`` are those of the folder's images, by name."""
    folder = collected.path.parent
    faults = _file_faults(collected, skeleton["keypoints"])
    found.faults += faults
    if faults:
        return
    found.images.setdefault(folder.name, set()).update(folder / name for name in collected.image_names)
    for name, row in zip(collected.image_names, collected.values, strict=True):
        height, width = images.read_rgb(folder / name).shape[:2]
        placed, row_faults, outside = _placed(collected.columns, row, (width, height))
        away = [f"{collected.path}: {name}: {fault}" for fault in outside]
        found.faults += [f"{collected.path}: {name}: {fault}" for fault in row_faults] + ([] if reading.outside_is_missing else away)
        found.outside += away
        instances = [_instance(owner, points, (width, height), skeleton, reading) for owner, points in placed.items()]
        if not instances:
            found.empty.append(folder / name)
        if instances or reading.empty_means_no_animal:
            uid = frame_uid(source_id(folder.name, is_folder=True), numbers[name])
            status = "animals" if instances else "no_animal"
            annotator = f"dlc:{collected.scorer}"
            found.frames.append({"uid": uid, "annotator": annotator, "status": status, "note": "", "instances": instances})


def _file_faults(collected: Collected, parts: list[str]) -> list[str]:
    path = collected.path
    faults = [fault for name in collected.image_names for fault in _image_faults(path.parent / name)]
    faults += [f"{path}: '{name}' has two rows" for name in _repeated(collected.image_names)]
    unknown = sorted({part for _, part, _ in collected.columns} - set(parts))
    return faults + [f"{path}: body part '{part}' is not in the configuration; {nearest(part, parts)}" for part in unknown]


def _image_faults(path: Path) -> list[str]:
    return [] if path.is_file() else [f"{path}: labelled, but the image is not there"]


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _numbers(names: Iterable[str], target: Path | None) -> dict[str, int]:
    """Frame numbers of images by file name, as the folder that will hold them gives them."""
    present = image_numbers.image_names(target) if target else []
    listed = image_numbers.read_list(target) if target else {}
    names = list(names)
    numbers = image_numbers.settled(present, listed, dict.fromkeys(names))[0]
    return {name: numbers[name] for name in names}


def _placed(columns: Columns, row: np.ndarray, size: tuple[int, int]) -> tuple[dict[str, dict[str, list[float]]], list[str], list[str]]:
    """Keypoints of one row by individual (only those with any), faults, and keypoints outside of the image."""
    places: dict[tuple[str, str], dict[str, float]] = {}
    for (individual, part, axis), value in zip(columns, row, strict=True):
        places.setdefault((individual, part), {})[axis] = float(value)
    placed: dict[str, dict[str, list[float]]] = {}
    faults, outside = [], []
    for (individual, part), place in places.items():
        x, y = place.get("x", np.nan), place.get("y", np.nan)
        name = f"{individual} {part}".strip()
        if np.isnan(x) and np.isnan(y):
            continue
        if not np.isfinite([x, y]).all():
            faults.append(f"'{name}' has x {x} and y {y}; both are needed, or none")
        elif not (-1 <= x <= size[0] and -1 <= y <= size[1]):
            outside.append(f"'{name}' at ({x}, {y}) lies outside of the {size[0]} x {size[1]} image")
        else:
            placed.setdefault(individual, {})[part] = [x + SHIFT_PX, y + SHIFT_PX, 2]
    return placed, faults, outside


def _instance(individual: str, points: dict[str, list[float]], size: tuple[int, int], skeleton: dict[str, Any], reading: Reading) -> Record:
    box = box_around(np.array([point[:2] for point in points.values()]), *size, margin=reading.margin, min_margin_px=reading.min_margin_px)
    single = individual == SINGLE and SINGLE in skeleton["species"]
    identity = individual if individual and not single and reading.keep_individuals else None
    return {"class": SINGLE if single else reading.species, "box": box, "identity": identity, "keypoints": points}


# --- CollectedData as CSV ----------------------------------------------------------------------------------------------------------


def read_csv(path: Path) -> Collected:
    """Read a CollectedData CSV, with the image's path in one column or in three.

    Raises:
        FaultsError: rows of another length, cells that are not numbers; each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise EthoLoopError(f"{path}: not UTF-8 text at byte {error.start}; save it as CSV in UTF-8.") from None
    lines = list(csv.reader(io.StringIO(text, newline="")))
    header = _header(lines, path)
    columns, n_index = _columns(header)
    names, values, faults = [], [], []
    for number, line in enumerate(lines[len(header) :], start=len(header) + 1):
        if not any(cell.strip() for cell in line):
            continue
        # programs leave out commas of a row without labels
        cells = line if any(cell.strip() for cell in line[n_index:]) else line[:n_index] + [""] * len(columns)
        if len(cells) != n_index + len(columns):
            faults.append(f"line {number}: expected {n_index + len(columns)} cells, found {len(cells)}")
            continue
        row, wrong = _row_values(cells[n_index:])
        faults += [f"line {number}: '{cell}' is not a number" for cell in wrong]
        names.append(_image_name(cells[:n_index]))
        values.append(row)
    if faults:
        raise FaultsError(str(path), faults)
    scorer = header["scorer"][n_index] if len(header["scorer"]) > n_index else ""
    return Collected(path, scorer, names, columns, np.array(values, dtype=float).reshape(len(names), len(columns)))


def _header(lines: list[list[str]], path: Path) -> dict[str, list[str]]:
    header = {}
    for cells in lines[:4]:
        if cells and cells[0] in ("scorer", "individuals", "bodyparts", "coords"):
            header[cells[0]] = cells
    if not {"scorer", "bodyparts", "coords"} <= set(header):
        raise EthoLoopError(f"{path}: expected the header rows scorer, (individuals,) bodyparts, coords of a CollectedData file.")
    return header


def _columns(header: dict[str, list[str]]) -> tuple[Columns, int]:
    """Columns, and how many index columns stand before them (empty cells of the header)."""
    coords = header["coords"]
    n_index = next((place for place, cell in enumerate(coords[1:], start=1) if cell), len(coords))
    individuals = header.get("individuals", [""] * len(coords))
    return list(zip(individuals[n_index:], header["bodyparts"][n_index:], coords[n_index:], strict=True)), n_index


def _row_values(cells: list[str]) -> tuple[list[float], list[str]]:
    row, wrong = [], []
    for cell in cells:
        try:
            row.append(float(cell) if cell.strip() else np.nan)
        except ValueError:
            wrong.append(cell)
            row.append(np.nan)
    return row, wrong


def _image_name(parts: Sequence[str]) -> str:
    """File name of a path in one or three parts, from Windows or not."""
    return parts[-1].replace("\\", "/").rsplit("/", 1)[-1]


def write_csv(path: Path, records: Sequence[Record], image_names: dict[str, str], keypoints: Sequence[str], scorer: str) -> None:
    """Write frame records of one folder as CollectedData CSV; ``image_names`` are file names by uid.

    Animals with an identity go under their name, others under ``individual1``, ``individual2``, …; with at most one animal per frame and
    no identities it is a single-animal file. Boxes and the difference between visible and hidden are not in this format.
    """
    columns = _columns_for(records, keypoints)
    multi = bool(columns) and columns[0][0] != ""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["scorer", *[scorer] * len(columns)])
    if multi:
        writer.writerow(["individuals", *(individual for individual, _, _ in columns)])
    writer.writerow(["bodyparts", *(part for _, part, _ in columns)])
    writer.writerow(["coords", *(axis for _, _, axis in columns)])
    for record in sorted(records, key=lambda record: record["uid"]):
        owners = dict(_owners(record, multi))
        cells = [_cell(owners.get(individual, {}), part, axis) for individual, part, axis in columns]
        writer.writerow([f"labeled-data/{path.parent.name}/{image_names[record['uid']]}", *cells])
    atomic.write_text(path, stream.getvalue())


def _columns_for(records: Sequence[Record], keypoints: Sequence[str]) -> Columns:
    multi = any(len(record["instances"]) > 1 or any(animal["identity"] for animal in record["instances"]) for record in records)
    individuals = sorted({owner for record in records for owner, _ in _owners(record, multi)}) if multi else [""]
    return [(individual, part, axis) for individual in individuals for part in keypoints for axis in ("x", "y")]


def _owners(record: Record, multi: bool) -> list[tuple[str, dict[str, list[float]]]]:
    return [
        ((animal["identity"] or f"individual{number}") if multi else "", animal["keypoints"])
        for number, animal in enumerate(record["instances"], start=1)
    ]


def _cell(points: dict[str, list[float]], part: str, axis: str) -> str:
    return repr(points[part][axis == "y"] - SHIFT_PX) if part in points else ""


# --- CollectedData as H5 -----------------------------------------------------------------------------------------------------------


def read_h5(path: Path) -> Collected:
    """Read a CollectedData H5 file (a pandas table or a pandas "fixed" frame).

    Raises:
        EthoLoopError: not such a file.
    """
    try:
        with h5py.File(path) as file:
            group = file[next(iter(file))]
            columns, names, values = _h5_table(group) if "table" in group else _h5_fixed(group)
    except (OSError, KeyError, StopIteration, ValueError, pickle.UnpicklingError) as error:
        raise EthoLoopError(f"{path}: not a readable CollectedData file ({error}). Keep the CSV beside it and remove this one.") from error
    full: Columns = [(column[1] if len(column) == 4 else "", column[-2], column[-1]) for column in columns]
    return Collected(path, columns[0][0], [_image_name(name) for name in names], full, values)


def _h5_table(group: h5py.Group) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]], np.ndarray]:
    """Layout "table": rows of (path, values), column names pickled in an attribute."""
    table = group["table"][:]
    columns = _plain_pickle(group["table"].attrs["values_block_0_kind"])
    return [tuple(map(str, column)) for column in columns], [(_text(name),) for name in table["index"]], np.array(table["values_block_0"])


def _h5_fixed(group: h5py.Group) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]], np.ndarray]:
    """Layout "fixed": axes as levels and codes, values in one block."""
    names: list[tuple[str, ...]] = [(_text(name),) for name in group["axis1"][:]] if "axis1" in group else _axis(group, "axis1")
    return _axis(group, "block0_items"), names, np.array(group["block0_values"], dtype=float)


def _axis(group: h5py.Group, name: str) -> list[tuple[str, ...]]:
    n_levels = sum(1 for key in group if key.startswith(f"{name}_level"))
    levels = [[_text(value) for value in group[f"{name}_level{number}"][:]] for number in range(n_levels)]
    codes = [group[f"{name}_label{number}"][:] for number in range(n_levels)]
    return [tuple(level[code] for level, code in zip(levels, row, strict=True)) for row in zip(*codes, strict=True)]


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


class _PlainUnpickler(pickle.Unpickler):
    """Lists, tuples and text only: a pickle that names any class or function is refused, so none of its code can run."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"column names that need {module}.{name}")


def _plain_pickle(content: bytes) -> Any:
    return _PlainUnpickler(io.BytesIO(bytes(content))).load()
