"""Skeleton: species, keypoints, edges, mirror pairs and the expected number of animals."""

from dataclasses import dataclass
from typing import Any

from etholoop.errors import FaultsError
from etholoop.params import nearest

DEFAULT_SIGMA = 0.05
"""COCO's sigmas run from .025 (nose) to .107 (hip); .05 lies between when nothing has been measured."""


@dataclass(frozen=True)
class Keypoint:
    """One named point of the body; ``sigma`` is COCO's per-keypoint constant (OKS uses ``kappa = 2 sigma``)."""

    name: str
    sigma: float


@dataclass(frozen=True)
class Skeleton:
    """What can be marked on a frame. An empty ``keypoints`` means boxes only.

    ``n_animals`` is the number expected in view, None = unknown.
    """

    name: str
    species: tuple[str, ...]
    keypoints: tuple[Keypoint, ...]
    edges: tuple[tuple[str, str], ...]
    mirror_pairs: tuple[tuple[str, str], ...]
    n_animals: int | None

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        return tuple(point.name for point in self.keypoints)

    @property
    def sigmas(self) -> tuple[float, ...]:
        return tuple(point.sigma for point in self.keypoints)

    @property
    def flip_index(self) -> tuple[int, ...]:
        """For each keypoint the index of the one it becomes in a mirrored image."""
        mirror = {a: b for pair in self.mirror_pairs for a, b in (pair, pair[::-1])}
        names = self.keypoint_names
        return tuple(names.index(mirror.get(name, name)) for name in names)


def skeleton_from(content: dict[str, Any], where: str) -> Skeleton:
    """Build a skeleton from the content of ``skeleton.yaml``.

    Raises:
        FaultsError: all faults of the file together.
    """
    known = ["name", "species", "keypoints", "edges", "left_right", "animals"]
    faults = [f"unknown key '{key}'; {nearest(key, known)}" for key in content if key not in known]
    species = tuple(str(name) for name in content.get("species") or ())
    if not species:
        faults.append("species: name at least one, for example [mouse]")
    keypoints, keypoint_faults = _keypoints_from(content.get("keypoints") or [])
    faults += keypoint_faults
    names = [point.name for point in keypoints]
    faults += [f"keypoint '{name}' is listed twice" for name in sorted(set(names)) if names.count(name) > 1]
    faults += [f"species '{name}' is listed twice" for name in sorted(set(species)) if species.count(name) > 1]
    edges, edge_faults = _pairs_from(content.get("edges") or [], "edges", names)
    pairs, pair_faults = _pairs_from(content.get("left_right") or [], "left_right", names)
    faults += edge_faults + pair_faults
    flat = [name for pair in pairs for name in pair]
    faults += [f"left_right: '{name}' is in two pairs" for name in sorted(set(flat)) if flat.count(name) > 1]
    animals = content.get("animals")
    if animals is not None and (not isinstance(animals, int) or isinstance(animals, bool) or animals < 1):
        faults.append(f"animals: expected a whole number of at least 1, or null when unknown, found {animals!r}")
    if faults:
        raise FaultsError(where, faults, "Correct the file; nothing has been run.")
    return Skeleton(str(content.get("name", "")), species, keypoints, edges, pairs, animals)


def _keypoints_from(items: list[Any]) -> tuple[tuple[Keypoint, ...], list[str]]:
    points, faults = [], []
    for position, item in enumerate(items):
        entry = {"name": item} if isinstance(item, str) else item
        if not isinstance(entry, dict) or not entry.get("name"):
            faults.append(f"keypoints[{position}]: expected a name or a mapping with a name, found {item!r}")
            continue
        faults += [
            f"keypoints[{position}]: unknown key '{key}'; {nearest(key, ['name', 'sigma'])}"
            for key in entry
            if key not in ("name", "sigma")
        ]
        sigma = entry.get("sigma", DEFAULT_SIGMA)
        if not isinstance(sigma, int | float) or not 0 < sigma < 1:
            faults.append(f"keypoints[{position}] '{entry['name']}': sigma must lie between 0 and 1, found {sigma!r}")
            continue
        points.append(Keypoint(str(entry["name"]), float(sigma)))
    return tuple(points), faults


def _pairs_from(items: list[Any], key: str, names: list[str]) -> tuple[tuple[tuple[str, str], ...], list[str]]:
    pairs, faults = [], []
    for position, item in enumerate(items):
        if not isinstance(item, list) or len(item) != 2:
            faults.append(f"{key}[{position}]: expected two keypoint names, found {item!r}")
            continue
        unknown = [str(name) for name in item if name not in names]
        faults += [f"{key}[{position}]: unknown keypoint '{name}'; {nearest(name, names)}" for name in unknown]
        pairs.append((str(item[0]), str(item[1])))
    return tuple(pairs), faults
