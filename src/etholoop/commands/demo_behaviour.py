"""``etholoop demo-behaviour``: behaviour models on synthetic animals, from videos to bouts, with an annotator who knows the truth.

Recordings with scripted behaviours are rendered, an oracle marks boxes in some frames and all bouts, and `etholoop repro` does what it does
for a lab: detector, tracks, mini-scenes, behaviour models, bouts, figures of sessions that no training saw.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands import simulate
from etholoop.commands._demo_folder import alone_in, remove_old
from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project
    from etholoop.simulation.scene import Scene

FRAMES_LABELLED = 8
"""Frames of each recording in which the oracle marks all animals; they also say which track is which animal, and when not for sure."""

CHANGES: dict[str, Any] = {
    "frames": {"per_video": FRAMES_LABELLED},
    # family posture lives on keypoints; half of the passes of the pose demo are enough for it
    "refine_train": {"settings": {"passes": 40, "views": 2}},
    "pose_predict": {"every": 1},
    "miniscenes": {"width": 96, "height": 96, "margin_px": 5},
    "behaviour_predict": {"stride": 2},
}

SETTINGS: dict[str, dict[str, Any]] = {
    "motion": {"every": 2, "crop_px": 64},
    "x3d": {
        **{"size": "xs", "n_frames": 6, "every": 3, "crop_px": 64, "width_factor": 1.0, "depth_factor": 1.0, "dim_c5": 128},
        **{"epochs": 16, "epoch_steps": 30, "batch": 8, "lr": 0.003, "dropout": 0.3, "patience": 6, "fit": "crop"},
        # from above, and no behaviour has a side
        **{"flip": 0.5, "flipud": 0.5, "rot90": 0.75, "degrees": 45.0, "recolour": 0.3},
    },
}
"""Smallest sizes that learn the scripted behaviours on two cores in minutes. Families without an entry run with their defaults."""

FIGURES = {"f1_macro": "macro-F1", "accuracy_micro": "accuracy", "bout_f1_macro": "bout F1", "budget_error": "budget error"}


def register(app: typer.Typer) -> None:
    app.command(
        "demo-behaviour",
        short_help="Behaviour models on synthetic mice, in ./demo-behaviour.",
        epilog=examples(
            "etholoop demo-behaviour",
            "etholoop demo-behaviour --family posture --sessions 8 --seed 5 --folder /tmp/mice",
        ),
    )(demo_behaviour)


def demo_behaviour(
    *,
    folder: Path = typer.Option(Path("demo-behaviour"), help="Where to make the project; an old demo there is replaced."),
    family: list[str] = typer.Option(None, help="Family of behaviour models; give it once for each. Default: all there are."),
    sessions: int = typer.Option(28, min=6, help="Recordings; a seventh of them judges, a ninth chooses thresholds, the others train."),
    frames: int = typer.Option(200, min=100, help="Frames per recording, 25 a second."),
    seed: int = typer.Option(1, min=0, help="Another seed is another world: arenas, coats, movement."),
) -> None:
    """Train behaviour models on synthetic animals and judge them on sessions that no training saw."""
    clock = simulate.Clock()
    world = simulate.World(seed=seed, n_sessions=sessions, n_frames=frames, noise="none")
    with alone_in(folder):
        remove_old(folder)
        project = run(folder, world, family or known_families(), clock=clock)
    typer.echo(f"\nThe demo took {clock.minutes:.1f} minutes. All animals and labels in it are synthetic. To look at:")
    typer.echo(f"  the report:     {folder / 'reports/cycle.html'}   (open it in a browser; it works offline)")
    typer.echo(f"  all figures:    {folder / 'metrics/behaviour.json'}, confusions in {folder / 'metrics/plots'}")
    typer.echo(f"  bouts:          {folder / 'data/bouts/bouts.parquet'}")
    typer.echo(f"  what was decided and why:  {folder / 'data/bouts/rules.json'}")
    typer.echo(f"  all runs:       cd {folder} && etholoop runs ui")
    assert project.report.is_file()


def known_families() -> list[str]:
    """All families of behaviour models, by name."""
    from etholoop import registry

    return registry.names("etholoop.modeling.behaviour.families")


def run(
    folder: Path,
    world: simulate.World,
    families: Sequence[str],
    *,
    clock: simulate.Clock | None = None,
    changes: Mapping[str, Any] | None = None,
    settings: Mapping[str, dict[str, Any]] | None = None,
) -> "Project":
    """Make a project with synthetic videos, label it, rebuild it and print a table.

    Args:
        folder: a new folder.
        changes: parameters that win over those of the demo, nested as in params.yaml.
        settings: settings of families that win over those of the demo.

    Raises:
        EthoLoopError: an unknown family, or the folder holds something.
    """
    from etholoop import _warm
    from etholoop.commands.repro import repro
    from etholoop.errors import EthoLoopError
    from etholoop.params import nearest

    unknown = [name for name in families if name not in known_families()]
    if unknown:
        raise EthoLoopError(f"--family '{unknown[0]}'; {nearest(unknown[0], known_families())} (known: {', '.join(known_families())})")
    clock = clock or simulate.Clock()
    clock.say(f"making {world.n_sessions} synthetic recordings of {world.n_frames} frames (seed {world.seed})")
    own = {name: {**SETTINGS.get(name, {}), **(settings or {}).get(name, {})} for name in families}
    training = {"behaviour_train": {"families": list(families), "settings": own}, "split": {"assign": split_of(world)}}
    project, scenes = simulate.make_project(folder, world, {**CHANGES, **training, **(changes or {})})
    with _warm.helpers():
        clock.say("choosing frames to label")
        repro(project, ["frames"], sync=False)
        n_frames, n_bouts = answer_all(project, scenes, world.seed)
        clock.say(f"the oracle marked all animals in {n_frames} frames, and {n_bouts} bouts; training {', '.join(families)}")
        repro(project, sync=False)
    clock.say("judged on sessions that no training saw")
    show_table(figures_of(project))
    return project


def split_of(world: simulate.World) -> dict[str, str]:
    """The last sessions judge (a seventh, at least two), some before them choose thresholds (a ninth, at least two), all others train."""
    names = world.sessions
    n_test, n_val = max(2, world.n_sessions // 7), max(2, world.n_sessions // 9)
    parts = (("train", world.n_sessions - n_test - n_val), ("val", n_val), ("test", n_test))
    return dict(zip(names, [split for split, n in parts for _ in range(n)], strict=True))


def answer_all(project: "Project", scenes: "Mapping[str, Scene]", seed: int) -> tuple[int, int]:
    """Mark all animals in the frames that were drawn, and all behaviours; how many frames and bouts."""
    from etholoop.io import snapshot, tables
    from etholoop.schema.frames import Frames
    from etholoop.services import dvc
    from etholoop.simulation import oracle

    drawn = tables.read(project.frames / "frames.parquet", Frames)
    requests = sorted({(str(video), int(frame)) for video, frame in zip(drawn["video_id"], drawn["frame"], strict=True)})
    answers = oracle.answer(requests, scenes, annotator=simulate.ANNOTATOR, seed=seed)
    seen = [record for video_id, scene in sorted(scenes.items()) for record in oracle.behaviours(video_id, scene)]
    merged, _ = snapshot.merge(snapshot.read_or_empty(project.snapshot), snapshot.Snapshot(answers, seen))
    snapshot.write(merged, project.snapshot)
    dvc.add(project, project.snapshot)
    return len(answers), sum(len(record["bouts"]) for record in seen)


def figures_of(project: "Project") -> dict[str, dict[str, Any]]:
    """Figures of the held-out sessions by family, of those that were not trained the reason."""
    trained = json.loads((project.metrics / "behaviour_train.json").read_text(encoding="utf-8"))["families"]
    judged = json.loads((project.metrics / "behaviour.json").read_text(encoding="utf-8"))["families"]
    return {
        family: judged[family]["test"] if family in judged else {"evaluated": False, "reason": about["reason"]}
        for family, about in sorted(trained.items())
    }


def show_table(figures: Mapping[str, Mapping[str, Any]]) -> None:
    """One row for each family, then F1 of each behaviour."""
    typer.echo("\nHeld-out sessions (synthetic):")
    width = max((len(family) for family in figures), default=0)
    for family, own in figures.items():
        if not own["evaluated"]:
            typer.echo(f"{family:<{width}}  not judged: {own['reason']}")
            continue
        cells = [f"{title} {own[name]:.3f}" if own.get(name) is not None else f"{title} –" for name, title in FIGURES.items()]
        each = ", ".join(f"{name} {row['f1']:.2f}" for name, row in sorted(own["behaviours"].items()) if row["f1"] is not None)
        typer.echo(f"{family:<{width}}  {'  '.join(cells)}  ({own['n_animals']} animals, {own['n_frames']} frames)")
        typer.echo(f"{'':<{width}}  F1 of each: {each}")
