"""How exact are keypoints on the open-field mouse of DeepLabCut's examples (116 labelled frames, one mouse, four keypoints)?

Each round makes a project, imports the labels, and runs the project's own stages: detector, then refiner. Two kinds of split:

* random: 23 of 116 frames judge, as in the published figures (2.0-3.1 px with a ResNet-50). Frames of one video are neighbours, so
  this says how well the labels can be repeated, not how well the model does on other recordings.
* block: one fifth of the recording in a row judges, three frames on each side of it are left out.

Nothing is chosen by the judging frames: there are no validation frames, and the last weights count.

With ``--video FOLDER`` the model of the first round also predicts every frame of the recording without labels, of another mouse, and
draws it into FOLDER. There is nothing to compare it with but one's eyes.

    ETHOLOOP_DATA=/data python benchmarks/openfield_pose.py --random 0 1 2 --block 0 2 4 --append benchmarks/RESULTS.md
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

PREPARE = ("manifest", "normalise", "split", "frames", "annotations", "pose_dataset")
N_TEST, N_BLOCKS, GAP = 23, 5, 3
PCK_PX = 5.0
SURE = 0.25

PRESET = yaml.safe_load((Path(__file__).parents[1] / "label_studio/presets/openfield/params.yaml").read_text(encoding="utf-8"))
DETECTOR: dict[str, Any] = PRESET["pose_train"]["settings"]
REFINER: dict[str, Any] = PRESET["refine_train"]["settings"]

COLUMNS = (
    "split",
    "train / test",
    "model",
    "missed",
    "RMSE px",
    "median px",
    f"PCK@{PCK_PX:g}px",
    "RMSE of each keypoint",
    "CPU min",
    "wall min",
)


@dataclass(frozen=True)
class Round:
    """One split: ``kind`` random or block, ``number`` the seed or the block."""

    kind: str
    number: int

    def split_of(self, frames: list[int]) -> dict[int, str]:
        n = len(frames)
        if self.kind == "random":
            test = set(np.random.default_rng(self.number).permutation(n)[:N_TEST].tolist())
            return {frame: "test" if place in test else "train" for place, frame in enumerate(frames)}
        start, stop = round(self.number * n / N_BLOCKS), round((self.number + 1) * n / N_BLOCKS)
        near = range(start - GAP, stop + GAP)
        return {frame: "test" if start <= place < stop else "gap" if place in near else "train" for place, frame in enumerate(frames)}


@dataclass
class Clock:
    """Processor and wall time of the commands run so far."""

    cpu_s: float = 0.0
    wall_s: float = 0.0

    def run(self, project: Path, *arguments: str) -> None:
        before, start = _children_s(), time.monotonic()
        subprocess.run([sys.executable, "-m", "etholoop", *arguments], cwd=project, check=True)
        self.cpu_s += _children_s() - before
        self.wall_s += time.monotonic() - start


def main() -> None:
    options = read_options()
    rounds = [Round("random", seed) for seed in options.random] + [Round("block", block) for block in options.block]
    rows = []
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        for number, one in enumerate(rounds):
            for row in judge(Path(folder) / f"{number}", one, options):
                rows.append(row)
                print(line(row), flush=True)
            if options.video and number == 0:
                draw_video(Path(folder) / "0", options)
    text = "\n".join(
        [f"## Open-field mouse, {os.cpu_count()} cores", "", line(COLUMNS), line(["---"] * len(COLUMNS)), *map(line, rows), ""]
    )
    print(text)
    if options.append:
        with options.append.open("a", encoding="utf-8") as file:
            file.write(f"\n{text}")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--random", type=int, nargs="*", default=[0, 1, 2], help="seeds of random splits")
    parser.add_argument("--block", type=int, nargs="*", default=[0, 2, 4], choices=range(N_BLOCKS), help="blocks that judge")
    parser.add_argument("--detector", type=json.loads, default=DETECTOR, help="settings of pose_train as JSON")
    parser.add_argument("--refiner", type=json.loads, default=REFINER, help="settings of refine_train as JSON")
    parser.add_argument("--scratch", action="store_true", help="start from random weights instead of weights/yolov8n.pt")
    parser.add_argument("--work", type=Path, help="folder for the projects, removed at the end")
    parser.add_argument("--video", type=Path, help="folder for the drawn recording without labels")
    parser.add_argument("--every", type=int, default=1, help="of that recording, look at every so many frames")
    parser.add_argument("--append", type=Path, help="file that the table is added to")
    options = parser.parse_args()
    if "ETHOLOOP_DATA" not in os.environ:
        parser.error("ETHOLOOP_DATA is not set; docs/datasets.md says where the data come from")
    options.data = Path(os.environ["ETHOLOOP_DATA"]).resolve() / "data"
    return options


def judge(root: Path, one: Round, options: argparse.Namespace) -> Iterator[list[str]]:
    """Rows of the table: the detector alone, and with the refiner."""
    split_of = make_project(root, one, options)
    n_train, n_test = (sum(split == name for split in split_of.values()) for name in ("train", "test"))
    clock = Clock()
    clock.run(root, "stage", "pose_train")
    for name, settings in (("identity", {}), ("heatmap", options.refiner)):
        change_params(root, {"refine_train": {**_start(options), "refiner": name, "settings": settings}})
        clock.run(root, "stage", "refine_train")
        Clock().run(root, "stage", "pose_predict")
        model = "detector" if name == "identity" else "detector + refiner"
        times = [f"{clock.cpu_s / 60:.1f}", f"{clock.wall_s / 60:.1f}"]
        yield [f"{one.kind} {one.number}", f"{n_train} / {n_test}", model, *figures(root, split_of), *times]


def make_project(root: Path, one: Round, options: argparse.Namespace) -> dict[int, str]:
    """A project ready for training; gives the split of each frame."""
    clock = Clock()
    clock.run(Path.cwd(), "init", str(root))
    clock.run(root, "labels", "import", "dlc", str(options.data / "dlc_openfield_mouse"), "--write-skeleton")
    shutil.copyfile(options.data / "weights/yolov8n.pt", root / "models/init/yolov8n.pt")
    change_params(root, {"split": {"mode": "fixed"}, "pose_train": {**_start(options), "settings": options.detector}})
    clock.run(root, "stage", "manifest")
    images = pd.read_parquet(root / "data/manifest/images.parquet")
    split_of = one.split_of(sorted(images["frame"]))
    rows = [(images["video_id"].iloc[0], frame, frame + 1, split) for frame, split in split_of.items()]
    listed = pd.DataFrame(rows, columns=["video_id", "start_frame", "stop_frame", "split"])
    listed.to_csv(root / "data/raw/splits.csv", index=False)
    for stage in PREPARE[1:]:
        clock.run(root, "stage", stage)
    return split_of


def draw_video(root: Path, options: argparse.Namespace) -> None:
    """Predict the recording without labels and draw it."""
    clock = Clock()
    video = next((options.data / "dlc_openfield_mouse/videos").glob("*.mp4"))
    clock.run(root, "videos", "add", str(video))
    images = pd.read_parquet(root / "data/manifest/images.parquet")
    clock.run(root, "stage", "manifest")
    videos = pd.read_parquet(root / "data/manifest/videos.parquet").set_index("video_id")["n_frames"]
    (video_id,) = set(videos.index) - set(images["video_id"])
    with (root / "data/raw/splits.csv").open("a", encoding="utf-8") as file:
        file.write(f"{video_id},0,{videos[video_id]},gap\n")  # neither trains nor judges
    change_params(root, {"pose_predict": {"every": options.every}, "frames": {"per_video": len(images) + 10}})
    for stage in ("normalise", "split", "frames", "pose_predict"):
        clock.run(root, "stage", stage)
    clock.run(root, "predictions", "draw", video_id, "--out", str(options.video.resolve()))
    found = pd.read_parquet(root / "data/predictions/pose/detections.parquet")
    sure = found[(found["video_id"] == video_id) & (found["confidence"] >= SURE)].groupby("frame").size()
    frames = pd.read_parquet(root / "data/predictions/pose/frames.parquet")["video_id"].eq(video_id).sum()
    print(f"\nRecording without labels: one mouse above {SURE} in {(sure == 1).sum()} of {frames} frames, {clock.wall_s / 60:.1f} min.")


def change_params(root: Path, sections: dict[str, dict[str, Any]]) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    for name, section in sections.items():
        content[name] = {**(content.get(name) or {}), **section}
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def figures(root: Path, split_of: dict[int, str]) -> list[str]:
    """Missed mice, and errors of the most probable animal of each test frame against the label."""
    keys = ["video_id", "frame", "keypoint"]
    truth = pd.read_parquet(root / "data/annotations/keypoints.parquet")
    truth = truth[truth["frame"].map(split_of).eq("test") & truth["visibility"].gt(0)]
    found = pd.read_parquet(root / "data/predictions/pose/keypoints.parquet")
    both = truth.merge(found[found["instance"] == 0], on=keys, how="left", suffixes=("", "_found"))
    both["error"] = np.hypot(both["x"] - both["x_found"], both["y"] - both["y_found"])
    missed = both.loc[both["error"].isna(), "frame"].nunique()
    each = ", ".join(f"{name} {rms(errors):.2f}" for name, errors in both.groupby("keypoint")["error"])
    pck = (both["error"] <= PCK_PX).mean()  # a missed keypoint is none within reach
    return [str(missed), f"{rms(both['error']):.2f}", f"{both['error'].median():.2f}", f"{pck:.1%}", each]


def rms(errors: pd.Series) -> float:
    return float(np.sqrt((errors**2).mean()))


def line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _start(options: argparse.Namespace) -> dict[str, Any]:
    return {"init": "scratch", "weights": None} if options.scratch else {"init": "base", "weights": "yolov8n.pt"}


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
