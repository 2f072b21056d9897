"""``etholoop splits``: look at the splits, find a seed that fills them, or take over BehavTrack's."""

from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    import pandas as pd

    from etholoop.core.behavtrack_splits import Growth
    from etholoop.project import Project

NO_SOURCES = "no sources yet; add some with `etholoop videos add PATH`"

GROWTH_FILE = "data/raw/behavtrack_growth.json"

LEAK_WARNING = (
    "THIS SPLIT LEAKS: FRAMES OF ONE RECORDING LAND IN TRAIN AND IN TEST, SO EVERY FIGURE LOOKS BETTER THAN IT IS. "
    "THE LEAK GATE STAYS RED UNTIL AN OVERRIDE WITH A REASON IS RECORDED IN params.yaml."
)


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Which videos train the model and which judge it.", no_args_is_help=True)
    group.command("show", epilog=examples("etholoop splits show"))(show)
    group.command("suggest", short_help="A seed that fills train, val and test.", epilog=examples("etholoop splits suggest"))(suggest)
    compat_examples = examples("etholoop splits compat           the first cycle", "etholoop splits compat --grow    the next one")
    group.command("compat", short_help="BehavTrack's split, which leaks.", epilog=compat_examples)(compat)
    app.add_typer(group, name="splits")


def show() -> None:
    """Groups, videos, frames and share of each split."""
    from etholoop.core import splits
    from etholoop.io import tables
    from etholoop.project import find_project
    from etholoop.schema.splits import Splits

    project = find_project()
    if not project.splits.is_file():
        typer.echo("no splits yet; `etholoop repro split` makes them")
        return
    table = tables.read(project.splits, Splits)
    if table.empty:
        typer.echo(NO_SOURCES)
        return
    typer.echo(f"{'split':8}{'groups':>8}{'videos':>8}{'frames':>12}{'share':>9}")
    for row in splits.summary(table).itertuples(index=False):
        typer.echo(f"{row.split:8}{row.groups:>8}{row.videos:>8}{row.frames:>12}{row.share:>9.1%}")
    for name in splits.USED:
        groups = sorted(set(table.loc[table["split"] == name, "group"]))
        typer.echo(f"{name}: {', '.join(groups) or 'no group'}")
    for fault in splits.split_faults(table):
        typer.echo(f"fault: {fault}")


def suggest() -> None:
    """The seed whose groups come nearest to the wanted shares of frames; labels are not looked at."""
    from etholoop import params as parameters
    from etholoop import registry
    from etholoop.commands.repro import repro
    from etholoop.core import splits
    from etholoop.errors import EthoLoopError
    from etholoop.io import tables
    from etholoop.project import find_project
    from etholoop.schema.videos import Images, Videos

    project = find_project()
    params: Any = parameters.load(project.params, "split", registry.load("etholoop.stages", "split").Params)
    if params.mode != "group":
        raise EthoLoopError(f"split.mode is {params.mode}; only mode group goes by a seed that can be chosen this way.")
    repro(project, ["manifest"], sync=False)  # does nothing when it knows all files already
    videos = tables.read(project.manifest / "videos.parquet", Videos)
    n_images = tables.read(project.manifest / "images.parquet", Images).groupby("video_id").size()
    n_frames = videos["video_id"].map(n_images).fillna(videos["n_frames"]).astype(int)  # folders may have holes in their numbering
    totals = n_frames.groupby(splits.groups_of(videos, params.group)).sum()
    sizes = dict(zip(totals.index.astype(str), totals.tolist(), strict=True))
    if not sizes:
        typer.echo(NO_SOURCES)
        return
    if len(sizes) < len(splits.USED):
        typer.echo(
            f"{len(sizes)} groups ({', '.join(sizes) or 'none'}) cannot fill {', '.join(splits.USED)}: set `split: {{mode: blocks}}`"
        )
        typer.echo("in params.yaml, which cuts each recording in pieces with gaps. Figures then say little about other recordings.")
        return
    seed, shares = splits.suggest_seed(sizes, test=params.test, val=params.val, assign=params.assign)
    wanted = {"train": 1 - params.test - params.val, "val": params.val, "test": params.test}
    for name in splits.USED:
        typer.echo(f"{name:6} {shares[name]:6.1%} of the frames (wanted {wanted[name]:.1%})")
    if seed == params.seed:
        typer.echo(f"split.seed: {seed} is set already")
    else:
        typer.echo(f"set `seed: {seed}` under split in params.yaml. Do it before the first training: a later change moves test groups.")


