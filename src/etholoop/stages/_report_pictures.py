"""The pictures of the report: frames with animals drawn, and charts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from etholoop.core.cycle_facts import ModelError
from etholoop.io import charts, drawing
from etholoop.io.drawing import Animal
from etholoop.io.images import read_rgb
from etholoop.io.report_html import Picture, count, data_uri
from etholoop.schema.columns import frame_uid
from etholoop.stages._report_inputs import Inputs

KEY = ["video_id", "frame"]
BOX = ["x_min", "y_min", "x_max", "y_max"]
SHOWN_CONFIDENCE = 0.25
"""Predicted animals below this are not drawn, except where one is itself the error."""

Animals = dict[tuple[str, int], dict[int, Animal]]


class Pictures:
    """Frames of one cycle as pictures ``width_px`` wide."""

    def __init__(self, inputs: Inputs, width_px: int):
        self.inputs, self.width_px = inputs, width_px
        names = inputs.skeleton.keypoint_names
        self.edges = [(names.index(first), names.index(second)) for first, second in inputs.skeleton.edges]
        self.truth = _in_pictures(animals_of(inputs.boxes, inputs.keypoints, names, named=False), inputs)
        self.predicted = _in_pictures(animals_of(inputs.detections, inputs.predicted_keypoints, names, named=True), inputs)
        confident = inputs.detections["confidence"] >= SHOWN_CONFIDENCE
        self.sure = set(inputs.detections.loc[confident, [*KEY, "instance"]].itertuples(index=False, name=None))
        self.paths = {(video, frame): inputs.project.pose_dataset / path for video, frame, path in _rows(inputs.dataset, "image")}
        self.paths |= {(video, frame): inputs.project.frames / path for video, frame, path in _rows(inputs.frames, "path")}

    def has(self, video_id: str, frame: int) -> bool:
        """Whether the frame's image is kept anywhere."""
        return (video_id, frame) in self.paths

    def image(self, video_id: str, frame: int) -> np.ndarray:
        return read_rgb(self.paths[video_id, frame])

    def found(self, video_id: str, frame: int) -> dict[int, Animal]:
        """Predicted animals the model is reasonably sure of."""
        animals = self.predicted.get((video_id, frame), {})
        return {instance: animal for instance, animal in animals.items() if (video_id, frame, instance) in self.sure}

    def compared(self, video_id: str, frame: int) -> Picture:
        """A whole frame, labels and predictions."""
        view = drawing.whole(self.image(video_id, frame), 2 * self.width_px)
        truth, found = self.truth.get((video_id, frame), {}), self.found(video_id, frame)
        drawing.draw(view, truth.values(), self.edges, "truth")
        drawing.draw(view, found.values(), self.edges, "prediction")
        uid = frame_uid(video_id, frame)
        words = f"{len(truth)} labelled, {len(found)} found"
        return Picture(data_uri(drawing.jpeg(drawing.finished(view))), f"Frame {uid}: {words}, labels and predictions drawn.", uid, words)

    def error(self, error: ModelError) -> Picture:
        """The neighbourhood of one error."""
        place = (error.video_id, error.frame)
        truth, predicted = self.truth.get(place, {}), self.predicted.get(place, {})
        found = self.found(*place)
        if error.predicted_instance is not None:
            found[error.predicted_instance] = predicted[error.predicted_instance]
        centre = truth[error.true_instance] if error.true_instance is not None else predicted[error.predicted_instance or 0]
        view = drawing.around(self.image(*place), _with_touching(centre.box, [*truth.values(), *found.values()]), self.width_px)
        if error.kind == "keypoint" and error.predicted_instance is not None:
            drawing.draw_errors(view, centre.keypoints, predicted[error.predicted_instance].keypoints)
        drawing.draw(view, truth.values(), self.edges, "truth")
        drawing.draw(view, [Animal(animal.box, animal.keypoints) for animal in found.values()], self.edges, "prediction")
        uid = frame_uid(*place)
        return Picture(data_uri(drawing.jpeg(drawing.finished(view))), f"Part of frame {uid}: {error.words}.", error.words, uid, error.kind)

    def pick(self, row: Mapping[Any, Any], drawn: bool) -> Picture:
        """A frame that people are asked to label."""
        place = (row["video_id"], int(row["frame"]))
        view = drawing.whole(self.image(*place), self.width_px)
        found = self.found(*place) if drawn else {}
        drawing.draw(view, [Animal(animal.box, animal.keypoints) for animal in found.values()], self.edges, "prediction")
        uid = frame_uid(*place)
        alt = f"Frame {uid} to label" + (f", {count(len(found), 'predicted animal')} drawn." if drawn else ".")
        caption, note = (f"{row['rank'] + 1}. {uid}", row["reason"]) if row["acquisition"] != "held_out" else (uid, "")
        return Picture(
            data_uri(drawing.jpeg(drawing.finished(view), 78)),
            alt,
            caption,
            note,
            "" if row["acquisition"] == "held_out" else row["acquisition"],
        )


