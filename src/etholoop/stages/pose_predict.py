"""pose_predict: the trained model looks at frames → boxes, probabilities of every class, keypoints, embeddings.

Results are kept in pieces of at most 250 frames, so a new video costs one video and a kill one piece. Without a model all tables are empty.
"""

import importlib.util
import json
import runpy
import sys
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pydantic import Field, model_validator

from etholoop import registry
from etholoop.core.chunks import chunks, label_of
from etholoop.core.picture_labels import into_source
from etholoop.errors import EthoLoopError
from etholoop.io import atomic, tables
from etholoop.io.memo import Memo, digest, file_digest
from etholoop.io.table_join import write_joined
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.annotations import Boxes, LabelledFrames
from etholoop.schema.frames import Frames
from etholoop.schema.predictions import Detections, Embeddings, PredictedFrames, PredictedKeypoints
from etholoop.schema.skeleton import Skeleton
from etholoop.stages import _pose_backend
from etholoop.stages._map import Unit, map_memo
from etholoop.stages._pieces import Strip, run_names
from etholoop.stages._pose_backend import Backend, Chooser, one_thread
from etholoop.stages._sources import project_sources, source_of

if TYPE_CHECKING:
    from etholoop.io.sources import Source
    from etholoop.modeling.records import Prediction

VERSION = 2
"""To be changed with the meaning of the tables, so that old results in the memo are not used."""

DETECTORS, REFINERS = "etholoop.modeling.detectors", "etholoop.modeling.refiners"

PIECE = 250
"""Frames of a piece at most: seconds of work, so that no worker waits long for the last one and a kill costs little."""

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


class Tiles(Section):
    """Tiles in which pictures are looked at besides as a whole, in pixels of the picture."""

    size: int = Field(ge=64, description="side of a tile")
    overlap: int = Field(ge=0, description="longer than any animal that only tiles show")

    @model_validator(mode="after")
    def _tiles_move_on(self) -> "Tiles":
        if self.overlap > self.size // 2:
            raise ValueError(f"tiles.overlap: at most half of size ({self.size // 2}), found {self.overlap}")
        return self


