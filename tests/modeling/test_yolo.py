"""Training and prediction with YOLO, on images small enough for a CPU."""

import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from etholoop import runtime

runtime.prepare()

import torch  # noqa: E402 - after the environment
from pose_blobs import BOXES_ONLY, MOUSE, blob, dataset  # noqa: E402
from pydantic import ValidationError  # noqa: E402

from etholoop.errors import EthoLoopError  # noqa: E402
from etholoop.modeling.detectors import _yolo_checkpoint as checkpoint  # noqa: E402
from etholoop.modeling.detectors import _yolo_data as data  # noqa: E402
from etholoop.modeling.detectors import _yolo_exported as predict  # noqa: E402
from etholoop.modeling.detectors import _yolo_fit as fit  # noqa: E402
from etholoop.modeling.detectors import yolo  # noqa: E402
from etholoop.modeling.records import TrainResult  # noqa: E402
from etholoop.schema.skeleton import Skeleton  # noqa: E402

TINY = {"imgsz": 64, "epochs": 2, "batch": 4, "warmup_epochs": 1, "threads": 1}


def train(folder: Path, out: Path, skeleton: Skeleton = MOUSE, seed: int = 0, init: Path | None = None, **settings: object) -> TrainResult:
    params = yolo.Params(**{**TINY, **settings})
    return yolo.train(folder, out, out.parent / f"scratch_{out.stem}", skeleton, params, init_weights=init, seed=seed)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("data") / "pose")


@pytest.fixture(scope="module")
def trained(small: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainResult]:
    out = tmp_path_factory.mktemp("model") / "best.pt"
    return out, train(small, out)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


# settings


def test_behavtracks_table_and_own_keys_beside_it() -> None:
    table = {n: (p.epochs, p.batch) for n in (100, 499, 500, 1200, 5000) for p in [yolo.resolve(yolo.Params(preset="behavtrack"), n)]}
    assert table == {100: (50, 16), 499: (50, 16), 500: (70, 18), 1200: (90, 20), 5000: (110, 22)}
    own = yolo.resolve(yolo.Params(preset="behavtrack", epochs=3), 100)
    assert (own.epochs, own.batch, own.imgsz, own.optimizer) == (3, 16, 640, "auto")


@pytest.mark.parametrize("settings", [{"arch": "yolo11n-poze"}, {"imgsz": 100}, {"epochs": 0}, {"lr": 0.1}, {"batch": -1}])
def test_impossible_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        yolo.Params(**settings)


def test_the_skeleton_decides_between_pose_and_detect() -> None:
    assert yolo.architecture("yolov8s-pose", BOXES_ONLY) == "yolov8s"
    assert yolo.architecture("yolo26n", MOUSE) == "yolo26n-pose"


# training


def test_training_gives_a_checkpoint_curves_and_notes(trained: tuple[Path, TrainResult]) -> None:
    out, result = trained
    assert [row["epoch"] for row in result.curves] == [1, 2]
    assert all(np.isfinite(row["train_box_loss"]) for row in result.curves)
    assert result.metrics["epochs_run"] == 2
    assert "val_pose_mAP50" in result.metrics
    assert any("from scratch" in note for note in result.notes)
    assert not (out.parent / "scratch_best").exists()


def test_the_data_set_is_not_touched(small: Path, tmp_path: Path) -> None:
    before = contents(small)
    train(small, tmp_path / "best.pt", epochs=1)
    assert contents(small) == before


@pytest.mark.slow
def test_same_seed_same_bytes_whatever_the_folder_and_another_seed_differs(
    trained: tuple[Path, TrainResult], small: Path, tmp_path: Path
) -> None:
    out, _ = trained
    train(small, tmp_path / "other name" / "copy.pt")
    train(small, tmp_path / "seed.pt", seed=1)
    assert (tmp_path / "other name" / "copy.pt").read_bytes() == out.read_bytes()
    assert (tmp_path / "seed.pt").read_bytes() != out.read_bytes()


