"""What every detector plug-in must do, whatever the library behind it."""

import dataclasses
import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from etholoop import registry, runtime
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.modeling.detectors import settings_of
from etholoop.modeling.records import Prediction, TrainResult
from etholoop.params import Section

runtime.prepare()
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "modeling"))
from pose_blobs import MOUSE, blob, dataset  # noqa: E402

DETECTORS = "etholoop.modeling.detectors"
QUICK = {"yolo": {"imgsz": 64, "epochs": 1, "batch": 4, "threads": 1}}
"""Settings for a training of seconds; a new plug-in adds its own here."""


@pytest.fixture(scope="module", params=registry.names(DETECTORS))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, TrainResult]:
    folder = tmp_path_factory.mktemp(request.param)
    plugin = registry.load(DETECTORS, request.param)
    settings = settings_of(request.param, QUICK[request.param], "test")
    data = dataset(folder / "data")
    result = plugin.train(data, folder / "best.pt", folder / "scratch", MOUSE, settings, init_weights=None, seed=0)
    return request.param, folder / "best.pt", result


@pytest.mark.parametrize("name", registry.names(DETECTORS))
def test_settings_are_strict_and_checked_without_a_network_library(name: str) -> None:
    assert isinstance(settings_of(name, {}, "test"), Section)
    with pytest.raises(FaultsError, match="unknown key; did you mean"):
        settings_of(name, {"epoch": 3}, "test")
    code = (
        f"import sys; from etholoop.modeling.detectors import settings_of; settings_of('{name}', {{}}, 'x'); print('torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "False"


def test_an_unknown_detector_names_the_nearest() -> None:
    with pytest.raises(EthoLoopError, match="unknown detector 'yolq'; did you mean 'yolo'"):
        settings_of("yolq", {}, "test")


@pytest.mark.parametrize("name", registry.names(DETECTORS))
def test_signatures(name: str) -> None:
    plugin = registry.load(DETECTORS, name)
    assert isinstance(plugin.VERSION, int)
    assert issubclass(plugin.Params, Section)
    assert list(inspect.signature(plugin.train).parameters) == [
        *("dataset", "out", "scratch", "skeleton", "params", "init_weights", "seed", "progress")
    ]
    options = set(inspect.signature(plugin.Predictor.predict).parameters)
    assert options == {"self", "images", "confidence", "iou", "max_detections", "imgsz", "flip"}


def test_training_tells_its_figures(trained: tuple[str, Path, TrainResult]) -> None:
    _, weights, result = trained
    assert weights.is_file()
    assert [row["epoch"] for row in result.curves] == [1]
    assert all(np.isfinite(value) for value in result.metrics.values())
    assert result.notes


def test_predictions_have_the_promised_shapes(trained: tuple[str, Path, TrainResult]) -> None:
    name, weights, _ = trained
    model = registry.load(DETECTORS, name).Predictor.load(weights)
    assert tuple(model.species) == MOUSE.species
    assert model.n_keypoints == 3
    rng = np.random.default_rng(2)
    images = [blob(rng)[0], blob(rng, 80, 50)[0], blob(rng)[0]]
    predictions = model.predict(images, confidence=1e-6, iou=0.7, max_detections=5, imgsz=None, flip=True)
    assert len(predictions) == 3
    for image, prediction in zip(images, predictions, strict=True):
        n = len(prediction.boxes)
        assert 0 < n <= 5
        shapes = {field.name: getattr(prediction, field.name).shape for field in dataclasses.fields(Prediction)}
        assert (shapes["boxes"], shapes["probabilities"], shapes["keypoints"]) == ((n, 4), (n, 2), (n, 3, 3))
        assert prediction.embedding.ndim == 1
        confidence = prediction.probabilities.max(axis=1)
        assert (np.diff(confidence) <= 0).all()
        assert ((prediction.probabilities >= 0) & (prediction.probabilities <= 1)).all()
        height, width = image.shape[:2]
        assert (prediction.boxes >= 0).all()
        assert (prediction.boxes <= [width, height, width, height]).all()
    again = model.predict(images, confidence=1e-6, iou=0.7, max_detections=5, imgsz=None, flip=True)
    for one, other in zip(predictions, again, strict=True):
        np.testing.assert_array_equal(one.keypoints, other.keypoints)
        np.testing.assert_array_equal(one.embedding, other.embedding)


@pytest.mark.parametrize("name", registry.names(DETECTORS))
def test_an_exported_network_is_run_without_a_network_library_and_finds_the_same(
    trained: tuple[str, Path, TrainResult], tmp_path: Path, name: str
) -> None:
    _, weights, _ = trained
    model = registry.load(DETECTORS, name).Predictor.load(weights)
    model.export(tmp_path / "detector.onnx")
    (tmp_path / "known.json").write_text(json.dumps(model.known()))
    image = blob(np.random.default_rng(5))[0]
    np.save(tmp_path / "image.npy", image)
    code = """
import json, sys
from pathlib import Path
import numpy as np
from etholoop import registry
from etholoop.modeling.backends import open_network
folder, name = Path(sys.argv[1]), sys.argv[2]
plugin = registry.exported("etholoop.modeling.detectors", name)
finder = plugin.Finder.of(json.loads((folder / "known.json").read_text()), open_network("onnx", folder / "detector.onnx"))
found = finder.predict([np.load(folder / "image.npy")], confidence=1e-6, max_detections=5)[0]
np.savez(folder / "found.npz", boxes=found.boxes, keypoints=found.keypoints)
print(plugin.VERSION, finder.imgsz, [module in sys.modules for module in ("torch", "ultralytics")])
"""
    command = [sys.executable, "-c", code, str(tmp_path), name]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.split(maxsplit=2) == [str(registry.load(DETECTORS, name).VERSION), str(model.imgsz), "[False, False]\n"]
    expected = model.predict([image], confidence=1e-6, max_detections=5)[0]
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_allclose(found["boxes"][0], expected.boxes[0], atol=0.05)
    # the one animal of which a network of one epoch is least unsure; those after it are as good as equal to each other
    np.testing.assert_allclose(found["keypoints"][0], expected.keypoints[0], atol=0.05)
