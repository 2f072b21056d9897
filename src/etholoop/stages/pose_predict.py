"""pose_predict: the trained model looks at frames → boxes, probabilities of every class, keypoints, embeddings.

Results are kept in pieces of at most 500 frames, so a new video costs one video and a kill one piece. Without a model all tables are empty.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pydantic import Field

from etholoop import registry
from etholoop.core.chunks import chunks, label_of
from etholoop.core.picture_labels import into_source
from etholoop.errors import EthoLoopError
from etholoop.io import atomic, tables
from etholoop.io.memo import Memo, digest, file_digest
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.annotations import LabelledFrames
from etholoop.schema.frames import Frames
from etholoop.schema.predictions import Detections, Embeddings, PredictedFrames, PredictedKeypoints
from etholoop.schema.skeleton import Skeleton
from etholoop.stages._map import Unit, map_memo
from etholoop.stages._pieces import Strip, run_names
from etholoop.stages._sources import project_sources, source_of

if TYPE_CHECKING:
    from etholoop.io.sources import Source
    from etholoop.modeling.records import Prediction

VERSION = 2
"""To be changed with the meaning of the tables, so that old results in the memo are not used."""

DETECTORS, REFINERS = "etholoop.modeling.detectors", "etholoop.modeling.refiners"

PREDICT_S = 0.1
"""Rough seconds to predict a frame."""

Identity = dict[str, Any]
"""Names, versions and digests of the models, and the kind of device."""

TABLES: dict[str, pa.DataFrameSchema] = {
    "frames": PredictedFrames,
    "detections": Detections,
    "keypoints": PredictedKeypoints,
    "embeddings": Embeddings,
}


class Params(Section):
    """Which frames are looked at, and what counts as found."""

    confidence: float = Field(0.05, ge=0, lt=1, description="least probability; low: evaluation and selection need the doubtful ones")
    iou: float = Field(0.7, gt=0, le=1, description="two boxes of one class that overlap more are one animal")
    max_detections: int | None = Field(None, ge=1, description="per frame; null = twice the expected animals plus 5, or 300 when unknown")
    every: int | None = Field(None, ge=1, description="null = sampled and labelled frames; N = every N-th frame of each video as well")
    imgsz: int | None = Field(None, ge=32, multiple_of=32, description="null = as trained")
    flip: bool = Field(False, description="average the keypoints with those of the mirrored image; takes twice the time")
    batch: int = Field(8, ge=1)


@dataclass(frozen=True)
class Model:
    """The models of this run and what identifies them; ``refiner`` is None when there is none."""

    detector: Any
    refiner: Any
    skeleton: Skeleton
    identity: dict[str, Any]

    @property
    def sha256(self) -> str:
        """Digest of the detector's weights."""
        return self.identity["weights"]


def run(project: Project, params: Params) -> None:
    """Predict every source and write the four tables."""
    identity = model_identity(project)
    parts: list[Path] = []
    if identity is not None:
        parts = predicted(project, identity, params)
    with atomic.new_folder(project.pose_predictions) as folder:
        for name, schema in TABLES.items():
            tables.write(join([part / f"{name}.parquet" for part in parts], schema), schema, folder / f"{name}.parquet")


def model_identity(project: Project) -> Identity | None:
    """What identifies the models, without loading them; None when no detector was trained.

    Raises:
        EthoLoopError: the status says trained, but the weights are missing or another file.
    """
    status = read_status(project.pose_model)
    if not status["trained"]:
        return None
    weights = project.pose_model / "best.pt"
    if not weights.is_file():
        raise EthoLoopError(f"{weights}: not found, but status.json says that a model was trained. Run `dvc checkout` or `etholoop repro`.")
    refiner_status = read_status(project.refiner_model)
    refiner_identity = None
    if refiner_status["trained"]:
        version = registry.load(REFINERS, refiner_status["refiner"]).VERSION
        refiner_identity = [refiner_status["refiner"], version, file_digest(project.refiner_model / "weights.pt")]
    return {
        "detector": status["detector"],
        "weights": file_digest(weights),
        "version": registry.load(DETECTORS, status["detector"]).VERSION,
        "refiner": refiner_identity,
        # a GPU rounds differently, so its results are kept apart
        "device": best_device(),
    }


def load_model(project: Project) -> Model | None:
    """Detector and refiner, or None when no detector was trained.

    Raises:
        EthoLoopError: the status says trained, but the weights are missing or another file, or find something else than the skeleton.
    """
    from etholoop.io.vocabulary import read_skeleton

    identity = model_identity(project)
    if identity is None:
        return None
    device, refiner = identity["device"], None
    if identity["refiner"]:
        refiner = registry.load(REFINERS, identity["refiner"][0]).Refiner.load(project.refiner_model / "weights.pt", device)
    detector = registry.load(DETECTORS, identity["detector"]).Predictor.load(project.pose_model / "best.pt", device)
    model = Model(detector, refiner, read_skeleton(project.skeleton), identity)
    check_fits(model)
    return model