def _in_pictures(animals: Animals, inputs: Inputs) -> Animals:
    """Animals in the pixels of the kept images, which are those of the normalised sources."""
    way = {video_id: picture.affine for video_id, picture in inputs.pictures.items()}
    return {
        (video_id, frame): {number: drawing.moved(animal, way[video_id]) for number, animal in found.items()}
        for (video_id, frame), found in animals.items()
    }


def _with_touching(box: np.ndarray, animals: Sequence[Animal]) -> np.ndarray:
    """The smallest box around ``box`` and every animal whose box overlaps it."""
    boxes = np.array([box, *(animal.box for animal in animals)])
    touching = boxes[(np.minimum(boxes[:, 2:], box[2:]) > np.maximum(boxes[:, :2], box[:2])).all(axis=1)]
    return np.concatenate([touching[:, :2].min(axis=0), touching[:, 2:].max(axis=0)]) if len(touching) else box


def keypoint_colours(inputs: Inputs) -> list[tuple[str, str]]:
    """Name and CSS colour of each keypoint."""
    return [
        (name, "#{:02x}{:02x}{:02x}".format(*drawing.keypoint_colour(number))) for number, name in enumerate(inputs.skeleton.keypoint_names)
    ]


def learning_chart(rows: Sequence[Mapping[str, Any]], shares: Mapping[str, str], lengths: Mapping[str, str]) -> Picture:
    cycles = "; ".join(f"{row['cycle']} with {row['n_frames']} labelled frames" for row in rows)
    return Picture(
        data_uri(charts.learning_curve(rows, shares, lengths)),
        f"Figures over labelled frames: {cycles}. The numbers are in the table below.",
    )


def pr_chart(table: pd.DataFrame) -> Picture | None:
    """Precision over recall on the test split; None without finds."""
    table = table[table["split"] == "test"] if len(table) else table
    if not len(table):
        return None
    words = {"box": "boxes", "oks": "poses"}
    several = table["species"].nunique() > 1
    curves = {
        f"{words.get(str(measure), measure)}{f', {species}' if several else ''}": (part["recall"].to_numpy(), part["precision"].to_numpy())
        for (measure, species), part in table.groupby(["measure", "species"], sort=True)
    }
    return Picture(data_uri(charts.precision_recall(curves)), f"Precision over recall of {', '.join(curves)}.")


def calibration_chart(table: pd.DataFrame) -> Picture | None:
    table = table[table["split"] == "test"] if len(table) else table
    if not len(table) or not table["n"].sum():
        return None
    columns = [table[name].to_numpy(dtype=float) for name in ("low", "high", "n", "confidence", "correct")]
    words = "; ".join(f"{row.confidence:.2f} stated, {row.correct:.2f} right" for row in table[table["n"] > 0].itertuples())
    return Picture(data_uri(charts.calibration(*columns)), f"Calibration: {words}.")


