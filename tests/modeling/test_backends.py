"""Backends answer as torch does; the comparison notices when one does not."""

from pathlib import Path

import numpy as np
import pytest

from etholoop import runtime

runtime.prepare()

import torch  # noqa: E402 - after the environment
from pose_blobs import MOUSE, blob, dataset  # noqa: E402

from etholoop.errors import EthoLoopError  # noqa: E402
from etholoop.modeling import backends  # noqa: E402
from etholoop.modeling.backends import open_network  # noqa: E402
from etholoop.modeling.backends._quantize import quantize  # noqa: E402
from etholoop.modeling.backends.tolerances import TOLERANCES, beyond, largest_differences  # noqa: E402
from etholoop.modeling.detectors import yolo  # noqa: E402
from etholoop.modeling.refiners import heatmap  # noqa: E402
from etholoop.modeling.refiners._network import new_network  # noqa: E402

SAME_ANSWERS = ("onnx", "openvino")
IMAGES = [blob(np.random.default_rng(number), *size)[0] for number, size in enumerate([(64, 48), (64, 48), (120, 130)])]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    settings = yolo.Params(arch="yolov8n-pose", imgsz=64, epochs=1, batch=4, threads=1)
    yolo.train(dataset(folder / "data"), folder / "best.pt", folder / "scratch", MOUSE, settings, init_weights=None, seed=0)
    return folder / "best.pt"


@pytest.fixture(scope="module")
def exported(weights: Path) -> Path:
    path = weights.with_name("detector.onnx")
    yolo.Predictor.load(weights).export(path)
    return path


@pytest.fixture
def detector(weights: Path) -> yolo.Predictor:
    return yolo.Predictor.load(weights)


@pytest.mark.parametrize("backend", SAME_ANSWERS)
def test_boxes_probabilities_keypoints_and_embedding_are_those_of_torch(detector: yolo.Predictor, exported: Path, backend: str) -> None:
    expected = [detector.answer(image) for image in IMAGES]
    assert set(expected[0]) == set(TOLERANCES) - {"heatmap"}
    detector.use(open_network(backend, exported))
    pairs = zip(expected, [detector.answer(image) for image in IMAGES], strict=True)
    differences = largest_differences(pairs)
    assert beyond(differences, TOLERANCES) == []
    assert set(differences) == set(expected[0])


