"""Do behaviour models learn from real videos? Two public sets of B-SOiD, both labelled by a machine (docs/datasets.md).

* clips: 33 clips, 11 behaviours x 3. Groups were found by B-SOiD without labels and named by people. The number in the file name is
  held out (leave one out over 3); coat colours show that it is not always the same animal. A clip is right when the mean score over
  its frames is highest for its behaviour. Chance 1/11, bar .45.
* continuous: one recording of 1801 frames, every frame labelled by B-SOiD on a grid of 6 frames; plus and minus of a behaviour are
  merged, which leaves 9. The recording is cut into 12 blocks; in each of 4 rounds every fourth one judges, with a gap on both sides of
  it that nothing uses. Balanced accuracy over all 9 behaviours of all rounds together; bar: twice the better of the most frequent
  training behaviour and of logistic regression on frame differences around the animal. Two of the nine are one bout of 6 frames:
  nobody can learn them.

The project's own stages do the work: behaviour_dataset, behaviour_train, behaviour_predict, on tracks and mini-scenes. Boxes come from
a background difference, for there is no pose model of these animals. The settings below apply to all rounds. There are no validation
frames, the last weights count. x3d: how strongly clips are changed was chosen by whether the training loss of the first round falls at all
(with exchanged colours and turns by 45 degrees it does not in so few steps), nothing by frames that judge. motion: the family's defaults;
it chooses how strongly its classifier is held back by cross-validation inside the training frames.

    ETHOLOOP_DATA=/data python benchmarks/behaviour_real.py --family motion x3d --append benchmarks/RESULTS.md
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from etholoop import runtime

runtime.prepare()

from etholoop.core.behaviour_labels import runs  # noqa: E402 - the runtime comes first
from etholoop.core.miniscene import windows  # noqa: E402
from etholoop.io import tables  # noqa: E402
from etholoop.io.video import VideoReader  # noqa: E402
from etholoop.project import Project  # noqa: E402
from etholoop.schema.annotations import Bouts, Boxes, LookedAt  # noqa: E402
from etholoop.schema.miniscenes import MiniScenes  # noqa: E402
from etholoop.schema.normalised import Normalised  # noqa: E402
from etholoop.schema.splits import Splits  # noqa: E402
from etholoop.schema.tracks import TrackNames, Tracks  # noqa: E402
from etholoop.schema.videos import Videos  # noqa: E402
from etholoop.stages import behaviour_dataset, behaviour_predict, behaviour_train, manifest  # noqa: E402

NETWORK = {"size": "xs", "n_frames": 6, "crop_px": 80, "width_factor": 1.0, "depth_factor": 1.0, "dim_c5": 256, "dropout": 0.3}
TRAINING = {"epochs": 10, "epoch_steps": 30, "batch": 8, "lr": 0.005, "balance": 1.0, "patience": None, "threads": 1}
# left and right are different behaviours, so nothing is mirrored; seen from below there is no up
LOOKS = {"flip": 0.0, "flipud": 0.0, "rot90": 0.75, "degrees": 10.0, "zoom": 0.1, "shift": 0.05, "light": 0.4, "speed": 0.1, "fit": "crop"}
SETTINGS: dict[str, dict[str, Any]] = {"x3d": {**NETWORK, **TRAINING, **LOOKS}, "motion": {}}

CLIPS: dict[str, Any] = {"every": {"x3d": 2, "motion": 1}, "scene": (120, 120)}
"""15 frames a second: a clip covers .8 s (x3d) or 1 s (motion); a mouse is 60 px long."""

CONTINUOUS: dict[str, Any] = {"every": {"x3d": 4, "motion": 3}, "scene": (240, 240)}
"""60 frames a second: .4 s or .75 s; bouts last .25 s on average. A mouse is 130 px long."""

N_BLOCKS, N_ROUNDS, GAP = 12, 4, 30
CORNERS = ["x_min", "y_min", "x_max", "y_max"]


@dataclass
class Clock:
    """Processor and wall time since it was made."""

    cpu_s: float = field(default_factory=time.process_time)
    wall_s: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        return (
            f"{(time.process_time() - self.cpu_s) / 60:.1f} min of processor, {(time.monotonic() - self.wall_s) / 60:.1f} min of wall time"
        )


def main() -> None:
    options = read_options()
    text: list[str] = []
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        for name, judge in (("clips", judge_clips), ("continuous", judge_continuous)):
            if name in options.only:
                clock = Clock()
                text += judge(Path(folder) / name, options)
                text.append(f"Training, prediction and all else: {clock}.")
                print("\n".join(text), flush=True)
    if options.append:
        with options.append.open("a", encoding="utf-8") as file:
            file.write("\n" + "\n".join(["## Behaviour from real videos (B-SOiD, machine-named labels)", "", *text, ""]))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=["clips", "continuous"], choices=["clips", "continuous"])
    parser.add_argument("--family", nargs="+", default=["motion"], choices=sorted(SETTINGS), help="families to judge")
    parser.add_argument("--settings", type=json.loads, default={}, help="changes by family, as JSON; say so where you report")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="folder for the projects, removed at the end")
    parser.add_argument("--append", type=Path, help="file that the text is added to")
    options = parser.parse_args()
    if "ETHOLOOP_DATA" not in os.environ:
        parser.error("ETHOLOOP_DATA is not set; docs/datasets.md says where the data come from")
    options.data = Path(os.environ["ETHOLOOP_DATA"]).resolve() / "data"
    return options


# --- clips -------------------------------------------------------------------------------------------------------------------------


def judge_clips(root: Path, options: argparse.Namespace) -> list[str]:
    folder = options.data / "bsoid_mouse_clips"
    labels = pd.read_csv(folder / "labels.csv")
    labels["video_id"] = labels["file"].str.replace(".mp4", "").str.lower()
    labels["number"] = labels["video_id"].str[-1]
    project = make_project(root, [folder / name for name in labels["file"]], sorted(labels["behaviour"].unique()))
    follow(project, CLIPS["scene"])
    videos = tables.read(project.manifest / "videos.parquet", Videos).set_index("video_id")
    bouts = {row.video_id: [(0, int(videos.loc[row.video_id, "n_frames"]), row.behaviour)] for row in labels.itertuples()}
    write_labels(project, bouts)
    said: dict[str, dict[str, str]] = {family: {} for family in options.family}
    for number in sorted(labels["number"].unique()):
        split = {row.video_id: "test" if row.number == number else "train" for row in labels.itertuples()}
        write_splits(project, [(video_id, 0, int(videos.loc[video_id, "n_frames"]), name) for video_id, name in split.items()])
        for family, scores in train_and_predict(project, options, CLIPS["every"], stride=3).items():
            columns = [name for name in scores.columns if name.startswith("p_")]
            means = scores.astype(dict.fromkeys(columns, float)).groupby("video_id")[columns].mean()
            said[family] |= {video_id: means.loc[video_id].idxmax()[2:] for video_id, name in split.items() if name == "test"}
            right = sum(said[family][row.video_id] == row.behaviour for row in labels.itertuples() if row.number == number)
            print(f"held out {number}, {family}: {right} of {(labels['number'] == number).sum()} clips", flush=True)
    return [clips_line(family, labels.assign(said=labels["video_id"].map(own))) for family, own in said.items()]


def clips_line(family: str, labels: pd.DataFrame) -> str:
    """The figure of one family and its errors."""
    right = (labels["said"] == labels["behaviour"]).sum()
    low, high = wilson(right, len(labels))
    wrong = ", ".join(f"{row.video_id} as {row.said}" for row in labels[labels["said"] != labels["behaviour"]].itertuples())
    return (
        f"Clips, leave one number out, {family}: {right} of {len(labels)} right, accuracy {right / len(labels):.3f} "
        f"(95 % interval {low:.2f}-{high:.2f}, chance .091, bar .45). Wrong: {wrong or 'none'}."
    )


def wilson(k: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Interval of a share (Wilson 1927)."""
    middle, half = (k + z * z / 2) / (n + z * z), z * np.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
    return middle - half, middle + half