def read_status(folder: Path) -> dict[str, Any]:
    """Content of ``status.json``."""
    path = folder / "status.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found. `etholoop repro` makes it.") from None
    except json.JSONDecodeError as error:
        raise EthoLoopError(f"{path}: not readable as JSON ({error}). Remove it and run `etholoop repro`.") from error


def best_device() -> str:
    """``cuda`` where torch can use one, otherwise ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def check_fits(model: Model) -> None:
    """The model must find what the skeleton names.

    Raises:
        EthoLoopError: other species, or another number of keypoints.
    """
    found = (tuple(model.detector.species), model.detector.n_keypoints)
    expected = (model.skeleton.species, len(model.skeleton.keypoints))
    if found != expected:
        raise EthoLoopError(
            f"models/pose/best.pt finds species {', '.join(found[0])} with {found[1]} keypoints, label_studio/skeleton.yaml names "
            f"{', '.join(expected[0])} with {expected[1]}. Run `etholoop repro` to train anew."
        )


def predict_settings(params: Params, skeleton: Skeleton) -> dict[str, Any]:
    """What decides a prediction, with the limit per frame worked out."""
    limit = params.max_detections or (300 if skeleton.n_animals is None else 2 * skeleton.n_animals + 5)
    return {**params.model_dump(exclude={"every"}), "max_detections": limit}


def wanted_frames(project: Project, sources: dict[str, "Source"], every: int | None) -> dict[str, list[int]]:
    """Frames to look at, by source: sampled and labelled ones (not the unusable), and every N-th of a video if asked for."""
    sampled = tables.read(project.frames / "frames.parquet", Frames)
    labelled = tables.read(project.annotations / "labelled_frames.parquet", LabelledFrames)
    labelled = labelled[labelled["status"] != "unusable"]
    wanted: dict[str, set[int]] = {}
    for table in (sampled, labelled):
        for video_id, frame in zip(table["video_id"], table["frame"], strict=True):
            wanted.setdefault(video_id, set()).add(int(frame))
    if every is not None:
        for video_id, source in sources.items():
            step = every if source.kind == "video" else 1
            wanted.setdefault(video_id, set()).update(map(int, source.frames[::step]))
    lost = sorted(set(wanted) - set(sources))
    if lost:
        raise EthoLoopError(f"frames of sources that are not in the manifest: {', '.join(lost)}. Run `etholoop repro`.")
    return {video_id: sorted(frames) for video_id, frames in wanted.items()}


def predicted(project: Project, identity: Identity, params: Params) -> list[Path]:
    """Folders with the tables of all pieces in their order, from the memo if nothing that matters has changed."""
    from etholoop.io.vocabulary import read_skeleton

    skeleton, sources = read_skeleton(project.skeleton), project_sources(project)
    settings = predict_settings(params, skeleton)
    wanted = wanted_frames(project, sources, params.every)
    pieces = {video_id: chunks(frames) for video_id, frames in sorted(wanted.items())}
    names = run_names(project, sources, pieces)
    units = []
    for video_id, own in pieces.items():
        source = sources[video_id]
        for piece, run in zip(own, names[video_id], strict=True):
            key = digest(
                source=[source.video_id, source.sha256, source.width, source.height, *_way_back(source)],
                frames=piece.tolist(),
                model=identity,
                settings=settings,
                # the model is checked against the skeleton when it is used
                names=[list(skeleton.keypoint_names), list(skeleton.species)],
                version=VERSION,
            )
            look = Look(project.root, video_id, tuple(piece.tolist()), identity, settings)
            units.append(Unit(key, f"{video_id} {label_of(piece)}", (look,), PREDICT_S * len(piece), video_id, run))
    memo = Memo(project.memo, "pose_predict")
    done = map_memo(memo, units, write_predictions, project, what="predicting poses", begin=open_to_look, gpu=True)
    return [done[unit.key] for unit in units]


@dataclass(frozen=True)
class Look:
    """One piece of a source to be predicted, and with what."""

    root: Path
    video_id: str
    frames: tuple[int, ...]
    identity: Identity
    settings: dict[str, Any]


class Looking:
    """In a worker: the model, and the source of a run of pieces."""

    def __init__(self, looks: list[Look]):
        first = looks[0]
        self.model = _loaded(first.root, json.dumps(first.identity, sort_keys=True))
        self.source = source_of(first.root, first.video_id)
        self.strip = Strip(self.source, (frame for look in looks for frame in look.frames))

    def close(self) -> None:
        self.strip.close()


def open_to_look(every_args: list[tuple[Look]]) -> Looking:
    """In a worker: what the pieces of a run share."""
    return Looking([look for (look,) in every_args])


@lru_cache(maxsize=1)
def _loaded(root: Path, identity: str) -> Model:
    """The model, once in each worker.

    Raises:
        EthoLoopError: the weights changed since the stage began.
    """
    model = load_model(Project(root))
    if model is None or json.dumps(model.identity, sort_keys=True) != identity:
        raise EthoLoopError(f"{root / 'models'}: the weights changed, or this worker has another kind of device than the stage.")
    return model


def write_predictions(folder: Path, looking: Looking, look: Look) -> None:
    """In a worker: the tables of one piece."""
    model, source = looking.model, looking.source
    rows = Rows(source.video_id, model.skeleton.keypoint_names, tuple(model.detector.species), model.sha256)
    with one_thread(look.identity["device"]):
        for frame, prediction in predictions(model, looking.strip.take(look.frames), look.settings):
            rows.add(frame, in_source_pixels(prediction, source))
    for name, table in rows.tables().items():
        tables.write(table, TABLES[name], folder / f"{name}.parquet")


@contextmanager
def one_thread(device: str) -> Iterator[None]:
    """On a CPU the last bits of a network's answer depend on the number of threads: one, wherever the work is done."""
    import torch

    threads = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def in_source_pixels(prediction: "Prediction", source: "Source") -> "Prediction":
    """The same animals in pixels of the source, cut at its edge; finds on the filling around its picture are none."""
    if source.affine.is_identity:
        return prediction
    boxes, inside = into_source(prediction.boxes, source.affine, *source.source_size)
    keypoints = source.affine.inverse().points(prediction.keypoints[inside])
    return replace(prediction, boxes=boxes[inside], probabilities=prediction.probabilities[inside], keypoints=keypoints)


