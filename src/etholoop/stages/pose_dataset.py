"""pose_dataset: labels + splits + images → a data set in YOLO's layout.

Images are those of the normalised source, labels are moved into their pixels; by default both are the source's own. An animal that
lies outside of a cut picture is not in its label file. A frame labelled "no animal" has an empty label file; unusable frames and frames of
the gap between blocks are left out and counted.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml
from tqdm import tqdm

from etholoop.core.picture_labels import into_picture
from etholoop.core.splits import group_of, split_of
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic, tables
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.annotations import Boxes, Keypoints, LabelledFrames
from etholoop.schema.columns import frame_uid
from etholoop.schema.dataset import PoseDataset
from etholoop.schema.frames import Frames
from etholoop.schema.normalised import Normalised
from etholoop.schema.skeleton import Skeleton
from etholoop.schema.splits import Splits
from etholoop.schema.videos import Images, Videos
from etholoop.stages._normalised import read_normalised

if TYPE_CHECKING:
    from etholoop.io.sources import Source

USED = ("train", "val", "test")


class Params(Section):
    """Nothing to choose: images are lossless PNG as large as the normalised source, the network scales them."""


def run(project: Project, params: Params) -> None:
    """Write ``data/datasets/pose`` anew."""
    from etholoop.io.sources import open_sources
    from etholoop.io.vocabulary import read_skeleton

    skeleton = read_skeleton(project.skeleton)
    videos = tables.read(project.manifest / "videos.parquet", Videos)
    images = tables.read(project.manifest / "images.parquet", Images)
    labelled = usable_frames(
        tables.read(project.annotations / "labelled_frames.parquet", LabelledFrames), tables.read(project.splits, Splits)
    )
    boxes = tables.read(project.annotations / "boxes.parquet", Boxes)
    keypoints = tables.read(project.annotations / "keypoints.parquet", Keypoints)
    normalised = read_normalised(project)
    sources = open_sources(project.root, videos, images, normalised)
    wanted = labelled[labelled["split"].isin(USED)]
    texts = label_texts(wanted, boxes, keypoints, sources, skeleton)
    with atomic.new_folder(project.pose_dataset) as folder:
        rows = list(write_samples(folder, wanted, texts, sources, extracted_images(project)))
        tables.write(tables.from_rows(rows, PoseDataset), PoseDataset, folder / "index.parquet")
        # of these sources only, so that a new video without labels changes nothing here and nothing is trained again
        own = normalised[normalised["video_id"].isin(wanted["video_id"])]
        tables.write(own, Normalised, folder / "pictures.parquet")
        atomic.write_text(folder / "data.yaml", yaml.safe_dump(description(skeleton), sort_keys=True))
        atomic.write_text(folder / "counts.json", json.dumps(counts(labelled), indent=2, sort_keys=True) + "\n")


def usable_frames(labelled: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """Labelled frames with ``split`` and ``group``; split is ``unusable`` for frames that nothing can be learnt from."""
    labelled = labelled.sort_values(["video_id", "frame"], ignore_index=True)
    if labelled.empty:
        return labelled.assign(split=pd.Series(dtype="str"), group=pd.Series(dtype="str"))
    split = split_of(splits, labelled["video_id"], labelled["frame"])
    group = group_of(splits, labelled["video_id"], labelled["frame"])
    return labelled.assign(split=np.where(labelled["status"] == "unusable", "unusable", split), group=group)


def counts(labelled: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Frames, frames with animals and animals, by split; ``gap`` and ``unusable`` are not in the data set."""
    result = {}
    for split in (*USED, "gap", "unusable"):
        rows = labelled[labelled["split"] == split]
        with_animals = int((rows["status"] == "animals").sum())
        result[split] = {"frames": len(rows), "frames_with_animals": with_animals, "animals": int(rows["n_animals"].sum())}
    return result


def label_texts(
    frames: pd.DataFrame, boxes: pd.DataFrame, keypoints: pd.DataFrame, sources: dict[str, "Source"], skeleton: Skeleton
) -> dict[tuple[str, int], list[str]]:
    """Label lines of every frame.

    Raises:
        FaultsError: every frame whose labels cannot be written, with the reason.
    """
    from etholoop.io.yolo_pose import lines

    arrays = instance_arrays(boxes, keypoints, skeleton)
    texts: dict[tuple[str, int], list[str]] = {}
    faults, n_outside = [], 0
    row: Any
    nothing = np.zeros((0, 4)), np.zeros(0, int), np.zeros((0, len(skeleton.keypoints), 3))
    for row in frames.itertuples(index=False):
        source = sources[row.video_id]
        size = source.width, source.height
        try:
            labelled = arrays.get((row.video_id, row.frame), nothing)
            animals = into_picture(labelled, source.affine, *size)
            n_outside += len(labelled[0]) - len(animals[0])
            texts[row.video_id, row.frame] = lines(*animals, *size)
        except EthoLoopError as error:
            faults.append(f"{frame_uid(row.video_id, row.frame)}: {error}")
    if faults:
        raise FaultsError("labels for the pose data set", faults, "Correct these labels; nothing was written.")
    if n_outside:
        print(
            f"pose data set: {n_outside} labelled animals lie outside of the pictures that normalise cuts and are left out.",
            file=sys.stderr,
        )
    return texts


