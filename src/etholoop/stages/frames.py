"""frames: manifest → which frames are worth looking at, and their images.

All sources are sampled, those of test groups too: the held-out labelling list is drawn from them, and `select` keeps them out of every
other list.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from etholoop import registry
from etholoop.core.chunks import chunks, label_of, spans
from etholoop.core.sampling._shared import Footage
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic, tables
from etholoop.io.memo import Memo, digest, place
from etholoop.params import Section, section_from
from etholoop.project import Project
from etholoop.schema.frames import Frames
from etholoop.schema.videos import Images
from etholoop.stages._map import Unit, map_memo
from etholoop.stages._pieces import Strip, run_names
from etholoop.stages._sources import project_sources, source_of

if TYPE_CHECKING:
    from etholoop.io.sources import Source

STRATEGIES = "etholoop.core.sampling"

TOGETHER = 32
"""Images of one source that a worker extracts in one go."""

EXTRACT_S, LOOK_RATE = 0.05, 0.5e9
"""Rough seconds to extract a frame, and pixels decoded in a second on the way."""

IMAGES_VERSION = "1"
"""To be changed with the way images are decoded or written, so that old ones in the memo are not used."""


class Params(Section):
    """How many frames, and by which strategy; ``settings`` are those of the strategy."""

    strategy: str = "uniform"
    n_frames: int = Field(200, ge=0)
    """Over all sources together."""
    seed: int = Field(42, ge=0)
    max_share: float | None = Field(None, gt=0, le=1)
    """No source gives more than this share of ``n_frames``."""
    per_video: int | None = Field(None, ge=1)
    """This many of every source, in place of ``n_frames``; with uniform, random and motion a new source then moves no frame of another."""
    codec: Literal["png", "jpg"] = "png"
    settings: dict[str, Any] = Field({})

    @model_validator(mode="after")
    def _settings_fit_the_strategy(self) -> "Params":
        try:
            _settings(registry.load(STRATEGIES, self.strategy), self)
        except FaultsError as error:
            raise ValueError("; ".join(error.faults)) from None
        except EthoLoopError as error:
            raise ValueError(str(error)) from None
        return self

    @model_validator(mode="after")
    def _one_limit_per_source(self) -> "Params":
        if self.per_video is not None and self.max_share is not None:
            raise ValueError("per_video and max_share both limit what one source gives; set one of them to null")
        if self.per_video is not None and "n_frames" in self.model_fields_set:
            raise ValueError("per_video counts frames of every source and n_frames over all sources; leave one of them out")
        return self

    def wanted(self, n_sources: int) -> tuple[int, int | None]:
        """How many frames over all sources together, and at most of one source."""
        if self.per_video is not None:
            return self.per_video * n_sources, self.per_video
        return self.n_frames, None if self.max_share is None else max(1, int(self.max_share * self.n_frames))


def run(project: Project, params: Params) -> None:
    """Pick frames, extract them exactly, write them with the reason for each."""
    images = tables.read(project.manifest / "images.parquet", Images)
    sources = project_sources(project)
    identities = {video_id: _identity(source, images) for video_id, source in sources.items()}
    picks = choose(project, sources, identities, params)
    paths = extract(project, sources, identities, picks, params.codec)
    with atomic.new_folder(project.frames) as folder:
        for (video_id, frame), path in paths.items():
            place(path, folder / image_path(video_id, frame, params.codec))
        tables.write(frame_table(picks, sources, params), Frames, folder / "frames.parquet")
    n_wanted, _ = params.wanted(len(sources))
    if len(picks) < n_wanted:
        wanted = f"{len(picks)} of {n_wanted} wanted frames"
        print(f"{wanted}: {params.strategy} gives no more from {len(sources)} sources.", file=sys.stderr)


def choose(project: Project, sources: Mapping[str, "Source"], identities: Mapping[str, str], params: Params) -> pd.DataFrame:
    """The strategy's picks: video_id, frame, reason, cluster, score; each exists and none comes twice.

    Raises:
        EthoLoopError: the strategy returned something else, which is a fault of its code.
    """
    strategy = registry.load(STRATEGIES, params.strategy)
    settings = _settings(strategy, params)
    footage = [Footage(video_id, source.frames) for video_id, source in sources.items()]
    features: dict[str, tuple[NDArray[np.int64], NDArray]] = {}
    if strategy.FEATURES is not None:
        features = all_features(project, sources, identities, {name: looked_at(one, settings) for name, one in sources.items()}, params)
    n_frames, largest = params.wanted(len(sources))
    picks = strategy.sample(footage, features, n_frames, max_per_video=largest, params=settings, seed=params.seed)
    existing = {(video_id, frame) for video_id, part in picks.groupby("video_id") for frame in _existing(sources, str(video_id), part)}
    if len(existing) != len(picks) or len(picks) > n_frames:
        raise EthoLoopError(
            f"strategy '{params.strategy}' must return at most {n_frames} different existing frames; it returned {len(picks)}, "
            f"of which {len(existing)} are different and exist. Correct core/sampling/{params.strategy}.py."
        )
    return picks.sort_values(["video_id", "frame"], ignore_index=True)


def looked_at(source: "Source", settings: Section) -> NDArray[np.int64]:
    """Frames of which features are made: every ``frame_skip``-th of a video, every image of a folder (people chose those already)."""
    step = getattr(settings, "frame_skip", 1) if source.kind == "video" else 1
    return np.asarray(source.frames[::step], dtype=np.int64)


def extract(
    project: Project, sources: Mapping[str, "Source"], identities: Mapping[str, str], picks: pd.DataFrame, codec: str
) -> dict[tuple[str, int], Path]:
    """Image file of each pick; each frame is a unit, so one that was ever extracted from this source is not decoded again."""
    pairs = [(str(video_id), int(frame)) for video_id, frame in zip(picks["video_id"], picks["frame"], strict=True)]
    units = {}
    for place_in_source, (video_id, frame) in _numbered(pairs):
        key = digest(source=identities[video_id], frame=frame, codec=codec, version=IMAGES_VERSION)
        args = (Shot(project.root, video_id, frame, image_name(frame, codec)),)
        run = f"{video_id}:{place_in_source // TOGETHER}"
        units[video_id, frame] = Unit(key, f"{video_id} frame {frame}", args, EXTRACT_S, video_id, run)
    memo = Memo(project.memo, "frame_images")
    done = map_memo(memo, list(units.values()), write_image, project, what="extracting", begin=open_for_images)
    return {pair: done[unit.key] / image_name(pair[1], codec) for pair, unit in units.items()}


def _numbered(pairs: list[tuple[str, int]]) -> Iterator[tuple[int, tuple[str, int]]]:
    """Each pair with its place among those of its source."""
    counts: Counter[str] = Counter()
    for pair in pairs:
        yield counts[pair[0]], pair
        counts[pair[0]] += 1


@dataclass(frozen=True)
class Shot:
    """One frame to be written as an image called ``name``."""

    root: Path
    video_id: str
    frame: int
    name: str


def open_for_images(every_args: list[tuple[Shot]]) -> Strip:
    """In a worker: the source of a run of images."""
    first = every_args[0][0]
    return Strip(source_of(first.root, first.video_id), [shot.frame for (shot,) in every_args])


def write_image(folder: Path, strip: Strip, shot: Shot) -> None:
    """In a worker: one frame as an image."""
    from etholoop.io.images import write_rgb

    for _, image in strip.take([shot.frame]):
        write_rgb(folder / shot.name, image)


def image_name(frame: int, codec: str) -> str:
    """File name of the image of a frame."""
    return f"{frame:08d}.{codec}"


def image_path(video_id: str, frame: int, codec: str) -> str:
    """Path of an image below data/frames."""
    return f"{video_id}/{image_name(frame, codec)}"


def frame_table(picks: pd.DataFrame, sources: Mapping[str, "Source"], params: Params) -> pd.DataFrame:
    """The picks as table ``Frames``."""
    if picks.empty:
        return tables.empty(Frames)
    table = picks.assign(
        path=[image_path(video_id, frame, params.codec) for video_id, frame in zip(picks["video_id"], picks["frame"], strict=True)],
        width=[sources[video_id].width for video_id in picks["video_id"]],
        height=[sources[video_id].height for video_id in picks["video_id"]],
        strategy=params.strategy,
    )
    return tables.typed(table[list(Frames.columns)], Frames)


def _settings(strategy: ModuleType, params: Params) -> Section:
    return section_from({"settings": params.settings}, "settings", strategy.Params, f"settings of strategy '{params.strategy}'")


def all_features(
    project: Project,
    sources: Mapping[str, "Source"],
    identities: Mapping[str, str],
    frames: Mapping[str, NDArray[np.int64]],
    params: Params,
) -> dict[str, tuple[NDArray[np.int64], NDArray]]:
    """The looked-at frames of each source and their features, computed once, in pieces of at most 500 source frames."""
    strategy = registry.load(STRATEGIES, params.strategy)
    pieces = {video_id: _pieces(sources[video_id], own) for video_id, own in frames.items()}
    names = run_names(project, sources, pieces)
    units: dict[str, list[Unit]] = {}
    for video_id, own in pieces.items():
        before = np.zeros(0, np.int64)
        units[video_id] = []
        for piece, run in zip(own, names[video_id], strict=True):
            looked = [before.tolist(), piece.tolist()]
            key = digest(strategy=params.strategy, version=strategy.FEATURES, source=identities[video_id], frames=looked)
            cost = sources[video_id].width * sources[video_id].height * (int(piece[-1] - piece[0]) + 1) / LOOK_RATE
            look = Look(project.root, video_id, params.strategy, *looked)
            units[video_id].append(Unit(key, f"{video_id} {label_of(piece)}", (look,), cost, video_id, run))
            before = np.concatenate([before, piece])[len(before) + len(piece) - _context(strategy) :]
    memo = Memo(project.memo, "frame_features")
    done = map_memo(memo, [unit for own in units.values() for unit in own], write_features, project, what="looking", begin=open_to_look)
    none = strategy.features([])
    return {
        video_id: (frames[video_id], np.concatenate([none, *(np.load(done[unit.key] / "features.npy") for unit in own)]))
        for video_id, own in units.items()
    }


def _pieces(source: "Source", frames: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """By frame numbers where everything in between is decoded, by count where it is not."""
    return spans(frames) if source.kind == "video" else chunks(frames)


def _context(strategy: ModuleType) -> int:
    """How many images before it a row of features depends on."""
    return int(getattr(strategy, "CONTEXT", 0))


@dataclass(frozen=True)
class Look:
    """One piece of a source to be looked at, and the frames before it that its first rows depend on."""

    root: Path
    video_id: str
    strategy: str
    before: list[int]
    frames: list[int]


def open_to_look(every_args: list[tuple[Look]]) -> Strip:
    """In a worker: the source of a run of pieces."""
    first = every_args[0][0]
    frames = [frame for (look,) in every_args for frame in (*look.before, *look.frames)]
    return Strip(source_of(first.root, first.video_id), frames, _context(registry.load(STRATEGIES, first.strategy)))


def write_features(folder: Path, strip: Strip, look: Look) -> None:
    """In a worker: features of one piece; the images before it are looked at once more."""
    images = (image for _, image in strip.take([*look.before, *look.frames]))
    np.save(folder / "features.npy", registry.load(STRATEGIES, look.strategy).features(images)[len(look.before) :])


def _identity(source: "Source", images: pd.DataFrame) -> str:
    """What the pixels depend on: the file of a video, also of a derived one; the numbers and digests of the images of a folder."""
    if source.kind == "video" or source.derived is not None:
        return source.sha256
    own = images[images["video_id"] == source.video_id].sort_values("frame")
    return digest(images=[[int(frame), sha256] for frame, sha256 in zip(own["frame"], own["sha256"], strict=True)])


def _existing(sources: Mapping[str, "Source"], video_id: str, picks: pd.DataFrame) -> set[int]:
    frames = sources[video_id].frames if video_id in sources else np.zeros(0, np.int64)
    return set(np.intersect1d(frames, picks["frame"].to_numpy()).tolist())