class Params(Section):
    """Which frames are looked at, and what counts as found."""

    confidence: float = Field(0.05, ge=0, lt=1, description="least probability; low: evaluation and selection need the doubtful ones")
    iou: float = Field(0.7, gt=0, le=1, description="two boxes of one class that overlap more are one animal")
    max_detections: int | None = Field(None, ge=1, description="per frame; null = twice the expected animals plus 5, or 300 when unknown")
    every: int | None = Field(None, ge=1, description="null = sampled and labelled frames; N = every N-th frame of each video as well")
    imgsz: int | None = Field(None, ge=32, multiple_of=32, description="null = as trained")
    flip: bool = Field(False, description="average the keypoints with those of the mirrored image; takes twice the time")
    batch: int = Field(8, ge=1, description="images a graphics card takes at once; a CPU takes one")
    tiles: Tiles | Literal["auto"] | None = Field(
        None, description="for small animals in large pictures: {size, overlap} in pixels, or auto = as the labelled animals' size asks for"
    )
    backend: Literal["auto", "torch", "onnx", "openvino", "openvino_int8"] = Field(
        "auto", description="what runs the networks; auto = torch on a graphics card, else openvino if it is worth it and answers alike"
    )


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
    """Predict every source and write the four tables, and which backend did it."""
    identity = model_identity(project)
    parts: list[Path] = []
    content = _pose_backend.NO_MODEL
    if identity is not None:
        wanted = Wanted.of(project, params.every)
        backend = Chooser(project, identity, wanted.sources, wanted.frames, params.imgsz).choose(params.backend)
        content = backend.content(identity["weights"], params.backend, identity["device"])
        print(f"predicting with {backend.name} ({backend.reason})", file=sys.stderr)
        parts = predicted(project, identity, params, wanted, backend)
    with atomic.new_folder(project.pose_predictions) as folder:
        for name, schema in TABLES.items():
            write_joined([part / f"{name}.parquet" for part in parts], schema, folder / f"{name}.parquet")
        (folder / "backend.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


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
        version = registry.exported(REFINERS, refiner_status["refiner"]).VERSION
        refiner_identity = [refiner_status["refiner"], version, file_digest(project.refiner_model / "weights.pt")]
    return {
        "detector": status["detector"],
        "weights": file_digest(weights),
        "version": registry.exported(DETECTORS, status["detector"]).VERSION,
        "refiner": refiner_identity,
        # a GPU rounds differently, so its results are kept apart
        "device": best_device(),
    }


def load_model(project: Project) -> Model | None:
    """Detector and refiner, or None when no detector was trained.

    Raises:
        EthoLoopError: the status says trained, but the weights are missing or another file, or find something else than the skeleton.
    """
    identity = model_identity(project)
    if identity is None:
        return None
    device = identity["device"]
    refiner = _refiner(project, identity, device) if identity["refiner"] else None
    detector = registry.load(DETECTORS, identity["detector"]).Predictor.load(project.pose_model / "best.pt", device)
    return _checked(Model(detector, refiner, _skeleton(project), identity))


def exported_model(project: Project, backend: str, folder: Path) -> Model | None:
    """Detector and refiner, exported into a folder and run by another backend than torch; None when no detector was trained."""
    identity = model_identity(project)
    if identity is None:
        return None
    refiner = _refiner(project, identity, "cpu") if identity["refiner"] else None
    if refiner is not None and (folder / "refiner.onnx").is_file():
        refiner.use(_pose_backend.refiner_network(backend, folder))
    detector = _pose_backend.exported_detector(identity["detector"], backend, folder)
    return _checked(Model(detector, refiner, _skeleton(project), identity))


def _refiner(project: Project, identity: Identity, device: str) -> Any:
    return registry.load(REFINERS, identity["refiner"][0]).Refiner.load(project.refiner_model / "weights.pt", device)


def _skeleton(project: Project) -> Skeleton:
    from etholoop.io.vocabulary import read_skeleton

    return read_skeleton(project.skeleton)


def _checked(model: Model) -> Model:
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
    if "torch" not in sys.modules and _torch_is_for_cpus():
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _torch_is_for_cpus() -> bool:
    """Whether this build of torch knows no graphics cards; its file of versions says so in no time, importing it takes seconds."""
    spec = importlib.util.find_spec("torch")
    versions = Path(spec.origin).with_name("version.py") if spec and spec.origin else None
    if versions is None or not versions.is_file():
        return False
    said = runpy.run_path(str(versions))
    return all(said.get(kind, "not said") is None for kind in ("cuda", "hip"))


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


def predict_settings(params: Params, skeleton: Skeleton, tiles: dict[str, float] | None = None) -> dict[str, Any]:
    """What decides a prediction, with the limit per frame worked out."""
    limit = params.max_detections or (300 if skeleton.n_animals is None else 2 * skeleton.n_animals + 5)
    return {**params.model_dump(exclude={"every", "backend"}), "max_detections": limit, "tiles": tiles}


def tile_settings(project: Project, params: Params, sources: dict[str, "Source"]) -> dict[str, float] | None:
    """Tiles as the parameters say; for `auto` the usual and the largest length of labelled animals, in pixels of the pictures.

    Raises:
        EthoLoopError: `auto`, and there are no labelled boxes.
    """
    if params.tiles is None or isinstance(params.tiles, Tiles):
        return None if params.tiles is None else params.tiles.model_dump()
    boxes = tables.read(project.annotations / "boxes.parquet", Boxes)
    boxes = boxes[boxes["video_id"].isin(sources)]
    if boxes.empty:
        raise EthoLoopError(
            "pose_predict.tiles: auto follows from the size of labelled animals, and no boxes are labelled. Name tiles by "
            "`tiles: {size: 640, overlap: 100}`."
        )
    scale = boxes["video_id"].map({name: _scale(source) for name, source in sources.items()}).to_numpy(float)
    corners = boxes[["x_min", "y_min", "x_max", "y_max"]].to_numpy(float)
    length = (corners[:, 2:] - corners[:, :2]).max(axis=1) * scale
    return {"animal_px": float(np.median(length)), "longest_px": float(np.quantile(length, 0.99))}


def _scale(source: "Source") -> float:
    """Pixels of the picture in one of the source."""
    way = source.affine
    return float(np.sqrt(abs(way.a * way.e - way.b * way.d)))


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


@dataclass(frozen=True)
class Wanted:
    """Sources, and the frames to look at of each."""

    sources: dict[str, "Source"]
    frames: dict[str, list[int]]

    @classmethod
    def of(cls, project: Project, every: int | None) -> "Wanted":
        """Those of a project."""
        sources = project_sources(project)
        return cls(sources, wanted_frames(project, sources, every))


def predicted(project: Project, identity: Identity, params: Params, wanted: Wanted, backend: Backend) -> list[Path]:
    """Folders with the tables of all pieces in their order, from the memo if nothing that matters has changed."""
    from etholoop.io.vocabulary import read_skeleton

    skeleton, sources = read_skeleton(project.skeleton), wanted.sources
    settings = predict_settings(params, skeleton, tile_settings(project, params, sources))
    pieces = {video_id: chunks(frames, PIECE) for video_id, frames in sorted(wanted.frames.items())}
    names = run_names(project, sources, pieces)
    units = []
    for video_id, own in pieces.items():
        source = sources[video_id]
        for piece, run in zip(own, names[video_id], strict=True):
            key = digest(
                source=[source.video_id, source.sha256, source.width, source.height, *_way_back(source)],
                frames=piece.tolist(),
                model=identity,
                backend=backend.key,
                settings=settings,
                # the model is checked against the skeleton when it is used
                names=[list(skeleton.keypoint_names), list(skeleton.species)],
                version=VERSION,
            )
            look = Look(project.root, video_id, tuple(piece.tolist()), identity, backend, settings)
            units.append(Unit(key, f"{video_id} {label_of(piece)}", (look,), PREDICT_S * len(piece), video_id, run))
    memo = Memo(project.memo, "pose_predict")
    done = map_memo(memo, units, write_predictions, project, what="predicting poses", begin=open_to_look, gpu=backend.name == "torch")
    return [done[unit.key] for unit in units]


@dataclass(frozen=True)
class Look:
    """One piece of a source to be predicted, and with what."""

    root: Path
    video_id: str
    frames: tuple[int, ...]
    identity: Identity
    backend: Backend
    settings: dict[str, Any]

    @property
    def device(self) -> str:
        """Where the network runs; every backend but torch uses the CPU."""
        return self.identity["device"] if self.backend.name == "torch" else "cpu"


class Looking:
    """In a worker: the model, and the source of a run of pieces."""

    def __init__(self, looks: list[Look]):
        first = looks[0]
        self.model = _loaded(first.root, json.dumps(first.identity, sort_keys=True), first.backend.name, first.backend.networks)
        self.source = source_of(first.root, first.video_id)
        self.strip = Strip(self.source, (frame for look in looks for frame in look.frames))

    def close(self) -> None:
        self.strip.close()


def open_to_look(every_args: list[tuple[Look]]) -> Looking:
    """In a worker: what the pieces of a run share."""
    return Looking([look for (look,) in every_args])


@lru_cache(maxsize=1)
def _loaded(root: Path, identity: str, backend: str, networks: str) -> Model:
    """The model, once in each worker.

    Raises:
        EthoLoopError: the weights changed since the stage began.
    """
    project = Project(root)
    if backend == "torch":
        model = load_model(project)
    else:
        model = exported_model(project, backend, Memo(project.memo, "pose_network").folder(networks))
    if model is None or json.dumps(model.identity, sort_keys=True) != identity:
        raise EthoLoopError(f"{root / 'models'}: the weights changed, or this worker has another kind of device than the stage.")
    return model


def write_predictions(folder: Path, looking: Looking, look: Look) -> None:
    """In a worker: the tables of one piece."""
    model, source = looking.model, looking.source
    rows = Rows(source.video_id, model.skeleton.keypoint_names, tuple(model.detector.species), model.sha256)
    with one_thread(look.device):
        for frame, prediction in predictions(model, looking.strip.take(look.frames), look.settings, look.device):
            rows.add(frame, in_source_pixels(prediction, source))
    for name, table in rows.tables().items():
        tables.write(table, TABLES[name], folder / f"{name}.parquet")


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


def predictions(
    model: Model, images: Iterable[tuple[int, np.ndarray]], settings: dict[str, Any], device: str
) -> Iterator[tuple[int, "Prediction"]]:
    """Predictions of images, in their order.

    The last bits depend on which images go through the network together. On a CPU they go one by one, which takes no longer with one
    thread and makes a frame's prediction its own; on a GPU the pieces are cut in the same way every time.
    """
    for batch in batches(images, 1 if device == "cpu" or settings["tiles"] else settings["batch"]):
        found = found_in(model, [image for _, image in batch], settings, device)
        for (frame, image), prediction in zip(batch, found, strict=True):
            yield frame, prediction if model.refiner is None else refined(model.refiner, image, prediction)


def found_in(model: Model, images: list[np.ndarray], settings: dict[str, Any], device: str) -> "list[Prediction]":
    """What the detector finds in images, as a whole or in tiles as well."""
    options = {name: value for name, value in settings.items() if name not in ("batch", "tiles")}
    if not settings["tiles"]:
        return model.detector.predict(images, **options)
    from etholoop.modeling.detectors._tiles import find_in_tiles, tiling_of

    def find(views: list[np.ndarray]) -> "list[Prediction]":
        size = 1 if device == "cpu" else settings["batch"]
        return [found for batch in batches(views, size) for found in model.detector.predict(batch, **options)]

    tilings = [tiling_of(settings["tiles"], options["imgsz"] or model.detector.imgsz, *image.shape[1::-1]) for image in images]
    return [
        find([image])[0] if tiling is None else find_in_tiles(find, image, tiling, options["max_detections"])
        for image, tiling in zip(images, tilings, strict=True)
    ]


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
        self.frames: list[int] = []
        self.found: list[Prediction] = []

    def add(self, frame: int, prediction: "Prediction") -> None:
        """Add what was found in one frame; animals come by falling confidence."""
        self.frames.append(frame)
        self.found.append(prediction)

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables, typed; columns of classes and embeddings are there even without a row."""
        counts = np.array([len(prediction.boxes) for prediction in self.found], np.int64)
        frames = pd.DataFrame({"video_id": self.video_id, "frame": np.array(self.frames, np.int64), "n_detections": counts})
        instances = np.concatenate([np.zeros(0, np.int64), *map(np.arange, counts)])
        place = {"video_id": self.video_id, "frame": np.repeat(frames["frame"].to_numpy(), counts), "instance": instances}
        return {
            "frames": tables.typed(frames, PredictedFrames),
            "detections": self._detections(place),
            "keypoints": self._keypoints(place),
            "embeddings": self._embeddings(frames),
        }

    def _detections(self, place: dict[str, Any]) -> pd.DataFrame:
        boxes = self._stacked([prediction.boxes for prediction in self.found], (4,))
        probabilities = self._stacked([prediction.probabilities for prediction in self.found], (len(self.species),))
        best = probabilities.argmax(axis=1)
        corners = dict(zip(("x_min", "y_min", "x_max", "y_max"), boxes.T, strict=True))
        names = np.array(self.species, dtype=object)[best]
        every_class = {f"p_{name}": values.astype(np.float32) for name, values in zip(self.species, probabilities.T, strict=True)}
        confidence = probabilities[np.arange(len(best)), best]
        table = pd.DataFrame({**place, "species": names, **corners, "confidence": confidence, "source": self.weights, **every_class})
        return tables.typed(table, Detections)

    def _keypoints(self, place: dict[str, Any]) -> pd.DataFrame:
        n_names = len(self.keypoint_names)
        points = self._stacked([prediction.keypoints for prediction in self.found], (n_names, 3))
        x, y, confidence = points.reshape(-1, 3).T
        owner = {name: np.repeat(values, n_names) if name != "video_id" else values for name, values in place.items()}
        names = np.tile(np.array(self.keypoint_names, dtype=object), len(points))
        return tables.typed(pd.DataFrame({**owner, "keypoint": names, "x": x, "y": y, "confidence": confidence}), PredictedKeypoints)

    def _embeddings(self, frames: pd.DataFrame) -> pd.DataFrame:
        vectors = [prediction.embedding for prediction in self.found]
        values = np.stack(vectors).astype(np.float32) if vectors else np.zeros((0, 0), np.float32)
        columns = pd.DataFrame(values, columns=[f"e_{number}" for number in range(values.shape[1])])
        return pd.concat([tables.typed(frames[["video_id", "frame"]], Embeddings), columns], axis=1)

    def _stacked(self, parts: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """All animals below each other; float32 stays float32."""
        return np.concatenate(parts) if parts else np.zeros((0, *shape), np.float32)
