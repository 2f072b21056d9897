"""What the player shows of a mini-scene folder: the drone's view, each animal's mini-scene, and what the animals do."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etholoop.errors import EthoLoopError, FaultsError

if TYPE_CHECKING:
    import numpy as np

    from etholoop.io.track_drawing import Shown
    from etholoop.io.video import VideoReader

CSV_COLUMNS = ["video", "track", "frame", "label"]


class MinisceneShow:
    """A :class:`etholoop.services.player.Show` over a folder that ``kabr tracks_extractor`` made, ours or the original's.

    Args:
        folder: with ``metadata/<stem>_metadata.json``, ``metadata/<stem>_tracks.xml`` and the videos; found by these names, not by its own.
        predictions: labels of ``kabr miniscene2behavior``, shown beside those of people in ``actions/``.
        names: behaviour of each label of ``predictions``.

    Raises:
        EthoLoopError: no such folder, several or no metadata files, no video.
        FaultsError: faulty rows of ``predictions``, all together.
    """

    def __init__(self, folder: Path, predictions: Path | None = None, names: Mapping[int, str] | None = None):
        from etholoop.io import cvat
        from etholoop.io.miniscenes import read_metadata

        self.folder = folder
        self.stem = _only(folder / "metadata", "*_metadata.json").name.removesuffix("_metadata.json")
        self.metadata = read_metadata(folder / f"metadata/{self.stem}_metadata.json")
        self.annotations = cvat.read(folder / f"metadata/{self.stem}_tracks.xml")
        self.bouts = self._labelled() + (self._predicted(predictions, names or {}) if predictions else [])

    def about(self) -> dict[str, Any]:
        return {"title": self.folder.name, "videos": [{"id": self.stem, "n_frames": self.n_frames, "fps": self._fps}]}

    def video(self, video_id: str) -> dict[str, Any]:
        from etholoop.core.behaviour_looks import looks_of

        self._check(video_id)
        looks = looks_of((), {bout["behaviour"] for bout in self.bouts})
        tracks = [
            {"id": track.id, "name": None, "species": track.label, "start": track.shapes[0].frame, "stop": track.shapes[-1].frame + 1}
            for track in self.annotations.tracks
            if track.shapes
        ]
        return {
            "id": video_id,
            "n_frames": self.n_frames,
            "fps": self._fps,
            "width": self.main.width,
            "height": self.main.height,
            "tracks": tracks,
            "bouts": self.bouts,
            "behaviours": list(looks),
            "looks": looks,
            "risks": [],
            "keypoints": [],
            "edges": [],
        }

    def window(self, video_id: str, start: int, stop: int) -> dict[str, Any]:
        self._check(video_id)
        found: dict[str, list[list[Any]]] = {}
        for track in self.annotations.tracks:
            for shape in track.shapes:
                if start <= shape.frame < stop and not shape.outside:
                    found.setdefault(str(shape.frame), []).append([track.id, *map(float, shape.coordinates), int(shape.keyframe)])
        return {"boxes": found, "points": {}}

    def pictures(self, video_id: str, frames: range, width: int, track: int | None) -> Iterator[tuple[int, bytes]]:
        from etholoop.io import show_pictures

        self._check(video_id)
        wanted = [frame for frame in frames if frame < self.n_frames]
        places = self._places(track)
        shown = {frame: places[frame] for frame in wanted if frame < len(places) and places[frame] >= 0}
        reader = self.main if track is None else self._scene(track)
        images = dict(reader.read(sorted(shown.values()))) if reader and shown else {}
        for frame in wanted:
            image = images.get(shown.get(frame, -1))
            yield frame, b"" if image is None else show_pictures.jpeg_at_most(image, width)

    def animals(self, start: int, stop: int) -> "dict[int, list[Shown]]":
        """Animals of the frames ``[start, stop)``, as they are drawn into a video."""
        import numpy as np

        from etholoop.io.track_drawing import Shown

        found: dict[int, list[Shown]] = {}
        for frame, boxes in self.window(self.stem, start, stop)["boxes"].items():
            for track, *corners, sure in boxes:
                doing = [b["behaviour"] for b in self.bouts if b["track"] == track and b["start"] <= int(frame) < b["stop"]]
                text = f"#{track}: {', '.join(doing)}" if doing else f"#{track}"
                found.setdefault(int(frame), []).append(Shown(track, np.array(corners), text, bool(sure)))
        return found

    def frames(self) -> "Iterator[tuple[int, np.ndarray]]":
        """The drone's view, frame by frame."""
        places = self._places(None)
        shown = [frame for frame, place in enumerate(places) if place >= 0]
        for frame, (_, image) in zip(shown, self.main.read([places[frame] for frame in shown]), strict=True):
            yield frame, image

    @cached_property
    def main(self) -> "VideoReader":
        """The source where it still is, since boxes are burnt into the copy; else the copy."""
        from etholoop.io.video import VideoReader

        candidates = [Path(self.metadata.original), self.folder / f"{self.stem}.mp4"]
        found = next((path for path in candidates if path.is_file()), None)
        if found is None:
            raise EthoLoopError(f"{self.folder}: no video to show; looked for {' and '.join(map(str, candidates))}.")
        self._is_source = found == candidates[0]
        return VideoReader(found)

    @property
    def n_frames(self) -> int:
        return self.main.n_frames if self._main_is_source() else len(self.metadata.tracks["main"])

    @property
    def _fps(self) -> list[int] | None:
        fps = self.main.fps
        return None if fps is None else [fps.numerator, fps.denominator]

    def _main_is_source(self) -> bool:
        return self.main is not None and self._is_source

    def _places(self, track: int | None) -> list[int]:
        """For each source frame its frame in the video that shows it, or -1."""
        if track is None:
            return list(range(self.n_frames)) if self._main_is_source() else self.metadata.tracks["main"]
        return self.metadata.tracks.get(str(track), [])

    @lru_cache(maxsize=32)  # noqa: B019 - the show lives as long as the server
    def _scene(self, track: int) -> "VideoReader | None":
        from etholoop.io.video import VideoReader

        path = self.folder / f"{track}.mp4"
        return VideoReader(path) if path.is_file() else None

    def _check(self, video_id: str) -> None:
        if video_id != self.stem:
            raise KeyError(video_id)

    def _labelled(self) -> list[dict[str, Any]]:
        """What people marked in ``actions/<track>.xml``, whose frames are those of the mini-scene."""
        from etholoop.io import cvat

        bouts = []
        for path in sorted((self.folder / "actions").glob("*.xml")):
            if not path.stem.isdigit() or path.stem not in self.metadata.tracks:
                raise EthoLoopError(f"{path}: no mini-scene has this name; expected <track>.xml for one of the tracks of {self.stem}.")
            sources = self.metadata.frames_of(int(path.stem))
            for marked in cvat.read(path).tracks:
                labels = {sources[frame]: text for frame, text in cvat.labels_by_frame(marked).items() if frame < len(sources)}
                bouts += _bouts(int(path.stem), labels, "people")
        return bouts

    def _predicted(self, path: Path, names: Mapping[int, str]) -> list[dict[str, Any]]:
        labels: dict[int, dict[int, str]] = {}
        faults = []
        if not path.is_file():
            raise EthoLoopError(f"{path}: file not found; expected the CSV that `etholoop kabr miniscene2behavior` wrote.")
        with path.open(newline="", encoding="utf-8") as stream:
            rows = csv.reader(stream, delimiter=" ")
            head = next(rows, [])
            if head != CSV_COLUMNS:
                raise EthoLoopError(f"{path}: expected the columns {' '.join(CSV_COLUMNS)}, found {' '.join(head) or 'nothing'}.")
            for number, row in enumerate(rows, 2):
                if len(row) != len(CSV_COLUMNS) or not all(value.isdigit() for value in row[1:]):
                    faults.append(f"row {number}: expected video, track, frame, label, found {' '.join(row)!r}")
                    continue
                track, frame, label = map(int, row[1:])
                labels.setdefault(track, {})[frame] = names.get(label, str(label))
        if faults:
            raise FaultsError(str(path), faults, "Make the file again with `etholoop kabr miniscene2behavior`.")
        return [bout for track, own in labels.items() for bout in _bouts(track, own, "model")]


def _bouts(track: int, labels: Mapping[int, str], source: str) -> list[dict[str, Any]]:
    """Runs of equal labels in neighbouring frames."""
    bouts: list[dict[str, Any]] = []
    for frame, behaviour in sorted(labels.items()):
        last = bouts[-1] if bouts else None
        if last and last["stop"] == frame and last["behaviour"] == behaviour:
            last["stop"] = frame + 1
        else:
            bouts.append({"track": track, "behaviour": behaviour, "start": frame, "stop": frame + 1, "source": source})
    return bouts


def _only(folder: Path, pattern: str) -> Path:
    found: Iterable[Path] = sorted(folder.glob(pattern))
    paths = list(found)
    if len(paths) != 1:
        what = f"{len(paths)} files {pattern}" if paths else f"no file {pattern}"
        raise EthoLoopError(f"{folder}: {what}; expected the one that `etholoop kabr tracks_extractor` makes.")
    return paths[0]
