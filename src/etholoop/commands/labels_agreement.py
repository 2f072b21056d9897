"""``etholoop labels agreement``: how far people agree with each other and with the model, and what they should look at together."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.core.agreement import Dispute, Figure
    from etholoop.project import Project

MODEL = "model"
"""Stands for the predictions among the annotators; its confidence threshold is that of drawing into tasks."""

EXAMPLES = examples("etholoop labels agreement", "etholoop labels agreement --model --queue disputed.json")


def register(app: typer.Typer) -> None:
    from etholoop.commands._labels_group import labels_group

    labels_group(app).command("agreement", short_help="How far annotators agree.", epilog=EXAMPLES)(command)


def command(
    *,
    model: bool = typer.Option(False, "--model", help="Compare with the model's predictions too."),
    queue: Path = typer.Option(None, "--queue", help="Write what was told differently, the worst first, as JSON."),
    shown: int = typer.Option(10, min=0, help="How many disputed items to print."),
) -> None:
    """Cohen's kappa and bout F1 per behaviour, overlap of boxes and distance of keypoints, with 95 % intervals."""
    from etholoop.project import find_project

    figures, disputed = agreement(find_project(), model=model)
    for line in table(figures):
        typer.echo(line)
    if disputed:
        typer.echo(f"{len(disputed)} disputed items, the worst first:")
    for item in disputed[:shown]:
        typer.echo(f"  {item.disagreement:.2f}  {item.uid}  {' / '.join(item.pair)}: {item.why}")
    if queue:
        write_queue(disputed, queue)


def agreement(project: "Project", *, model: bool = False) -> "tuple[list[Figure], list[Dispute]]":
    """All figures and disputes of the snapshot; with ``model`` its predictions are one more annotator."""
    from etholoop.core import agreement as core
    from etholoop.io import snapshot
    from etholoop.io.vocabulary import read_ethogram

    labels = snapshot.canonical(snapshot.read_or_empty(project.snapshot))
    frames = labels.frames + (_predicted(project) if model else [])
    ethogram = read_ethogram(project.ethogram)
    figures = core.frame_agreement(frames) + core.behaviour_agreement(labels.behaviours, ethogram.names)
    return figures, core.disputes(frames, labels.behaviours)


def table(figures: "list[Figure]") -> list[str]:
    """One line per figure."""
    if not figures:
        return ["nothing was labelled by two people yet; `etholoop labels push --double 0.1` asks some tasks twice"]
    lines = []
    for figure in figures:
        interval = "one video: no interval" if math.isnan(figure.low) else f"{figure.low:.3f} to {figure.high:.3f}"
        name = f"{figure.name} {figure.of}".strip()
        lines.append(f"{' / '.join(figure.pair):<28} {name:<24} {figure.value:8.3f}  [{interval}]  n={figure.n}, {figure.n_videos} videos")
    return lines


def write_queue(disputed: "list[Dispute]", path: Path) -> None:
    from dataclasses import asdict

    from etholoop.io import atomic

    atomic.write_text(path, json.dumps([asdict(item) for item in disputed], sort_keys=True, indent=1) + "\n")


def _predicted(project: "Project") -> list[dict[str, Any]]:
    """Predictions on all frames the model looked at, as records of an annotator called model."""
    from etholoop import params
    from etholoop.io import tables
    from etholoop.schema.columns import frame_uid
    from etholoop.schema.predictions import Detections, PredictedFrames, PredictedKeypoints
    from etholoop.stages.select import Params

    folder, least = project.pose_predictions, params.load(project.params, "select", Params).prefill_confidence
    detections = tables.read(folder / "detections.parquet", Detections)
    points = tables.read(folder / "keypoints.parquet", PredictedKeypoints).dropna(subset=["x", "y"])
    placed: dict[tuple[str, int, int], dict[str, list[float]]] = {}
    for row in points.to_dict("records"):
        placed.setdefault((row["video_id"], row["frame"], row["instance"]), {})[row["keypoint"]] = [row["x"], row["y"], 2]
    animals: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in detections[detections["confidence"] >= least].to_dict("records"):
        key = row["video_id"], row["frame"]
        box = [row[name] for name in ("x_min", "y_min", "x_max", "y_max")]
        found = {"class": row["species"], "box": box, "identity": None, "keypoints": placed.get((*key, row["instance"]), {})}
        animals.setdefault(key, []).append(found)
    records = []
    for row in tables.read(folder / "frames.parquet", PredictedFrames).to_dict("records"):
        instances = animals.get((row["video_id"], row["frame"]), [])
        status = "animals" if instances else "no_animal"
        record = {"uid": frame_uid(row["video_id"], row["frame"]), "annotator": MODEL, "note": ""}
        records.append(record | {"status": status, "instances": instances})
    return records
