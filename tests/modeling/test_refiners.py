"""Refiners: geometry of crops, heatmaps, training and use of the heatmap refiner on tiny rendered pictures."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from etholoop import registry, runtime

runtime.prepare()

import cv2  # noqa: E402 - after the environment
import torch  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from etholoop.errors import EthoLoopError, FaultsError  # noqa: E402
from etholoop.modeling.records import LabelledImage, TrainResult  # noqa: E402
from etholoop.modeling.refiners import _crops, _instances, _readout, heatmap, identity, settings_of  # noqa: E402
from etholoop.modeling.refiners._crops import View, Window  # noqa: E402
from etholoop.modeling.refiners._network import STRIDE, HeatmapNetwork, fused, new_network  # noqa: E402
from etholoop.schema.skeleton import skeleton_from  # noqa: E402

MOUSE = skeleton_from(
    {"name": "m", "species": ["mouse"], "keypoints": ["nose", "left", "right"], "left_right": [["left", "right"]]}, "test"
)
TINY = {"crop_px": 32, "width": 8, "epochs": 2, "epoch_steps": 2, "batch": 4, "threads": 1}


def mouse(centre: tuple[float, float], degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Picture (48, 64, 3) of a dark wedge with three corners of different colours, its keypoints (3, 3)."""
    turn = math.radians(degrees)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    corners = np.array([[12.0, 0.0], [-8.0, -7.0], [-8.0, 7.0]]) @ rotation.T + centre
    image = np.full((48, 64, 3), 150, np.uint8)
    places = np.round((corners - 0.5) * 16).astype(np.int32)  # OpenCV's whole numbers are centres of pixels
    cv2.fillPoly(image, [places], (40, 40, 40), lineType=cv2.LINE_AA, shift=4)
    for (x, y), colour in zip(places.tolist(), [(250, 250, 250), (250, 60, 0), (0, 60, 250)], strict=True):
        cv2.circle(image, (x, y), 3 * 16, colour, -1, cv2.LINE_AA, 4)
    return image, np.concatenate([corners, np.full((3, 1), 2.0)], axis=1)


def labelled(folder: Path, poses: Sequence[tuple[float, float, float]]) -> list[LabelledImage]:
    """One picture with one mouse per pose (x, y, degrees)."""
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for number, (x, y, degrees) in enumerate(poses):
        image, keypoints = mouse((x, y), degrees)
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), image[:, :, ::-1])
        images.append(LabelledImage(path, box_of(keypoints)[None], np.zeros(1, int), keypoints[None]))
    return images


def box_of(keypoints: np.ndarray) -> np.ndarray:
    return np.concatenate([np.nanmin(keypoints[:, :2], axis=0) - 2, np.nanmax(keypoints[:, :2], axis=0) + 2])


FOUR = [(30.0, 24.0, 0.0), (34.0, 22.0, 90.0), (28.0, 26.0, 200.0), (33.0, 25.0, 300.0)]


def train(folder: Path, images: list[LabelledImage], seed: int = 0, validation: Sequence[LabelledImage] = (), **changed: object) -> bytes:
    """Bytes of the weights of a training in a fresh folder."""
    fit(folder, images, seed, validation, **changed)
    return (folder / "weights.pt").read_bytes()


def fit(
    folder: Path, images: Sequence[LabelledImage], seed: int = 0, validation: Sequence[LabelledImage] = (), **changed: object
) -> TrainResult:
    params = heatmap.Params(**{**TINY, **changed})
    return heatmap.train(images, validation, MOUSE, params, seed=seed, out=folder / "weights.pt", scratch=folder / "scratch")


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    return labelled(tmp_path_factory.mktemp("four"), FOUR)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, four: list[LabelledImage]) -> Path:
    """Weights of a training of four steps."""
    folder = tmp_path_factory.mktemp("short")
    train(folder, four)
    return folder / "weights.pt"


# crops


