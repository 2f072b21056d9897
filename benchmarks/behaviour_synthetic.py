"""Are the scripted behaviours of synthetic mice recognised in sessions that no training saw? Bar: macro-F1 of frames .85.

Sessions of the demo's world, three mice each, with other arenas, coats and cameras in each session. The project's stages
behaviour_dataset, behaviour_train, behaviour_predict, bouts and behaviour_evaluate do the work. Tracks are true, boxes are a little
wrong, as a detector's are: this judges behaviour models and not tracking. Everything is made up and says so.

    python benchmarks/behaviour_synthetic.py --family motion x3d --append benchmarks/RESULTS.md
"""

import argparse
import json
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from behaviour_real import CORNERS, Clock, make_project, write_splits

from etholoop.core.miniscene import windows
from etholoop.io import tables
from etholoop.io.video import write_video
from etholoop.project import Project
from etholoop.schema.annotations import Bouts, Boxes, LookedAt
from etholoop.schema.miniscenes import MiniScenes
from etholoop.schema.tracks import TrackNames, Tracks
from etholoop.simulation import truth
from etholoop.simulation.render import render
from etholoop.simulation.scene import Scene, make_scene
from etholoop.simulation.words import ethogram_yaml
from etholoop.stages import behaviour_dataset, behaviour_evaluate, behaviour_predict, behaviour_train, bouts

SCENE = (96, 96)
"""Mini-scene in pixels; a mouse is about 50 px long."""

BOX_ERROR_PX = 1.0

X3D: dict[str, Any] = {
    **{"size": "xs", "n_frames": 6, "every": 3, "crop_px": 80, "width_factor": 1.0, "depth_factor": 1.0, "dim_c5": 256, "dropout": 0.3},
    **{"epochs": 20, "epoch_steps": 40, "batch": 8, "lr": 0.003, "balance": 0.8, "patience": 6, "threads": 1},
    # from above, and no behaviour has a side
    **{"flip": 0.5, "flipud": 0.5, "rot90": 0.75, "degrees": 45.0, "recolour": 0.3, "fit": "crop"},
}
SETTINGS: dict[str, dict[str, Any]] = {"x3d": X3D, "motion": {"every": 2}}


def main() -> None:
    options = read_options()
    clock = Clock()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        project = world(Path(folder) / "project", options)
        trained = Clock()
        settings = {name: {**SETTINGS[name], **options.settings.get(name, {})} for name in options.family}
        behaviour_dataset.run(project, behaviour_dataset.Params())
        behaviour_train.run(project, behaviour_train.Params(families=tuple(options.family), settings=settings))
        text = [f"Training: {trained}."]
        predicted = Clock()
        behaviour_predict.run(project, behaviour_predict.Params(stride=options.stride))
        n_scores = len(pd.read_parquet(project / f"data/scores/{options.family[0]}/scores.parquet"))
        text.append(f"Prediction of {n_scores} clips: {predicted}.")
        for preset in ("kabr", "deepethogram", "etholoop"):
            bouts.run(project, bouts.Params(preset=preset))
            behaviour_evaluate.run(project, behaviour_evaluate.Params(n_bootstrap=500))
            found = json.loads((project / "metrics/behaviour.json").read_text(encoding="utf-8"))["families"]
            text += [line(f"{family}, {preset}", found[family]["test"]) for family in options.family]
    text.append(f"All: {clock}.")
    print("\n".join(text))
    if options.append:
        with options.append.open("a", encoding="utf-8") as file:
            file.write("\n" + "\n".join(["## Scripted behaviours of synthetic mice", "", *text, ""]))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=6, help="sessions to learn from")
    parser.add_argument("--val", type=int, default=2, help="sessions to choose the epoch and to fit thresholds")
    parser.add_argument("--test", type=int, default=2, help="sessions to judge")
    parser.add_argument("--frames", type=int, default=750, help="frames of each session, 25 a second")
    parser.add_argument("--stride", type=int, default=3)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--family", nargs="+", default=["motion"], choices=sorted(SETTINGS), help="families to judge")
    parser.add_argument("--settings", type=json.loads, default={}, help="changes by family, as JSON")
    parser.add_argument("--work", type=Path, help="folder for the project, removed at the end")
    parser.add_argument("--append", type=Path, help="file that the text is added to")
    return parser.parse_args()


