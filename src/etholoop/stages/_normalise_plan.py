"""What ``normalise`` does to each source, in numbers: which frames, which picture, which times."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from etholoop.core.frame_map import FrameMap, constant_rate, first_seconds, one_to_one
from etholoop.core.picture_layout import Layout, layout
from etholoop.errors import EthoLoopError, FaultsError

if TYPE_CHECKING:
    from etholoop.io.sources import Source
    from etholoop.stages.normalise import Changes, Params

UNTIMED_TICK = Fraction(1, 25)
"""Seconds from picture to picture where the source has no times: how fast the derived video plays, nothing else."""

BEHAVTRACK: dict[str, Any] = {
    "seconds": 900,
    "fps": "min_whole",
    "width": "min",
    "height": "min",
    "fit": "stretch",
    "grey": True,
    "gamma": 1.8,
    "brightness": 0.17,
    "contrast": 1.3,
}
"""What BehavTrack does before sampling: the first 15 minutes, the least rate, width and height of all videos, each taken by itself."""

PRESETS = {"behavtrack": BEHAVTRACK}


@dataclass(frozen=True)
class Plan:
    """One source. ``ticks`` (n,) int64: time of each derived frame in units of ``tick`` seconds; ``wanted``: the settings in force.

    ``identity``: nothing changes, so nothing is written.
    """

    video_id: str
    frame_map: FrameMap
    ticks: np.ndarray
    tick: Fraction
    rotation: int
    layout: Layout
    wanted: Mapping[str, Any]
    identity: bool


def plans(sources: Mapping[str, "Source"], params: "Params") -> dict[str, Plan]:
    """A plan for each source.

    Raises:
        FaultsError: rules that fit no source, and every source that cannot be treated as asked.
    """
    made: dict[str, Plan] = {}
    faults = [
        f"rules: match '{rule.match}' fits no source"
        for rule in params.rules
        if not any(fnmatchcase(video_id, rule.match) for video_id in sources)
    ]
    least = least_of(sources)
    for video_id, source in sources.items():
        try:
            made[video_id] = plan(source, settings_of(video_id, params), least)
        except (EthoLoopError, ValueError) as error:
            faults.append(f"{video_id}: {error}")
    if faults:
        raise FaultsError("normalise", faults, "Correct the section normalise of params.yaml; nothing was written.")
    return made


def settings_of(video_id: str, params: "Params") -> dict[str, Any]:
    """Settings in force for one source: defaults, then the preset, then params.yaml, then each rule that fits, the last one winning."""
    from etholoop.stages.normalise import Changes

    values = Changes.model_validate({}).model_dump()
    if params.preset:
        values |= PRESETS[params.preset]
    for given in (params, *(rule for rule in params.rules if fnmatchcase(video_id, rule.match))):
        values |= _given(given)
    return values


def _given(section: "Changes") -> dict[str, Any]:
    from etholoop.stages.normalise import Changes

    dumped = section.model_dump()
    return {name: dumped[name] for name in Changes.model_fields if name in section.model_fields_set}


def least_of(sources: Mapping[str, "Source"]) -> dict[str, Fraction | int | None]:
    """The least rate, width and height over all sources, each taken by itself."""
    rates = [source.fps for source in sources.values() if source.fps]
    return {
        "fps": min(rates, default=None),
        "width": min((source.width for source in sources.values()), default=None),
        "height": min((source.height for source in sources.values()), default=None),
    }


def plan(source: "Source", wanted: Mapping[str, Any], least: Mapping[str, Any]) -> Plan:
    """The plan of one source.

    Raises:
        ValueError, EthoLoopError: what is asked for does not fit this source.
    """
    rotation, (ticks, tick) = _rotation(source), times_of(source)
    fps = rate(wanted["fps"], least.get("fps")) if source.kind == "video" else None
    seconds = Fraction(str(wanted["seconds"])) if wanted["seconds"] is not None and source.kind == "video" else None
    frame_map, ticks, tick = _frames(source, ticks, tick, fps, seconds)
    crop = wanted["crop"] and tuple(wanted["crop"][name] for name in ("x", "y", "width", "height"))
    width, height = (least[side] if wanted[side] == "min" else wanted[side] for side in ("width", "height"))
    place = layout((source.width, source.height), crop, width, height, wanted["fit"])
    same_frames = np.array_equal(frame_map.source, source.frames) and (fps is None or _is_already(source, fps))
    identity = same_frames and not place.changes(source.width, source.height) and not _touches_pixels(wanted)
    return Plan(source.video_id, frame_map, ticks, tick, rotation, place, wanted, identity)


def rate(value: Any, least: Fraction | None) -> Fraction | None:
    """A rate as written in params.yaml; ``min`` is the least of all sources, ``min_whole`` the same rounded to a whole number."""
    if value is None:
        return None
    if value in ("min", "min_whole"):
        if least is None:
            raise ValueError(f"fps: {value} needs at least one video with times")
        return least if value == "min" else Fraction(max(1, round(float(least))))
    return Fraction(str(value))


def times_of(source: "Source") -> tuple[np.ndarray, Fraction]:
    """``(n,)`` int64 time of each frame of ``source.frames`` and the unit in seconds.

    Where the rate is constant the frame's number tells its time better than the file's rounded time stamps.
    """
    if source.kind != "video":
        return np.arange(len(source.frames)), UNTIMED_TICK
    index = source.index()
    if index.timed and index.info.variable_rate:
        return index.pts[source.frames], index.time_base
    return source.frames, (1 / source.fps if source.fps else UNTIMED_TICK)


def _frames(
    source: "Source", ticks: np.ndarray, tick: Fraction, fps: Fraction | None, seconds: Fraction | None
) -> tuple[FrameMap, np.ndarray, Fraction]:
    """The frame map and the times of the derived frames."""
    if fps is None and seconds is None:
        return one_to_one(source.frames), ticks, tick
    if not source.fps:
        raise EthoLoopError("has no times, so neither fps nor seconds can be chosen. Add a rule with `fps: null` and `seconds: null`.")
    if fps is None:
        frame_map = first_seconds(source.frames, ticks, tick, seconds)
        return frame_map, ticks[: frame_map.n_frames], tick
    frame_map = constant_rate(source.frames, ticks, tick, fps, seconds)
    return frame_map, np.arange(frame_map.n_frames), 1 / fps


def _is_already(source: "Source", fps: Fraction) -> bool:
    return source.fps == fps and not source.index().info.variable_rate


def _rotation(source: "Source") -> int:
    return source.index().info.rotation if source.kind == "video" else 0


def _touches_pixels(wanted: Mapping[str, Any]) -> bool:
    plain = (wanted["gamma"], wanted["brightness"], wanted["contrast"]) == (1, 0, 1)
    return not plain or any(wanted[name] for name in ("grey", "denoise", "deflicker", "keep", "hide"))
