"""Gate ``predictions``: is what the model wrote what it claims to be: probabilities, boxes and points of known frames?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from etholoop.checks.engine import Gate, Table, Warn, gxe, is_true, rule

FRAME = ["video_id", "frame"]
INSTANCE = [*FRAME, "instance"]
CORNERS = ["x_min", "y_min", "x_max", "y_max"]
FOLDER = "data/predictions/pose"
ROUNDING = 1e-4
"""Probabilities are stored as 32-bit numbers."""


@dataclass(frozen=True)
class Predictions:
    """The tables of schema.predictions, and what ``backend.json`` says about the library that ran the network."""

    frames: pd.DataFrame
    detections: pd.DataFrame
    keypoints: pd.DataFrame
    embeddings: pd.DataFrame
    backend: Mapping[str, Any]


def gate(predicted: Predictions, videos: pd.DataFrame, species: Sequence[str], keypoint_names: Sequence[str]) -> Gate:
    """Questions about predictions; no predictions at all (no model yet) is good."""
    sized = predicted.detections.merge(videos[["video_id", "width", "height"]], on="video_id", how="left", validate="many_to_one")
    tables = {
        "frames": _frames_table(predicted, videos),
        "detections": _detections_table(sized, predicted, species),
        "keypoints": _keypoints_table(predicted, keypoint_names),
        "embeddings": _embeddings_table(predicted),
        "backend": _backend_table(predicted.backend),
    }
    corners, size = sized[CORNERS].to_numpy(float), sized[["width", "height"]].to_numpy(float)
    outside = np.flatnonzero(np.any((corners[:, :2] < -1) | (corners[:, 2:] > size + 1), axis=1))
    empty = predicted.frames[predicted.frames["n_detections"] == 0]
    counts = {
        "n_frames": len(predicted.frames),
        "n_detections": len(predicted.detections),
        "n_keypoints": int(predicted.keypoints["x"].notna().sum()),
        "n_frames_without_animal": len(empty),
    }
    warnings = {"box_outside_image": Warn("boxes that reach over the image's edge", sized[[*INSTANCE, *CORNERS]].iloc[outside])}
    notes = (_backend_note(predicted.backend),) if len(predicted.frames) else ("no predictions: there is no trained model yet",)
    return Gate("predictions", tables, counts, warnings, notes)


def _frames_table(predicted: Predictions, videos: pd.DataFrame) -> Table:
    frames = predicted.frames
    n_frames = frames["video_id"].map(videos.set_index("video_id")["n_frames"]).astype("float64")
    counts = predicted.detections.groupby(FRAME).size()
    counted = counts.reindex(pd.MultiIndex.from_frame(frames[FRAME])).fillna(0).to_numpy() if len(counts) else np.zeros(len(frames))
    rows = frames.assign(
        frame_exists=(frames["frame"] < n_frames).to_numpy(bool), count_fits=counted == frames["n_detections"], n_rows=counted.astype(int)
    )
    return Table(
        rows,
        f"{FOLDER}/frames.parquet",
        (*FRAME, "n_detections", "n_rows"),
        (
            is_true("frame_exists", "frames of known sources, below their number of frames"),
            is_true("count_fits", "as many detections as the frame's row says"),
            rule("frame_is_unique", "one row per frame", gxe.ExpectCompoundColumnsToBeUnique, column_list=FRAME),
        ),
    )


def _detections_table(detections: pd.DataFrame, predicted: Predictions, species: Sequence[str]) -> Table:
    frames = predicted.frames
    names = [f"p_{name}" for name in species]
    missing = [name for name in names if name not in detections.columns]
    probabilities = detections.reindex(columns=names).to_numpy(float)  # (n, species)
    confidence, corners = detections["confidence"].to_numpy(float), detections[CORNERS].to_numpy(float)
    best = probabilities.max(axis=1, initial=-1)
    own = np.array(
        [
            row[names.index(f"p_{name}")] if f"p_{name}" in names else np.nan
            for row, name in zip(probabilities, detections["species"], strict=True)
        ]
    )
    rows = detections.assign(
        frame_is_predicted=pd.MultiIndex.from_frame(detections[FRAME]).isin(pd.MultiIndex.from_frame(frames[FRAME])),
        species_known=detections["species"].isin(list(species)).to_numpy(),
        probabilities_valid=np.all((probabilities >= 0) & (probabilities <= 1), axis=1) & (not missing),
        own_weights=(detections["source"] == predicted.backend["weights"]).to_numpy(bool),
        confidence_is_largest=(np.abs(best - confidence) <= ROUNDING) & (np.abs(own.astype(float) - confidence) <= ROUNDING),
        box_finite=np.isfinite(corners).all(axis=1),
        positive_area=np.all(corners[:, 2:] > corners[:, :2], axis=1),
    )
    return Table(
        rows,
        f"{FOLDER}/detections.parquet",
        (*INSTANCE, *CORNERS, "species", "confidence"),
        (
            is_true("frame_is_predicted", "detections of frames the model looked at"),
            is_true("species_known", "a species of label_studio/skeleton.yaml"),
            is_true("probabilities_valid", f"a probability from 0 to 1 for every species ({', '.join(names)})"),
            is_true("confidence_is_largest", "confidence is the largest probability and that of the named species"),
            rule("confidence_is_share", "from 0 to 1", gxe.ExpectColumnValuesToBeBetween, column="confidence", min_value=0, max_value=1),
            is_true("own_weights", "found with the weights that backend.json names"),
            is_true("box_finite", "corners that are numbers"),
            is_true("positive_area", "x_max above x_min and y_max above y_min"),
            rule("instance_is_unique", "one row per instance", gxe.ExpectCompoundColumnsToBeUnique, column_list=INSTANCE),
        ),
    )


def _keypoints_table(predicted: Predictions, names: Sequence[str]) -> Table:
    keypoints = predicted.keypoints
    places, confidence = keypoints[["x", "y"]].to_numpy(float), keypoints["confidence"].to_numpy(float)
    given = ~np.isnan(places).all(axis=1)
    owners = pd.MultiIndex.from_frame(predicted.detections[INSTANCE])
    rows = keypoints.assign(
        has_detection=pd.MultiIndex.from_frame(keypoints[INSTANCE]).isin(owners),
        keypoint_known=keypoints["keypoint"].isin(list(names)).to_numpy(),
        finite_if_given=~given | np.isfinite(places).all(axis=1),
        confidence_if_given=~given | ((confidence >= 0) & (confidence <= 1)),
    )
    return Table(
        rows,
        f"{FOLDER}/keypoints.parquet",
        (*INSTANCE, "keypoint", "x", "y"),
        (
            is_true("has_detection", "keypoints of an instance that was detected"),
            is_true("keypoint_known", "a keypoint of label_studio/skeleton.yaml"),
            is_true("finite_if_given", "x and y both numbers, or both missing"),
            is_true("confidence_if_given", "a confidence from 0 to 1 with every point"),
            rule("keypoint_is_unique", "one place per keypoint", gxe.ExpectCompoundColumnsToBeUnique, column_list=[*INSTANCE, "keypoint"]),
        ),
    )


def _embeddings_table(predicted: Predictions) -> Table:
    embeddings = predicted.embeddings
    values = embeddings.drop(columns=FRAME).to_numpy(float)
    rows = embeddings[FRAME].assign(
        frame_is_predicted=pd.MultiIndex.from_frame(embeddings[FRAME]).isin(pd.MultiIndex.from_frame(predicted.frames[FRAME])),
        finite=np.isfinite(values).all(axis=1),
    )
    rules = (is_true("frame_is_predicted", "embeddings of frames the model looked at"), is_true("finite", "numbers only"))
    return Table(rows, f"{FOLDER}/embeddings.parquet", tuple(FRAME), rules)


def _backend_table(backend: Mapping[str, Any]) -> Table:
    """One row for each way in which the backend was compared with torch; torch itself has none."""
    differences, tolerances = backend["differences"], backend["tolerances"]
    columns = {
        "what": list(differences),
        "difference": list(differences.values()),
        "at_most": [tolerances.get(name) for name in differences],
    }
    rows = pd.DataFrame(columns).astype({"what": "str", "difference": "float64", "at_most": "float64"})
    rows["answers_as_torch"] = (rows["difference"] <= rows["at_most"]).to_numpy(bool)  # NaN, for endless, is not
    return Table(
        rows,
        f"{FOLDER}/backend.json",
        ("what", "difference", "at_most"),
        (is_true("answers_as_torch", "a backend that answers as torch does on sample frames; otherwise set pose_predict.backend: torch"),),
    )


def _backend_note(backend: Mapping[str, Any]) -> str:
    return f"predicted by {backend['backend']} ({backend['reason']})"
