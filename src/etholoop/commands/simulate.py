"""``etholoop simulate`` and ``etholoop demo``: the whole loop on synthetic animals, with an annotator who knows the truth.

Everything is made up (rendered videos, answers, figures) and says so; the pipeline between is the real one.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._demo_folder import MARKER, alone_in, remove_old
from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project
    from etholoop.simulation.oracle import Noise
    from etholoop.simulation.scene import Scene

PRESET = "demo"
ANNOTATOR = "oracle"
FRAMES_PER_WORKER = 200
"""Below that many a process of its own costs more than it saves."""

FIGURES = {"box_ap50": "box AP50", "box_ap": "box AP", "oks_ap50": "OKS-AP50", "oks_ap": "OKS-AP", "rmse_px": "RMSE px", "pck": "PCK"}


def register(app: typer.Typer) -> None:
    app.command(
        "simulate", short_help="Whole cycles on synthetic animals.", epilog=examples("etholoop simulate --cycles 3 --seed 5 --keep")
    )(simulate_command)
    app.command(
        "demo",
        short_help="Two cycles on synthetic mice, in ./demo.",
        epilog=examples("etholoop demo", "", "The same as `etholoop simulate --cycles 2 --folder demo`."),
    )(demo_command)


BEFORE_THE_REPORT = ["behaviour_evaluate", "evaluate", "select"]
"""Stages that bring everything but the report up to date."""


@dataclass(frozen=True)
class World:
    """What is simulated: how many sessions of how many frames, and how the oracle answers."""

    seed: int = 1
    n_sessions: int = 32
    n_frames: int = 50
    batch_size: int | None = None
    noise: str = "human"

    @property
    def sessions(self) -> list[str]:
        return [f"s{number + 1:02d}" for number in range(self.n_sessions)]

    def split(self) -> dict[str, str]:
        """The last sessions judge (a fifth, at least two), some before them choose the weights (a tenth), all others train."""
        n_test, n_val = max(2, round(self.n_sessions / 5)), max(1, round(self.n_sessions / 10))
        names = self.sessions
        parts = dict.fromkeys(names, "train") | dict.fromkeys(names[-n_test:], "test")
        return parts | dict.fromkeys(names[-n_test - n_val : -n_test], "val")


def simulate_command(
    *,
    cycles: int = typer.Option(2, min=1, help="Cycles to run: label, train, predict, select."),
    folder: Path = typer.Option(None, help="Where to make the project; default: a folder that is removed at the end."),
    seed: int = typer.Option(1, min=0, help="Another seed is another world: arenas, coats, movement, slips."),
    batch: int = typer.Option(None, min=1, help="Frames labelled per cycle; default: that of the demo preset."),
    sessions: int = typer.Option(32, min=4, help="Recordings; a fifth of them, at least two, are held out to judge."),
    frames: int = typer.Option(50, min=25, help="Frames per recording, 25 a second."),
    noise: str = typer.Option("human", help="'human': the oracle's hand slips a little; 'none': it gives the truth."),
    keep: bool = typer.Option(False, "--keep", help="Keep the project when no folder was given."),
) -> None:
    """Run whole cycles on synthetic animals with an annotator who knows the truth."""
    import shutil
    import tempfile

    place = folder or Path(tempfile.mkdtemp(prefix="etholoop-simulation-")) / "project"
    try:
        with alone_in(place):
            run(place, World(seed, sessions, frames, batch, noise), cycles)
    finally:
        if folder is None and not keep:
            shutil.rmtree(place.parent, ignore_errors=True)
        elif folder is None:
            typer.echo(f"kept: {place}")


def demo_command(folder: Path = typer.Option(Path("demo"), help="Where to make the demo project; an old demo there is replaced.")) -> None:
    """Two cycles of label, train, predict, select on synthetic mice; a report and runs to look at."""
    clock = Clock()
    with alone_in(folder):
        remove_old(folder)
        run(folder, World(), 2, clock)
    typer.echo(f"\nThe demo took {clock.minutes:.1f} minutes. All animals and labels in it are synthetic. To look at:")
    typer.echo(f"  the report:  {folder / 'reports/cycle.html'}   (open it in a browser; it works offline)")
    typer.echo(f"  all runs:    cd {folder} && etholoop runs ui")
    typer.echo(f"  next batch:  {folder / 'data/selection/tasks.json'}")
    typer.echo("Your own videos: etholoop init my-project && cd my-project && etholoop videos add PATH…")


class Clock:
    """Minutes since the start, beside each step."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self.start) / 60

    def say(self, text: str) -> None:
        typer.secho(f"[{int(self.minutes):2d}:{int(self.minutes * 60) % 60:02d}] {text}", bold=True)