@pytest.mark.slow
def test_half_precision_gives_other_weights_the_same_each_time(trained: tuple[Path, TrainResult], small: Path, tmp_path: Path) -> None:
    out, full = trained
    result = train(small, tmp_path / "one/half.pt", precision="bfloat16")
    train(small, tmp_path / "two/half.pt", precision="bfloat16")
    assert (tmp_path / "one/half.pt").read_bytes() == (tmp_path / "two/half.pt").read_bytes() != out.read_bytes()
    for rounded, exact in zip(result.curves, full.curves, strict=True):
        assert rounded["train_box_loss"] == pytest.approx(exact["train_box_loss"], rel=0.05)
        assert rounded["train_box_loss"] != exact["train_box_loss"]


def test_the_checkpoint_names_no_path_date_or_host(trained: tuple[Path, TrainResult], small: Path) -> None:
    content = trained[0].read_bytes()
    for word in (str(small), str(trained[0].parent), "site-packages", os.uname().nodename + "\n", "scratch"):
        assert word.encode() not in content
    loaded = checkpoint.load_safely(trained[0])
    assert loaded["date"] == checkpoint.FIXED_DATE
    assert loaded["etholoop"] == {"species": ["mouse", "rat"], "keypoints": ["nose", "left", "right"], "flip_index": [0, 2, 1], "imgsz": 64}
    assert list(loaded["train_args"]) == sorted(loaded["train_args"])