def compat(
    grow: bool = typer.Option(False, "--grow", help="Go on to the next cycle: the prediction set joins the annotated frames."),
) -> None:
    """Write BehavTrack's stratified frame split to data/raw/splits.csv, for split.mode: fixed. It leaks, and says so."""
    from etholoop.project import find_project

    state = write_compat(find_project(), grow=grow)
    typer.echo(LEAK_WARNING)
    sizes = {name: len(getattr(state, name)) for name in ("test", "annotated", "train", "val", "predict", "reserve")}
    typer.echo(f"cycle {state.cycle}: " + ", ".join(f"{name} {size}" for name, size in sizes.items()))
    typer.echo("data/raw/splits.csv is written; set `mode: fixed` under split in params.yaml.")
    typer.echo(f"The frames to annotate next are listed under 'predict' in {GROWTH_FILE}.")


def write_compat(project: "Project", *, grow: bool) -> "Growth":
    """Write the split of a cycle; the sampled frames are frozen at the first call, so later sampling moves nothing.

    Raises:
        EthoLoopError: nothing was sampled, the frames carry no clusters, or ``--grow`` came first.
    """
    import json

    import numpy as np

    from etholoop.core import behavtrack_splits
    from etholoop.errors import EthoLoopError
    from etholoop.io import atomic

    path = project / GROWTH_FILE
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        cycle = kept["cycle"] + grow
        frames = [(str(video_id), int(frame), int(cluster)) for video_id, frame, cluster in kept["frames"]]
    elif grow:
        raise EthoLoopError(f"{path}: file not found, so there is no cycle to go on from. Run `etholoop splits compat` first.")
    else:
        cycle, frames = 1, _sampled(project)
    state = behavtrack_splits.growth(np.array([cluster for _, _, cluster in frames]), cycle)
    text = _csv(project, frames, state)
    atomic.write_text(path, json.dumps(_state(cycle, frames, state), indent=1, sort_keys=True) + "\n")
    atomic.write_text(project.fixed_splits, text)
    return state


def _sampled(project: "Project") -> list[tuple[str, int, int]]:
    from etholoop.errors import EthoLoopError
    from etholoop.io import tables
    from etholoop.schema.frames import Frames

    table = tables.read(project.frames / "frames.parquet", Frames)
    without = int(table["cluster"].isna().sum())
    if table.empty or without:
        raise EthoLoopError(
            f"{project.frames / 'frames.parquet'}: {without} of {len(table)} frames have no cluster, but the split goes by cluster. "
            "Set frames.strategy: histogram_kmeans and, in place of per_video, an n_frames below the number of looked-at frames, "
            "then run `etholoop repro`."
        )
    return list(zip(table["video_id"].tolist(), table["frame"].tolist(), table["cluster"].astype(int).tolist(), strict=True))


def _csv(project: "Project", frames: list[tuple[str, int, int]], state: "Growth") -> str:
    """One row per annotated or test frame; what is not annotated yet lies in ``gap``, as do the frames that were not sampled.

    Raises:
        FaultsError: frozen frames of sources that are no longer in the manifest.
    """
    from etholoop.errors import FaultsError
    from etholoop.io import tables
    from etholoop.schema.videos import Videos

    known = _sessions(tables.read(project.manifest / "videos.parquet", Videos))
    lost = sorted({video_id for video_id, _, _ in frames} - set(known))
    if lost:
        remedy = "Bring the sources back, or remove the file to start again from cycle 1."
        raise FaultsError(GROWTH_FILE, [f"{video_id} is no longer in the manifest" for video_id in lost], remedy)
    rows = [(*frames[position][:2], name) for name in ("train", "val", "test") for position in getattr(state, name)]
    used = {video_id for video_id, _, _ in rows}
    lines = [f"{video_id},{frame},{frame + 1},{name},{known[video_id][0]}" for video_id, frame, name in sorted(rows)]
    lines += [f"{video_id},0,{n_frames},gap,{session}" for video_id, (session, n_frames) in sorted(known.items()) if video_id not in used]
    return "\n".join(["video_id,start_frame,stop_frame,split,group", *lines]) + "\n"


def _sessions(videos: "pd.DataFrame") -> dict[str, tuple[str, int]]:
    return dict(zip(videos["video_id"], zip(videos["session"], videos["n_frames"].tolist(), strict=True), strict=True))


def _state(cycle: int, frames: list[tuple[str, int, int]], state: "Growth") -> dict[str, Any]:
    from etholoop.schema.columns import frame_uid

    named = ("test", "train", "val", "predict", "reserve")
    sets = {name: sorted(frame_uid(*frames[position][:2]) for position in getattr(state, name)) for name in named}
    return {"cycle": cycle, "frames": [list(frame) for frame in frames], **sets}
