"""Which backend predicts poses, and whether it answers as torch does.

The choice follows from the parameters, the models, the number of frames and the comparison on sample frames, never from a clock.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from etholoop import registry
from etholoop.errors import EthoLoopError
from etholoop.io import tables
from etholoop.io.memo import Memo, digest
from etholoop.modeling import backends
from etholoop.modeling.backends import tolerances
from etholoop.project import Project
from etholoop.schema.annotations import LabelledFrames
from etholoop.schema.frames import Frames
from etholoop.schema.splits import Splits
from etholoop.stages._pose_precision import Labelled, found_by, lost

if TYPE_CHECKING:
    from etholoop.io.sources import Source
    from etholoop.stages.pose_predict import Model

LEAST_FRAMES = 1000
"""Below so many frames `auto` stays with torch: exporting, checking and starting another backend costs more than it saves."""

N_SAMPLES, N_INT8_SAMPLES, N_CALIBRATION = 8, 32, 128
"""Frames on which backends are compared, and train frames that show the ranges for 8 bits."""

N_LABELLED = 128
"""Labelled frames on which the precision of 8 bits is compared."""

MOST_SIZES = 4
"""Sizes of pictures that are compared; folders of images may have many."""

MOST_BOXES = 4
"""Boxes of a sample frame that the refiner is compared on."""

SAMPLE_CONFIDENCE = 0.05
"""Of these at least."""

Place = tuple[str, int]
"""A source and a frame."""

Wanted = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Backend:
    """A backend and why it was chosen.

    ``networks``: key of the exported networks in the memo, '' for torch. ``differences``: from torch on the sample frames.
    """

    name: str = "torch"
    reason: str = "asked for"
    networks: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    n_samples: int = 0
    n_calibration: int = 0

    @property
    def tolerances(self) -> dict[str, float]:
        """What each difference may be."""
        known = tolerances.INT8_TOLERANCES | tolerances.TOLERANCES
        return {name: known[name] for name in self.differences}

    @property
    def key(self) -> dict[str, Any]:
        """What of it decides a prediction."""
        return {"name": self.name, "versions": self.versions, "networks": self.networks} if self.name != "torch" else {"name": "torch"}

    def content(self, weights: str, asked: str, device: str) -> dict[str, Any]:
        """What is written to ``backend.json``; differences with two digits."""
        return {
            "backend": self.name,
            "asked": asked,
            "reason": self.reason,
            "device": device if self.name == "torch" else "cpu",
            "weights": weights,
            "versions": self.versions,
            "n_sample_frames": self.n_samples,
            "differences": {name: float(f"{value:.2g}") if np.isfinite(value) else None for name, value in self.differences.items()},
            "tolerances": self.tolerances,
            "networks": self.networks,
            "n_calibration_frames": self.n_calibration,
        }


NO_MODEL: dict[str, Any] = {
    "backend": None,
    "reason": "no model is trained",
    "weights": None,
    "differences": {},
    "tolerances": {},
}
"""``backend.json`` without a model."""


class Chooser:
    """Chooses a backend for the models of a project; they are loaded only when the memo does not know the answer."""

    def __init__(self, project: Project, identity: dict[str, Any], sources: Mapping[str, "Source"], wanted: Wanted, imgsz: int | None):
        self.project, self.identity, self.sources, self.wanted, self.imgsz = project, identity, sources, wanted, imgsz
        self.exported, self.checks = Memo(project.memo, "pose_network"), Memo(project.memo, "pose_backend")

    def choose(self, asked: str) -> Backend:
        """The backend that was asked for, or the best one that answers as torch does.

        Raises:
            EthoLoopError: a backend that was asked for by name is not installed, cannot run the networks, or answers otherwise.
        """
        if asked == "torch":
            return Backend()
        if asked != "auto":
            backend = self._checked(asked, "asked for")
            faults = tolerances.beyond(backend.differences, backend.tolerances)
            if faults:
                raise EthoLoopError(
                    f"the backend {asked} does not answer as torch does on {backend.n_samples} sample frames: {'; '.join(faults)}. "
                    "Set pose_predict.backend to torch or auto."
                )
            return backend
        return self._automatic()

    def _automatic(self) -> Backend:
        n_frames = sum(map(len, self.wanted.values()))
        lacking = backends.missing("openvino")
        if self.identity.get("device") != "cpu":
            return Backend(reason="auto: torch uses the graphics card")
        if n_frames < LEAST_FRAMES:
            return Backend(reason=f"auto: for {n_frames} frames (fewer than {LEAST_FRAMES}) another backend costs more than it saves")
        if lacking:
            return Backend(reason=f"auto: {', '.join(lacking)} not installed")
        try:
            backend = self._checked("openvino", f"auto: fastest on a CPU for {n_frames} frames, and answers as torch does")
        except backends.BackendError as error:
            return Backend(reason=f"auto: openvino cannot run this model ({error})")
        faults = tolerances.beyond(backend.differences, backend.tolerances)
        if faults:
            return Backend(reason=f"auto: openvino answers otherwise than torch ({'; '.join(faults)})")
        return backend

    def _checked(self, name: str, reason: str) -> Backend:
        """Networks exported, and their answers compared with torch's."""
        lacking = backends.missing(name)
        if lacking:
            raise backends.BackendError(f"pose_predict.backend: {name} needs {', '.join(lacking)}, which is not installed here.")
        calibration = self._calibration() if name == "openvino_int8" else []
        networks = self._networks(name, calibration)
        samples = self._samples(N_INT8_SAMPLES if name == "openvino_int8" else N_SAMPLES)
        labelled = Labelled.of(self.project, list(self.sources), N_LABELLED if name == "openvino_int8" else 0)
        key = digest(
            name=name,
            networks=networks,
            samples=self._named(samples),
            labelled=[self._named(labelled.frames), labelled.key],
            imgsz=self.imgsz,
            refiner=self.identity["refiner"],
        )
        check = self.checks.result(key, lambda out: self._compare(out, name, networks, samples, labelled))
        found = json.loads((check / "differences.json").read_text(encoding="utf-8"))
        return Backend(
            name,
            reason,
            networks=networks,
            versions=backends.versions(name),
            differences={kind: float("inf") if value is None else value for kind, value in found.items()},
            n_samples=len(samples),
            n_calibration=len(calibration),
        )

    def _networks(self, name: str, calibration: list[Place]) -> str:
        """Key of the exported networks in the memo."""
        known = {"identity": self.identity, "version": backends.VERSION, "versions": backends.versions(name) | backends.versions("torch")}
        key = digest(int8=name == "openvino_int8", calibration=self._named(calibration), imgsz=self.imgsz if calibration else None, **known)
        self.exported.result(key, lambda out: self._export(out, name, calibration))
        return key

    def _export(self, out: Path, name: str, calibration: list[Place]) -> None:
        model = self._model()
        with one_thread("cpu"):
            model.detector.export(out / "detector.onnx")
            (out / "detector.json").write_text(json.dumps(model.detector.known(), sort_keys=True), encoding="utf-8")
            if hasattr(model.refiner, "export"):
                model.refiner.export(out / "refiner.onnx")
            if name == "openvino_int8":
                from etholoop.modeling.backends._quantize import quantize

                batches = [model.detector.picture(image, self.imgsz) for image in self._images(calibration)]
                quantize(out / "detector.onnx", batches, out / "detector.xml", model.detector.exact_operations())

    def _compare(self, out: Path, name: str, networks: str, samples: list[Place], labelled: Labelled) -> None:
        """Write how far this backend's answers on the sample frames lie from torch's."""
        model = self._model()
        images = list(self._images(samples))
        with one_thread("cpu"):
            expected = [self._answer(model, image, name) for image in images]
            precise = self._precision(model, labelled)
            use(model, name, self.exported.folder(networks))
            given = [self._answer(model, image, name, boxes) for image, (_, boxes) in zip(images, expected, strict=True)]
            differences = differences_of(name, [answer for answer, _ in expected], [answer for answer, _ in given])
            differences |= lost(precise, self._precision(model, labelled))
        content = {kind: value if np.isfinite(value) else None for kind, value in differences.items()}
        (out / "differences.json").write_text(json.dumps(content, sort_keys=True), encoding="utf-8")

    def _answer(self, model: "Model", image: np.ndarray, name: str, boxes: np.ndarray | None = None) -> tuple[Any, np.ndarray]:
        """What the networks say about an image, and the boxes on which the refiner was asked."""
        found = model.detector.predict([image], confidence=SAMPLE_CONFIDENCE, imgsz=self.imgsz)[0]
        boxes = found.boxes[:MOST_BOXES] if boxes is None else boxes
        if name == "openvino_int8":
            return found, boxes
        answer = model.detector.answer(image, self.imgsz)
        if hasattr(model.refiner, "answer"):
            height, width = image.shape[:2]
            answer |= model.refiner.answer(image, boxes if len(boxes) else np.array([[0.0, 0.0, width, height]]))
        return answer, boxes

    def _precision(self, model: "Model", labelled: Labelled) -> dict[str, float]:
        """Average precision on labelled frames; nothing where there are none."""
        if not labelled.frames:
            return {}
        settings = {"confidence": SAMPLE_CONFIDENCE, "imgsz": self.imgsz, "tiles": None, "batch": 1}
        return labelled.precision(found_by(model, self._images(labelled.frames), labelled.frames, self.sources, settings))

    def _model(self) -> "Model":
        from etholoop.stages.pose_predict import load_model

        model = load_model(self.project)
        if model is None or not hasattr(model.detector, "export"):
            raise backends.BackendError(f"the detector '{self.identity.get('detector')}' only runs with torch. Set backend: torch.")
        return model

    def _samples(self, n: int) -> list[Place]:
        """Frames spread evenly over the wanted ones, of the most frequent sizes."""
        by_size: dict[tuple[int, int], list[Place]] = {}
        for video_id, frames in sorted(self.wanted.items()):
            size = (self.sources[video_id].width, self.sources[video_id].height)
            by_size.setdefault(size, []).extend((video_id, int(frame)) for frame in frames)
        largest = sorted(by_size.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_SIZES]
        return sorted(place for _, places in largest for place in spread(places, max(1, n // len(largest))))

    def _calibration(self) -> list[Place]:
        """Sampled and labelled frames of the training split, never others.

        Raises:
            EthoLoopError: there are none.
        """
        sampled = tables.read(self.project.frames / "frames.parquet", Frames)
        labelled = tables.read(self.project.annotations / "labelled_frames.parquet", LabelledFrames)
        labelled = labelled[labelled["status"] != "unusable"]
        known = {place for table in (sampled, labelled) for place in zip(table["video_id"], table["frame"], strict=True)}
        splits = tables.read(self.project.splits, Splits)
        train = splits[splits["split"] == "train"]
        spans: dict[str, list[tuple[int, int]]] = {}
        for video_id, start, stop in zip(train["video_id"], train["start_frame"], train["stop_frame"], strict=True):
            spans.setdefault(video_id, []).append((int(start), int(stop)))
        places = [
            (str(video_id), int(frame))
            for video_id, frame in sorted(known)
            if any(start <= frame < stop for start, stop in spans.get(video_id, []))
        ]
        if not places:
            raise EthoLoopError(
                "pose_predict.backend: openvino_int8 is calibrated on sampled or labelled frames of train videos, and there are none. "
                "Sample frames of videos in the train split, or set pose_predict.backend: openvino."
            )
        return spread(places, N_CALIBRATION)

    def _named(self, places: Sequence[Place]) -> list[list[Any]]:
        """Frames with the digest of the file they are read from."""
        return [[video_id, frame, self.sources[video_id].sha256] for video_id, frame in places]

    def _images(self, places: Sequence[Place]) -> Iterator[np.ndarray]:
        by_video: dict[str, list[int]] = {}
        for video_id, frame in places:
            by_video.setdefault(video_id, []).append(frame)
        for video_id, frames in by_video.items():
            for _, image in self.sources[video_id].read(frames):
                yield image


def spread(places: list[Place], n: int) -> list[Place]:
    """At most ``n`` of them, evenly over the list."""
    if len(places) <= n:
        return list(places)
    return [places[int(number)] for number in np.linspace(0, len(places) - 1, n).round()]


def differences_of(name: str, expected: Sequence[Any], given: Sequence[Any]) -> dict[str, float]:
    """How far answers lie from torch's: numbers, or for 8 bits the sure animals that appear in one and not in the other."""
    if name != "openvino_int8":
        return tolerances.largest_differences(zip(expected, given, strict=True))
    return {"sure_animals_lost": share_without(expected, given), "sure_animals_new": share_without(given, expected)}


def share_without(ones: Sequence[Any], others: Sequence[Any]) -> float:
    """Share of the sure animals of ``ones`` that ``others`` do not show at half that confidence; 0 where there are none."""
    from etholoop.core.metrics.matching import box_iou

    n_sure = n_lost = 0
    for one, other in zip(ones, others, strict=True):
        sure = np.flatnonzero(one.probabilities.max(axis=1, initial=0) >= tolerances.SURE)
        there = np.flatnonzero(other.probabilities.max(axis=1, initial=0) >= tolerances.SURE / 2)
        n_sure += len(sure)
        if not len(there):
            n_lost += len(sure)
            continue
        same = one.probabilities[sure].argmax(axis=1)[:, None] == other.probabilities[there].argmax(axis=1)
        overlap = np.where(same, box_iou(one.boxes[sure], other.boxes[there]), 0)
        n_lost += int((overlap.max(axis=1, initial=0) < tolerances.SAME_IOU).sum())
    return n_lost / n_sure if n_sure else 0.0


def use(model: "Model", name: str, folder: Path) -> None:
    """Let a backend run the exported networks of a model."""
    model.detector.use(detector_network(name, folder))
    if (folder / "refiner.onnx").is_file():
        model.refiner.use(refiner_network(name, folder))


def detector_network(name: str, folder: Path) -> backends.Network:
    """The exported detector, run by a backend."""
    return backends.open_network(name, folder / ("detector.xml" if name == "openvino_int8" else "detector.onnx"))


def refiner_network(name: str, folder: Path) -> backends.Network:
    """The exported refiner; it stays in 32 bits, for it is there for the last tenth of a pixel."""
    return backends.open_network("onnx" if name == "onnx" else "openvino", folder / "refiner.onnx")


def exported_detector(detector: str, name: str, folder: Path) -> Any:
    """The exported detector with all that must be known of it: no checkpoint is read and no torch loaded."""
    known = json.loads((folder / "detector.json").read_text(encoding="utf-8"))
    return registry.exported("etholoop.modeling.detectors", detector).Finder.of(known, detector_network(name, folder))


@contextmanager
def one_thread(device: str) -> Iterator[None]:
    """On a CPU the last bits of a network's answer depend on the number of threads: one, wherever the work is done."""
    if "torch" not in sys.modules:  # whatever runs the network, it is not torch, and loading it takes seconds
        yield
        return
    import torch

    threads = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