# --- continuous --------------------------------------------------------------------------------------------------------------------


def judge_continuous(root: Path, options: argparse.Namespace) -> list[str]:
    folder = options.data / "bsoid_mouse_continuous"
    table = pd.read_csv(folder / "derived_labels_per_frame.csv").sort_values("frame")
    names = table["behaviour"].str.replace(r"_(?:plus|minus)$", "", regex=True).to_numpy()
    behaviours = sorted(set(names))
    codes = np.array([behaviours.index(name) for name in names])
    project = make_project(root, sorted(folder.glob("*.mp4")), behaviours)
    (video_id,) = tables.read(project.manifest / "videos.parquet", Videos)["video_id"]
    follow(project, CONTINUOUS["scene"])
    edges = np.r_[0, np.flatnonzero(np.diff(codes)) + 1, len(codes)]
    write_labels(project, {video_id: [(int(a), int(b), names[a]) for a, b in pairwise(edges)]})
    motion = frame_differences(project, video_id)
    said = {method: np.full(len(codes), -1) for method in (*options.family, "most frequent", "frame differences")}
    judged = np.zeros(len(codes), bool)
    for number in range(N_ROUNDS):
        split = block_split(len(codes), number)
        write_splits(project, [(video_id, a, b, split[a]) for a, b in same_runs(split)])
        train, test = split == "train", split == "test"
        judged |= test
        columns = [f"p_{name}" for name in behaviours]
        for family, scores in train_and_predict(project, options, CONTINUOUS["every"], stride=1).items():
            said[family][test] = scores.set_index("frame").loc[np.flatnonzero(test), columns].to_numpy(float).argmax(axis=1)
        said["most frequent"][test] = np.bincount(codes[train]).argmax()
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
        said["frame differences"][test] = model.fit(motion[train], codes[train]).predict(motion[test])
        print(f"round {number}: balanced { ({m: round(balanced(codes[test], s[test]), 3) for m, s in said.items()}) }", flush=True)
    truth = codes[judged]
    lines = [f"Continuous, {judged.sum()} of {len(codes)} frames judged in {N_ROUNDS} rounds."]
    better = max(balanced(truth, said[method][judged]) for method in ("most frequent", "frame differences"))
    for method, own in said.items():
        accuracy, plain = balanced(truth, own[judged]), float((truth == own[judged]).mean())
        found = [f"{name} {np.mean(own[judged][truth == k] == k):.2f} of {(truth == k).sum()}" for k, name in enumerate(behaviours)]
        lines.append(
            f"{method}: balanced accuracy {accuracy:.3f}, {accuracy / better:.2f} times the better simple method (bar 2), plain accuracy "
            f"{plain:.3f}. Found of each: {', '.join(found)}."
        )
    return lines