def _way_back(source: "Source") -> list[Any]:
    """What turns the pixels of a derived picture into those of its source; nothing where they are the same."""
    return [] if source.affine.is_identity else [*astuple(source.affine), *source.source_size]


def predictions(model: Model, images: Iterable[tuple[int, np.ndarray]], settings: dict[str, Any]) -> Iterator[tuple[int, "Prediction"]]:
    """Predictions of images, in their order.

    The last bits depend on which images go through the network together. On a CPU they go one by one, which takes no longer with one
    thread and makes a frame's prediction its own; on a GPU the pieces are cut in the same way every time.
    """
    options = {name: value for name, value in settings.items() if name != "batch"}
    for batch in batches(images, 1 if model.identity["device"] == "cpu" else settings["batch"]):
        found = model.detector.predict([image for _, image in batch], **options)
        for (frame, image), prediction in zip(batch, found, strict=True):
            yield frame, prediction if model.refiner is None else refined(model.refiner, image, prediction)


def refined(refiner: Any, image: np.ndarray, prediction: "Prediction") -> "Prediction":
    """The same animals after a second look inside each box."""
    if not len(prediction.boxes):
        return prediction
    return replace(prediction, keypoints=refiner.refine(image, prediction.boxes, prediction.keypoints))


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of ``size`` items, the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


class Rows:
    """Collects the four tables of one source."""

    def __init__(self, video_id: str, keypoint_names: tuple[str, ...], species: tuple[str, ...], weights: str):
        self.video_id = video_id
        self.keypoint_names = keypoint_names
        self.species = species
        self.weights = weights
        self.frames: list[dict[str, Any]] = []
        self.detections: list[dict[str, Any]] = []
        self.keypoints: list[dict[str, Any]] = []
        self.embeddings: list[np.ndarray] = []

    def add(self, frame: int, prediction: "Prediction") -> None:
        """Add what was found in one frame; animals come by falling confidence."""
        place = {"video_id": self.video_id, "frame": frame}
        self.frames.append({**place, "n_detections": len(prediction.boxes)})
        self.embeddings.append(prediction.embedding)
        for number, (box, probabilities) in enumerate(zip(prediction.boxes, prediction.probabilities, strict=True)):
            corners = dict(zip(("x_min", "y_min", "x_max", "y_max"), map(float, box), strict=True))
            best = int(probabilities.argmax())
            row = {**place, "instance": number, "species": self.species[best], **corners, "confidence": float(probabilities[best])}
            every_class = {f"p_{name}": value for name, value in zip(self.species, probabilities, strict=True)}
            self.detections.append({**row, "source": self.weights, **every_class})
            for name, (x, y, confidence) in zip(self.keypoint_names, prediction.keypoints[number], strict=True):
                point = {"keypoint": name, "x": float(x), "y": float(y), "confidence": float(confidence)}
                self.keypoints.append({**place, "instance": number, **point})

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables, typed; columns of classes and embeddings are there even without a row."""
        detections = tables.from_rows(self.detections, Detections)
        for name in self.species:
            values = detections.get(f"p_{name}", pd.Series(dtype="float32"))
            detections[f"p_{name}"] = values.astype("float32")
        vectors = np.stack(self.embeddings).astype(np.float32) if self.embeddings else np.zeros((0, 0), np.float32)
        embeddings = pd.DataFrame(vectors, columns=[f"e_{number}" for number in range(vectors.shape[1])])
        frames = tables.from_rows(self.frames, PredictedFrames)
        return {
            "frames": frames,
            "detections": detections,
            "keypoints": tables.from_rows(self.keypoints, PredictedKeypoints),
            "embeddings": pd.concat([frames[["video_id", "frame"]], embeddings], axis=1),
        }


def join(paths: list[Path], schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Tables of all sources, one below the other; no sources give an empty table."""
    if not paths:
        return tables.empty(schema)
    return pd.concat([tables.read(path, schema) for path in paths], ignore_index=True)
