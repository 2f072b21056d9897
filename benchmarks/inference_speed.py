"""How fast does a video become Parquet, as ratios measured in one run against Ultralytics on torch with the same weights and size?

    python benchmarks/inference_speed.py [--frames 1500] [--videos 640x480 1920x1080] [--imgsz 640] [--repeats 3] [--weights best.pt]
    python benchmarks/inference_speed.py --only-ap --ap PROJECT [PROJECT …]

Videos are rendered: dark animals with a bright nose on a floor with a little noise. Without ``--weights`` a YOLOv8n pose model is trained
on such pictures for a minute. The contestants take turns, each measurement is a process of its own that times itself after its imports:

* ``ultralytics``: ``YOLO.predict(stream=True)`` as it comes (it takes all cores but one for torch), results put into Parquet;
* ``ultralytics_all_cores``: the same, with torch on all cores;
* ours: the stage ``pose_predict`` with ``every: 1``, start of workers, gate-ready tables and all. ``first`` is the run that also exports
  and checks the networks, which is kept for all later videos; the ratios are of the others. With ``--work FOLDER`` the projects stay, and
  ``--skip-first`` measures only what a further video costs: so the first run may be made before a machine is quiet.

CPU seconds stand beside wall seconds: on a machine that does other work, compare those.

Bars: openvino at least 2.5 times ``ultralytics``, openvino_int8 at least 4 times.

``--ap`` takes finished projects (of `etholoop demo`, of benchmarks/openfield_pose.py), predicts in a copy of each with torch, openvino and
openvino_int8, and says what the judging frames think of it. Bar: 8 bits lose at most 1 point of AP.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

OURS = ("torch", "onnx", "openvino", "openvino_int8")
THEIRS = ("ultralytics", "ultralytics_all_cores")
BARS = {"openvino": 2.5, "openvino_int8": 4.0}
N_ANIMALS, CONFIDENCE, IOU = 3, 0.25, 0.7
LIMIT = 2 * N_ANIMALS + 5
SKELETON = f"name: blob\nspecies: [mouse]\nkeypoints: [nose, tail]\nanimals: {N_ANIMALS}\n"
FIGURES = ("box_ap", "box_ap50", "oks_ap", "oks_ap50", "rmse_px")


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(child(arguments.child, Path(arguments.folder), arguments.imgsz)))
        return
    if not arguments.only_ap:
        with tempfile.TemporaryDirectory(prefix="etholoop-speed-") as name:
            speed(arguments.work or Path(name), arguments)
    for project in arguments.ap:
        with tempfile.TemporaryDirectory(prefix="etholoop-ap-") as name:
            precision(project, Path(name) / "project")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--videos", nargs="+", default=["640x480", "1920x1080"], help="sizes of the rendered videos")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--weights", type=Path, help="a YOLO checkpoint; default: train one on rendered pictures")
    parser.add_argument("--work", type=Path, help="folder for the projects, which stay; default: one that is removed at the end")
    parser.add_argument("--skip-first", action="store_true", help="the networks in --work are exported and checked already")
    parser.add_argument("--only", nargs="+", choices=[*THEIRS, *OURS], default=[*THEIRS, *OURS])
    parser.add_argument("--ap", nargs="+", type=Path, default=[], help="finished projects on whose judging frames AP is compared")
    parser.add_argument("--only-ap", action="store_true", help="no timing")
    parser.add_argument("--child", choices=[*THEIRS, *OURS], help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


# --- the contest -------------------------------------------------------------------------------------------------------------------


def speed(folder: Path, arguments: argparse.Namespace) -> None:
    """All contestants on all videos."""
    weights = arguments.weights or (folder / "best.pt" if (folder / "best.pt").is_file() else trained(folder))
    for size in arguments.videos:
        width, height = map(int, size.split("x"))
        project = folder / f"{size}-{arguments.frames}"
        if not project.is_dir():
            make_project(project, weights, film(width, height, arguments.frames))
        print(f"\n{size}, {arguments.frames} frames, imgsz {arguments.imgsz}, {len(os.sched_getaffinity(0))} cores")
        measure(project, arguments)


def measure(project: Path, arguments: argparse.Namespace) -> None:
    new = [] if arguments.skip_first else [name for name in arguments.only if name in OURS]
    first = {name: run_child(name, project, arguments.imgsz) for name in new}
    rounds = [{name: run_child(name, project, arguments.imgsz) for name in arguments.only} for _ in range(arguments.repeats)]
    median = {
        name: {what: statistics.median(found[name][what] for found in rounds) for what in ("wall_s", "cpu_s", "detections")}
        for name in arguments.only
    }
    base = median.get("ultralytics")
    print(
        "| contestant | wall s | CPU s | frames/s | first wall s | ratio wall | ratio CPU | detections |\n|---|---|---|---|---|---|---|---|"
    )
    for name, found in median.items():
        ratios = [f"{base[what] / found[what]:.2f}" if base else "–" for what in ("wall_s", "cpu_s")]
        begin = f"{first[name]['wall_s']:.1f}" if name in first else "–"
        rate = arguments.frames / found["wall_s"]
        cells = [name, f"{found['wall_s']:.1f}", f"{found['cpu_s']:.1f}", f"{rate:.1f}", begin, *ratios, f"{found['detections']:.0f}"]
        print(f"| {' | '.join(cells)} |")
    for name, bar in BARS.items():
        if base and name in median:
            ratio = base["wall_s"] / median[name]["wall_s"]
            print(f"{name}: {ratio:.2f} times ultralytics, bar {bar}: {'met' if ratio >= bar else 'NOT met'}")


def run_child(name: str, project: Path, imgsz: int) -> dict[str, float]:
    """One measurement in a process of its own."""
    shutil.rmtree(project / ".memo/pose_predict", ignore_errors=True)
    command = [sys.executable, __file__, "--child", name, "--folder", str(project), "--imgsz", str(imgsz)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{name} ended with status {done.returncode}:\n{done.stderr[-3000:]}")
    print(f"{name}: {done.stdout.splitlines()[-1]}", file=sys.stderr, flush=True)
    return json.loads(done.stdout.splitlines()[-1])


def child(name: str, project: Path, imgsz: int) -> dict[str, float]:
    """In the process that is measured."""
    from etholoop import runtime

    runtime.prepare()
    contest = theirs if name in THEIRS else ours
    detections, begin_wall, begin_cpu = contest(name, project, imgsz)
    return {"wall_s": time.monotonic() - begin_wall, "cpu_s": cpu_seconds() - begin_cpu, "detections": detections()}


def theirs(name: str, project: Path, imgsz: int) -> tuple[Any, float, float]:
    import pandas as pd
    import torch
    from ultralytics import YOLO

    begin = time.monotonic(), cpu_seconds()
    model, rows = YOLO(project / "models/pose/best.pt"), []
    options = {"conf": CONFIDENCE, "iou": IOU, "max_det": LIMIT, "imgsz": imgsz, "device": "cpu", "verbose": False}
    for frame, result in enumerate(model.predict(source=str(video_of(project)), stream=True, **options)):
        if name == "ultralytics_all_cores":
            torch.set_num_threads(len(os.sched_getaffinity(0)))
        boxes = result.boxes
        found = zip(boxes.xyxy.tolist(), boxes.conf.tolist(), boxes.cls.tolist(), strict=True)
        points = result.keypoints.data.tolist() if result.keypoints is not None else []
        for instance, (corners, confidence, species) in enumerate(found):
            keypoints = points[instance] if points else []
            rows.append({"frame": frame, "box": corners, "confidence": confidence, "class": species, "keypoints": keypoints})
    path = project / "theirs.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return lambda: len(rows), *begin


def ours(name: str, project: Path, imgsz: int) -> tuple[Any, float, float]:
    import pandas as pd

    from etholoop.project import Project
    from etholoop.stages import pose_predict

    begin = time.monotonic(), cpu_seconds()
    params = pose_predict.Params.model_validate(
        {"every": 1, "backend": name, "imgsz": imgsz, "confidence": CONFIDENCE, "iou": IOU, "max_detections": LIMIT}
    )
    pose_predict.run(Project(project), params)
    return lambda: len(pd.read_parquet(project / "data/predictions/pose/detections.parquet", columns=["frame"])), *begin


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


# --- what is looked at -------------------------------------------------------------------------------------------------------------


def film(width: int, height: int, n_frames: int) -> Iterator[np.ndarray]:
    """Animals that go round on a floor with a little noise."""
    rng = np.random.default_rng(0)
    floor = cv2.resize(rng.integers(110, 170, (height // 40, width // 40, 3), np.uint8), (width, height))
    noise = [rng.integers(0, 6, (height, width, 1), np.uint8) for _ in range(4)]
    for frame in range(n_frames):
        image = floor + noise[frame % 4]
        for animal in range(N_ANIMALS):
            draw(image, *pose(animal, frame, width, height))
        yield image


def pose(animal: int, frame: int, width: int, height: int) -> tuple[np.ndarray, float, float]:
    """Centre, direction and length of an animal."""
    turn = frame / (30 + 7 * animal) + 2.1 * animal
    centre = np.array([0.5 + 0.33 * np.cos(turn), 0.5 + (0.12 + 0.1 * animal) * np.sin(turn)]) * [width, height]
    return centre, turn + np.pi / 2, height / 6


def ends(centre: np.ndarray, direction: float, length: float) -> np.ndarray:
    """Nose and tail, (2, 2)."""
    forward = np.array([np.cos(direction), np.sin(direction)]) * length / 2
    return np.stack([centre + forward, centre - forward])


def box(centre: np.ndarray, direction: float, length: float) -> np.ndarray:
    """Corners around an ellipse of this length and two fifths of it as width."""
    along, across = np.array([np.cos(direction), np.sin(direction)]), np.array([np.sin(direction), np.cos(direction)])
    half = np.hypot(length / 2 * along, length / 5 * across)
    return np.concatenate([centre - half, centre + half])


def draw(image: np.ndarray, centre: np.ndarray, direction: float, length: float) -> None:
    middle = tuple(int(value) for value in centre)
    cv2.ellipse(image, middle, (int(length / 2), int(length / 5)), np.degrees(direction), 0, 360, (45, 35, 30), -1, cv2.LINE_AA)
    nose = ends(centre, direction, length * 0.8)[0]
    cv2.circle(image, tuple(int(value) for value in nose), max(int(length / 10), 1), (240, 200, 190), -1, cv2.LINE_AA)


def trained(folder: Path, width: int = 320, height: int = 240, n_images: int = 48, epochs: int = 20) -> Path:
    """A small pose model that finds the animals of the film, from weights/yolov8n.pt in ETHOLOOP_DATA where that is, else from nothing."""
    from etholoop import runtime

    runtime.prepare()
    import yaml

    from etholoop.modeling.detectors import yolo
    from etholoop.schema.skeleton import skeleton_from
    from etholoop.stages.pose_dataset import description

    skeleton = skeleton_from(yaml.safe_load(SKELETON), "benchmark")
    data, rng = folder / "data", np.random.default_rng(1)
    for kind in ("images", "labels"):
        (data / kind / "train").mkdir(parents=True)
        (data / kind / "val").mkdir()
    for number, frame in enumerate(rng.integers(0, 5000, n_images)):
        image, text = labelled_picture(int(frame), width, height)
        cv2.imwrite(str(data / f"images/train/v_{number:08d}.png"), image[..., ::-1])
        (data / f"labels/train/v_{number:08d}.txt").write_text(text)
    (data / "data.yaml").write_text(yaml.safe_dump(description(skeleton)))
    base = Path(os.environ.get("ETHOLOOP_DATA", "nowhere")) / "data/weights/yolov8n.pt"
    settings = yolo.Params.model_validate(
        {"arch": "yolov8n-pose", "imgsz": max(width, height), "epochs": epochs, "batch": 8, "mosaic": 0.0, "scale": 0.5, "rot90": 0.5}
    )
    out = folder / "best.pt"
    print(f"training on {n_images} rendered pictures …", file=sys.stderr, flush=True)
    yolo.train(data, out, folder / "scratch", skeleton, settings, init_weights=base if base.is_file() else None, seed=0)
    return out


def labelled_picture(frame: int, width: int, height: int) -> tuple[np.ndarray, str]:
    """A picture of the film and its labels in YOLO's format."""
    from etholoop.io.yolo_pose import lines

    image = cv2.resize(np.random.default_rng(frame).integers(110, 170, (6, 8, 3), np.uint8), (width, height))
    boxes, keypoints = [], []
    for animal in range(N_ANIMALS):
        centre, direction, length = pose(animal, frame, width, height)
        draw(image, centre, direction, length)
        boxes.append(np.clip(box(centre, direction, length), 0, [width, height, width, height]))
        keypoints.append(np.concatenate([ends(centre, direction, length), np.full((2, 1), 2.0)], axis=1))
    return image, "".join(f"{line}\n" for line in lines(np.array(boxes), [0] * N_ANIMALS, np.array(keypoints), width, height))