def block_split(n: int, number: int) -> np.ndarray:
    """Split of each frame: every fourth block judges, frames near it are left out."""
    block = np.arange(n) * N_BLOCKS // n
    test = block % N_ROUNDS == number
    near = np.convolve(test, np.ones(2 * GAP + 1), "same") > 0
    return np.where(test, "test", np.where(near, "gap", "train"))


def same_runs(split: np.ndarray) -> list[tuple[int, int]]:
    edges = np.r_[0, np.flatnonzero(split[1:] != split[:-1]) + 1, len(split)]
    return [(int(a), int(b)) for a, b in pairwise(edges)]


def balanced(truth: np.ndarray, said: np.ndarray) -> float:
    """Mean over the behaviours that occur of the share that was found."""
    return float(np.mean([np.mean(said[truth == k] == k) for k in np.unique(truth)]))


def frame_differences(project: Project, video_id: str) -> np.ndarray:
    """How much changes in the window from frame to frame: mean, 90th percentile and moved share, over three lengths of time."""
    scenes = tables.read(project / "data/miniscenes/miniscenes.parquet", MiniScenes).set_index("frame")[CORNERS]
    rows, before = [], None
    with VideoReader(project.raw_videos / f"{video_id}.mp4") as reader:
        for frame, image in reader:
            grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
            x0, y0, x1, y1 = np.clip(scenes.loc[frame].to_numpy(), 0, 10**6).astype(int)
            change = np.abs(grey[y0:y1, x0:x1] - (grey if before is None else before)[y0:y1, x0:x1])
            rows.append([change.mean(), np.percentile(change, 90), (change > 10).mean()])
            before = grey
    plain = pd.DataFrame(rows)
    return np.hstack([plain.rolling(n, center=True, min_periods=1).mean().to_numpy() for n in (3, 13, 31)])