def test_ultralytics_itself_loads_the_checkpoint_safely(trained: tuple[Path, TrainResult]) -> None:
    code = "from etholoop import runtime; runtime.prepare(); import sys; from ultralytics import YOLO"
    code += "; model = YOLO(sys.argv[1]); print(model.task, model.names)"
    result = subprocess.run([sys.executable, "-c", code, str(trained[0])], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip() == "pose {0: 'mouse', 1: 'rat'}"


@pytest.mark.slow
def test_a_killed_training_ends_in_the_same_bytes(trained: tuple[Path, TrainResult], small: Path, tmp_path: Path) -> None:
    """Four epochs with mosaics that close after the second; killed in the third, by a signal that nothing can catch."""
    settings = {"epochs": 4, "mosaic": 1.0, "close_mosaic": 2}
    train(small, tmp_path / "whole.pt", **settings)
    code = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from etholoop import runtime; runtime.prepare()
        from etholoop.modeling.detectors import yolo, _yolo_fit
        from pose_blobs import MOUSE
        from test_yolo import TINY
        _yolo_fit.SAVE_EVERY_S = 0
        def kill(epoch, n, row):
            if epoch == 3: os.kill(os.getpid(), signal.SIGKILL)
        params = yolo.Params(**{**TINY, "epochs": 4, "mosaic": 1.0, "close_mosaic": 2})
        yolo.train(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), MOUSE, params, init_weights=None, seed=0, progress=kill)
    """)
    here = Path(__file__).resolve().parent
    path = os.pathsep.join([str(here), str(here.parents[1] / "src"), os.environ.get("PYTHONPATH", "")])
    arguments = [str(small), str(tmp_path / "resumed.pt"), str(tmp_path / "scratch_resumed")]
    environment = {**os.environ, "PYTHONPATH": path}
    died = subprocess.run([sys.executable, "-c", code, *arguments], check=False, env=environment, capture_output=True, timeout=300)
    assert died.returncode == -9, died.stderr.decode()[-2000:]
    assert not (tmp_path / "resumed.pt").exists()
    epochs = []
    params = yolo.Params(**{**TINY, **settings})
    result = yolo.train(
        small,
        tmp_path / "resumed.pt",
        tmp_path / "scratch_resumed",
        MOUSE,
        params,
        init_weights=None,
        seed=0,
        progress=lambda e, n, row: epochs.append(e),
    )
    assert epochs == [4]
    assert [row["epoch"] for row in result.curves] == [1, 2, 3, 4]
    assert (tmp_path / "resumed.pt").read_bytes() == (tmp_path / "whole.pt").read_bytes()


def test_a_state_of_other_settings_is_not_resumed(tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    torch.save({"key": "of another training"}, file)
    plan = fit.Plan("mine", file, 1, 1, 1, 1, 0, 0.5)
    assert fit.load_state(plan) is None


@pytest.mark.slow
def test_without_validation_images_the_last_weights_are_kept_and_it_is_said(tmp_path: Path) -> None:
    result = train(dataset(tmp_path / "data", n_val=0), tmp_path / "best.pt")
    assert any("No validation images" in note for note in result.notes)
    assert result.metrics["best_epoch"] == 2
    assert not any(name.startswith("val_") for row in result.curves for name in row)


@pytest.mark.slow
def test_boxes_only(tmp_path: Path) -> None:
    train(dataset(tmp_path / "data", skeleton=BOXES_ONLY), tmp_path / "best.pt", BOXES_ONLY, epochs=1)
    model = yolo.Predictor.load(tmp_path / "best.pt")
    image, *_ = blob(np.random.default_rng(5))
    found = model.predict([image], confidence=0.0001, flip=True)[0]
    assert model.n_keypoints == 0
    assert found.keypoints.shape == (len(found.boxes), 0, 3)
    assert len(found.boxes) > 0


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["yolov8n-pose", "yolo26n-pose"])
def test_the_other_families_train_resume_nothing_and_predict(arch: str, small: Path, tmp_path: Path) -> None:
    train(small, tmp_path / "best.pt", arch=arch, epochs=1)
    image, *_ = blob(np.random.default_rng(5))
    found = yolo.Predictor.load(tmp_path / "best.pt").predict([image], confidence=0.00001)[0]
    assert found.probabilities.shape == (len(found.boxes), 2)
    assert len(found.boxes) > 0


def test_no_training_images(tmp_path: Path) -> None:
    with pytest.raises(EthoLoopError, match="no training images"):
        train(dataset(tmp_path / "data", n_train=0), tmp_path / "best.pt")


def test_images_that_ultralytics_would_drop_stop_the_training(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "data")
    (folder / "labels/train/v_00000002.txt").write_text("0 0.5 0.5 0.2 0.2\n")  # a short line
    with pytest.raises(EthoLoopError, match=r"1 of 6 training images were refused .*v_00000002"):
        train(folder, tmp_path / "best.pt")


def test_missing_labels_and_broken_images_are_named_together(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "data")
    (folder / "labels/train/v_00000000.txt").unlink()
    (folder / "images/val/v_00000001.png").write_bytes(b"no image")
    with pytest.raises(EthoLoopError) as caught:
        data.prepare(folder, tmp_path / "farm", 64)
    assert "v_00000000.png: no label file" in str(caught.value)
    assert "v_00000001.png: not readable" in str(caught.value)


def test_large_images_are_shrunk_once_and_small_ones_linked(tmp_path: Path) -> None:
    import cv2

    folder = dataset(tmp_path / "data", size=(130, 100))
    data.prepare(folder, tmp_path / "farm", 64)
    assert cv2.imread(str(tmp_path / "farm/images/train/v_00000000.png")).shape == (50, 64, 3)
    data.prepare(folder, tmp_path / "farm2", 160)
    assert (tmp_path / "farm2/images/train/v_00000000.png").is_symlink()


# weights from elsewhere


@pytest.mark.slow
def test_a_detector_starts_a_pose_model_and_the_notes_say_what_was_loaded(public_data: Path, small: Path, tmp_path: Path) -> None:
    weights = public_data / "data/weights/yolov8n.pt"
    result = train(small, tmp_path / "best.pt", arch="yolov8n-pose", epochs=1, init=weights)
    text = " ".join(result.notes)
    assert "Started from yolov8n.pt" in text
    assert "model.22.cv4" in text
    assert "model.22.cv2" not in text
    fresh = train(small, tmp_path / "fresh.pt", arch="yolov8n-pose", epochs=1)
    assert "from scratch" in fresh.notes[0]
    given = checkpoint.load_safely(weights)["model"].state_dict()["model.0.conv.weight"]
    started, random = (
        checkpoint.load_safely(tmp_path / name)["model"].state_dict()["model.0.conv.weight"] for name in ("best.pt", "fresh.pt")
    )
    assert (started - given).abs().mean() < 0.05 * (random - given).abs().mean()


@pytest.mark.slow
def test_the_previous_model_is_loaded_whole(trained: tuple[Path, TrainResult], small: Path, tmp_path: Path) -> None:
    result = train(small, tmp_path / "next.pt", epochs=1, init=trained[0])
    assert "Everything was loaded." in result.notes


def test_weights_of_another_architecture_are_refused(trained: tuple[Path, TrainResult], small: Path, tmp_path: Path) -> None:
    with pytest.raises(EthoLoopError, match=r"holds yolo11n-pose, expected weights for yolov8n-pose"):
        train(small, tmp_path / "best.pt", arch="yolov8n-pose", init=trained[0])


class Bomb:
    """Unpickling it would write a file."""

    def __init__(self, place: Path):
        self.place = place

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.place}'",)


@pytest.mark.parametrize("style", ["torch", "pickle"])
def test_a_pickle_bomb_is_refused_and_does_not_go_off(style: str, tmp_path: Path) -> None:
    path, mark = tmp_path / "weights.pt", tmp_path / "went_off"
    bomb = {"model": Bomb(mark), "ema": None}
    torch.save(bomb, path) if style == "torch" else path.write_bytes(pickle.dumps(bomb))
    with pytest.raises(EthoLoopError, match="cannot be loaded safely"):
        yolo.Predictor.load(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut short"])
def test_files_that_are_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(EthoLoopError, match="expected a YOLO checkpoint"):
        yolo.Predictor.load(path)


def test_a_checkpoint_cut_in_half(trained: tuple[Path, TrainResult], tmp_path: Path) -> None:
    content = trained[0].read_bytes()
    (tmp_path / "half.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(EthoLoopError, match="expected a YOLO checkpoint"):
        yolo.Predictor.load(tmp_path / "half.pt")


def test_a_checkpoint_of_something_else_or_none(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.zeros(2)}}, tmp_path / "other.pt")
    with pytest.raises(EthoLoopError, match="expected a YOLO detection or pose model, found dict"):
        yolo.Predictor.load(tmp_path / "other.pt")
    with pytest.raises(EthoLoopError, match="weights not found"):
        yolo.Predictor.load(tmp_path / "none.pt")


# prediction


@pytest.fixture(scope="module")
def lively(trained: tuple[Path, TrainResult], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that finds many things: the class scores are raised and spread."""
    loaded = checkpoint.load_safely(trained[0])
    model = loaded["model"]
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for branch in model.model[-1].cv3:
            branch[-1].bias.copy_(torch.tensor([0.4, -0.2]))
            # spread, so that the order of two detections does not hang on the last bit
            branch[-1].weight.copy_(torch.randn(branch[-1].weight.shape, generator=random) * 0.5)
    path = tmp_path_factory.mktemp("lively") / "lively.pt"
    path.write_bytes(checkpoint.canonical(model, model.state_dict(), "yolo11n-pose", loaded["train_args"], loaded["etholoop"]))
    return path


