"""pose_predict on every frame of videos: backends, pieces, workers, kills."""

import json
import os
import shutil
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from untouched import write_untouched

from etholoop import runtime
from etholoop.errors import EthoLoopError, GateError
from etholoop.io import tables
from etholoop.io.table_join import write_joined
from etholoop.io.video import write_video
from etholoop.project import Project
from etholoop.schema.annotations import Boxes, LabelledFrames
from etholoop.schema.frames import Frames
from etholoop.schema.predictions import Detections, PredictedFrames
from etholoop.schema.splits import Splits
from etholoop.stages import _pose_backend, check_predictions, manifest, pose_predict

runtime.prepare()
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "modeling"))
from pose_blobs import MOUSE, blob, dataset  # noqa: E402

SKELETON = "name: blob\nspecies: [mouse, rat]\nkeypoints: [nose, left, right]\nleft_right: [[left, right]]\nanimals: 1\n"
FOUND = {"confidence": 0.0, "every": 1}
"""A model of one epoch is sure of nothing."""


def add_video(project: Project, name: str, n_frames: int) -> None:
    rng = np.random.default_rng(len(name))
    shots = [blob(rng)[0] for _ in range(5)]
    write_video(project.raw_videos / f"{name}.mp4", [shots[frame % 5] for frame in range(n_frames)], Fraction(25))


def tell(project: Project) -> None:
    """The tables that stand before pose_predict: two sampled frames of each video, no labels; video b judges."""
    manifest.run(project, manifest.Params())
    write_untouched(project)
    names = sorted(path.stem for path in project.raw_videos.glob("*.mp4"))
    more = {"strategy": "uniform", "reason": "a test", "cluster": None, "score": np.nan, "width": 64, "height": 48}
    rows = [{"video_id": name, "frame": frame, "path": f"{name}/{frame:08d}.png", **more} for name in names for frame in (0, 7)]
    tables.write(tables.from_rows(rows, Frames), Frames, project.frames / "frames.parquet")
    tables.write(tables.empty(LabelledFrames), LabelledFrames, project.annotations / "labelled_frames.parquet")
    tables.write(tables.empty(Boxes), Boxes, project.annotations / "boxes.parquet")
    spans = [
        {"video_id": n, "group": n, "start_frame": 0, "stop_frame": 9999, "split": "test" if n == "b" else "train", "mode": "group"}
        for n in names
    ]
    tables.write(tables.from_rows(spans, Splits), Splits, project.splits)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    from etholoop.modeling.detectors import yolo

    project = Project(tmp_path_factory.mktemp("project"))
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    project.skeleton.parent.mkdir(parents=True)
    project.skeleton.write_text(SKELETON)
    add_video(project, "a", 12)
    add_video(project, "b", 9)
    tell(project)
    project.pose_model.mkdir(parents=True)
    project.refiner_model.mkdir(parents=True)
    settings = yolo.Params(arch="yolov8n-pose", imgsz=64, epochs=1, batch=4, threads=1)
    scratch = project.root / "scratch"
    yolo.train(dataset(scratch / "data"), project.pose_model / "best.pt", scratch / "run", MOUSE, settings, init_weights=None, seed=0)
    shutil.rmtree(scratch)
    (project.pose_model / "status.json").write_text('{"trained": true, "detector": "yolo"}')
    (project.refiner_model / "status.json").write_text('{"trained": false}')
    return project