def test_the_window_is_as_wide_as_the_diagonal_of_the_box() -> None:
    window = _crops.window_of(np.array([10.0, 20.0, 40.0, 60.0]), margin=2.0)
    assert window.centre.tolist() == [25.0, 40.0]
    assert window.side == 100.0


def test_known_places_of_a_turned_and_of_a_mirrored_view() -> None:
    window = Window(np.array([50.0, 50.0]), 20.0)
    right = np.array([[60.0, 50.0]])  # the middle of the right edge
    assert np.allclose(_crops.transform(right, _crops.view_matrix(window, 40)), [[40, 20]])
    assert np.allclose(_crops.transform(right, _crops.view_matrix(window, 40, View(angle=math.pi / 2))), [[20, 40]])
    assert np.allclose(_crops.transform(right, _crops.view_matrix(window, 40, View(mirror=True))), [[0, 20]])
    assert np.allclose(_crops.transform(right, _crops.view_matrix(window, 40, View(zoom=0.5, shift=(0.5, 0.0)))), [[20, 20]])


@given(
    st.floats(-3, 3),
    st.floats(-0.3, 0.3),
    st.booleans(),
    st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1)),
    st.floats(30, 400),
)
@settings(max_examples=25, deadline=None)
def test_a_blob_lands_where_the_matrix_says(angle: float, zoom: float, mirror: bool, shift: tuple[float, float], side: float) -> None:
    image = np.zeros((1600, 1600, 3), np.uint8)  # no edge comes into view
    centre = np.array([800.5, 800.5])
    radius = side / 16
    cv2.circle(image, (800, 800), max(2, round(radius)), (255, 255, 255), -1)
    window = Window(centre + side * np.array([0.15, -0.1]), side)
    matrix = _crops.view_matrix(window, 64, View(angle, math.exp(zoom), shift, mirror))
    crop = _crops.look(_crops.cut(image, window, 64, _crops.reach_of(0.3, 0.1)), matrix, 64)[:, :, 0].astype(float)
    rows, columns = np.mgrid[:64, :64] + 0.5
    inside = crop - crop.min()
    found = np.array([(inside * columns).sum(), (inside * rows).sum()]) / inside.sum()
    assert np.abs(found - _crops.transform(centre[None], matrix)[0]).max() < 0.25


@given(st.floats(-4, 4), st.floats(0.5, 2), st.booleans())
@settings(max_examples=30, deadline=None)
def test_there_and_back(angle: float, zoom: float, mirror: bool) -> None:
    matrix = _crops.view_matrix(Window(np.array([33.0, 71.0]), 48.0), 64, View(angle, zoom, (0.1, -0.05), mirror))
    points = np.array([[1.0, 2.0], [100.0, 50.0], [np.nan, np.nan]])
    back = _crops.transform(_crops.transform(points, matrix), np.linalg.inv(matrix))
    assert np.allclose(back, points, equal_nan=True)


def test_a_second_window_is_drawn_around_the_keypoints_but_never_much_larger_or_smaller() -> None:
    points = np.array([[10.0, 20.0], [40.0, 60.0], [30.0, 30.0]])  # extent 30 x 40, diagonal 50
    window = _crops.window_around(points, 1.4, Window(np.zeros(2), 60.0))
    assert window.centre.tolist() == [25.0, 40.0]
    assert window.side == pytest.approx(70.0)
    assert _crops.window_around(points, 1.4, Window(np.zeros(2), 300.0)).side == pytest.approx(200.0)
    assert _crops.window_around(points, 1.4, Window(np.zeros(2), 30.0)).side == pytest.approx(45.0)


@pytest.mark.parametrize("box", [[-50.0, -50.0, -20.0, -20.0], [30.0, 20.0, 30.0, 20.0], [-10.0, 20.0, 500.0, 40.0]])
def test_any_box_gives_a_crop(box: list[float]) -> None:
    image, _ = mouse((30, 24), 0)
    window = _crops.window_of(np.array(box), 1.1)
    assert _crops.look(_crops.cut(image, window, 32), _crops.view_matrix(window, 32), 32).shape == (32, 32, 3)