def video_of(project: Path) -> Path:
    return project / "data/raw/videos/film.mp4"


def make_project(root: Path, weights: Path, frames: Iterator[np.ndarray]) -> None:
    """A project with one video and a model, as the stages before pose_predict would leave it."""
    from etholoop import runtime

    runtime.prepare()
    from etholoop.io import tables
    from etholoop.io.video import write_video
    from etholoop.project import Project
    from etholoop.schema.annotations import LabelledFrames
    from etholoop.schema.splits import Splits
    from etholoop.stages import frames as sampling
    from etholoop.stages import manifest, normalise

    project = Project(root)
    write_video(video_of(root), frames, Fraction(25), crf=23)
    (root / "dvc.yaml").write_text("stages: {}\n")
    project.skeleton.parent.mkdir(parents=True)
    project.skeleton.write_text(skeleton_text(weights))
    for folder, status in ((project.pose_model, {"trained": True, "detector": "yolo"}), (project.refiner_model, {"trained": False})):
        folder.mkdir(parents=True)
        (folder / "status.json").write_text(json.dumps(status))
    shutil.copy(weights, project.pose_model / "best.pt")
    manifest.run(project, manifest.Params())
    normalise.run(project, normalise.Params())
    tables.write(tables.empty(LabelledFrames), LabelledFrames, project.annotations / "labelled_frames.parquet")
    row = {"video_id": "film", "group": "film", "start_frame": 0, "stop_frame": 1_000_000, "split": "train", "mode": "fixed"}
    tables.write(tables.from_rows([row], Splits), Splits, project.splits)
    sampling.run(project, sampling.Params.model_validate({"per_video": 60}))