@pytest.fixture
def project(prepared: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("ETHOLOOP_ENGINE", "serial")
    shutil.copytree(prepared.root, tmp_path / "project")
    return Project(tmp_path / "project")


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def predict(project: Project, **changes: Any) -> dict[str, Any]:
    """Run the stage; what ``backend.json`` says."""
    pose_predict.run(project, pose_predict.Params.model_validate({**FOUND, **changes}))
    return json.loads((project.pose_predictions / "backend.json").read_text())


def units(project: Project) -> set[str]:
    return {path.name for path in (project.memo / "pose_predict").iterdir()}


def test_few_frames_stay_with_torch_and_say_so(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    said = predict(project)
    assert (said["backend"], said["asked"], said["differences"]) == ("torch", "auto", {})
    assert "for 21 frames (fewer than 1000)" in said["reason"]
    assert said["reason"] in capsys.readouterr().err
    assert not (project.memo / "pose_network").exists()


def test_many_frames_take_openvino_once_it_has_been_compared(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    by_torch = predict(project, backend="torch")
    expected = tables.read(project.pose_predictions / "detections.parquet", Detections)
    monkeypatch.setattr(_pose_backend, "LEAST_FRAMES", 21)
    said = predict(project)
    found = tables.read(project.pose_predictions / "detections.parquet", Detections)
    assert (said["backend"], said["n_sample_frames"], said["weights"]) == ("openvino", 8, by_torch["weights"])
    assert (
        set(said["differences"]) == set(said["tolerances"]) == {"box_px", "probability", "keypoint_px", "keypoint_confidence", "embedding"}
    )
    assert all(said["differences"][name] <= most for name, most in said["tolerances"].items())
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found[["p_mouse", "p_rat"]], expected[["p_mouse", "p_rat"]], atol=1e-4)
    assert len(units(project)) == 4  # each backend has its own results
    check_predictions.run(project, check_predictions.Params())
    assert "predicted by openvino" in (project.gates / "predictions.json").read_text()
    files = contents(project.pose_predictions)
    predict(project)
    assert contents(project.pose_predictions) == files


def test_a_backend_that_answers_otherwise(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself the stage then stays with torch; asked for by name it is an error; a gate stops what got through."""
    monkeypatch.setattr(_pose_backend, "LEAST_FRAMES", 1)
    monkeypatch.setitem(_pose_backend.tolerances.TOLERANCES, "box_px", 0.0)
    said = predict(project)
    assert said["backend"] == "torch"
    assert "openvino answers otherwise than torch (box_px differs by" in said["reason"]
    with pytest.raises(EthoLoopError, match="onnx does not answer as torch does on 8 sample frames: box_px differs"):
        predict(project, backend="onnx")
    said["differences"], said["tolerances"] = {"box_px": 3.0}, {"box_px": 0.05}
    (project.pose_predictions / "backend.json").write_text(json.dumps(said))
    with pytest.raises(GateError):
        check_predictions.run(project, check_predictions.Params())
    bad = json.loads((project.gates / "failed/predictions.json").read_text())
    assert bad["tables"]["backend"]["answers_as_torch"]["n_bad"] == 1


def test_a_backend_that_is_not_installed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pose_backend, "LEAST_FRAMES", 1)
    monkeypatch.setitem(_pose_backend.backends.LIBRARIES, "openvino", ("no_such_library",))
    assert predict(project)["reason"] == "auto: no_such_library not installed"
    with pytest.raises(EthoLoopError, match="openvino needs no_such_library"):
        predict(project, backend="openvino")


def test_another_video_costs_that_video(project: Project) -> None:
    predict(project, backend="openvino")
    before = units(project)
    add_video(project, "c", 10)
    tell(project)
    predict(project, backend="openvino")
    assert len(units(project) - before) == 1
    assert before < units(project)


def test_eight_bits_are_calibrated_on_train_frames_only(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    images = _pose_backend.Chooser._images
    monkeypatch.setattr(_pose_backend.Chooser, "_images", lambda self, places: (seen.append(places), images(self, places))[1])
    monkeypatch.setitem(_pose_backend.tolerances.INT8_TOLERANCES, "sure_animals_lost", 1.0)
    monkeypatch.setitem(_pose_backend.tolerances.INT8_TOLERANCES, "sure_animals_new", 1.0)
    said = predict(project, backend="openvino_int8")
    assert (said["backend"], said["n_calibration_frames"]) == ("openvino_int8", 2)
    assert seen[0] == [("a", 0), ("a", 7)]  # b judges
    shutil.rmtree(project.memo / "pose_backend")  # compare again
    monkeypatch.setattr(_pose_backend, "lost", lambda before, after: {"box_ap_lost": 0.02})
    with pytest.raises(EthoLoopError, match=r"openvino_int8 does not answer as torch does.* box_ap_lost differs by 0.02, at most 0.01"):
        predict(project, backend="openvino_int8")


def test_eight_bits_without_train_frames(project: Project) -> None:
    splits = tables.read(project.splits, Splits).assign(split="test")
    tables.write(splits, Splits, project.splits)
    with pytest.raises(EthoLoopError, match="calibrated on sampled or labelled frames of train videos, and there are none"):
        predict(project, backend="openvino_int8")


def test_sure_animals_that_are_lost() -> None:
    from etholoop.modeling.records import Prediction

    def seen(*rows: tuple[float, float]) -> Prediction:
        """Animals at x with a confidence."""
        boxes = np.array([[x, 0, x + 10, 10] for x, _ in rows], float).reshape(-1, 4)
        return Prediction(boxes, np.array([[p] for _, p in rows], np.float32).reshape(-1, 1), np.zeros((len(rows), 0, 3)), np.zeros(1))

    torch_sees = [seen((0, 0.9), (50, 0.6), (90, 0.2)), seen()]
    assert _pose_backend.share_without(torch_sees, torch_sees) == 0
    assert _pose_backend.share_without(torch_sees, [seen((1, 0.3), (70, 0.9)), seen((3, 0.9))]) == 0.5
    assert _pose_backend.share_without(torch_sees, [seen(), seen()]) == 1
    assert _pose_backend.share_without([seen()], torch_sees[:1]) == 0


def test_tiles_from_the_size_of_labelled_animals(project: Project) -> None:
    params = pose_predict.Params(tiles="auto")
    sources = pose_predict.Wanted.of(project, None).sources
    with pytest.raises(EthoLoopError, match="no boxes are labelled"):
        pose_predict.tile_settings(project, params, sources)
    box = {"video_id": "a", "frame": 0, "instance": 0, "species": "mouse", "x_min": 10.0, "y_min": 10.0, "x_max": 40.0, "y_max": 20.0}
    row = {**box, "identity": None, "confidence": np.nan, "source": "anna"}
    tables.write(tables.from_rows([row], Boxes), Boxes, project.annotations / "boxes.parquet")
    assert pose_predict.tile_settings(project, params, sources) == {"animal_px": 30.0, "longest_px": 30.0}


def test_tiles_show_more_and_are_part_of_the_key(project: Project) -> None:
    predict(project, backend="torch")
    before = units(project)
    predict(project, backend="torch", tiles={"size": 64, "overlap": 16})
    assert len(units(project)) == 2 * len(before)


def test_parts_are_joined_without_all_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = []
    for number in range(5):
        rows = pd.DataFrame({"video_id": "a", "frame": np.arange(3) + 10 * number, "n_detections": number})
        parts.append(tmp_path / f"{number}.parquet")
        tables.write(tables.typed(rows, PredictedFrames), PredictedFrames, parts[-1])
    expected = pd.concat([tables.read(part, PredictedFrames) for part in parts], ignore_index=True)
    for rows_of_group in (1, 4, 1000):
        monkeypatch.setattr("etholoop.io.table_join.GROUP_ROWS", rows_of_group)
        write_joined(parts, PredictedFrames, tmp_path / "all.parquet")
        pd.testing.assert_frame_equal(tables.read(tmp_path / "all.parquet", PredictedFrames), expected)
    write_joined([], PredictedFrames, tmp_path / "none.parquet")
    assert len(tables.read(tmp_path / "none.parquet", PredictedFrames)) == 0


# pieces of long videos

PROGRAM = """
import sys
from pathlib import Path
from etholoop import runtime
runtime.prepare()
from etholoop.project import Project
from etholoop.stages import pose_predict
pose_predict.run(Project(Path(sys.argv[1])), pose_predict.Params(every=1, confidence=0.0, backend=sys.argv[2]))
"""


def start(project: Project, backend: str, engine: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "ETHOLOOP_ENGINE": engine}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(project.root), backend], env=environment, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def long(prepared: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One video of 1,300 frames, four pieces."""
    root = tmp_path_factory.mktemp("long") / "project"
    shutil.copytree(prepared.root, root, ignore=shutil.ignore_patterns(".memo"))
    project = Project(root)
    for path in project.raw_videos.glob("*.mp4"):
        path.unlink()
    add_video(project, "a", 1300)
    tell(project)
    return project


def begun(folder: Path, *, finished: bool) -> bool:
    """Whether a step has begun to write a result, or has finished one (before that its name begins with a dot)."""
    return folder.is_dir() and any(not (finished and path.name.startswith(".")) for path in folder.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "openvino", "onnx"])
def test_a_kill_in_the_middle_of_a_video_changes_no_byte_and_costs_one_piece(long: Project, tmp_path: Path, backend: str) -> None:
    whole, killed = Project(tmp_path / "whole"), Project(tmp_path / "killed")
    for project in (whole, killed):
        shutil.copytree(long.root, project.root, ignore=shutil.ignore_patterns(".memo"))
    assert start(whole, backend, "serial").wait(timeout=600) == 0
    memo = killed.memo / "pose_predict"
    moments = [memo] if backend == "torch" else [killed.memo / "pose_network", killed.memo / "pose_backend", memo]
    for folder in moments:  # while networks are exported, while they are compared, and in the middle of the video
        program, patience = start(killed, backend, "serial"), time.monotonic() + 300
        while not begun(folder, finished=folder == memo) and time.monotonic() < patience:
            assert program.poll() is None
            time.sleep(0.005)
        program.kill()
        program.wait()
    finished = {path.name: path.stat().st_mtime_ns for path in memo.iterdir() if (path / ".complete.json").is_file()}
    assert 0 < len(finished) < len(units(whole))
    assert start(killed, backend, "processes:2").wait(timeout=600) == 0  # goes on, with another number of workers
    assert contents(killed.pose_predictions) == contents(whole.pose_predictions)
    assert all((memo / name).stat().st_mtime_ns == when for name, when in finished.items())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "onnx", "openvino", "openvino_int8"])