# heatmaps


@given(st.floats(9, 55), st.floats(9, 55))
@settings(max_examples=50, deadline=None)
def test_a_place_is_read_to_a_fraction_of_a_pixel(x: float, y: float) -> None:
    point = torch.tensor([[[x, y]]], dtype=torch.float64)
    found = _readout.read(_readout.targets(point, 32, 3.0), 3.0)[0, 0]
    assert abs(float(found[0]) - x) < 0.1
    assert abs(float(found[1]) - y) < 0.1
    assert float(found[2]) > 0.95


def test_the_confidence_is_the_probability_near_the_place() -> None:
    points = torch.tensor([[[16.0, 16.0]], [[48.0, 48.0]]])
    near, far = _readout.targets(points, 32, 3.0)
    assert float(_readout.read((0.7 * near + 0.3 * far)[None], 3.0)[0, 0, 2]) == pytest.approx(0.7 * 0.976, abs=0.02)


def test_missing_and_distant_keypoints_never_matter() -> None:
    logits = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    points = torch.tensor([[[5.0, 6.0], [math.nan, math.nan], [40.0, 10.0]], [[20.0, 9.0], [3.0, 30.0], [8.0, -1.0]]])
    value = _readout.loss(logits, points, 3.0)
    value.backward()
    gradient = logits.grad.abs().sum((2, 3))
    assert (gradient > 0).tolist() == [[True, False, False], [True, True, False]]
    alone = _readout.loss(logits[[0, 1, 1], [0, 0, 1]][:, None], points[[0, 1, 1], [0, 0, 1]][:, None], 3.0)
    assert float(value) == pytest.approx(float(alone), rel=1e-6)


def test_no_keypoint_at_all_is_a_loss_of_nought() -> None:
    assert float(_readout.loss(torch.zeros(1, 2, 8, 8), torch.full((1, 2, 2), math.nan), 3.0)) == 0


class Colours(torch.nn.Module):
    """Sees keypoint k where colour k is bright: the same thing from every side."""

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(crops, STRIDE) * 20


def test_every_view_is_turned_back() -> None:
    crops = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    plain = _readout.heatmaps(Colours(), crops, (0, 1, 2))
    for view in _readout.VIEWS:
        assert torch.allclose(_readout.heatmaps(Colours(), crops, (0, 1, 2), [view]), plain, atol=1e-7)
    assert torch.allclose(_readout.heatmaps(Colours(), crops, (0, 1, 2), _readout.VIEWS), plain, atol=1e-7)


def test_what_was_left_in_the_mirror_is_right() -> None:
    crops = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    plain = _readout.heatmaps(Colours(), crops, (0, 2, 1))
    mirrored = _readout.heatmaps(Colours(), crops, (0, 2, 1), [(0, True)])
    assert torch.allclose(mirrored, plain[:, [0, 2, 1]], atol=1e-7)


def test_views_are_only_those_that_training_knows() -> None:
    assert _readout.views_of(8, turned=False, mirrored=False) == [(0, False)]
    assert _readout.views_of(8, turned=False, mirrored=True) == [(0, False), (0, True)]
    assert _readout.views_of(3, turned=True, mirrored=False) == [(0, False), (2, False), (1, False)]
    assert len(_readout.views_of(8, turned=True, mirrored=True)) == 8


# training