@pytest.mark.parametrize("backend", SAME_ANSWERS)
def test_red_is_not_blue(detector: yolo.Predictor, exported: Path, backend: str) -> None:
    """The same network, shown the same picture with red and blue exchanged, must answer otherwise than on the picture itself."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[10:30, 10:40] = (250, 20, 20)
    red, blue = detector.answer(image), detector.answer(np.ascontiguousarray(image[..., ::-1]))
    detector.use(open_network(backend, exported))
    found = detector.answer(image)
    right, wrong = largest_differences([(red, found)]), largest_differences([(blue, found)])
    assert wrong["embedding"] > 20 * right["embedding"]


def test_the_export_of_the_same_weights_is_the_same_file(detector: yolo.Predictor, exported: Path, tmp_path: Path) -> None:
    detector.export(tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()
    assert str(exported.parent).encode() not in exported.read_bytes()


def test_an_answer_does_not_depend_on_its_neighbours(detector: yolo.Predictor, exported: Path) -> None:
    network = open_network("openvino", exported)
    pictures = [detector.picture(image) for image in IMAGES[:2]]
    together = network(np.concatenate(pictures))
    for number, picture in enumerate(pictures):
        for all_of_them, alone in zip(together, network(picture), strict=True):
            np.testing.assert_array_equal(all_of_them[number], alone[0])


def test_exporting_leaves_torch_as_it_was(detector: yolo.Predictor, tmp_path: Path) -> None:
    before = detector.answer(IMAGES[0])
    detector.export(tmp_path / "x.onnx")
    assert set(largest_differences([(before, detector.answer(IMAGES[0]))]).values()) == {0.0}


def test_eight_bits_are_the_same_for_the_same_frames(detector: yolo.Predictor, exported: Path, tmp_path: Path) -> None:
    pictures = [detector.picture(image) for image in IMAGES]
    for name in ("a", "b"):
        quantize(exported, pictures, tmp_path / f"{name}.xml", detector.exact_operations())
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()
    small = [open_network("openvino_int8", tmp_path / f"{name}.xml")(pictures[0]) for name in ("a", "b")]
    assert [part.tobytes() for part in small[0]] == [part.tobytes() for part in small[1]]
    assert b"FakeQuantize" in (tmp_path / "a.xml").read_bytes()
    expected = detector.answer(IMAGES[0])
    detector.use(open_network("openvino_int8", tmp_path / "a.xml"))
    found = detector.answer(IMAGES[0])
    assert {name: values.shape for name, values in found.items()} == {name: values.shape for name, values in expected.items()}
    assert 0 < np.abs(found["embedding"] - expected["embedding"]).max() < np.abs(expected["embedding"]).max()


def test_eight_bits_need_frames(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(EthoLoopError, match="no frames to calibrate"):
        quantize(exported, [], tmp_path / "x.xml", [])


@pytest.mark.parametrize("backend", SAME_ANSWERS)
def test_the_refiner_sees_the_same_heatmaps_and_places(tmp_path: Path, backend: str) -> None:
    content = {"keypoints": ["a", "b"], "flip_index": [0, 1], "views": [[0, False], [1, True]], "crop_px": 32, "margin": 1.5, "sigma_px": 2}
    refiner = heatmap.Refiner(new_network(2, 8, seed=3), content, "cpu")
    refiner.export(tmp_path / "refiner.onnx")
    boxes = np.array([[5, 5, 40, 30], [10.0, 8, 50, 44]])
    points = np.zeros((2, 2, 3))
    expected, places = refiner.answer(IMAGES[0], boxes), refiner.refine(IMAGES[0], boxes, points)
    refiner.use(open_network(backend, tmp_path / "refiner.onnx"))
    assert beyond(largest_differences([(expected, refiner.answer(IMAGES[0], boxes))]), TOLERANCES) == []
    assert expected["heatmap"].shape == (2, 2, 16, 16)
    np.testing.assert_allclose(refiner.refine(IMAGES[0], boxes, points), places, atol=0.05)


@pytest.mark.parametrize("backend", SAME_ANSWERS)
def test_a_damaged_file_is_named(tmp_path: Path, backend: str) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(EthoLoopError, match=r"bad\.onnx"):
        open_network(backend, tmp_path / "bad.onnx")


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(backends.LIBRARIES, "openvino", ("no_such_library",))
    with pytest.raises(EthoLoopError, match="needs no_such_library"):
        open_network("openvino", tmp_path / "x.onnx")


# the comparison


def test_largest_differences() -> None:
    one = {"box_px": np.array([1.0, 2, 3]), "embedding": np.array([10.0, -20])}
    other = {"box_px": np.array([1.0, 2.5, 2]), "embedding": np.array([10.0, -19])}
    assert largest_differences([(one, one), (one, other)]) == {"box_px": 1.0, "embedding": pytest.approx(1 / 20)}


def test_nan_and_other_shapes_are_endlessly_far() -> None:
    one = {"box_px": np.array([1.0, 2])}
    assert largest_differences([(one, {"box_px": np.array([1.0, np.nan])})]) == {"box_px": np.inf}
    assert largest_differences([(one, {"box_px": np.array([1.0])})]) == {"box_px": np.inf}


def test_what_is_beyond_a_tolerance_is_said() -> None:
    assert beyond({"box_px": 0.04}, {"box_px": 0.05}) == []
    assert beyond({"box_px": 0.06}, {"box_px": 0.05}) == ["box_px differs by 0.06, at most 0.05 is allowed"]
    assert len(beyond({"box_px": float("nan")}, {"box_px": 0.05})) == 1


def test_threads_of_torch_do_not_change_other_backends(detector: yolo.Predictor, exported: Path) -> None:
    network, picture = open_network("openvino", exported), detector.picture(IMAGES[0])
    threads, answers = torch.get_num_threads(), []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            answers.append(network(picture)[0].tobytes())
    finally:
        torch.set_num_threads(threads)
    assert answers[0] == answers[1]
