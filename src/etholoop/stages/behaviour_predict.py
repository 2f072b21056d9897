"""behaviour_predict: trained behaviour models → the probability of every behaviour, of each animal, in each frame.

Each source is read once from front to back. Windows of all animals are cut from a frame while it is at hand, only the small pictures are
kept, and only as long as a clip needs them: memory depends on the number of animals and not on the length of a video. Clips of several
animals and moments go through the network together. Pieces of at most 500 frames are remembered, so a kill costs one piece.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from etholoop import registry
from etholoop.core.behaviour_labels import Interval
from etholoop.core.bouts import MULTICLASS
from etholoop.core.bouts.lines import lines_of
from etholoop.core.chunks import chunks
from etholoop.core.refinement import Check, Wish
from etholoop.io import atomic, tables
from etholoop.io.memo import Memo, digest
from etholoop.modeling.behaviour._shared import BODIES, PICTURES
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.scores import WHOLE_VIDEO, Scores
from etholoop.stages._adaptive_looks import adapted
from etholoop.stages._animal_bodies import VideoBodies, bodies_of_video, digest_of
from etholoop.stages._animal_pictures import Animals, Followed, animals_of_project, animals_of_source, nearest
from etholoop.stages._families import Families, read_families, write_families
from etholoop.stages._map import Unit, map_memo
from etholoop.stages._pieces import run_names
from etholoop.stages.pose_predict import best_device, one_thread

if TYPE_CHECKING:
    from etholoop.io.sources import Source
    from etholoop.modeling.behaviour._shared import View

FAMILIES = "etholoop.modeling.behaviour.families"
VERSION = 1
"""Raise it when the same inputs would give other scores; it is part of the memo key."""

AUTO = "auto"

CHECK = "check.json"
"""Beside the scores of a piece: what is known of the agreement of a stride that adapted itself."""

CLIP_S = 0.05
"""Rough seconds of one core for one clip."""


class Params(Section):
    """``stride``: every so many frames of an animal are looked at; bouts are decided on straight lines between them. ``auto``: frames are
    looked at where it matters and filled in elsewhere, and the table says which (``computed``); see ``core/refinement.py``."""

    stride: Annotated[int, Field(ge=1)] | Literal["auto"] = 1
    agreement: float = Field(
        0.98, ge=0.5, lt=1, description="with stride auto: wanted share of frames whose most probable behaviour is that of a stride of 1"
    )
    check_stride: int = Field(
        0, ge=0, description="so many frames of each video are looked at one by one too, to measure how far a stride agrees with that"
    )
    batch: int = Field(16, ge=1, description="clips that go through the network together on a GPU")
    backend: Literal["torch", "openvino", "auto"] = Field("torch", description="for the CPU; another one may round differently")


def run(project: Project, params: Params) -> None:
    """Write scores of every trained family and the list of them."""
    families, reason = read_families(project / "models/behaviour")
    trained = {family: about for family, about in families.items() if about["trained"]}
    if families and not trained:
        reason = "; ".join(f"{family}: {about['reason']}" for family, about in sorted(families.items()))
    animals = animals_of_project(project) if trained else {}
    agreements: dict[str, dict[str, Any]] = {}
    with atomic.new_folder(project / "data/scores") as folder:
        for family, about in sorted(trained.items()):
            table, check = scores_of(project, params, family, about, animals)
            agreements[family] = what_is_known(check) | agreement(project, params, family, about, animals=animals, table=table)
            (folder / family).mkdir()
            tables.write(table, Scores, folder / family / "scores.parquet")
        kept = ("behaviours", "head", "weights_sha256")
        listed: Families = {
            family: {**{name: about[name] for name in kept}, "stride": _stride(params), **agreements[family]}
            for family, about in sorted(trained.items())
        }
        write_families(folder, listed, reason)


def scores_of(
    project: Project, params: Params, family: str, about: dict[str, Any], animals: dict[str, Animals], *, first: int | None = None
) -> tuple[pd.DataFrame, Check]:
    """Table ``Scores`` of one family, from the memo where nothing that matters has changed; of the ``first`` frames of each video only.
    And with a stride that adapts itself what is known of its agreement."""
    plugin = registry.load(FAMILIES, family)
    predictor = plugin.Predictor.load(project / f"models/behaviour/{family}/weights.pt")
    identity = {"family": family, "version": plugin.VERSION, "weights": about["weights_sha256"], "device": best_device()}
    identity["backend"] = params.backend
    adapt = params.agreement if params.stride == AUTO else None
    if adapt is not None:
        identity["adapt"] = adapt
    looks_at = about["looks_at"]
    options = Options(looks_at["tracks"], looks_at["whole"], _stride(params), params.batch, first, adapt, _keypoints(predictor))
    plans = {video_id: plan for video_id, own in sorted(animals.items()) if (plan := plan_of(own, options))}
    pieces = {video_id: chunks(np.unique(np.concatenate([one.moments for one in plan]))) for video_id, plan in plans.items()}
    names = run_names(project, {video_id: animals[video_id].source for video_id in pieces}, pieces)
    units = []
    for video_id, plan in plans.items():
        bodies = None if options.keypoints is None else bodies_of_video(project, video_id, options.keypoints)
        for piece, run_name in zip(pieces[video_id], names[video_id], strict=True):
            look = Look(project.root, video_id, int(piece[0]), int(piece[-1]) + 1, options, identity)
            clips = clips_of(animals[video_id], plan, look, predictor.offsets)
            label = f"{family} {video_id} frames {look.start}-{look.stop - 1}"
            cost = CLIP_S * sum(len(one.moments) for one in clips)
            key = _key(animals[video_id].source, look, clips, predictor.view, bodies)
            units.append(Unit(key, label, (look,), cost, video_id, run_name))
    memo = Memo(project.memo, "behaviour_predict")
    done = map_memo(memo, units, write_scores, project, what=f"behaviour by {family}", begin=open_to_look, gpu=True)
    parts = [pd.read_parquet(done[unit.key] / "scores.parquet") for unit in units]
    table = pd.concat(parts, ignore_index=True) if parts else empty_scores(predictor.behaviours)
    checks = [done[unit.key] / CHECK for unit in units] if adapt is not None else []
    check = sum((Check(**json.loads(path.read_text(encoding="utf-8"))) for path in checks), Check())
    return table.sort_values(["video_id", "track", "frame"], ignore_index=True), check


def what_is_known(check: Check) -> dict[str, Any]:
    """Of a stride that adapted itself: how many frames were computed, and the share of frames that agree with a stride of 1, measured at
    random ones. Nothing for another stride."""
    if not check.n:
        return {}
    low, high = check.interval
    known = {"frames": check.n, "frames_computed": check.judged, "frames_checked": check.tried, "frames_same": check.same}
    return {**known, "auto_agreement": round(check.agreement, 6), "auto_agreement_95": [round(low, 6), round(high, 6)]}


def _keypoints(predictor: Any) -> tuple[str, ...] | None:
    """Keypoints that a model of bodies knows; None for one that looks at pictures."""
    return tuple(predictor.keypoints) if getattr(predictor, "sees", PICTURES) == BODIES else None


def _stride(params: Params) -> int:
    """Frames from one row of the table to the next."""
    return 1 if params.stride == AUTO else int(params.stride)


def agreement(
    project: Project, params: Params, family: str, about: dict[str, Any], *, animals: dict[str, Animals], table: pd.DataFrame
) -> dict[str, Any]:
    """How often the most probable behaviour of a frame is the same with the stride as frame by frame, in the first frames of each video.

    Nothing where no stride is in use or no frames are to be checked.
    """
    if params.stride == 1 or not params.check_stride:
        return {}
    each = params.model_copy(update={"stride": 1})
    whole, _ = scores_of(project, each, family, about, animals, first=params.check_stride)
    lines = {(line.video_id, line.track): line for line in lines_of(table, about["behaviours"], _stride(params))}
    n_same = n_all = 0
    for one in lines_of(whole, about["behaviours"], 1):
        other = lines[one.video_id, one.track].scores[: len(one.scores)]
        known = np.isfinite(one.scores).all(axis=1) & np.isfinite(other).all(axis=1)
        n_same += int((one.scores[known].argmax(axis=1) == other[known].argmax(axis=1)).sum())
        n_all += int(known.sum())
    return {"stride_agreement": round(n_same / n_all, 6) if n_all else None, "stride_agreement_frames": n_all}


# --- what to look at ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Options:
    """``tracks``, ``whole``: what the model learnt to look at; a video without tracks is looked at as a whole if it did."""

    tracks: bool
    whole: bool
    stride: int
    batch: int
    first: int | None = None
    """Only moments before this frame."""
    adapt: float | None = None
    """Wanted agreement of a stride that adapts itself; None for a fixed one."""
    keypoints: tuple[str, ...] | None = None
    """Of a family that looks at bodies: the keypoints that it knows. None: it looks at pictures."""


@dataclass(frozen=True)
class Timed:
    """One animal: ``moments`` (m,) to be judged, ascending, and for each the time [start, stop) that its clip may show, (m, 2)."""

    track: int
    moments: np.ndarray
    limits: np.ndarray


def plan_of(animals: Animals, options: Options) -> list[Timed]:
    """Moments of each animal of a video: every ``stride``-th frame of each run, and its last one."""
    tracks = animals.tracks
    wanted = [WHOLE_VIDEO] if options.whole and not tracks else tracks if options.tracks else []
    plan = []
    for track in wanted:
        parts = [(_moments(run_, options), run_) for run_ in animals.runs(track)]
        if any(len(moments) for moments, _ in parts):
            limits = np.concatenate([np.tile(run_, (len(moments), 1)) for moments, run_ in parts])
            plan.append(Timed(track, np.concatenate([moments for moments, _ in parts]), limits))
    return plan


def _moments(interval: Interval, options: Options) -> np.ndarray:
    start, stop = interval
    moments = np.unique(np.r_[np.arange(start, stop, options.stride), stop - 1])
    return moments if options.first is None else moments[moments < options.first]


@dataclass(frozen=True)
class Look:
    """One piece of a source to be judged, moments in [start, stop), and with what. Small: what it needs is read where it is done."""

    root: Path
    video_id: str
    start: int
    stop: int
    options: Options
    identity: dict[str, Any]


@dataclass(frozen=True)
class Clips:
    """Clips of one animal in a piece: ``moments`` (m,), ``frames`` (m, t) whose pictures they are made of, and their windows."""

    track: int
    moments: np.ndarray
    frames: np.ndarray
    followed: Followed


def clips_of(animals: Animals, plan: list[Timed], look: Look, offsets: np.ndarray) -> list[Clips]:
    """The piece of every animal; frames beyond the end of a run are those at its end, frames not shown are the nearest ones shown."""
    clips = []
    for one in plan:
        first, behind = np.searchsorted(one.moments, [look.start, look.stop])
        if first == behind:
            continue
        followed, moments, limits = animals.of(one.track), one.moments[first:behind], one.limits[first:behind]
        frames = np.clip(moments[:, None] + offsets[None], limits[:, :1], limits[:, 1:] - 1)
        frames = nearest(followed.frames, frames)
        clips.append(Clips(one.track, moments, frames, followed.inside(np.unique(frames))))
    return clips


def _key(source: "Source", look: Look, clips: list[Clips], view: "View", bodies: VideoBodies | None) -> str:
    content = hashlib.sha256()
    for one in clips:
        for array in (one.moments, one.frames, one.followed.frames, one.followed.windows):
            content.update(np.ascontiguousarray(array).tobytes())
        if bodies is not None:
            content.update(digest_of(bodies.of(one.track, one.followed.frames)).encode())
    return digest(
        source=[source.video_id, source.sha256, *(float(value) for value in vars(source.affine).values())],
        tracks=[one.track for one in clips],
        clips=content.hexdigest(),
        view=asdict(view),
        model=look.identity,
        batch=look.options.batch,
        version=VERSION,
    )


# --- in a worker -------------------------------------------------------------------------------------------------------------------


class Looking:
    """The model, and the source of a run of pieces; small pictures, or bodies, are kept as long as a piece to come needs them."""

    def __init__(self, looks: list[Look]):
        first = looks[0]
        self.predictor = _loaded(first.root, json.dumps(first.identity, sort_keys=True))
        self.view = self.predictor.view
        # a family may measure pictures as they come and make its clips of what it measured; others are given the pictures
        self.see = getattr(self.predictor, "see", lambda picture, window: picture)
        self.clip = getattr(self.predictor, "clip", np.stack)
        animals = animals_of_source(Project(first.root), first.video_id)
        plan = plan_of(animals, first.options)
        self.clips = {look.start: clips_of(animals, plan, look, self.predictor.offsets) for look in looks}
        self.windows: dict[int, dict[int, np.ndarray]] = {}
        for one in (one for clips in self.clips.values() for one in clips):
            windows = animals.source.affine.boxes(one.followed.windows)
            for frame, window in zip(one.followed.frames.tolist(), windows, strict=True):
                self.windows.setdefault(frame, {})[one.track] = window
        self.frames = sorted(self.windows)
        self.bodies = _bodies(first, self.frames)
        self.images = animals.source.read(self.frames if self.bodies is None else [])
        self.kept: dict[int, dict[int, Any]] = {}
        self.last = -1
        self.oldest_of_later = [min(int(one.frames.min()) for one in self.clips[look.start]) for look in looks[1:]]

    def advance(self, frame: int) -> None:
        """Go on until what is looked at in ``frame`` is at hand."""
        if self.bodies is not None:
            for own in self.frames[bisect_right(self.frames, self.last) : bisect_right(self.frames, frame)]:
                self.kept[own] = {track: self.bodies.of(track, np.array([own]))[0] for track in self.windows[own]}
                self.last = own
        else:
            self._read(frame)

    def _read(self, frame: int) -> None:
        from etholoop.modeling.behaviour._pictures import picture_of

        while self.last < frame:
            self.last, image = next(self.images)
            windows = self.windows[self.last]
            self.kept[self.last] = {track: self.see(picture_of(image, window, self.view), window) for track, window in windows.items()}

    def forget(self, before: int) -> None:
        """Drop the pictures of earlier frames."""
        for frame in [frame for frame in self.kept if frame < before]:
            del self.kept[frame]

    def close(self) -> None:
        close = getattr(self.images, "close", None)
        if close:
            close()


def _bodies(look: Look, frames: list[int]) -> VideoBodies | None:
    """The animals of the frames of a run as numbers, for a family that looks at them."""
    if look.options.keypoints is None or not frames:
        return None
    return bodies_of_video(Project(look.root), look.video_id, look.options.keypoints, (frames[0], frames[-1] + 1))


def open_to_look(every_args: list[tuple[Look]]) -> Looking:
    """In a worker: what the pieces of a run share."""
    return Looking([look for (look,) in every_args])


@lru_cache(maxsize=1)
def _loaded(root: Path, identity: str) -> Any:
    """The model, once in each worker."""
    content = json.loads(identity)
    plugin = registry.load(FAMILIES, content["family"])
    return plugin.Predictor.load(root / f"models/behaviour/{content['family']}/weights.pt", content["device"], content["backend"])


def write_scores(folder: Path, looking: Looking, look: Look) -> None:
    """In a worker: the scores of one piece."""
    behaviours = looking.predictor.behaviours
    if look.options.adapt is not None:
        write_adapted(folder, looking, look, look.options.adapt)
        return
    places, scores = [], []
    with one_thread(look.identity["device"]):
        for batch, clips in batches(looking, look):
            places += batch
            scores.append(looking.predictor.predict(clips))
    table = empty_scores(behaviours) if not places else _table(look.video_id, places, np.concatenate(scores), behaviours)
    # checked once as a whole; here the types are all that matters
    table.sort_values(["track", "frame"], ignore_index=True).to_parquet(folder / "scores.parquet", index=False)


def write_adapted(folder: Path, looking: Looking, look: Look, wanted: float) -> None:
    """In a worker: the scores of one piece with a stride that adapts itself, and what is known of its agreement."""
    predictor, later = looking.predictor, looking.oldest_of_later
    clips = [(one.track, int(moment), frames) for one in looking.clips[look.start] for moment, frames in _rows(one)]
    table, check = empty_scores(predictor.behaviours).assign(computed=pd.Series(dtype=bool)), Check()
    if clips:
        with one_thread(look.identity["device"]):
            found = adapted(
                clips,
                looking,
                predictor.predict,
                rate=int(np.gcd.reduce(np.diff(predictor.offsets))) if len(predictor.offsets) > 1 else 1,
                wish=Wish(agreement=wanted),
                batch=look.options.batch,
                exclusive=predictor.head == MULTICLASS,
                picture_bytes=max(3 * looking.view.crop_px**2, 1000),
                needed_later=min(later) if later else None,
            )
        table, check = _table(look.video_id, found.places, found.scores, predictor.behaviours), found.check
        table.insert(3, "computed", found.judged)
    if later:
        later.pop(0)
    table.sort_values(["track", "frame"], ignore_index=True).to_parquet(folder / "scores.parquet", index=False)
    (folder / CHECK).write_text(json.dumps(asdict(check)), encoding="utf-8")


def batches(looking: Looking, look: Look) -> Iterator[tuple[list[tuple[int, int]], np.ndarray]]:
    """Lists of (track, moment) with their clips (n, t, h, w, 3), as soon as their last picture has come."""
    order = sorted(
        (
            (int(frames.max()), int(frames.min()), one.track, int(moment), frames)
            for one in looking.clips[look.start]
            for moment, frames in _rows(one)
        ),
        key=lambda clip: clip[:4],
    )
    later = looking.oldest_of_later
    # for each clip, the first frame that it or a later one of this piece needs
    oldest = np.minimum.accumulate([clip[1] for clip in order][::-1])[::-1].tolist()
    for start in range(0, len(order), look.options.batch):
        batch = order[start : start + look.options.batch]
        pictures = []
        for number, (last, _, track, _, frames) in enumerate(batch, start):
            looking.advance(last)
            pictures.append(looking.clip([looking.kept[frame][track] for frame in frames.tolist()]))
            looking.forget(min([oldest[number], *later]))
        yield from _alike([(track, moment) for _, _, track, moment, _ in batch], pictures)
    if later:
        looking.forget(min(later))
        later.pop(0)


def _rows(one: Clips) -> Iterator[tuple[int, np.ndarray]]:
    return zip(one.moments.tolist(), one.frames, strict=True)


def _alike(places: list[tuple[int, int]], pictures: list[np.ndarray]) -> Iterator[tuple[list[tuple[int, int]], np.ndarray]]:
    """Clips of one size together."""
    sizes = sorted({clip.shape for clip in pictures})
    for size in sizes:
        own = [number for number, clip in enumerate(pictures) if clip.shape == size]
        yield [places[number] for number in own], np.stack([pictures[number] for number in own])


def _table(video_id: str, places: list[tuple[int, int]], scores: np.ndarray, behaviours: tuple[str, ...]) -> pd.DataFrame:
    fixed = {"video_id": video_id, "track": [track for track, _ in places], "frame": [moment for _, moment in places]}
    # a sum of float16 may exceed 1 by its last bit, a single one never does
    columns = {f"p_{name}": np.clip(scores[:, k], 0, 1).astype(np.float16) for k, name in enumerate(behaviours)}
    return tables.typed(pd.DataFrame(fixed | columns), Scores)


def empty_scores(behaviours: tuple[str, ...]) -> pd.DataFrame:
    """A table without rows, with a column for each behaviour."""
    return tables.empty(Scores).assign(**{f"p_{name}": pd.Series(dtype="float16") for name in behaviours})