def test_four_pictures_are_learnt_by_heart(tmp_path: Path, four: list[LabelledImage]) -> None:
    plain = {"degrees": 0, "flip": 0, "zoom": 0, "shift": 0.02, "light": 0.2}
    result = fit(tmp_path, four, validation=four, crop_px=32, width=16, sigma_px=2, lr=0.004, epochs=4, epoch_steps=30, **plain)
    refiner = heatmap.Refiner.load(tmp_path / "weights.pt")
    for example in four:
        found = refiner.refine(cv2.imread(str(example.path))[:, :, ::-1], example.boxes, np.zeros((1, 3, 3)))[0]
        assert np.linalg.norm(found[:, :2] - example.keypoints[0, :, :2], axis=1).max() < 1.5
        assert found[:, 2].min() > 0.3
    assert result.metrics["val_rmse_px"] < 1
    assert len(result.curves) == 4
    assert not (tmp_path / "scratch").exists()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, four: list[LabelledImage], short: Path) -> None:
    assert train(tmp_path / "a", four, validation=four[:1]) == short.read_bytes()
    assert train(tmp_path / "b", four, seed=1) != short.read_bytes()


def test_recolouring_changes_the_training(tmp_path: Path, four: list[LabelledImage], short: Path) -> None:
    coloured = train(tmp_path / "a", four, recolour=1.0)
    assert coloured != short.read_bytes()
    assert train(tmp_path / "b", four, recolour=1.0) == coloured


@pytest.mark.parametrize(("passes", "n_epochs"), [(1.0, 1), (2.0, 1), (2.5, 2), (100.0, 2), (None, 2)])
def test_few_labels_end_a_training_early(tmp_path: Path, four: list[LabelledImage], passes: float | None, n_epochs: int) -> None:
    # an epoch of 2 steps with 4 crops shows each of 4 animals twice
    result = fit(tmp_path, four, passes=passes)
    assert len(result.curves) == n_epochs
    assert result.metrics["steps"] == 2 * n_epochs
    assert result.curves[-1]["lr"] < 0.002 * 0.6  # it has fallen by then


def test_few_labels_do_not_end_a_training_before_its_least_epochs(tmp_path: Path, four: list[LabelledImage]) -> None:
    # one pass is half an epoch here
    assert [len(fit(tmp_path / str(n), four, passes=1.0, epochs=3, least_epochs=n).curves) for n in (1, 2, 9)] == [1, 2, 3]


def test_half_precision_gives_other_weights_the_same_each_time(tmp_path: Path, four: list[LabelledImage], short: Path) -> None:
    half = train(tmp_path / "a", four, precision="bfloat16")
    assert half != short.read_bytes()
    assert train(tmp_path / "b", four, precision="bfloat16") == half
    exact, rounded = (fit(tmp_path / name, four, precision=name).metrics["loss"] for name in ("float32", "bfloat16"))
    assert rounded == pytest.approx(exact, rel=0.02) and rounded != exact


def test_pictures_beyond_the_room_are_read_each_time(tmp_path: Path, four: list[LabelledImage]) -> None:
    instances = _instances.instances_of(four, heatmap.Params(**TINY), tmp_path)
    sizes = [instance.patch().image.nbytes for instance in instances]
    patches = _instances.Patches(limit=sizes[0] + sizes[1])
    first = [patches.of(instance) for instance in instances]
    again = [patches.of(instance) for instance in instances]
    assert [one is two for one, two in zip(first, again, strict=True)] == [True, True, False, False]
    assert all(np.array_equal(patch.image, instance.patch().image) for patch, instance in zip(again, instances, strict=True))


def test_a_killed_training_comes_to_the_same_end(tmp_path: Path, four: list[LabelledImage], short: Path) -> None:
    def kill(epoch: int, n_epochs: int, figures: dict[str, float]) -> None:
        raise KeyboardInterrupt

    target = {"out": tmp_path / "weights.pt", "scratch": tmp_path / "scratch"}
    with pytest.raises(KeyboardInterrupt):
        heatmap.train(four, [], MOUSE, heatmap.Params(**TINY), seed=0, progress=kill, **target)
    assert not target["out"].exists()
    seen: list[int] = []
    heatmap.train(four, [], MOUSE, heatmap.Params(**TINY), seed=0, progress=lambda epoch, *_: seen.append(epoch), **target)
    assert seen == [2]
    assert target["out"].read_bytes() == short.read_bytes()


