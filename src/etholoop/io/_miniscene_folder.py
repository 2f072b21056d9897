"""The folder of one video as tracks_extractor lays it out.

<track>.mp4                      one mini-scene for each track, at the source's rate
<stem>.mp4                       the whole picture with numbers, trails and windows
actions/                         for the behaviour files that people make of the mini-scenes
metadata/<stem>_tracks.xml       the boxes that were cut
metadata/<stem>_metadata.json    which frame of which mini-scene shows which frame of the source
metadata/<stem>.jpg              timeline
"""

import json
import shutil
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from etholoop.errors import EthoLoopError
from etholoop.io import atomic
from etholoop.io._miniscene_drawing import Overview, colour_of, timeline
from etholoop.io._video_sink import VideoSink
from etholoop.io.drawing import jpeg

Cut = Callable[[np.ndarray, np.ndarray], tuple[list[np.ndarray], np.ndarray]]
"""From an image and boxes (k, 4): k mini-scenes, and their windows (k, 4) in the image."""

MAIN = "main"


@dataclass
class Metadata:
    """``tracks``: by track number as text, and "main", for each source frame its frame in that video or -1. ``colors``: BGR."""

    original: str
    tracks: dict[str, list[int]]
    colors: dict[str, list[int]] = field(default_factory=dict)

    def frames_of(self, track: int) -> list[int]:
        """Source frames in the order in which the mini-scene shows them."""
        places = self.tracks[str(track)]
        return sorted((frame for frame, place in enumerate(places) if place >= 0), key=lambda frame: places[frame])


@dataclass(frozen=True)
class Counts:
    """What was written: frames of each mini-scene, and boxes in frames that the source cannot give."""

    frames: dict[int, int]
    unreadable: dict[int, int]


def read_metadata(path: Path) -> Metadata:
    """Read ``*_metadata.json``.

    Raises:
        EthoLoopError: the file is missing or is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        tracks = {str(name): [int(place) for place in places] for name, places in content["tracks"].items()}
        return Metadata(str(content["original"]), tracks, {str(name): list(colour) for name, colour in content.get("colors", {}).items()})
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found. `etholoop kabr tracks_extractor` makes it.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EthoLoopError(f"{path}: not the metadata of mini-scenes ({error!r}). Make the folder again.") from error


def write_folder(
    folder: Path,
    stem: str,
    images: Iterable[tuple[int, np.ndarray]],
    boxes: dict[int, dict[int, tuple[float, ...]]],
    cut: Cut,
    *,
    n_frames: int,
    fps: Fraction,
    original: str,
    write_tracks: Callable[[Path], None],
    with_colours: bool = True,
    sink: Callable[[Path, Fraction], VideoSink] = VideoSink,
) -> Counts:
    """Write one video's folder, all or nothing, from one pass over its frames.

    Behaviour files in ``actions/`` of an older folder of that name are taken over, never lost.

    Args:
        images: every readable frame in order, uint8 RGB; only one is kept at a time.
        boxes: track → frame → x_min, y_min, x_max, y_max, in the order in which people see the tracks.
        write_tracks: writes metadata/<stem>_tracks.xml.
        sink: what makes a video.
    """
    tracks = {MAIN: [-1] * n_frames} | {str(track): [-1] * n_frames for track in boxes}
    with atomic.new_folder(folder) as new:
        (new / "actions").mkdir()
        (new / "metadata").mkdir()
        if (folder / "actions").is_dir():
            shutil.copytree(folder / "actions", new / "actions", dirs_exist_ok=True)
        _write_videos(stem, images, boxes, cut, tracks=tracks, new_video=lambda name: sink(new / name, fps))
        colors = {str(track): list(colour_of(track)[::-1]) for track in boxes} if with_colours else {}
        metadata = {"original": original, "tracks": tracks, "colors": colors}
        (new / "metadata" / f"{stem}_metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        (new / "metadata" / f"{stem}.jpg").write_bytes(jpeg(timeline(tracks)))
        write_tracks(new / "metadata" / f"{stem}_tracks.xml")
    frames = {track: sum(place >= 0 for place in tracks[str(track)]) for track in boxes}
    unreadable = {track: len(own) - frames[track] for track, own in boxes.items() if len(own) > frames[track]}
    return Counts(frames, unreadable)


def _write_videos(
    stem: str,
    images: Iterable[tuple[int, np.ndarray]],
    boxes: dict[int, dict[int, tuple[float, ...]]],
    cut: Cut,
    *,
    tracks: dict[str, list[int]],
    new_video: Callable[[str], VideoSink],
) -> None:
    """Encode all videos of a folder side by side and fill in ``tracks``; only those of animals in view are open."""
    by_frame: dict[int, list[int]] = {}
    for track, own in boxes.items():
        for frame in own:
            by_frame.setdefault(frame, []).append(track)
    last = {track: max(own) for track, own in boxes.items() if own}
    overview, sinks = Overview(), {}
    with ExitStack() as stack:
        whole = stack.enter_context(new_video(f"{stem}.mp4"))
        for frame, image in images:
            present = by_frame.get(frame, [])
            own_boxes = np.array([boxes[track][frame] for track in present], dtype=float).reshape(-1, 4)
            scenes, windows = cut(image, own_boxes)
            for track, scene in zip(present, scenes, strict=True):
                if track not in sinks:
                    sinks[track] = stack.enter_context(new_video(f"{track}.mp4"))
                tracks[str(track)][frame] = sinks[track].n_frames
                sinks[track].add(scene)
                if last[track] == frame:
                    sinks[track].close()
            tracks[MAIN][frame] = whole.n_frames
            whole.add(overview.draw(frame, image, present, own_boxes, windows))


def scenes_in(folder: Path) -> list[int]:
    """Track numbers of the mini-scenes in a folder, in their natural order."""
    return sorted(int(path.stem) for path in folder.glob("*.mp4") if path.stem.isdecimal())


def metadata_path(folder: Path) -> Path:
    """The one metadata file of a mini-scene folder.

    Raises:
        EthoLoopError: there is none, or several.
    """
    found = sorted((folder / "metadata").glob("*_metadata.json"))
    if len(found) != 1:
        raise EthoLoopError(f"{folder}: expected one file metadata/*_metadata.json, found {len(found)}. Is this a mini-scene folder?")
    return found[0]
