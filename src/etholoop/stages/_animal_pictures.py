"""Pictures of single animals, cut from the sources once and kept in the memo, for trainings that look at them many times.

The windows are those of the mini-scenes, or the whole picture for a video without tracks: the same as in use.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from etholoop.core.behaviour_labels import Interval, runs
from etholoop.core.chunks import chunks
from etholoop.errors import FaultsError
from etholoop.io import tables
from etholoop.io.memo import Memo, digest
from etholoop.project import Project
from etholoop.schema.miniscenes import MiniScenes
from etholoop.schema.scores import WHOLE_VIDEO
from etholoop.stages._map import Unit, map_memo
from etholoop.stages._pieces import Strip as FilmStrip
from etholoop.stages._pieces import run_names
from etholoop.stages._sources import project_sources, source_of

if TYPE_CHECKING:
    from etholoop.io.sources import Source
    from etholoop.modeling.behaviour._shared import View

VERSION = 1
"""Raise it when the same inputs would give other pictures; it is part of the memo key."""

CUT_S = 0.004
"""Rough seconds of one core for one frame."""

MINISCENES = "data/miniscenes/miniscenes.parquet"
CORNERS = ["x_min", "y_min", "x_max", "y_max"]


@dataclass(frozen=True)
class Followed:
    """One animal: ``frames`` (n,) ascending in which there is a window, and its ``windows`` (n, 4) in source pixels."""

    video_id: str
    track: int
    frames: np.ndarray
    windows: np.ndarray

    def inside(self, frames: np.ndarray) -> "Followed":
        """The same in some of the frames (ascending) only."""
        if not len(self.frames) or not len(frames):
            return Followed(self.video_id, self.track, self.frames[:0], self.windows[:0])
        place = np.clip(np.searchsorted(self.frames, frames), 0, len(self.frames) - 1)
        place = place[self.frames[place] == frames]
        return Followed(self.video_id, self.track, self.frames[place], self.windows[place])


class Animals:
    """Who can be followed in one source, when, and through which windows."""

    def __init__(self, source: "Source", windows: pd.DataFrame):
        self.source = source
        self._rows = {track: rows.sort_values("frame") for track, rows in by_track(windows).items()}
        self._known: dict[int, Followed] = {}

    def of(self, track: int) -> Followed:
        """One animal; frames that its source cannot show are left out."""
        if track not in self._known:
            self._known[track] = self._of(track)
        return self._known[track]

    def _of(self, track: int) -> Followed:
        source = self.source
        if track == WHOLE_VIDEO:
            whole = np.array([0.0, 0.0, *map(float, source.source_size)])
            return Followed(source.video_id, track, source.frames, np.broadcast_to(whole, (len(source.frames), 4)))
        if track not in self._rows:
            return Followed(source.video_id, track, np.zeros(0, np.int64), np.zeros((0, 4)))
        rows = self._rows[track]
        frames = rows["frame"].to_numpy(np.int64)
        shown = np.isin(frames, source.frames)
        return Followed(source.video_id, track, frames[shown], rows[CORNERS].to_numpy(float)[shown])

    def runs(self, track: int) -> list[Interval]:
        """Time in which the animal is followed without a break; clips never reach beyond."""
        if track == WHOLE_VIDEO:
            return runs(frames_of_whole(self.source))
        return runs(self._rows[track]["frame"].to_numpy(np.int64)) if track in self._rows else []

    @property
    def tracks(self) -> list[int]:
        """Numbers of the animals that have windows."""
        return sorted(self._rows)


def animals_of_project(project: Project) -> dict[str, Animals]:
    """The animals of each source."""
    table = tables.read(project / MINISCENES, MiniScenes)
    of = dict(iter(table.groupby("video_id")))
    return {video_id: Animals(source, of.get(video_id, table[:0])) for video_id, source in project_sources(project).items()}


def animals_of_source(project: Project, video_id: str) -> Animals:
    """The animals of one source, for a worker; the table was checked by the stage."""
    rows = pd.read_parquet(project / MINISCENES, filters=[("video_id", "==", video_id)])
    return Animals(source_of(project.root, video_id), rows)


def by_track(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """Rows of each track, tracks ascending."""
    groups: dict[Any, pd.DataFrame] = dict(iter(table.groupby("track", sort=True)))
    return {int(track): rows for track, rows in groups.items()}


def frames_of_whole(source: "Source") -> np.ndarray:
    """Frames of a video that is looked at as a whole; what a derived video leaves out for its rate is no break."""
    return source.frames if source.derived is None else np.arange(source.frames[0], source.frames[-1] + 1)


@dataclass(frozen=True)
class Wanted:
    """Pictures of one animal in frames [start, stop)."""

    video_id: str
    track: int
    start: int
    stop: int


class Reel:
    """Pictures of an animal in frames [start, stop), from files that are read where they are looked at.

    A frame that the source does not show has the picture of the nearest one that it does. Files are opened for each look and closed
    again: a data set may have more of them than a process may keep open.

    Args:
        shown: frames (n,) ascending that have a picture, and what of the source each shows (n, 4).
        pieces: frames (n,) ascending, and the file (n, h, w, 3) with their pictures.
    """

    def __init__(self, start: int, stop: int, shown: tuple[np.ndarray, np.ndarray], pieces: list[tuple[np.ndarray, Path]]):
        self._files = [path for _, path in pieces]
        number = {int(frame): (k, place) for k, (own, _) in enumerate(pieces) for place, frame in enumerate(own)}
        frames, windows = shown
        near = nearest(frames, np.arange(start, stop))
        self._at = np.array([number[int(frame)] for frame in near], np.int64)
        self.windows = windows[np.searchsorted(frames, near)]
        self.shape = (stop - start, *np.load(self._files[0], mmap_mode="r").shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, places: Any) -> np.ndarray:
        at = self._at[np.asarray(places)]
        pictures = np.empty((len(at), *self.shape[1:]), np.uint8)
        for k in np.unique(at[:, 0]):
            own = at[:, 0] == k
            pictures[own] = np.load(self._files[k], mmap_mode="r")[at[own, 1]]
        return pictures


def reels(project: Project, animals: dict[str, Animals], wanted: Sequence[Wanted], view: "View") -> list[tuple[str, Reel]]:
    """A reel for each wish, with a digest that names its pictures.

    Raises:
        FaultsError: an animal without a window in the frames wanted, or a picture that cannot be read.
    """
    from etholoop.modeling.behaviour._pictures import shape

    followed = [animals[wish.video_id].of(wish.track) for wish in wanted]
    own = [one.inside(np.arange(wish.start, wish.stop)) for one, wish in zip(followed, wanted, strict=True)]
    _check(wanted, own)
    made = _made(project, animals, own, view)
    found = []
    for wish, one in zip(wanted, own, strict=True):
        pieces = [(frames, folder) for frames, folder in made[wish.video_id] if np.isin(frames, one.frames).any()]
        opened = [_file_of(folder, wish.track) for _, folder in pieces]
        name = hashlib.sha256("|".join([str(wish), *(folder.name for _, folder in pieces)]).encode()).hexdigest()
        windows = animals[wish.video_id].source.affine.boxes(one.windows)
        shapes = np.stack([shape(window, view) for window in windows])
        found.append((name, Reel(wish.start, wish.stop, (one.frames, shapes), opened)))
    return found


def _check(wanted: Sequence[Wanted], own: Sequence[Followed]) -> None:
    faults = [
        f"{wish.video_id}, track {wish.track}: no window in frames {wish.start} to {wish.stop - 1}"
        for wish, one in zip(wanted, own, strict=True)
        if not len(one.frames)
    ]
    if faults:
        raise FaultsError("pictures of animals", faults, "Run `etholoop repro`: mini-scenes and behaviour labels are not of one state.")


@dataclass(frozen=True)
class Cut:
    """What to cut in one piece of a source: for each animal its frames and windows."""

    root: Path
    video_id: str
    frames: tuple[int, ...]
    animals: tuple[Followed, ...]
    view: "View"


def _made(project: Project, animals: dict[str, Animals], own: Sequence[Followed], view: "View") -> dict[str, list[tuple[np.ndarray, Path]]]:
    """Folders with the pictures of every piece, by source."""
    by_video: dict[str, dict[int, list[Followed]]] = {}
    for one in own:
        by_video.setdefault(one.video_id, {}).setdefault(one.track, []).append(one)
    merged = {video_id: [_merged(parts) for _, parts in sorted(of.items())] for video_id, of in sorted(by_video.items())}
    pieces = {video_id: chunks(np.unique(np.concatenate([one.frames for one in of]))) for video_id, of in merged.items()}
    names = run_names(project, {video_id: animals[video_id].source for video_id in pieces}, pieces)
    units, places = [], []
    for video_id, of in merged.items():
        for piece, run in zip(pieces[video_id], names[video_id], strict=True):
            cut = Cut(project.root, video_id, tuple(piece.tolist()), tuple(one.inside(piece) for one in of), view)
            key = _key(animals[video_id].source, cut)
            units.append(Unit(key, f"{video_id} frames {piece[0]}-{piece[-1]}", (cut,), CUT_S * len(piece), video_id, run))
            places.append((video_id, piece, key))
    done = map_memo(Memo(project.memo, "animal_pictures"), units, write_pictures, project, what="cutting animals", begin=open_source)
    found: dict[str, list[tuple[np.ndarray, Path]]] = {}
    for video_id, piece, key in places:
        found.setdefault(video_id, []).append((piece, done[key]))
    return found


def _merged(parts: list[Followed]) -> Followed:
    frames, first = np.unique(np.concatenate([part.frames for part in parts]), return_index=True)
    return Followed(parts[0].video_id, parts[0].track, frames, np.concatenate([part.windows for part in parts])[first])


def _key(source: "Source", cut: Cut) -> str:
    windows = [
        [one.track, one.frames.tolist(), hashlib.sha256(np.ascontiguousarray(one.windows).tobytes()).hexdigest()] for one in cut.animals
    ]
    place = [source.video_id, source.sha256, *(float(value) for value in (vars(source.affine).values()))]
    return digest(source=place, frames=list(cut.frames), windows=windows, view=asdict(cut.view), version=VERSION)


def open_source(every_args: list[tuple[Cut]]) -> FilmStrip:
    """In a worker: the source of a run of pieces, read once from front to back."""
    first = every_args[0][0]
    return FilmStrip(source_of(first.root, first.video_id), (frame for (cut,) in every_args for frame in cut.frames))


def write_pictures(folder: Path, film: FilmStrip, cut: Cut) -> None:
    """In a worker: one file (n, h, w, 3) for each animal of a piece, and its frames."""
    from etholoop.modeling.behaviour._pictures import picture_of

    affine = source_of(cut.root, cut.video_id).affine
    windows = {one.track: dict(zip(one.frames.tolist(), affine.boxes(one.windows), strict=True)) for one in cut.animals}
    pictures: dict[int, list[np.ndarray]] = {track: [] for track in windows}
    for frame, image in film.take(cut.frames):
        for track, of in windows.items():
            if frame in of:
                pictures[track].append(picture_of(image, of[frame], cut.view))
    for one in cut.animals:
        if len(one.frames):
            np.save(folder / f"{one.track}.npy", np.stack(pictures[one.track]))
            np.save(folder / f"{one.track}-frames.npy", one.frames)


def _file_of(folder: Path, track: int) -> tuple[np.ndarray, Path]:
    return np.load(folder / f"{track}-frames.npy"), folder / f"{track}.npy"


def nearest(known: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """For each frame the nearest of the known ones (ascending); of two the earlier."""
    after = np.clip(np.searchsorted(known, frames), 0, len(known) - 1)
    before = np.clip(after - 1, 0, len(known) - 1)
    return np.where(np.abs(known[before] - frames) <= np.abs(known[after] - frames), known[before], known[after])