def skeleton_text(weights: Path) -> str:
    """What these weights find, as a skeleton."""
    import yaml

    from etholoop.modeling.detectors._yolo_predict import Predictor

    model = Predictor.load(weights)
    names = [f"k{number}" for number in range(model.n_keypoints)]
    return yaml.safe_dump({"name": "blob", "species": list(model.species), "keypoints": names, "animals": N_ANIMALS}, sort_keys=False)


# --- precision ---------------------------------------------------------------------------------------------------------------------


def precision(source: Path, copy: Path) -> None:
    """Predict a finished project anew with each backend and evaluate."""
    from etholoop import runtime

    runtime.prepare()
    from etholoop.params import load
    from etholoop.project import Project
    from etholoop.stages import evaluate, pose_predict

    shutil.copytree(source, copy, ignore=shutil.ignore_patterns(".memo", ".git", "mlruns", "mlflow.db"), symlinks=False)
    project = Project(copy)
    params = load(project.params, "pose_predict", pose_predict.Params)
    print(f"\n{source.name}\n| backend | {' | '.join(FIGURES)} |\n|---|{'---|' * len(FIGURES)}")
    found: dict[str, dict[str, float]] = {}
    for backend in ("torch", "openvino", "openvino_int8"):
        pose_predict.run(project, params.model_copy(update={"backend": backend}))
        evaluate.run(project, load(project.params, "evaluate", evaluate.Params))
        figures = json.loads((project.metrics / "evaluate.json").read_text())
        found[backend] = {name: figures["test"][name] for name in FIGURES}
        print(f"| {backend} | {' | '.join(f'{value:.4f}' for value in found[backend].values())} |", flush=True)
    lost = {name: found["torch"][name] - found["openvino_int8"][name] for name in ("box_ap", "oks_ap")}
    print("8 bits lose " + ", ".join(f"{100 * value:.2f} points of {name}" for name, value in lost.items()) + " (bar: 1)")


if __name__ == "__main__":
    main()