# --- projects ----------------------------------------------------------------------------------------------------------------------


def make_project(root: Path, files: Iterable[Path], behaviours: list[str]) -> Project:
    project = Project(root)
    project.raw_videos.mkdir(parents=True)
    project.raw_images.mkdir()
    project.init_weights.mkdir(parents=True)
    for file in files:
        shutil.copyfile(file, project.raw_videos / file.name.lower())
    project.metadata.write_text("path,session,subject,camera,start_time\n")
    manifest.run(project, manifest.Params())
    project.ethogram.parent.mkdir(parents=True)
    lines = [f"  - {{name: {name}, definition: as named by B-SOiD, exclusive_group: activity}}" for name in behaviours]
    project.ethogram.write_text("\n".join(["name: bsoid", "behaviours:", *lines, ""]))
    rows = [
        {"video_id": row.video_id, "path": "", "sha256": "", "n_frames": row.n_frames, "width": row.width, "height": row.height}
        | {"fps_num": 0, "fps_den": 1, "a": 1.0, "b": 0.0, "c": 0.0, "d": 0.0, "e": 1.0, "f": 0.0}
        for row in tables.read(project.manifest / "videos.parquet", Videos).itertuples()
    ]
    tables.write(tables.from_rows(rows, Normalised), Normalised, project.normalised / "normalised.parquet")
    return project


def write_labels(project: Project, bouts: dict[str, list[tuple[int, int, str]]]) -> None:
    rows, seen = [], []
    for video_id, own in sorted(bouts.items()):
        for start, stop, behaviour in own:
            place = {"video_id": video_id, "subject": "", "behaviour": behaviour, "start_frame": start, "stop_frame": stop}
            rows.append({**place, "confidence": np.nan, "source": "bsoid"})
        seen.append({"video_id": video_id, "subject": "", "start_frame": 0, "stop_frame": own[-1][1], "source": "bsoid"})
    tables.write(tables.from_rows(rows, Bouts), Bouts, project.annotations / "bouts.parquet")
    tables.write(tables.from_rows(seen, LookedAt), LookedAt, project.annotations / "looked_at.parquet")
    tables.write(tables.empty(Boxes), Boxes, project.annotations / "boxes.parquet")


def write_splits(project: Project, parts: list[tuple[str, int, int, str]]) -> None:
    rows = [
        {"video_id": video_id, "group": video_id, "start_frame": a, "stop_frame": b, "split": split, "mode": "fixed"}
        for video_id, a, b, split in parts
    ]
    table = tables.from_rows(rows, Splits).sort_values(["video_id", "start_frame"])
    tables.write(tables.typed(table, Splits), Splits, project.splits)


def train_and_predict(project: Project, options: argparse.Namespace, every: dict[str, int], stride: int) -> dict[str, pd.DataFrame]:
    """Scores of the whole project by models of its train split."""
    behaviour_dataset.run(project, behaviour_dataset.Params())
    settings = {name: {**SETTINGS[name], "every": every[name], **options.settings.get(name, {})} for name in options.family}
    behaviour_train.run(project, behaviour_train.Params(families=tuple(options.family), seed=options.seed, settings=settings))
    behaviour_predict.run(project, behaviour_predict.Params(stride=stride))
    return {family: pd.read_parquet(project / f"data/scores/{family}/scores.parquet") for family in options.family}


