"""pose_train: the pose data set → a trained detector, its figures and its learning curves.

Too few labels are a state, not an error: ``status.json`` then says ``trained: false`` and why, and no weights are written.
"""

import json
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field, model_validator
from tqdm import tqdm

from etholoop import registry
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic, tables
from etholoop.io.memo import file_digest
from etholoop.modeling.detectors import settings_of
from etholoop.modeling.records import TrainResult
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.dataset import PoseDataset

DETECTORS = "etholoop.modeling.detectors"
CHAMPION = "champion.pt"
"""Where closing a cycle puts the best model so far, below models/init."""

EMPTY_CURVES = ["epoch", "train_box_loss", "train_pose_loss", "train_cls_loss", "val_box_mAP50", "val_pose_mAP50"]


class Params(Section):
    """Which detector, from which weights; ``settings`` are those of the detector."""

    detector: str = "yolo"
    init: Literal["base", "previous", "scratch"] = Field(
        "base",
        description="base = `weights` in every cycle; previous = the champion of the cycles before, until there is one `weights` or "
        "random weights; scratch = random weights",
    )
    weights: str | None = Field(None, description="file below models/init, for init: base")
    seed: int = Field(0, ge=0)
    min_frames: int = Field(8, ge=1, description="train frames with animals below which nothing is trained")
    settings: dict[str, Any] = Field({})

    @model_validator(mode="after")
    def _settings_fit_the_detector(self) -> "Params":
        try:
            settings_of(self.detector, self.settings, "pose_train")
        except FaultsError as error:
            raise ValueError("; ".join(error.faults)) from None
        except EthoLoopError as error:
            raise ValueError(str(error)) from None
        return self


def run(project: Project, params: Params) -> None:
    """Train, or say why not."""
    index = tables.read(project.pose_dataset / "index.parquet", PoseDataset)
    train = index[index["split"] == "train"]
    n_frames = int((train["n_instances"] > 0).sum())
    facts = {"n_train": len(train), "n_train_with_animals": n_frames, "n_val": int((index["split"] == "val").sum())}
    if n_frames < params.min_frames:
        reason = f"{n_frames} labelled train frames with animals, {params.min_frames} are needed (pose_train.min_frames)"
        write_untrained(project, params, facts, reason)
        return
    weights = start_weights(project, params)
    with atomic.new_folder(project.pose_model) as folder:
        result = train_detector(project, params, folder / "best.pt", weights)
        atomic.write_text(folder / "status.json", as_json(status(params, facts, result, folder / "best.pt", weights)))
    write_figures(project, facts, result)


def start_weights(project: Project, params: Params) -> Path | None:
    """The file to start from, None = random weights.

    Raises:
        EthoLoopError: the weights are not there; training from scratch must be asked for.
    """
    if params.init == "scratch":
        return None
    name = params.weights
    if params.init == "previous":
        if (project.init_weights / CHAMPION).is_file():
            return project.init_weights / CHAMPION
        if name is None:
            return None  # the first cycle has no champion yet
    wanted = f"pose_train.init is '{params.init}'"
    if name is None:
        raise EthoLoopError(
            f"{wanted}, but pose_train.weights names no file. Bring weights with `etholoop weights add FILE` and name them, "
            "or set pose_train.init: scratch to start from random weights."
        )
    path = project.init_weights / name
    if Path(name).name != name or not path.is_file():
        there = sorted(file.name for file in project.init_weights.glob("*.pt"))
        raise EthoLoopError(
            f"{wanted}, but models/init/{name} was not found (there: {', '.join(there) or 'no .pt files'}). "
            "Put the file there, or set pose_train.init: scratch to start from random weights."
        )
    return path


def train_detector(project: Project, params: Params, out: Path, weights: Path | None) -> TrainResult:
    """Train the plug-in, with a progress bar."""
    from etholoop.io.vocabulary import read_skeleton

    plugin = registry.load(DETECTORS, params.detector)
    with tqdm(desc=f"training {params.detector}", unit="epoch", disable=None) as bar:

        def progress(epoch: int, n_epochs: int, figures: dict[str, float]) -> None:
            bar.total = n_epochs
            shown = {name: f"{value:.3g}" for name, value in figures.items() if "loss" in name and name.startswith("train")}
            bar.set_postfix(shown, refresh=False)
            bar.update(epoch - bar.n)

        return plugin.train(
            project.pose_dataset,
            out,
            project.runs / "pose_train",
            read_skeleton(project.skeleton),
            settings_of(params.detector, params.settings, str(project.params)),
            init_weights=weights,
            seed=params.seed,
            progress=progress,
        )


def status(params: Params, facts: dict[str, int], result: TrainResult, weights: Path, start: Path | None) -> dict[str, Any]:
    """What later stages and people need to know about the model."""
    return {
        "trained": True,
        "detector": params.detector,
        "init": params.init,
        "started_from": start.name if start else "random weights",
        "weights_sha256": file_digest(weights),
        "notes": result.notes,
        **facts,
    }


def write_untrained(project: Project, params: Params, facts: dict[str, int], reason: str) -> None:
    """The outputs of a training that did not take place."""
    content = {"trained": False, "detector": params.detector, "init": params.init, "reason": reason, **facts}
    with atomic.new_folder(project.pose_model) as folder:
        atomic.write_text(folder / "status.json", as_json(content))
    atomic.write_text(project.metrics / "pose_train.json", as_json({"trained": False, "reason": reason, **facts}))
    write_curves(project, pd.DataFrame(columns=EMPTY_CURVES))


def write_figures(project: Project, facts: dict[str, int], result: TrainResult) -> None:
    """Metrics and curves; no times, so that they are the same for the same training."""
    content = {
        "trained": True,
        "weights_sha256": file_digest(project.pose_model / "best.pt"),
        "notes": result.notes,
        **facts,
        **{name: round(value, 6) for name, value in result.metrics.items()},
    }
    atomic.write_text(project.metrics / "pose_train.json", as_json(content))
    curves = pd.DataFrame(result.curves)
    curves["epoch"] = curves["epoch"].astype(int)
    write_curves(project, curves[["epoch", *sorted(set(map(str, curves.columns)) - {"epoch"})]])


def write_curves(project: Project, curves: pd.DataFrame) -> None:
    """One row per epoch; empty where an epoch was not validated."""
    atomic.write_text(project.metrics / "plots/pose_curves.csv", curves.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def as_json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True) + "\n"