def run(
    folder: Path, world: World, n_cycles: int, clock: Clock | None = None, changes: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Make a project with synthetic videos and run cycles in it; returns the ledgers of the closed cycles.

    Args:
        folder: a new folder.
        changes: parameters that win over those of the demo preset, nested as in params.yaml.

    Raises:
        EthoLoopError: an unknown kind of noise, or the folder holds something.
    """
    from etholoop import _warm
    from etholoop.commands import cycle
    from etholoop.commands.repro import repro

    clock, noise = clock or Clock(), _noise(world.noise)
    clock.say(f"making {world.n_sessions} synthetic recordings of {world.n_frames} frames (seed {world.seed})")
    project, scenes = make_project(folder, world, changes or {})
    with _warm.helpers():
        clock.say("cold start: no labels yet, so the first batch is chosen by looks")
        repro(project, ["select"], sync=False)
        for number in range(1, n_cycles + 1):
            asked = answer_all(project, scenes, noise, world.seed)
            _one_cycle(project, number, asked, clock)
    ledgers = cycle.ledgers(project)
    _show_table(ledgers)
    return ledgers


def _one_cycle(project: "Project", number: int, asked: Mapping[str, int], clock: Clock) -> None:
    from etholoop.commands import cycle
    from etholoop.commands.repro import repro

    frames = f"{asked['batch']} frames of the batch and {asked['held_out']} held-out ones"
    clock.say(f"cycle {number}: the oracle labelled {frames}; training")
    # the report and MLflow are left to closing, which brings both up to date with the cycle's place in the history
    repro(project, BEFORE_THE_REPORT, sync=False)
    cycle.close(project)
    clock.say(f"cycle {number} closed: {_figures_line(cycle.ledgers(project)[-1])}")


def make_project(folder: Path, world: World, changes: Mapping[str, Any]) -> "tuple[Project, dict[str, Scene]]":
    """A project with rendered videos; the scenes behind them by video id."""
    import tempfile

    from etholoop.commands import init, videos
    from etholoop.services import git

    project = init.make_project(folder, PRESET)
    _write_marker(project, world)
    scenes = make_scenes(world)
    with tempfile.TemporaryDirectory(prefix="etholoop-videos-") as temporary:
        paths = write_videos(scenes, Path(temporary))
        metadata = _write_metadata(list(scenes), Path(temporary))
        videos.add(project, paths, metadata=metadata)
    _set_parameters(project, world, changes)
    git.commit(project, f"Synthetic recordings, seed {world.seed}")
    return project, scenes


def make_scenes(world: World) -> "dict[str, Scene]":
    """The synthetic sessions, by video id (which is the session's name)."""
    from etholoop.simulation.scene import make_scene

    return {session: make_scene(session, seed=world.seed, n_frames=world.n_frames) for session in world.sessions}


def write_videos(scenes: "Mapping[str, Scene]", folder: Path) -> list[Path]:
    """Render each scene into ``folder`` as ``<video id>.mp4``, one process per core where there is work for several."""
    import os
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from tqdm import tqdm

    paths = [folder / f"{video_id}.mp4" for video_id in scenes]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    n_workers = min(len(paths), cores, sum(scene.n_frames for scene in scenes.values()) // FRAMES_PER_WORKER)
    if n_workers < 2:
        for path, scene in tqdm(zip(paths, scenes.values(), strict=True), total=len(paths), desc="rendering", disable=None):
            _write_scene(path, scene)
        return paths
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as pool:
        made = pool.map(_write_scene, paths, scenes.values())
        for _ in tqdm(made, total=len(paths), desc="rendering", disable=None):
            pass
    return paths


def _write_scene(path: Path, scene: "Scene") -> None:
    from fractions import Fraction

    import cv2

    from etholoop.io.video import write_video

    cv2.setNumThreads(1)  # the scenes share the cores among themselves
    write_video(path, _frames(scene), Fraction(scene.fps))


def answer_all(project: "Project", scenes: "Mapping[str, Scene]", noise: "Noise | None", seed: int) -> dict[str, int]:
    """Label the batch and the held-out list, merge the answers into the snapshot; how many frames each list had."""
    from etholoop.io import snapshot, tables
    from etholoop.schema.selection import Selection
    from etholoop.services import dvc
    from etholoop.simulation import oracle

    asked = {name: tables.read(project.selection / f"{name}.parquet", Selection) for name in ("batch", "held_out")}
    requests = [
        (str(video), int(frame)) for table in asked.values() for video, frame in zip(table["video_id"], table["frame"], strict=True)
    ]
    answers = oracle.answer(sorted(set(requests)), scenes, annotator=ANNOTATOR, noise=noise, seed=seed)
    merged, _ = snapshot.merge(snapshot.read_or_empty(project.snapshot), snapshot.Snapshot(answers, []))
    snapshot.write(merged, project.snapshot)
    dvc.add(project, project.snapshot)
    return {name: len(table) for name, table in asked.items()}


def _frames(scene: "Scene") -> Iterator[Any]:
    from etholoop.simulation.render import render

    return (render(scene, frame) for frame in range(scene.n_frames))


def _noise(name: str) -> "Noise | None":
    from etholoop.errors import EthoLoopError
    from etholoop.params import nearest_of
    from etholoop.simulation import oracle

    known: dict[str, Callable[[], Noise | None]] = {"human": lambda: oracle.HUMAN, "none": lambda: None}
    if name not in known:
        raise EthoLoopError(f"--noise '{name}'; {nearest_of(name, list(known))}")
    return known[name]()


def _write_metadata(sessions: list[str], folder: Path) -> Path:
    path = folder / "sessions.csv"
    rows = [f"{session}.mp4,{session},,synthetic," for session in sessions]
    path.write_text("\n".join(["path,session,subject,camera,start_time", *rows]) + "\n", encoding="utf-8")
    return path


def _set_parameters(project: "Project", world: World, changes: Mapping[str, Any]) -> None:
    """Put this world's splits and the changes asked for into the project's params.yaml, comments kept."""
    from etholoop.commands.params import merge_into

    merge_into(project.params, {"split": {"assign": world.split()}})
    if world.batch_size is not None:
        merge_into(project.params, {"cycle": {"batch_size": world.batch_size}})
    merge_into(project.params, changes)


def _write_marker(project: "Project", world: World) -> None:
    import json
    from dataclasses import asdict

    from etholoop.io import atomic

    note = "All videos, animals and labels of this project are synthetic: rendered by etholoop.simulation."
    content = {"synthetic": True, "note": note, "world": asdict(world)}
    atomic.write_text(project / MARKER, json.dumps(content, sort_keys=True, indent=2) + "\n")


def _figures_line(ledger: Mapping[str, Any]) -> str:
    shown = [f"{title} {ledger['metrics'][name]:.3f}" for name, title in FIGURES.items() if ledger["metrics"].get(name) is not None]
    return ", ".join(shown) or "no figures"


def _show_table(ledgers: list[dict[str, Any]]) -> None:
    """Figures on the held-out sessions, one row per cycle."""
    typer.echo("\nHeld-out sessions (synthetic):")
    typer.echo("  ".join(["cycle", "labelled frames", *(f"{title:>8}" for title in FIGURES.values())]))
    for ledger in ledgers:
        figures = [ledger["metrics"].get(name) for name in FIGURES]
        cells = [f"{figure:8.3f}" if figure is not None else f"{'–':>8}" for figure in figures]
        typer.echo("  ".join([f"{ledger['cycle']:>5}", f"{ledger['labels']['frames']:>15}", *cells]))
