"""behaviour_train: the behaviour data set → a trained model of each family, its figures, learning curves and confusions.

Too few labels, and no family at all, are states and no errors: ``families.json`` and ``status.json`` then say why.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field, model_validator
from tqdm import tqdm

from etholoop import registry
from etholoop.core.behaviour_labels import without_edges
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic, tables
from etholoop.io.memo import Memo, digest, file_digest, place
from etholoop.io.vocabulary import read_ethogram, read_skeleton
from etholoop.modeling.behaviour._shared import BODIES, PICTURES
from etholoop.modeling.behaviour.families import settings_of
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.behaviour import FrameLabels, Stretches
from etholoop.schema.scores import WHOLE_VIDEO
from etholoop.stages._families import NO_FAMILY, write_families

if TYPE_CHECKING:
    from etholoop.modeling.behaviour._shared import Init, Strip, Task, Trained
    from etholoop.stages._animal_pictures import Animals

FAMILIES = "etholoop.modeling.behaviour.families"
CURVES = ["family", "epoch", "loss", "val_loss", "val_accuracy_micro", "val_accuracy_macro", "val_f1_macro", "val_map"]
CONFUSION = ["family", "truth", "said", "n"]


class Params(Section):
    """Which families are trained, from which weights; ``settings`` has one mapping for each family."""

    families: tuple[str, ...] = Field((), description="for example [x3d]; none = behaviour is not modelled and costs nothing")
    weights: dict[str, str] = Field({}, description="file below models/init by family; a family without one starts from random weights")
    seed: int = Field(0, ge=0)
    min_frames: int = Field(50, ge=1, description="labelled train frames with a behaviour below which nothing is trained")
    settings: dict[str, dict[str, Any]] = Field({})

    @model_validator(mode="after")
    def _settings_fit_the_families(self) -> "Params":
        for family in (*self.families, *self.settings):
            try:
                settings_of(family, self.settings.get(family, {}), f"behaviour_train.settings.{family}")
            except FaultsError as error:
                raise ValueError("; ".join(error.faults)) from None
            except EthoLoopError as error:
                raise ValueError(str(error)) from None
        strangers = sorted(set(self.weights) - set(self.families))
        if strangers:
            raise ValueError(f"weights for {', '.join(strangers)}, which is not in families")
        return self


def run(project: Project, params: Params) -> None:
    """Train each family, or say why not."""
    about: dict[str, Any] = {}
    figures: dict[str, Any] = {}
    curves, confusions = [], []
    with atomic.new_folder(project / "models/behaviour") as folder:
        for family in sorted(set(params.families)):
            result = _family(project, params, family)
            for file in sorted(path for path in result.iterdir() if path.suffix in (".pt", ".json", ".csv")):
                if not file.name.startswith("."):
                    place(file, folder / family / file.name)
            status = json.loads((result / "status.json").read_text(encoding="utf-8"))
            figures[family] = json.loads((result / "metrics.json").read_text(encoding="utf-8"))
            about[family] = status
            curves.append(pd.read_csv(result / "curves.csv").assign(family=family))
            confusions.append(pd.read_csv(result / "confusion.csv").assign(family=family))
        write_families(folder, about, "" if about else NO_FAMILY)
    content = {"families": figures} if figures else {"families": {}, "reason": NO_FAMILY}
    atomic.write_text(project.metrics / "behaviour_train.json", as_json(content))
    _write_csv(project, "behaviour_curves", curves, CURVES)
    _write_csv(project, "behaviour_confusion", confusions, CONFUSION)


@dataclass(frozen=True)
class Recipe:
    """All about one family but the data: its plug-in, its settings, what is to be learnt and from which weights it starts."""

    family: str
    plugin: Any
    settings: Any
    seed: int
    task: "Task"
    init: "Init | None"

    @property
    def sees(self) -> str:
        return str(getattr(self.plugin, "SEES", PICTURES))


def _family(project: Project, params: Params, family: str) -> Path:
    """Folder with the result of one family, from the memo if nothing that matters has changed."""
    from etholoop.stages._animal_pictures import animals_of_project

    recipe = recipe_of(project, params, family)
    stretches = tables.read(project / "data/datasets/behaviour/stretches.parquet", Stretches)
    labels = tables.read(project / "data/datasets/behaviour/labels.parquet", FrameLabels)
    if recipe.sees == BODIES:  # a video that is looked at as a whole has none
        stretches = stretches[stretches["track"] != WHOLE_VIDEO]
        labels = labels[labels["track"] != WHOLE_VIDEO]
    reason = why_not(params, labels, recipe.task)
    if reason:
        make = _untrained(family, reason)
        key = digest(family=family, reason=reason)
    else:
        strips = strips_of(project, animals_of_project(project), stretches, labels, recipe)
        looks_at = {"tracks": bool((stretches["track"] != WHOLE_VIDEO).any()), "whole": bool((stretches["track"] == WHOLE_VIDEO).any())}
        key = _key(recipe, strips)
        make = _training(recipe, strips, project.runs / "behaviour_train" / family, looks_at)
    return Memo(project.memo, "behaviour_train").result(key, make)


def recipe_of(project: Project, params: Params, family: str) -> Recipe:
    """What a family is trained by.

    Raises:
        EthoLoopError: weights to start from that are not there or do not fit.
    """
    from etholoop.modeling.behaviour._shared import Task

    plugin = registry.load(FAMILIES, family)
    behaviours = read_ethogram(project.ethogram).behaviours
    task = Task(tuple(b.name for b in behaviours), tuple(b.exclusive_group for b in behaviours))
    if getattr(plugin, "SEES", PICTURES) == BODIES:
        skeleton = read_skeleton(project.skeleton)
        task = replace(task, keypoints=skeleton.keypoint_names, mirror=skeleton.flip_index)
    settings = settings_of(family, params.settings.get(family, {}), str(project.params))
    return Recipe(family, plugin, settings, params.seed, task, start_weights(project, params, family, plugin))


def why_not(params: Params, labels: pd.DataFrame, task: "Task") -> str:
    """Why nothing is trained; empty if something is."""
    if not task.behaviours:
        return "the ethogram names no behaviours"
    own = labels.loc[labels["split"] == "train", [f"y_{name}" for name in task.behaviours]]
    n_frames = int((own == 1).any(axis=1).sum())
    if n_frames < params.min_frames:
        return f"{n_frames} labelled train frames with a behaviour, {params.min_frames} are needed (behaviour_train.min_frames)"
    return ""


def start_weights(project: Project, params: Params, family: str, plugin: Any) -> "Init | None":
    """What to start from, None = random weights.

    Raises:
        EthoLoopError: the file is not there, is damaged, or describes another kind of network.
    """
    from etholoop.io.slowfast_checkpoint import read_checkpoint
    from etholoop.modeling.behaviour._shared import Init

    name = params.weights.get(family)
    if name is None:
        return None
    path = project.init_weights / name
    if Path(name).name != name or not path.is_file():
        there = ", ".join(sorted(file.name for file in project.init_weights.glob("*") if file.is_file())) or "nothing"
        raise EthoLoopError(
            f"behaviour_train.weights names {name} for {family}, but models/init/{name} was not found (there: {there}). "
            "Bring it with `etholoop weights add FILE`, or leave it out to start from random weights."
        )
    own: Init | None = plugin.own_weights(path)
    if own is not None:
        return own
    found = read_checkpoint(path)
    config = plugin.slowfast_config(found.config, found.where) if found.config else None
    return Init(found.state, name, file_digest(path), config)


# --- pictures and labels -----------------------------------------------------------------------------------------------------------

Strips = dict[str, "list[Strip]"]


def strips_of(project: Project, animals: "dict[str, Animals]", stretches: pd.DataFrame, labels: pd.DataFrame, recipe: Recipe) -> Strips:
    """Pictures and labels of train and val; a strip reaches beyond the labelled frames as far as clips do, but never into another split."""
    from etholoop.modeling.behaviour._shared import Strip
    from etholoop.stages._animal_bodies import body_reels
    from etholoop.stages._animal_pictures import Wanted, reels

    settings, behaviours = recipe.settings, recipe.task.behaviours
    before, after = recipe.plugin.reach(settings, recipe.init)
    rows = stretches[stretches["split"].isin(["train", "val"])].sort_values("stretch")
    listed: list[Any] = list(rows.itertuples(index=False))
    wanted = [
        Wanted(row.video_id, int(row.track), max(row.context_start_frame, row.start_frame - before), _stop(row, after)) for row in listed
    ]
    of_stretch = dict(iter(labels.groupby("stretch")))
    strips: Strips = {"train": [], "val": []}
    found: list[tuple[str, Any, np.ndarray | None]] = []
    if wanted and recipe.sees == BODIES:
        found = [(name, bodies, None) for name, bodies in body_reels(project, animals, wanted, recipe.task.keypoints)]
    elif wanted:
        found = [(name, reel, reel.windows) for name, reel in reels(project, animals, wanted, recipe.plugin.view(settings, recipe.init))]
    for row, wish, (name, images, windows) in zip(listed, wanted, found, strict=True):
        own = of_stretch[row.stretch].sort_values("frame")[[f"y_{behaviour}" for behaviour in behaviours]].to_numpy(np.int8)
        marked = np.full((wish.stop - wish.start, len(behaviours)), -1, np.int8)
        # in val the edges count: they are part of what a model meets
        learnt = without_edges(own, settings.edge_frames) if row.split == "train" and settings.edge_frames else own
        marked[row.start_frame - wish.start : row.stop_frame - wish.start] = learnt
        strips[row.split].append(Strip(name, images, marked, windows, str(row.group)))
    return strips


def _stop(row: Any, after: int) -> int:
    return int(min(row.context_stop_frame, row.stop_frame + after))


def _key(recipe: Recipe, strips: Strips) -> str:
    import torch

    data = {split: [[strip.name, digest(labels=strip.labels.tobytes().hex())] for strip in own] for split, own in sorted(strips.items())}
    return digest(
        family=recipe.family,
        version=recipe.plugin.VERSION,
        settings=recipe.settings.model_dump(),
        seed=recipe.seed,
        behaviours=[list(recipe.task.behaviours), list(recipe.task.exclusive)],
        data=data,
        **({"body": [list(recipe.task.keypoints), list(recipe.task.mirror)]} if recipe.sees == BODIES else {}),
        init=recipe.init.sha256 if recipe.init else None,
        torch=torch.__version__,
    )


# --- training ----------------------------------------------------------------------------------------------------------------------


def _training(recipe: Recipe, strips: Strips, scratch: Path, looks_at: dict[str, bool]) -> Callable[[Path], None]:
    """A function that trains into a folder."""

    def make(folder: Path) -> None:
        trained = train_family(recipe, strips, folder / "weights.pt", scratch)
        predictor = recipe.plugin.Predictor.load(folder / "weights.pt")
        status = {
            "trained": True,
            "family": recipe.family,
            "behaviours": list(predictor.behaviours),
            "head": predictor.head,
            "looks_at": looks_at,
            "started_from": recipe.init.where if recipe.init else "random weights",
            "weights_sha256": file_digest(folder / "weights.pt"),
            "notes": trained.notes,
            **{f"n_{split}_stretches": len(own) for split, own in strips.items()},
        }
        _write_result(folder, status, trained)

    return make


def train_family(recipe: Recipe, strips: Strips, out: Path, scratch: Path) -> "Trained":
    """Train the plug-in, with a progress bar."""
    with tqdm(desc=f"training {recipe.family}", unit="epoch", disable=None) as bar:

        def progress(epoch: int, n_epochs: int, figures: dict[str, float]) -> None:
            bar.total = n_epochs
            shown = {name: f"{value:.3g}" for name, value in figures.items() if name in ("loss", "val_accuracy_macro")}
            bar.set_postfix(shown, refresh=False)
            bar.update(epoch - bar.n)

        trained: Trained = recipe.plugin.train(
            strips["train"],
            strips["val"],
            recipe.task,
            recipe.settings,
            seed=recipe.seed,
            out=out,
            scratch=scratch,
            init=recipe.init,
            progress=progress,
        )
    return trained


def _untrained(family: str, reason: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        from etholoop.modeling.behaviour._shared import Trained

        _write_result(folder, {"trained": False, "family": family, "reason": reason}, Trained({}, []))

    return make


def _write_result(folder: Path, status: dict[str, Any], trained: "Trained") -> None:
    figures = {name: None if np.isnan(value) else round(value, 6) for name, value in trained.metrics.items()}
    shown = ("trained", "reason", "weights_sha256", "notes", "head")
    content = {name: status[name] for name in shown if name in status} | figures
    (folder / "status.json").write_text(as_json(status), encoding="utf-8")
    (folder / "metrics.json").write_text(as_json(content), encoding="utf-8")
    _csv(pd.DataFrame(trained.curves, columns=None if trained.curves else CURVES[1:]), folder / "curves.csv")
    _csv(pd.DataFrame(trained.confusion, columns=CONFUSION[1:]), folder / "confusion.csv")


def _csv(table: pd.DataFrame, path: Path) -> None:
    if "epoch" in table.columns:
        table = table.astype({"epoch": int}) if len(table) else table
    atomic.write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def _write_csv(project: Project, name: str, parts: list[pd.DataFrame], columns: list[str]) -> None:
    parts = [part for part in parts if len(part)]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    _csv(table[["family", *(column for column in table.columns if column != "family")]], project.metrics / f"plots/{name}.csv")


def as_json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
