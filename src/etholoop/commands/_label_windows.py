"""Behaviour windows as questions, and the small videos that show them: the whole picture, or one animal's mini-scene."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from etholoop.io.sources import Source
    from etholoop.project import Project

WINDOW = "behaviour"
MINI_SCENES = "data/miniscenes/miniscenes.parquet"
Question = dict[str, Any]


def window_questions(project: "Project", path: Path) -> list[Question]:
    """Behaviour windows of a file, checked against the sources; each with the frames that its proxy will show.

    Raises:
        FaultsError: unknown sources, tracks or words, windows without frames; all together.
    """
    from etholoop.errors import FaultsError

    given = json.loads(path.read_text(encoding="utf-8"))
    asker, faults, questions = _Asker(project), [], []
    for rank, window in enumerate(given):
        try:
            questions.append(asker.question(rank, window))
        except ValueError as fault:
            faults.append(f"window {rank} ({window.get('video_id')}): {fault}")
    if faults:
        raise FaultsError(str(path), faults, "Nothing was pushed. Correct the file.")
    return questions


class _Asker:
    """What windows are checked against, read once."""

    def __init__(self, project: "Project"):
        from etholoop.commands.labels_behaviours import read_history
        from etholoop.core.ethogram_changes import retired
        from etholoop.io.vocabulary import read_ethogram

        self.project, self.sources = project, sources_of(project)
        self.words = [*read_ethogram(project.ethogram).names, *retired(read_history(project))]

    def question(self, rank: int, window: Mapping[str, Any]) -> Question:
        """One window as a question; raises ValueError with the reason why it cannot be asked."""
        from etholoop.io import label_studio_tasks
        from etholoop.params import nearest

        source = self.sources.get(str(window.get("video_id")))
        if source is None:
            raise ValueError(f"no such source; {nearest(str(window.get('video_id')), list(self.sources))}")
        unknown = sorted({bout["behaviour"] for bout in window.get("bouts") or []} - set(self.words))
        if unknown:
            raise ValueError("; ".join(f"unknown behaviour '{word}'; {nearest(word, self.words)}" for word in unknown))
        subject, frames = self._subject(window, source)
        start, stop = window.get("start_frame", 0), window.get("stop_frame")
        shown = _shown(frames, start, stop)
        if not shown:
            raise ValueError(f"no usable frame from {start} to {stop}")
        fps = source.fps or 25
        question = {"reason": "", "rank": rank, **window, "subject": subject, "shown": shown, "fps": float(fps), "kind": "behaviour"}
        question |= {"start_frame": shown[0][0], "stop_frame": shown[-1][1], "purpose": WINDOW, "source_sha256": source.sha256}
        question |= {"fps_fraction": str(fps), "model_version": window.get("model_version", "")}
        return {**question, "uid": label_studio_tasks.window_uid(question)}

    def _subject(self, window: Mapping[str, Any], source: "Source") -> "tuple[str, np.ndarray]":
        """Name of the animal and the frames in which it can be shown: all that can be used, or those of its mini-scene."""
        import numpy as np

        subject, track = str(window.get("subject") or ""), window.get("track")
        if track is None:
            return subject, source.frames
        scenes = scenes_of(self.project, str(window["video_id"]), int(track))
        if scenes is None:
            raise ValueError(f"there is no mini-scene of track {track} in {MINI_SCENES}; run `etholoop repro`, or leave out `track`")
        return subject or f"track{track}", np.intersect1d(source.frames, scenes["frame"])


def lend_proxy(project: "Project", question: Mapping[str, Any], media_url: str) -> str:
    """Address of the window as a small video; rendered once."""
    from fractions import Fraction

    from etholoop.io import label_studio_media as media
    from etholoop.services import label_studio_server

    scenes = None if question.get("track") is None else scenes_of(project, question["video_id"], int(question["track"]))
    content = question["source_sha256"] if scenes is None else f"{question['source_sha256']}|{_digest(scenes, question['shown'])}"
    name = media.proxy_name(question["uid"], content, question["shown"])
    path = label_studio_server.place(project).media / "proxies" / name
    if not path.is_file():
        media.write_proxy(path, _images(project, question, scenes), Fraction(question["fps_fraction"]))
    return f"{media_url}proxies/{name}" if media_url else media.proxy_address(name)


def _images(project: "Project", question: Mapping[str, Any], scenes: "pd.DataFrame | None") -> "Iterator[np.ndarray]":
    from etholoop.io import miniscenes

    source = sources_of(project)[question["video_id"]]
    images = source.read([frame for start, stop in question["shown"] for frame in range(start, stop)])
    if scenes is None:
        return (image for _, image in images)
    return (found.images[0] for found in miniscenes.crops(images, scenes, affine=source.affine))


def scenes_of(project: "Project", video_id: str, track: int) -> "pd.DataFrame | None":
    """Windows around one animal; None where there are none."""
    from etholoop.io import tables
    from etholoop.schema.miniscenes import MiniScenes

    path = project / MINI_SCENES
    if not path.is_file():
        return None
    table = tables.read(path, MiniScenes)
    own = table[(table["video_id"] == video_id) & (table["track"] == track)]
    return own.reset_index(drop=True) if len(own) else None


def _digest(scenes: "pd.DataFrame", shown: list[list[int]]) -> str:
    """Of the windows that a proxy shows: another track makes another proxy."""
    own = scenes[(scenes["frame"] >= shown[0][0]) & (scenes["frame"] < shown[-1][1])]
    return hashlib.sha256(own.drop(columns="video_id").to_csv(index=False).encode()).hexdigest()


def sources_of(project: "Project") -> "dict[str, Source]":
    from etholoop.io import tables
    from etholoop.io.sources import open_sources
    from etholoop.schema.videos import Images, Videos

    videos = tables.read(project.manifest / "videos.parquet", Videos)
    return open_sources(project.root, videos, tables.read(project.manifest / "images.parquet", Images))


def _shown(frames: Any, start: int, stop: int | None) -> list[list[int]]:
    """Usable frames of a window as half-open intervals."""
    import numpy as np

    inside = frames[(frames >= start) & (frames < (stop if stop is not None else frames[-1] + 1))]
    if not len(inside):
        return []
    breaks = np.flatnonzero(np.diff(inside) > 1)
    firsts, lasts = inside[[0, *(breaks + 1)]], inside[[*breaks, len(inside) - 1]]
    return [[int(first), int(last) + 1] for first, last in zip(firsts, lasts, strict=True)]
