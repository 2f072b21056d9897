"""The questions of ``etholoop init``: which animals, keypoints and behaviours. Asked on a terminal only; every question has a flag."""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from etholoop.project import Project


@dataclass
class Words:
    """Contents of ``skeleton.yaml`` and ``ethogram.yaml``; None = as in the repository, or as the preset says."""

    skeleton: dict[str, Any] | None = None
    ethogram: dict[str, Any] | None = None

    def __bool__(self) -> bool:
        return self.skeleton is not None or self.ethogram is not None


def from_flags(species: str, keypoints: str, behaviours: Sequence[str], animals: int | None) -> Words:
    """What the flags say.

    Args:
        species, keypoints: words with commas.
        behaviours: each ``name: definition``.

    Raises:
        FaultsError: a behaviour without a definition, or words that skeleton.yaml or ethogram.yaml could not hold.
    """
    names, points = _listed(species), _listed(keypoints)
    if (points or animals) and not names:
        from etholoop.errors import EthoLoopError

        raise EthoLoopError("--keypoints and --animals need --species: the classes of animals, for example --species mouse.")
    found = [re.fullmatch(r"\s*([^:]+?)\s*(?::\s*(.*?)\s*)?", text) for text in behaviours]
    items = [{"name": match[1], "definition": match[2] or ""} for match in found if match]
    return checked(Words(_skeleton(names, points, animals) if names else None, {"behaviours": items} if items else None))


def from_templates(paths: Sequence[Path], words: Path | None, say: Callable[[str], None]) -> Words:
    """Words out of CVAT templates; what a person should look at is said."""
    import json

    from etholoop.io import cvat_templates

    template = cvat_templates.read(paths, json.loads(words.read_text(encoding="utf-8")) if words else None)
    for remark in template.remarks:
        say(f"look at: {remark}")
    return checked(Words(template.skeleton, template.ethogram if template.ethogram["behaviours"] else None))


def asked() -> Words:
    """Ask; an empty answer leaves things as they are. Only where a person sits at a terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return Words()
    typer.echo("A few questions; Enter alone leaves the example, which can be changed in label_studio/*.yaml at any time.")
    species = typer.prompt("Animals in the videos, with commas (for example: mouse)", default="", show_default=False)
    keypoints = animals = ""
    if species:
        keypoints = typer.prompt(
            "Body points, with commas (for example: nose, ear_left, ear_right, tail_base)", default="", show_default=False
        )
        animals = typer.prompt("How many animals are in view at most (empty: unknown)", default="", show_default=False)
    names = typer.prompt("Behaviours, with commas (for example: walk, groom)", default="", show_default=False)
    behaviours = [f"{name}: {typer.prompt(f'  {name}: a sentence that two people can agree on')}" for name in _listed(names)]
    return from_flags(species, keypoints, behaviours, int(animals) if animals.strip().isdigit() else None)


def checked(words: Words) -> Words:
    """The same words.

    Raises:
        FaultsError: they could not stand in skeleton.yaml or ethogram.yaml.
    """
    from etholoop.schema.ethogram import ethogram_from
    from etholoop.schema.skeleton import skeleton_from

    if words.skeleton is not None:
        skeleton_from(words.skeleton, "skeleton")
    if words.ethogram is not None:
        ethogram_from(words.ethogram, "ethogram")
    return words


def write(project: "Project", words: Words) -> None:
    """Write what was said; the file that nothing was said about stays."""
    import io

    from ruamel.yaml import YAML

    from etholoop.io import atomic

    yaml = YAML()
    yaml.width = 140
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null"))
    for path, content in ((project.skeleton, words.skeleton), (project.ethogram, words.ethogram)):
        if content is not None:
            stream = io.StringIO()
            yaml.dump({"name": project.root.name, **{key: value for key, value in content.items() if key != "name"}}, stream)
            atomic.write_text(path, stream.getvalue())


def _skeleton(species: list[str], keypoints: list[str], animals: int | None) -> dict[str, Any]:
    return {"species": species, "keypoints": keypoints, "edges": [], "left_right": _mirrored(keypoints), "animals": animals}


def _mirrored(names: Sequence[str]) -> list[list[str]]:
    """Pairs whose names differ in left and right only."""
    return [[name, re.sub("left", "right", name)] for name in names if "left" in name and re.sub("left", "right", name) in names]


def _listed(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