def training_chart(table: pd.DataFrame) -> Picture | None:
    """Loss terms (``train_…_loss``) and validation figures (``val_box_mAP50``, …) over epochs; None without either."""
    if "epoch" not in table or not len(table):
        return None
    found = [name for name in map(str, table.columns) if name.startswith("train_") and name.endswith("_loss") and table[name].notna().any()]
    losses = {name.removeprefix("train_").replace("_", " "): table[name].to_numpy(dtype=float) for name in found}
    names = {"val_box_mAP50": "box AP50", "val_box_mAP50-95": "box AP", "val_pose_mAP50": "pose AP50", "val_pose_mAP50-95": "pose AP"}
    kept = {title: table.loc[table[name].notna(), ["epoch", name]].to_numpy() for name, title in names.items() if name in table}
    figures = {title: (values[:, 0], values[:, 1]) for title, values in kept.items() if len(values)}
    if not losses and not figures:
        return None
    last = "; ".join(f"{title} {values[1][-1]:.3f}" for title, values in figures.items())
    alt = f"Training over {len(table)} epochs. At the end: {last or 'no validation figures'}."
    return Picture(data_uri(charts.training(table["epoch"].to_numpy(), losses, figures)), alt)


def by_video_chart(table: pd.DataFrame, names: Mapping[str, str], split: str = "test") -> Picture | None:
    """A dot for each recording and figure; None for fewer than two recordings."""
    table = table[table["split"] == split] if len(table) else table
    if len(table) < 2:
        return None
    figures = {title: table[name].to_numpy(dtype=float) for name, title in names.items() if name in table and table[name].notna().any()}
    values = {
        video: ", ".join(f"{title} {column[place]:.2f}" for title, column in figures.items())
        for place, video in enumerate(table["video_id"])
    }
    words = "; ".join(f"{video} {text}" for video, text in values.items())
    return Picture(data_uri(charts.by_video(list(values), figures)), f"Each held-out recording: {words}.")


def keypoint_chart(points: Mapping[str, Mapping[str, Any]]) -> Picture | None:
    """Median and RMSE of each keypoint; None where nothing was compared."""
    rows = {name: row for name, row in points.items() if row.get("median_px") is not None and row.get("rmse_px") is not None}
    if not rows:
        return None
    figures = {
        title: np.array([row[key] for row in rows.values()], dtype=float) for key, title in (("median_px", "median"), ("rmse_px", "RMSE"))
    }
    words = "; ".join(f"{name} {row['median_px']:.2f} and {row['rmse_px']:.2f}" for name, row in rows.items())
    return Picture(data_uri(charts.keypoint_errors(list(rows), figures)), f"Median and RMSE of each keypoint in pixels: {words}.")


def _rows(table: pd.DataFrame, column: str) -> Any:
    return table[[*KEY, column]].itertuples(index=False, name=None)


def animals_of(boxes: pd.DataFrame, keypoints: pd.DataFrame, names: Sequence[str], named: bool) -> Animals:
    """Animals of every frame by instance; keypoints in the skeleton's order, NaN where there is none."""
    place = {name: number for number, name in enumerate(names)}
    points: dict[tuple[str, int, int], np.ndarray] = {}
    columns = [*KEY, "instance", "keypoint", "x", "y"]
    for video, frame, instance, keypoint, x, y in keypoints[columns].itertuples(index=False, name=None):
        points.setdefault((video, frame, instance), np.full((len(names), 2), np.nan))[place[keypoint]] = x, y
    animals: Animals = {}
    missing = np.full((len(names), 2), np.nan)
    columns = [*KEY, "instance", *BOX, "species", "confidence"]
    for video, frame, instance, *corners, species, confidence in boxes[columns].itertuples(index=False, name=None):
        name = f"{species} {confidence:.2f}" if named else ""
        animal = Animal(np.array(corners, dtype=float), points.get((video, frame, instance), missing), name)
        animals.setdefault((video, frame), {})[instance] = animal
    return animals
