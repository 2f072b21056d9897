"""CVAT task templates (``project.json``, alone or in the zip that CVAT exports) → skeleton and ethogram.

A label is a species; the points of a label of type ``skeleton`` are keypoints, its SVG names their edges. A radio or select attribute
that changes along a track holds behaviours, of which an animal shows one at a time: one exclusive group per attribute.
"""

import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etholoop.errors import EthoLoopError
from etholoop.schema.ethogram import CATCH_ALL

NO_DEFINITION = "The CVAT template gives no definition. Write one here that two people can agree on."
CHOICES = ("radio", "select")


@dataclass
class Template:
    """Contents of ``skeleton.yaml`` and ``ethogram.yaml``; ``remarks``: what a person should look at."""

    skeleton: dict[str, Any]
    ethogram: dict[str, Any]
    remarks: list[str] = field(default_factory=list)


def read(paths: Iterable[Path], words: Mapping[str, str] | None = None) -> Template:
    """One skeleton and one ethogram from one or several templates.

    Args:
        words: other names for behaviours, for example ``{"Walking": "Walk"}``.

    Raises:
        EthoLoopError: not a CVAT template.
    """
    labels = [label for path in paths for label in _labels(path)]
    remarks: list[str] = []
    species = list(dict.fromkeys(str(label["name"]) for label in labels))
    keypoints, edges = _points(labels)
    skeleton = {"name": "", "species": species, "keypoints": keypoints, "edges": edges, "left_right": [], "animals": None}
    return Template(skeleton, {"name": "", "behaviours": _behaviours(labels, words or {}, remarks)}, remarks)


def _labels(path: Path) -> list[dict[str, Any]]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                name = next((name for name in archive.namelist() if Path(name).name in ("project.json", "task.json")), None)
                text = archive.read(name).decode("utf-8") if name else ""
        else:
            text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        labels = content["labels"] if isinstance(content, dict) else content
        good = isinstance(labels, list) and all(isinstance(label, dict) and label.get("name") for label in labels)
    except (ValueError, KeyError, UnicodeDecodeError):
        good = False
    if not good or not labels:
        raise EthoLoopError(f"{path}: expected a CVAT template (project.json with labels, or a zip that holds one). Nothing was made.")
    return labels


def _points(labels: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    names: list[str] = []
    edges: list[list[str]] = []
    for label in labels:
        points = {str(point.get("id", number + 1)): str(point["name"]) for number, point in enumerate(label.get("sublabels") or [])}
        by_node = points | {str(number + 1): name for number, name in enumerate(points.values())}
        names += [name for name in points.values() if name not in names]
        for line in re.findall(r"<line\b[^>]*>", str(label.get("svg") or "")):
            nodes = [re.search(rf'data-node-{end}="(\d+)"', line) for end in ("from", "to")]
            pair = [by_node.get(node[1], "") for node in nodes if node]
            if len(pair) == 2 and all(pair) and pair not in edges:
                edges.append(pair)
    return names, edges


def _behaviours(labels: Iterable[Mapping[str, Any]], words: Mapping[str, str], remarks: list[str]) -> list[dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    shown_by: dict[str, list[str]] = {}
    for label in labels:
        for attribute in label.get("attributes") or []:
            if not attribute.get("mutable") or attribute.get("input_type") not in CHOICES:
                remarks.append(f"{label['name']}: attribute '{attribute.get('name')}' does not change along a track; it is no behaviour")
                continue
            for value in attribute["values"]:
                name = str(words.get(str(value), value))
                if name.strip().lower() in CATCH_ALL:
                    remarks.append(f"'{name}' is left out: time without a behaviour says the same")
                    continue
                group = re.sub(r"\W+", "_", str(attribute["name"])).strip("_").lower() or "behaviour"
                found.setdefault(name, {"name": name, "definition": NO_DEFINITION, "kind": "state", "exclusive_group": group})
                shown_by.setdefault(name, []).append(str(label["name"]))
    for one in found:
        alike = [other for other in found if other > one and _stem(other) == _stem(one)]
        remarks += [
            f"'{one}' ({', '.join(shown_by[one])}) and '{other}' ({', '.join(shown_by[other])}): the same behaviour?" for other in alike
        ]
    return list(found.values())


def _stem(name: str) -> str:
    """What is left of 'Running' and 'Run' alike; only to ask about, never to decide."""
    word = re.sub(r"ing$", "", name.lower())
    return re.sub(r"(.)\1$", r"\1", word)