def test_a_state_of_another_training_is_not_gone_on_from(tmp_path: Path, four: list[LabelledImage], short: Path) -> None:
    def kill(epoch: int, n_epochs: int, figures: dict[str, float]) -> None:
        raise KeyboardInterrupt

    target = {"out": tmp_path / "weights.pt", "scratch": tmp_path / "scratch"}
    with pytest.raises(KeyboardInterrupt):
        heatmap.train(four, [], MOUSE, heatmap.Params(**TINY), seed=5, progress=kill, **target)
    heatmap.train(four, [], MOUSE, heatmap.Params(**TINY), seed=0, **target)
    assert target["out"].read_bytes() == short.read_bytes()


def test_the_coordinates_of_missing_keypoints_never_matter(tmp_path: Path, four: list[LabelledImage]) -> None:
    def without_left(x: float) -> list[LabelledImage]:
        changed = []
        for image in four:
            keypoints = image.keypoints.copy()
            keypoints[:, 1] = x, x, 0
            changed.append(LabelledImage(image.path, image.boxes, image.classes, keypoints))
        return changed

    assert train(tmp_path / "nan", without_left(math.nan)) == train(tmp_path / "number", without_left(17.0))


def test_animals_and_images_without_keypoints_are_left_out(tmp_path: Path, four: list[LabelledImage], short: Path) -> None:
    nothing = LabelledImage(tmp_path / "never read.png", np.zeros((0, 4)), np.zeros(0, int), np.zeros((0, 3, 3)))
    empty = np.full((1, 3, 3), np.nan)
    empty[:, :, 2] = 0
    two = LabelledImage(four[3].path, np.repeat(four[3].boxes, 2, 0), np.zeros(2, int), np.concatenate([empty, four[3].keypoints]))
    assert train(tmp_path, [nothing, *four[:3], two]) == short.read_bytes()


def test_sides_without_a_pair_are_pointed_out(tmp_path: Path, four: list[LabelledImage]) -> None:
    unpaired = skeleton_from({"species": ["mouse"], "keypoints": ["nose", "left", "right"]}, "test")
    target = {"out": tmp_path / "weights.pt", "scratch": tmp_path / "scratch"}
    result = heatmap.train(four, [], unpaired, heatmap.Params(**TINY), seed=0, **target)
    assert any("left, right sound like sides" in note for note in result.notes)
    result = heatmap.train(four, [], unpaired, heatmap.Params(**TINY, flip=0), seed=0, **target)
    assert not any("sound like sides" in note for note in result.notes)


def test_nothing_to_learn_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EthoLoopError, match="no labelled animal with a keypoint"):
        train(tmp_path, [])


def test_an_unreadable_image_is_named(tmp_path: Path, four: list[LabelledImage]) -> None:
    (tmp_path / "broken.png").write_text("not an image")
    broken = LabelledImage(tmp_path / "broken.png", four[0].boxes, four[0].classes, four[0].keypoints)
    with pytest.raises(EthoLoopError, match=r"broken\.png: not readable"):
        train(tmp_path, [broken])


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(FaultsError, match="did you mean 'sigma_px'"):
        settings_of("heatmap", {"sigma": 2}, "params.yaml")
    with pytest.raises(FaultsError, match="unknown key"):
        settings_of("identity", {"sigma_px": 2}, "params.yaml")
    with pytest.raises(EthoLoopError, match="did you mean 'heatmap'"):
        settings_of("heatmaps", {}, "params.yaml")


# starting weights


def test_an_earlier_refiner_is_a_start(tmp_path: Path, four: list[LabelledImage], short: Path) -> None:
    target = {"out": tmp_path / "weights.pt", "scratch": tmp_path / "scratch"}
    result = heatmap.train(four, [], MOUSE, heatmap.Params(**TINY), seed=0, init_weights=short, **target)
    n = len(new_network(3, 8, 0).state_dict())
    assert result.notes[0] == f"Started from weights.pt: {n} of {n} tensors loaded."
    assert target["out"].read_bytes() != short.read_bytes()