def line(preset: str, found: dict[str, Any]) -> str:
    """Figures of one way to make bouts."""
    low, high = found["ci"]["f1_macro"]
    each = ", ".join(f"{name} {row['f1']:.2f}" for name, row in sorted(found["behaviours"].items()))
    return (
        f"{preset}: macro-F1 {found['f1_macro']:.3f} (95 % {low or 0:.2f}-{high or 0:.2f} over {found['n_videos']} sessions, bar .85), "
        f"accuracy micro {found['accuracy_micro']:.3f}, macro {found['accuracy_macro']:.3f}, bout F1 {found['bout_f1_macro']:.3f}; "
        f"F1 of each: {each}."
    )


def world(root: Path, options: argparse.Namespace) -> Project:
    """A project with rendered sessions, true labels and true tracks."""
    names = [f"{split}{number}" for split in ("train", "val", "test") for number in range(getattr(options, split))]
    scenes = {name: make_scene(name, seed=options.seed, n_frames=options.frames) for name in names}
    files = []
    for name, scene in scenes.items():
        start = time.monotonic()
        files.append(root.parent / f"{name}.mp4")
        write_video(files[-1], (render(scene, frame) for frame in range(scene.n_frames)), Fraction(scene.fps))
        print(f"rendered {name} in {time.monotonic() - start:.0f} s", flush=True)
    project = make_project(root, files, ["replaced"])
    project.ethogram.write_text(ethogram_yaml(), encoding="utf-8")
    write_truth(project, scenes)
    write_splits(project, [(name, 0, options.frames, name.rstrip("0123456789")) for name in names])
    return project


def write_truth(project: Project, scenes: dict[str, Scene]) -> None:
    """Labels, tracks and mini-scenes."""
    marked = pd.concat([truth.bouts(scene, name) for name, scene in scenes.items()], ignore_index=True)
    tables.write(tables.typed(marked, Bouts), Bouts, project.annotations / "bouts.parquet")
    seen, rows, names = [], [], []
    for name, scene in sorted(scenes.items()):
        rng = np.random.default_rng([scene.seed, *name.encode()])
        for animal, subject in enumerate(scene.identities):
            seen.append({"video_id": name, "subject": subject, "start_frame": 0, "stop_frame": scene.n_frames, "source": "synthetic"})
            own = {"video_id": name, "track": animal, "name": subject, "species": "mouse", "start_frame": 0, "stop_frame": scene.n_frames}
            names.append({**own, "n_detected": scene.n_frames, "n_interpolated": 0})
            for frame, box in enumerate(boxes_of(scene, animal) + rng.normal(0, BOX_ERROR_PX, (scene.n_frames, 4))):
                row = {"video_id": name, "track": animal, "frame": frame, **dict(zip(CORNERS, map(float, box), strict=True))}
                rows.append({**row, "species": "mouse", "confidence": 1.0, "state": "detected", "instance": animal})
    tables.write(tables.from_rows(seen, LookedAt), LookedAt, project.annotations / "looked_at.parquet")
    tables.write(tables.empty(Boxes), Boxes, project.annotations / "boxes.parquet")
    table = tables.from_rows(rows, Tracks)
    tables.write(table, Tracks, project / "data/tracks/tracks.parquet")
    tables.write(tables.from_rows(names, TrackNames), TrackNames, project / "data/tracks/names.parquet")
    table[CORNERS] = windows(table[CORNERS].to_numpy(), SCENE, 5)
    tables.write(
        tables.typed(table[["video_id", "track", "frame", *CORNERS]], MiniScenes),
        MiniScenes,
        project / "data/miniscenes/miniscenes.parquet",
    )


def boxes_of(scene: Scene, animal: int) -> np.ndarray:
    """Box (n, 4) around the outline of one animal in each frame, hidden parts included."""
    found = []
    for frame in range(scene.n_frames):
        points = np.concatenate(truth._parts(scene, frame, animal))
        found.append(np.concatenate([points.min(axis=0), points.max(axis=0)]))
    return np.stack(found)


if __name__ == "__main__":
    main()
