"""Pieces of sources as units: which ones a worker takes in one go, and reading a source once over all of them."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from etholoop.core.chunks import Frames, runs
from etholoop.engines._settings import read_settings
from etholoop.project import Project

if TYPE_CHECKING:
    from etholoop.io.sources import Source

RUNS_PER_WORKER = 4
"""Enough that no worker waits long for the last one, few enough that videos are mostly read in one go."""

Image = NDArray[np.uint8]


def run_names(project: Project, sources: Mapping[str, "Source"], pieces: Mapping[str, Sequence[Frames]]) -> dict[str, list[str]]:
    """The name of the run of each piece, by source; neighbouring pieces of a run are decoded in one go."""
    n_pieces = sum(map(len, pieces.values()))
    n_runs = RUNS_PER_WORKER * read_settings(project.root).n_workers
    names: dict[str, list[str]] = {}
    for video_id, own in pieces.items():
        share = max(1, round(n_runs * len(own) / max(n_pieces, 1)))
        keyframes = _keyframes(sources[video_id]) if len(own) > 1 else np.zeros(0, np.int64)
        dealt = runs(own, keyframes, share)
        names[video_id] = [f"{video_id}:{number}" for number, places in enumerate(dealt) for _ in places]
    return names


def _keyframes(source: "Source") -> Frames:
    """Source frames where reading can start without a way; every one for folders of images."""
    if source.index_path is None:
        return source.frames
    index = source.index()
    if not index.timed:
        return np.zeros(0, np.int64)
    return index.keyframes if source.derived is None else source.derived.to_source(index.keyframes)


class Strip:
    """Images of one source, read once from front to back, of which the last few may be taken again."""

    def __init__(self, source: "Source", frames: Iterable[int], again: int = 0):
        self._images = source.read(np.unique(np.fromiter(frames, np.int64)).tolist())
        self._last: deque[tuple[int, Image]] = deque(maxlen=max(again, 1))

    def take(self, frames: Iterable[int]) -> Iterator[tuple[int, Image]]:
        """``(frame, image)``; ``frames`` ascend and are among those named at the start."""
        for frame in map(int, frames):
            known = next((image for number, image in self._last if number == frame), None)
            yield frame, self._next(frame) if known is None else known

    def close(self) -> None:
        """Close the file."""
        close = getattr(self._images, "close", None)
        if close:
            close()

    def _next(self, frame: int) -> Image:
        for found in self._images:
            self._last.append(found)
            if found[0] == frame:
                return found[1]
        raise ValueError(f"frame {frame} is not on this strip, or comes before one that was taken")