@pytest.mark.parametrize(("arch", "fits"), [("yolov8n", True), ("yolo11n", False)])
def test_the_body_of_a_yolo_is_a_start(tmp_path: Path, arch: str, fits: bool) -> None:
    from ultralytics.nn.tasks import DetectionModel

    from etholoop.modeling.refiners import _weights

    yolo = DetectionModel(f"{arch}.yaml", verbose=False)
    torch.save({"model": yolo, "ema": None}, tmp_path / "yolo.pt")
    network = new_network(3, 8, 0)
    if not fits:
        with pytest.raises(EthoLoopError, match="YOLOv8n"):
            _weights.transfer(network, tmp_path / "yolo.pt")
        return
    notes = _weights.transfer(network, tmp_path / "yolo.pt")
    assert "at random: the rest of fine, finest, out" in notes[0]
    # the body does what YOLO's own layers do
    crops = torch.rand(2, 3, 64, 64)
    expected, ours = crops, crops
    yolo.eval()
    network.eval()
    with torch.no_grad():
        for layer in range(10):
            expected, ours = yolo.model[layer](expected), network.model[str(layer)](ours)
    assert torch.allclose(expected, ours, atol=1e-5)


def test_weights_that_are_not_there_or_not_weights(tmp_path: Path, short: Path) -> None:
    with pytest.raises(EthoLoopError, match="not found"):
        heatmap.Refiner.load(tmp_path / "nothing.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(EthoLoopError, match="expected weights of the refiner"):
        heatmap.Refiner.load(tmp_path / "text.pt")
    (tmp_path / "half.pt").write_bytes(short.read_bytes()[:5000])
    with pytest.raises(EthoLoopError, match="expected weights of the refiner"):
        heatmap.Refiner.load(tmp_path / "half.pt")
    torch.save({"weights": {}}, tmp_path / "other.pt")
    with pytest.raises(EthoLoopError, match="expected weights of the refiner"):
        heatmap.Refiner.load(tmp_path / "other.pt")


# use


def test_one_box_gives_the_row_of_many(short: Path) -> None:
    refiner = heatmap.Refiner.load(short)
    image, keypoints = mouse((30, 24), 20)
    boxes = box_of(keypoints) + np.random.default_rng(0).uniform(-3, 3, (20, 4))  # more than go through the network together
    together = refiner.refine(image, boxes, np.zeros((20, 3, 3)))
    alone = np.concatenate([refiner.refine(image, boxes[[row]], np.zeros((1, 3, 3))) for row in range(20)])
    assert together.shape == (20, 3, 3)
    assert np.allclose(together, alone, atol=1e-2)
    assert ((together[:, :, 2] >= 0) & (together[:, :, 2] <= 1)).all()
    again = heatmap.Refiner.load(short).refine(image, boxes, np.ones((20, 3, 3)))
    assert np.array_equal(together, again)


def seer(looks: int) -> heatmap.Refiner:
    """A refiner that sees each keypoint where its colour is."""
    facts = {"keypoints": ["nose", "left", "right"], "flip_index": [0, 1, 2], "views": [[0, False]], "sigma_px": 2.0}
    content = {**facts, "crop_px": 64, "margin": 1.1, "looks": looks, "size": 1.8}
    return heatmap.Refiner(Colours(), content, "cpu")  # type: ignore[arg-type]


def test_a_second_look_makes_up_for_a_loose_box() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    corners = np.array([[190.5, 200.5], [210.5, 195.5], [210.5, 205.5]])
    for colour, (x, y) in enumerate(corners.astype(int).tolist()):
        image[y - 2 : y + 3, x - 2 : x + 3, colour] = 255
    loose = np.array([[150.0, 140.0, 280.0, 270.0]])  # six times too large

    def look(looks: int) -> np.ndarray:
        return seer(looks).refine(image, loose, np.zeros((1, 3, 3)))[0]

    errors = [np.linalg.norm(look(looks)[:, :2] - corners, axis=1).mean() for looks in (1, 3)]
    assert errors[1] < 0.5 * errors[0]
    assert look(3)[:, 2].mean() > look(1)[:, 2].mean()


def test_weights_from_before_there_were_looks_have_one(tmp_path: Path, short: Path) -> None:
    from etholoop.modeling.refiners import _weights

    content = _weights.load(short)
    assert content["size"] > 1
    _weights.save(tmp_path / "old.pt", {name: value for name, value in content.items() if name not in ("looks", "size")})
    image, keypoints = mouse((30, 24), 20)
    arguments = image, box_of(keypoints)[None], np.zeros((1, 3, 3))
    old = heatmap.Refiner.load(tmp_path / "old.pt").refine(*arguments)
    assert np.array_equal(old, heatmap.Refiner.load(short).refine(*arguments))


def test_no_box_and_a_box_of_nan(short: Path) -> None:
    refiner = heatmap.Refiner.load(short)
    image, keypoints = mouse((30, 24), 0)
    assert refiner.refine(image, np.zeros((0, 4)), np.zeros((0, 3, 3))).shape == (0, 3, 3)
    before = np.arange(18.0).reshape(2, 3, 3)
    after = refiner.refine(image, np.stack([np.full(4, np.nan), box_of(keypoints)]), before)
    assert np.array_equal(after[0], before[0])
    assert not np.array_equal(after[1], before[1])
    assert np.array_equal(before, np.arange(18.0).reshape(2, 3, 3))


def test_another_number_of_keypoints_is_an_error(short: Path) -> None:
    image, keypoints = mouse((30, 24), 0)
    with pytest.raises(EthoLoopError, match=r"learnt 3 keypoints \(nose, left, right\)"):
        heatmap.Refiner.load(short).refine(image, box_of(keypoints)[None], np.zeros((1, 4, 3)))


def test_identity_changes_nothing_and_writes_nothing(tmp_path: Path) -> None:
    result = identity.train([], [], MOUSE, identity.Params(), seed=0, out=tmp_path / "weights.pt", scratch=tmp_path / "scratch")
    assert result.metrics == {}
    assert list(tmp_path.iterdir()) == []
    before = np.arange(9.0).reshape(1, 3, 3)
    after = identity.Refiner.load(tmp_path / "weights.pt").refine(np.zeros((8, 8, 3), np.uint8), np.zeros((1, 4)), before)
    assert np.array_equal(after, before)
    assert after is not before


def test_every_refiner_has_the_parts_of_a_plug_in() -> None:
    package = "etholoop.modeling.refiners"
    assert registry.names(package) == ["heatmap", "identity"]
    for name in registry.names(package):
        plugin = registry.load(package, name)
        assert isinstance(plugin.VERSION, int)
        assert settings_of(name, {}, "test") == plugin.Params()
        assert callable(plugin.train) and callable(plugin.Refiner.load) and callable(plugin.Refiner.refine)


def test_normalisations_worked_into_convolutions_change_nothing_but_last_bits(four: list[LabelledImage], short: Path) -> None:
    content = torch.load(short, weights_only=True)
    network = HeatmapNetwork(len(content["keypoints"]), int(content["width"]))
    network.load_state_dict(content["weights"])
    crops = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = network.eval()(crops)
        assert torch.allclose(fused(network)(crops), plain, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


def test_views_together_are_views_one_by_one() -> None:
    network = new_network(3, 8, seed=1).eval()
    crops = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together = _readout.heatmaps(network, crops, (0, 2, 1), _readout.VIEWS)
        alone = [_readout.heatmaps(network, crops, (0, 2, 1), [view]) for view in _readout.VIEWS]
    assert torch.allclose(together, torch.stack(alone).mean(0), atol=1e-6)