def test_red_and_blue_animals_keep_their_colours(project: Project, reds: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a video to Parquet: a network that learnt which is red and which is blue says so with every backend."""
    shutil.copy(reds, project.pose_model / "best.pt")
    for path in project.raw_videos.glob("*.mp4"):
        path.unlink()
    write_video(project.raw_videos / "a.mp4", [coloured("red", 20), coloured("blue", 30)] * 4, Fraction(25))
    tell(project)
    predict(project, backend=backend, confidence=0.2)
    found = tables.read(project.pose_predictions / "detections.parquet", Detections)
    surest = found.sort_values(["frame", "confidence"]).groupby("frame")["species"].last()
    assert surest.to_dict() == {frame: ("mouse", "rat")[frame % 2] for frame in range(8)}


def coloured(colour: str, x: int) -> np.ndarray:
    image = np.full((64, 64, 3), 128, np.uint8)
    image[20:44, x : x + 24] = {"red": (230, 30, 30), "blue": (30, 30, 230)}[colour]
    return image


@pytest.fixture(scope="module")
def reds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a network that calls red animals mouse and blue ones rat."""
    import cv2
    import yaml

    from etholoop.io.yolo_pose import lines
    from etholoop.modeling.detectors import yolo
    from etholoop.stages.pose_dataset import description

    folder = tmp_path_factory.mktemp("reds")
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            (folder / "data" / kind / split).mkdir(parents=True)
    for number in range(16):
        colour, x = ("red", "blue")[number % 2], 4 + 2 * number
        cv2.imwrite(str(folder / f"data/images/train/v_{number:08d}.png"), coloured(colour, x)[..., ::-1])
        keypoints = np.array([[[x + 12, 32, 2], [x, 20, 2], [x + 24, 44, 2]]], float)
        text = lines(np.array([[x, 20, x + 24, 44]], float), [number % 2], keypoints, 64, 64)
        (folder / f"data/labels/train/v_{number:08d}.txt").write_text("".join(f"{line}\n" for line in text))
    (folder / "data/data.yaml").write_text(yaml.safe_dump(description(MOUSE)))
    settings = yolo.Params.model_validate(
        {"arch": "yolov8n-pose", "imgsz": 64, "epochs": 40, "batch": 8, "threads": 1, "lr0": 0.004, "mosaic": 0.0, "hsv_h": 0.0}
        | {"scale": 0.1, "fliplr": 0.0, "warmup_epochs": 1.0}
    )
    yolo.train(folder / "data", folder / "best.pt", folder / "run", MOUSE, settings, init_weights=None, seed=0)
    return folder / "best.pt"