def follow(project: Project, scene: tuple[int, int]) -> None:
    """Tracks and mini-scenes of the one animal of each video, by the difference to the background of the videos that look most alike."""
    videos = [row.video_id for row in tables.read(project.manifest / "videos.parquet", Videos).itertuples()]
    samples = {video_id: sample(project, video_id, 3 if len(videos) > 1 else 25) for video_id in videos}
    rows, names = [], []
    for video_id in videos:
        found = boxes_of(project, video_id, background(video_id, samples))
        for frame, box in enumerate(found):
            row = {"video_id": video_id, "track": 0, "frame": frame, **dict(zip(CORNERS, map(float, box), strict=True)), "species": "mouse"}
            rows.append({**row, "confidence": 1.0, "state": "detected", "instance": 0})
        name = {"video_id": video_id, "track": 0, "name": None, "species": "mouse", "start_frame": 0, "stop_frame": len(found)}
        names.append({**name, "n_detected": len(found), "n_interpolated": 0})
        assert len(runs(np.arange(len(found)))) == 1
    table = tables.from_rows(rows, Tracks)
    tables.write(table, Tracks, project / "data/tracks/tracks.parquet")
    tables.write(tables.from_rows(names, TrackNames), TrackNames, project / "data/tracks/names.parquet")
    scenes = table[["video_id", "track", "frame", *CORNERS]].copy()
    scenes[CORNERS] = windows(table[CORNERS].to_numpy(), scene, 10)
    tables.write(tables.typed(scenes, MiniScenes), MiniScenes, project / "data/miniscenes/miniscenes.parquet")


def sample(project: Project, video_id: str, n: int) -> np.ndarray:
    with VideoReader(project.raw_videos / f"{video_id}.mp4") as reader:
        return np.stack([image for _, image in reader.read(np.linspace(0, len(reader) - 1, n).astype(int))])


def background(video_id: str, samples: dict[str, np.ndarray], n_alike: int = 9) -> np.ndarray:
    """Median picture of the nine videos whose pictures differ least (of the video itself, if it is the only one)."""
    own = samples[video_id][0].astype(float)
    order = sorted(samples, key=lambda other: float(np.median(np.abs(samples[other][0] - own))))
    return np.asarray(np.median(np.concatenate([samples[other] for other in order[:n_alike]]), axis=0))


def boxes_of(project: Project, video_id: str, empty: np.ndarray) -> np.ndarray:
    """Box (n, 4) in each frame: the blob that is darkest against the background, its centre smoothed; the last one where there is none."""
    found: list[np.ndarray] = []
    step = max(1, empty.shape[1] // 450)  # large pictures are looked at coarsely
    empty = empty[::step, ::step].astype(np.float32)
    with VideoReader(project.raw_videos / f"{video_id}.mp4") as reader:
        for _, whole in reader:
            image = whole[::step, ::step]
            darker = np.clip(empty.mean(axis=2) - image.mean(axis=2), 0, None)
            mask = ((darker > 15) & (np.abs(image - empty).max(axis=2) > 35)).astype(np.uint8)
            mask = cv2.morphologyEx(
                cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)
            )
            n, areas, stats, _ = cv2.connectedComponentsWithStats(mask)
            # by how much of the light is gone: the edge of a bright wall is darkened less than fur
            gone = (darker / np.maximum(empty.mean(axis=2), 1)) ** 2
            weight = np.bincount(areas.ravel(), gone.ravel(), minlength=n)[1:]
            if not len(weight):
                found.append(found[-1] if found else np.array([0.0, 0.0, whole.shape[1], whole.shape[0]]))
                continue
            x, y, w, h = step * stats[1 + int(weight.argmax()), :4].astype(float)
            found.append(np.array([x, y, x + w, y + h]))
    return pd.DataFrame(np.stack(found)).rolling(5, center=True, min_periods=1).median().to_numpy()


if __name__ == "__main__":
    main()