@pytest.mark.parametrize(("width", "height"), [(64, 48), (130, 100), (57, 91), (40, 40)])
def test_equals_ultralytics_own_predictor(lively: Path, width: int, height: int) -> None:
    """Boxes, confidences and keypoints, on noise, so that swapped colours or a shifted letterbox would show."""
    from ultralytics import YOLO

    image = np.random.default_rng(3).integers(0, 255, (height, width, 3), dtype=np.uint8)
    theirs = YOLO(str(lively)).predict(image[..., ::-1].copy(), imgsz=64, conf=0.3, iou=0.6, max_det=300, verbose=False, device="cpu")[0]
    ours = yolo.Predictor.load(lively).predict([image], confidence=0.3, iou=0.6)[0]
    assert len(ours.boxes) == len(theirs.boxes) > 3
    np.testing.assert_allclose(ours.boxes, theirs.boxes.xyxy.numpy(), atol=1e-3)
    np.testing.assert_allclose(ours.probabilities.max(axis=1), theirs.boxes.conf.numpy(), atol=1e-5)
    np.testing.assert_array_equal(ours.probabilities.argmax(axis=1), theirs.boxes.cls.numpy())
    np.testing.assert_allclose(ours.keypoints, theirs.keypoints.data.numpy(), atol=1e-3)


