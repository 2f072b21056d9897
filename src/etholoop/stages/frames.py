"""frames: manifest → which frames are worth looking at, and their images.

All sources are sampled, those of test groups too: the held-out labelling list is drawn from them, and `select` keeps them out of every
other list.
"""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator
from tqdm import tqdm

from etholoop import registry
from etholoop.core.sampling._shared import Footage
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic, tables
from etholoop.io.memo import Memo, digest, place
from etholoop.params import Section, section_from
from etholoop.project import Project
from etholoop.schema.frames import Frames
from etholoop.schema.videos import Images, Videos

if TYPE_CHECKING:
    from etholoop.io.sources import Source

STRATEGIES = "etholoop.core.sampling"

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

    @property
    def max_per_video(self) -> int | None:
        return None if self.max_share is None else max(1, int(self.max_share * self.n_frames))


def run(project: Project, params: Params) -> None:
    """Pick frames, extract them exactly, write them with the reason for each."""
    from etholoop.io.sources import open_sources

    videos = tables.read(project.manifest / "videos.parquet", Videos)
    images = tables.read(project.manifest / "images.parquet", Images)
    sources = open_sources(project.root, videos, images)
    identities = {video_id: _identity(source, images) for video_id, source in sources.items()}
    picks = choose(sources, identities, params, Memo(project.memo, "frame_features"))
    with atomic.new_folder(project.frames) as folder:
        for video_id in sorted(set(picks["video_id"])):
            frames = picks.loc[picks["video_id"] == video_id, "frame"].tolist()
            kept = extract(sources[video_id], identities[video_id], frames, params.codec, Memo(project.memo, "frame_images"))
            for frame, path in kept.items():
                place(path, folder / image_path(video_id, frame, params.codec))
        tables.write(frame_table(picks, sources, params), Frames, folder / "frames.parquet")
    if len(picks) < params.n_frames and sources:
        wanted = f"{len(picks)} of {params.n_frames} wanted frames"
        print(f"{wanted}: {params.strategy} gives no more from {len(sources)} sources.", file=sys.stderr)


def choose(sources: Mapping[str, "Source"], identities: Mapping[str, str], params: Params, memo: Memo) -> pd.DataFrame:
    """The strategy's picks: video_id, frame, reason, cluster, score; each exists and none comes twice.

    Raises:
        EthoLoopError: the strategy returned something else, which is a fault of its code.
    """
    strategy = registry.load(STRATEGIES, params.strategy)
    settings = _settings(strategy, params)
    footage = [Footage(video_id, source.frames) for video_id, source in sources.items()]
    features = {}
    if strategy.FEATURES is not None:
        key = {"strategy": params.strategy, "version": strategy.FEATURES}
        for video_id, source in sources.items():
            features[video_id] = _features(source, strategy, looked_at(source, settings), memo, {**key, "source": identities[video_id]})
    picks = strategy.sample(footage, features, params.n_frames, max_per_video=params.max_per_video, params=settings, seed=params.seed)
    existing = {(video_id, frame) for video_id, part in picks.groupby("video_id") for frame in _existing(sources, str(video_id), part)}
    if len(existing) != len(picks) or len(picks) > params.n_frames:
        raise EthoLoopError(
            f"strategy '{params.strategy}' must return at most {params.n_frames} different existing frames; it returned {len(picks)}, "
            f"of which {len(existing)} are different and exist. Correct core/sampling/{params.strategy}.py."
        )
    return picks.sort_values(["video_id", "frame"], ignore_index=True)


def looked_at(source: "Source", settings: Section) -> NDArray[np.int64]:
    """Frames of which features are made: every ``frame_skip``-th of a video, every image of a folder (people chose those already)."""
    step = getattr(settings, "frame_skip", 1) if source.kind == "video" else 1
    return np.asarray(source.frames[::step], dtype=np.int64)


def extract(source: "Source", identity: str, frames: list[int], codec: str, memo: Memo) -> dict[int, Path]:
    """Image file of each frame; only frames that were never extracted from this source are decoded.

    Each image is written whole or not at all, so after a kill the work goes on where it stopped.
    """
    from etholoop.io.images import write_rgb

    folder = memo.folder(digest(source=identity, version=IMAGES_VERSION))
    paths = {int(frame): folder / f"{frame:08d}.{codec}" for frame in sorted(frames)}
    missing = [frame for frame, path in paths.items() if not path.is_file()]
    if missing:
        for frame, image in tqdm(source.read(missing), total=len(missing), desc=f"frames of {source.video_id}", disable=None):
            write_rgb(paths[frame], image)
    return paths


def image_path(video_id: str, frame: int, codec: str) -> str:
    """Path of an image below data/frames."""
    return f"{video_id}/{frame:08d}.{codec}"


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


def _features(
    source: "Source", strategy: ModuleType, frames: NDArray[np.int64], memo: Memo, ingredients: dict[str, str]
) -> tuple[NDArray[np.int64], NDArray]:
    """The looked-at frames of one source and their features, computed once."""
    key = digest(**ingredients, frames=hashlib.sha256(frames.tobytes()).hexdigest())

    def make(folder: Path) -> None:
        np.save(folder / "features.npy", strategy.features(_images(source, frames)))

    return frames, np.load(memo.result(key, make) / "features.npy")


def _images(source: "Source", frames: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    for _, image in tqdm(source.read(frames.tolist()), total=len(frames), desc=f"looking at {source.video_id}", disable=None):
        yield image


def _identity(source: "Source", images: pd.DataFrame) -> str:
    """What the pixels depend on: the file of a video; the numbers and digests of the images of a folder."""
    if source.kind == "video":
        return source.sha256
    own = images[images["video_id"] == source.video_id].sort_values("frame")
    return digest(images=[[int(frame), sha256] for frame, sha256 in zip(own["frame"], own["sha256"], strict=True)])


def _existing(sources: Mapping[str, "Source"], video_id: str, picks: pd.DataFrame) -> set[int]:
    frames = sources[video_id].frames if video_id in sources else np.zeros(0, np.int64)
    return set(np.intersect1d(frames, picks["frame"].to_numpy()).tolist())