def instance_arrays(
    boxes: pd.DataFrame, keypoints: pd.DataFrame, skeleton: Skeleton
) -> dict[tuple[str, int], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Boxes (n, 4), classes (n,) and keypoints (n, K, 3) of each frame, animals in order of their number.

    Raises:
        FaultsError: species or keypoints that the skeleton does not have.
    """
    unknown = [f"species '{name}' is not in the skeleton" for name in sorted(set(boxes["species"]) - set(skeleton.species))]
    unknown += [f"keypoint '{name}' is not in the skeleton" for name in sorted(set(keypoints["keypoint"]) - set(skeleton.keypoint_names))]
    if unknown:
        raise FaultsError("labels for the pose data set", unknown, "Correct label_studio/skeleton.yaml or the labels; nothing was written.")
    boxes = boxes.sort_values(["video_id", "frame", "instance"])
    place = {key: number for number, key in enumerate(zip(boxes["video_id"], boxes["frame"], boxes["instance"], strict=True))}
    points = np.full((len(boxes), len(skeleton.keypoints), 3), [np.nan, np.nan, 0.0])
    point: Any
    for point in keypoints.itertuples(index=False):
        number = place[point.video_id, point.frame, point.instance]
        points[number, skeleton.keypoint_names.index(point.keypoint)] = point.x, point.y, point.visibility
    corners = boxes[["x_min", "y_min", "x_max", "y_max"]].to_numpy(float)
    classes = np.array([skeleton.species.index(name) for name in boxes["species"]], dtype=int)
    rows_of: dict[tuple[str, int], list[int]] = {}
    for number, (video_id, frame) in enumerate(zip(boxes["video_id"], boxes["frame"], strict=True)):
        rows_of.setdefault((video_id, frame), []).append(number)
    return {key: (corners[rows], classes[rows], points[rows]) for key, rows in rows_of.items()}


def extracted_images(project: Project) -> dict[tuple[str, int], Path]:
    """Images that the frames stage has already made, lossless ones only."""
    table = tables.read(project.frames / "frames.parquet", Frames)
    rows = zip(table["video_id"], table["frame"], table["path"], strict=True)
    return {(video_id, int(frame)): project.frames / path for video_id, frame, path in rows if path.endswith(".png")}


def write_samples(
    folder: Path,
    frames: pd.DataFrame,
    texts: dict[tuple[str, int], list[str]],
    sources: dict[str, "Source"],
    extracted: dict[tuple[str, int], Path],
) -> Iterator[dict[str, Any]]:
    """Write image and label of every frame; gives rows of the index in order of video and frame."""
    for split in USED:
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
    with tqdm(total=len(frames), desc="pose data set", unit="frame", disable=None) as bar:
        for video_id, rows in frames.groupby("video_id", sort=True):
            source = sources[str(video_id)]
            row: Any
            contents = image_contents(source, rows["frame"].tolist(), extracted)
            for row, content in zip(rows.itertuples(index=False), contents, strict=True):
                yield write_sample(folder, row, content, texts[row.video_id, row.frame], source)
                bar.update()


def image_contents(source: "Source", frames: list[int], extracted: dict[tuple[str, int], Path]) -> Iterator[bytes]:
    """PNG bytes of each frame, ascending: taken from the extracted frames, otherwise decoded exactly."""
    from etholoop.io.images import encode_png

    decoded = source.read([frame for frame in frames if (source.video_id, frame) not in extracted])
    for frame in frames:
        known = extracted.get((source.video_id, frame))
        if known is not None:
            yield known.read_bytes()
            continue
        number, image = next(decoded)
        if number != frame:
            raise EthoLoopError(f"{frame_uid(source.video_id, frame)}: the source gave frame {number} instead.")
        yield encode_png(image)


def write_sample(folder: Path, row: Any, content: bytes, lines: list[str], source: "Source") -> dict[str, Any]:
    """Write one image with its label and describe it."""
    stem = f"{row.video_id}_{row.frame:08d}"
    image, label = f"images/{row.split}/{stem}.png", f"labels/{row.split}/{stem}.txt"
    (folder / image).write_bytes(content)
    (folder / label).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    return {
        "video_id": row.video_id,
        "frame": row.frame,
        "split": row.split,
        "group": row.group,
        "image": image,
        "label": label,
        "width": source.width,
        "height": source.height,
        "n_instances": len(lines),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def description(skeleton: Skeleton) -> dict[str, Any]:
    """Content of ``data.yaml``, all paths relative to its folder."""
    content: dict[str, Any] = {
        "train": "images/train",
        "val": "images/val",
        "test": "images/test",
        "names": dict(enumerate(skeleton.species)),
    }
    if skeleton.keypoints:
        content |= {
            "kpt_shape": [len(skeleton.keypoints), 3],
            "flip_idx": list(skeleton.flip_index),
            "kpt_names": {number: list(skeleton.keypoint_names) for number in range(len(skeleton.species))},
            "kpt_oks_sigmas": list(skeleton.sigmas),
        }
    return content