def test_every_class_has_a_probability_and_confidence_falls(lively: Path) -> None:
    image = np.random.default_rng(3).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    found = yolo.Predictor.load(lively).predict([image], confidence=0.3)[0]
    assert found.probabilities.shape[1] == 2
    assert (found.probabilities > 0.01).all()
    assert (np.diff(found.probabilities.max(axis=1)) <= 0).all()
    assert found.embedding.dtype == np.float32
    assert found.embedding.shape == (64 + 128 + 256,)


def test_images_of_several_shapes_at_once_give_what_each_gives_alone(lively: Path) -> None:
    rng = np.random.default_rng(4)
    images = [rng.integers(0, 255, (height, width, 3), dtype=np.uint8) for height, width in ((48, 64), (90, 60), (48, 64))]
    model = yolo.Predictor.load(lively)
    together = model.predict(images, confidence=0.3)
    for image, prediction in zip(images, together, strict=True):
        alone = model.predict([image], confidence=0.3)[0]
        np.testing.assert_allclose(prediction.boxes, alone.boxes, atol=1e-3)
        np.testing.assert_allclose(prediction.embedding, alone.embedding, atol=1e-4)


def test_limits(lively: Path) -> None:
    image = np.random.default_rng(3).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    model = yolo.Predictor.load(lively)
    assert len(model.predict([image], confidence=0.3, max_detections=2)[0].boxes) == 2
    nothing = model.predict([image], confidence=0.9999)[0]
    assert nothing.boxes.shape == (0, 4)
    assert nothing.keypoints.shape == (0, 3, 3)
    assert model.predict([]) == []
    with pytest.raises(ValueError, match="expected uint8"):
        model.predict([image.astype(float)])


def test_red_is_red(lively: Path) -> None:
    """Whatever the weights: the first channel of the network's input must hold the red of an RGB image."""
    model = yolo.Predictor.load(lively)
    seen = []
    model.model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = 255
    model.predict([image])
    assert seen[0][0, :, 32, 32].tolist() == [1.0, 0.0, 0.0]


def test_the_letterbox_is_undone_exactly() -> None:
    image = np.zeros((100, 130, 3), np.uint8)
    frame, box = predict.letterbox(image, 64, 32)
    assert frame.shape == (64, 64, 3)
    assert box.pad == (0, 7)
    corners = np.array([[0.0, 7.0], [64.0, 56.0]])  # where the image's corners lie in the frame: 130x100 became 64x49
    np.testing.assert_allclose(predict.to_source(corners, box), [[0, 0], [130, 100]])


class Mirror(yolo.Predictor):
    """A model that sees one animal with nose at (10, 5), left at (4, 2), right at (4, 8), wherever the image is not mirrored."""

    def __init__(self) -> None:
        self.facts = predict.Facts(("mouse",), 3, 3, 64, (0, 2, 1), 32)

    def _same_shape(self, images, limits, imgsz):
        from etholoop.modeling.records import Prediction

        keypoints = np.array([[[10, 5, 0.8], [4, 2, 0.8], [4, 8, 0.8]]])
        boxes = np.array([[2.0, 1, 12, 9]])
        if images[0][0, 0, 0] == 0:  # mirrored: 20 pixels wide, and a pixel to the right in the mirror
            keypoints = np.array([[[11, 5, 0.6], [17, 8, 0.6], [17, 2, 0.6]]])
            boxes = np.array([[8.0, 1, 18, 9]])
        return [Prediction(boxes, np.array([[0.9]]), keypoints, np.zeros(2, np.float32)) for _ in images]


