"""``etholoop tracks export`` and ``import``: tracks as other programs write them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    import pandas as pd

    from etholoop.io.pose_tracks import PoseTracks
    from etholoop.project import Project

EXPORT_EXAMPLES = examples(
    "etholoop tracks export cvat corrections            one XML file per video, to be opened in CVAT",
    "etholoop tracks export mot results cage1 cage2     MOTChallenge text, for TrackEval",
    "etholoop tracks export dlc results                 keypoints as a DeepLabCut CSV",
    "etholoop tracks export sleap results               keypoints as SLEAP projects (.slp)",
)
IMPORT_EXAMPLES = examples(
    "etholoop tracks import cvat DJI_0001.xml --video dji_0001 --to truth.parquet      tracks corrected in CVAT",
    "etholoop tracks import dlc cage1DLC_el.h5 --video cage1 --to dlc.parquet          DeepLabCut, one animal or several",
    "etholoop tracks import sleap cage1.slp --video cage1 --to sleap.parquet           a SLEAP project, or its .analysis.h5",
    "etholoop tracks import mot gt.txt --video cage1 --to truth.parquet --truth        MOTChallenge text",
    "",
    "The table has the columns of data/tracks/tracks.parquet.",
)
ENDINGS = {"cvat": ".xml", "mot": ".txt", "dlc": ".csv", "sleap": ".slp"}


def register(app: typer.Typer) -> None:
    group = tracks_group(app)
    group.command("export", short_help="Write tracks for other programs.", epilog=EXPORT_EXAMPLES)(export_command)
    group.command("import", short_help="Read tracks of other programs.", epilog=IMPORT_EXAMPLES)(import_command)


def tracks_group(app: typer.Typer) -> typer.Typer:
    """The group that ``commands/tracks.py`` makes; made here where that file was not asked."""
    for known in app.registered_groups:
        if known.name == "tracks" and known.typer_instance is not None:
            return known.typer_instance
    group = typer.Typer(help="Which animal is which, from frame to frame.", no_args_is_help=True)
    app.add_typer(group, name="tracks")
    return group


def export_command(
    form: str = typer.Argument(..., metavar="FORMAT", help="cvat, mot, dlc or sleap."),
    folder: Path = typer.Argument(..., help="Folder for one file per video."),
    video_ids: list[str] = typer.Argument(None, help="Sources; default: all with tracks."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace files that are there already."),
) -> None:
    """Write the tracks of the project, one file for each video."""
    from etholoop.project import find_project

    for path in export(find_project(), form, folder, video_ids or [], overwrite=overwrite):
        typer.echo(str(path))


def import_command(  # noqa: PLR0917
    form: str = typer.Argument(..., metavar="FORMAT", help="cvat, mot, dlc or sleap."),
    path: Path = typer.Argument(..., help="The file."),
    video: str = typer.Option(..., "--video", help="Source that the tracks are of, as `etholoop videos list` names it."),
    to: Path = typer.Option(..., "--to", help="Parquet file to write."),
    species: str = typer.Option("animal", help="Where the format names none."),
    truth: bool = typer.Option(False, "--truth", help="People made these tracks."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the file if it is there."),
) -> None:
    """Turn a file of tracks into a table like data/tracks/tracks.parquet; what does not fit is named."""
    from etholoop.errors import EthoLoopError
    from etholoop.io import tables
    from etholoop.schema.tracks import Tracks

    if to.exists() and not overwrite:
        raise EthoLoopError(f"{to} is there already; --overwrite replaces it. Nothing was written.")
    table = read(form, path, video, species=species, truth=truth)
    tables.write(table, Tracks, to)
    typer.echo(f"{to}: {table['track'].nunique()} tracks, {len(table)} boxes")


def read(form: str, path: Path, video_id: str, *, species: str = "animal", truth: bool = False) -> "pd.DataFrame":
    """Table Tracks of one video.

    Raises:
        EthoLoopError: unknown format, or not such a file.
    """
    from etholoop.io import cvat, dlc_tracks, mot, pose_tracks, sleap_analysis, slp
    from etholoop.schema.tracks import DETECTED, HUMAN

    state = HUMAN if truth else DETECTED

    def of_points(pose: "pose_tracks.PoseTracks") -> "pd.DataFrame":
        return pose_tracks.to_tracks(pose, video_id, species=species, state=state)

    readers: dict[str, Callable[[], pd.DataFrame]] = {
        "cvat": lambda: cvat.to_tracks(cvat.read(path), video_id),
        "mot": lambda: mot.read(path, video_id=video_id, species=species, truth=truth),
        "dlc": lambda: of_points(dlc_tracks.read(path)),
        "sleap": lambda: of_points(slp.read(path, video_id) if path.suffix.lower() == ".slp" else sleap_analysis.read(path)),
    }
    _known(form, list(readers))
    return readers[form]()


def _known(form: str, forms: list[str]) -> None:
    from etholoop.errors import EthoLoopError
    from etholoop.params import nearest

    if form not in forms:
        raise EthoLoopError(f"unknown format '{form}'; {nearest(form, forms)}")


def export(project: "Project", form: str, folder: Path, video_ids: list[str], *, overwrite: bool = False) -> list[Path]:
    """Write one file for each video; nothing is written when anything is wrong.

    Raises:
        EthoLoopError: unknown format, videos without tracks, or files that are there already.
    """
    from etholoop.errors import EthoLoopError, FaultsError
    from etholoop.io import tables
    from etholoop.schema.tracks import TrackNames, Tracks

    _known(form, list(ENDINGS))
    tracks = tables.read(project / "data/tracks/tracks.parquet", Tracks)
    names = tables.read(project / "data/tracks/names.parquet", TrackNames)
    there = sorted(set(tracks["video_id"]))
    strange = sorted(set(video_ids) - set(there))
    if strange:
        raise EthoLoopError(f"no tracks of {', '.join(strange)}; there are some of {', '.join(there) or 'no video'}.")
    paths = {video_id: folder / f"{video_id}{ENDINGS[form]}" for video_id in (video_ids or there)}
    taken = [f"{path} is there already; --overwrite replaces it" for path in paths.values() if path.exists() and not overwrite]
    if taken:
        raise FaultsError("etholoop tracks export", taken, "Nothing was written.")
    writers = {"cvat": _write_cvat, "mot": _write_mot, "dlc": _write_dlc, "sleap": _write_slp}
    for video_id, path in paths.items():
        own, own_names = tracks[tracks["video_id"] == video_id], names[names["video_id"] == video_id]
        writers[form](project, video_id, own, own_names, path)
    return list(paths.values())


def _write_cvat(project: "Project", video_id: str, tracks: "pd.DataFrame", names: "pd.DataFrame", path: Path) -> None:
    from etholoop.io import cvat

    row = _video(project, video_id)
    meta = cvat.Meta("task", video_id, int(row["n_frames"]), int(row["width"]), int(row["height"]), Path(row["path"]).name)
    cvat.write(path, cvat.from_tracks(tracks, meta))


def _write_mot(project: "Project", video_id: str, tracks: "pd.DataFrame", names: "pd.DataFrame", path: Path) -> None:
    from etholoop.io import atomic, mot

    atomic.write_text(path, mot.text(tracks))


def _write_dlc(project: "Project", video_id: str, tracks: "pd.DataFrame", names: "pd.DataFrame", path: Path) -> None:
    from etholoop.io import dlc_tracks

    dlc_tracks.write_csv(path, _pose(project, video_id, tracks, names))


def _write_slp(project: "Project", video_id: str, tracks: "pd.DataFrame", names: "pd.DataFrame", path: Path) -> None:
    from etholoop.io import slp
    from etholoop.io.vocabulary import read_skeleton

    skeleton = read_skeleton(project.skeleton)
    place = skeleton.keypoint_names.index
    edges = tuple((place(first), place(second)) for first, second in skeleton.edges)
    slp.write(path, _pose(project, video_id, tracks, names), str(_video(project, video_id)["path"]), edges)


def _pose(project: "Project", video_id: str, tracks: "pd.DataFrame", names: "pd.DataFrame") -> "PoseTracks":
    """The keypoints of the animals of one video."""
    import pandas as pd

    from etholoop.io import pose_tracks
    from etholoop.io.vocabulary import read_skeleton

    table = pd.read_parquet(project.pose_predictions / "keypoints.parquet", filters=[("video_id", "==", video_id)])
    order = tuple(read_skeleton(project.skeleton).keypoint_names)
    return pose_tracks.from_tables(tracks, names, table, order, int(_video(project, video_id)["n_frames"]))


def _video(project: "Project", video_id: str) -> Any:
    from etholoop.errors import EthoLoopError
    from etholoop.io import tables
    from etholoop.schema.videos import Videos

    videos = tables.read(project.manifest / "videos.parquet", Videos)
    own = videos[videos["video_id"] == video_id]
    if own.empty:
        raise EthoLoopError(f"{video_id} has tracks and is not in the manifest. Run `etholoop repro`.")
    return own.iloc[0]