def test_flipping_averages_mirror_keypoints() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, 0] = 1
    found = Mirror().predict([image], flip=True)[0]
    np.testing.assert_allclose(found.keypoints[0], [[9.5, 5, 0.7], [3.5, 2, 0.7], [3.5, 8, 0.7]])
    np.testing.assert_allclose(found.boxes, [[2, 1, 12, 9]])


# augmentation


def test_a_quarter_turn_moves_pixels_boxes_and_keypoints_alike() -> None:
    """A bright pixel in the middle of its box stays there, with its keypoint."""
    from ultralytics.utils.instance import Instances

    from etholoop.modeling.detectors._yolo_turn import QuarterTurn

    image = np.zeros((10, 10, 3), np.uint8)
    image[2, 7] = 255  # x 7, y 2: centre at 7.5, 2.5
    instances = Instances(
        np.array([[6.0, 2, 9, 3]]), keypoints=np.array([[[7.5, 2.5, 2], [0, 0, 0]]]), bbox_format="xyxy", normalized=False
    )
    labels = QuarterTurn(1.0)({"img": image, "instances": instances})
    y, x = np.argwhere(labels["img"][..., 0] == 255)[0]
    np.testing.assert_allclose(labels["instances"].keypoints[0, 0], [x + 0.5, y + 0.5, 2])
    assert labels["instances"].keypoints[0, 1, 2] == 0
    np.testing.assert_allclose(labels["instances"].bboxes[0], [2, 1, 3, 4])
    assert (x, y) == (2, 2)
    four = image
    for _ in range(4):
        four = QuarterTurn(1.0)({"img": four, "instances": instances})["img"]
    np.testing.assert_array_equal(four, image)
    np.testing.assert_array_equal(QuarterTurn(0.0)({"img": image, "instances": instances})["img"], image)


def test_quarter_turns_and_rectangles_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="rot90 needs square"):
        yolo.Params(rot90=0.5, rect=True)


@pytest.mark.slow
def test_quarter_turns_change_the_training_and_survive_the_end_of_mosaics(small: Path, tmp_path: Path) -> None:
    plain = train(small, tmp_path / "plain.pt", mosaic=1.0, close_mosaic=1)
    turned = train(small, tmp_path / "turned.pt", mosaic=1.0, close_mosaic=1, rot90=1.0)
    assert plain.curves[1]["train_box_loss"] != turned.curves[1]["train_box_loss"]


@pytest.mark.slow
def test_recolouring_changes_the_training_and_comes_out_the_same_each_time(
    small: Path, trained: tuple[Path, TrainResult], tmp_path: Path
) -> None:
    train(small, tmp_path / "one.pt", recolour=1.0)
    train(small, tmp_path / "two.pt", recolour=1.0)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()
    assert (tmp_path / "one.pt").read_bytes() != trained[0].read_bytes()


def test_the_checkpoint_holds_plain_tensors_however_it_was_trained(trained: tuple[Path, TrainResult]) -> None:
    weights = checkpoint.load_safely(trained[0])["model"].state_dict()
    assert weights["model.1.conv.weight"].shape[1:] == (16, 3, 3)  # channels last would be laid out otherwise
    assert all(tensor.is_contiguous() for tensor in weights.values())


def test_the_keypoint_loss_is_wide_at_first_and_narrows_with_learning() -> None:
    from types import SimpleNamespace

    loss = SimpleNamespace(keypoint_loss=SimpleNamespace(sigmas=None))
    model = SimpleNamespace(kpt_oks_sigmas=[0.05, 0.6], criterion=loss)
    for tolerance, expected in ((0.5, [0.5, 0.6]), (0.1, [0.1, 0.6]), (0.0, [0.05, 0.6])):
        fit._set_tolerance(SimpleNamespace(model=model, plan=SimpleNamespace(tolerance=tolerance), device="cpu"))
        np.testing.assert_allclose(loss.keypoint_loss.sigmas.numpy(), expected, rtol=1e-5)
    assert fit.next_tolerance(0.5, oks_loss=0.9) == 0.5
    assert fit.next_tolerance(0.5, oks_loss=0.1) == pytest.approx(0.4)
