"""Label Studio annotations → label records of the snapshot, or the reason why one cannot be taken.

Labels are recognised by the kind of the region and the word on it, not by the name of the control, so that a screen that somebody
rearranged by hand still reads. Nothing is guessed: what cannot be told for certain is refused with the place and the remedy.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from etholoop.core.frame_map import FrameMap
from etholoop.io import label_studio_config as screen
from etholoop.io.label_studio_picture import Picture, picture_of
from etholoop.io.label_studio_tasks import frame_map
from etholoop.params import nearest
from etholoop.schema.ethogram import Ethogram
from etholoop.schema.skeleton import Skeleton

EDGE_TOLERANCE_PX = 1.0
"""How far outside of the image a keypoint may lie to be moved onto the edge."""

SAME_SHAPE = 0.01
"""Relative difference of the sides' ratio up to which a picture counts as the same, in another size."""

Record = dict[str, Any]
Result = Mapping[str, Any]
Extras = dict[tuple[str, str], Any]
"""Choices and texts by region and control."""


@dataclass
class Read:
    """What one annotation gave. ``record`` is None exactly when ``reasons`` say why not; ``remarks`` tell what was put right."""

    record: Record | None = None
    reasons: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass
class _Animal:
    name: str
    instance: Record


@dataclass(frozen=True)
class _Point:
    name: str
    parent: str | None
    keypoint: str
    x: float
    y: float


def frame_record(data: Mapping[str, Any], results: Sequence[Result], annotator: str, skeleton: Skeleton) -> Read:
    """One submitted annotation of a frame.

    Args:
        data: the task's data: uid, width and height of the source in pixels.
        results: the annotation's regions.
    """
    read = Read()
    picture = picture_of(data)
    extras = _extras(results)
    animals, points = _animals(results, picture, skeleton, read), _points(results, picture, skeleton, read)
    _bind(animals, points, extras, read)
    for animal in animals:
        animal.instance["identity"] = _text(extras, animal.name, screen.IDENTITY)
    status = _status(extras, animals, read)
    if not read.reasons:
        note = _text(extras, None, screen.NOTE) or ""
        instances = [animal.instance for animal in animals]
        read.record = {"uid": data["uid"], "annotator": annotator, "status": status, "note": note, "instances": instances}
    return read


def behaviour_record(
    data: Mapping[str, Any],
    results: Sequence[Result],
    annotator: str,
    ethogram: Ethogram,
    today: Callable[[str], str | None] = lambda word: word,
) -> Read:
    """One submitted annotation of a behaviour window.

    Submitting says that all of the window was looked at, unless stretches are marked ``looked_at``: then only these (and the time of
    every bout) were. Ranges of one behaviour that overlap are one bout; those that only touch stay two. ``today``: what a word of an
    earlier ethogram is called now, None where it was removed; such ranges are told and left out.
    """
    read = Read()
    shown = [(int(start), int(stop)) for start, stop in data["shown"]]
    frames = frame_map(shown)
    marked: dict[str, list[tuple[int, int]]] = {}
    for result in results:
        for label in _words(result, "timelinelabels"):
            marked.setdefault(label, []).extend(_ranges(result, label, frames, read))
    looked_at = marked.pop(screen.LOOKED_AT, None)
    marked = _in_words_of_today(marked, today, read)
    unknown = sorted(set(marked) - set(ethogram.names))
    read.reasons += [f"unknown behaviour '{name}'; {nearest(name, list(ethogram.names))}" for name in unknown]
    bouts = [
        {"behaviour": name, "start": start, "stop": stop}
        for name, intervals in marked.items()
        for start, stop in _joined_bouts(name, intervals, ethogram, read)
    ]
    read.reasons += _exclusion_faults(bouts, ethogram)
    if not read.reasons:
        told = [interval for intervals in marked.values() for interval in intervals]
        seen = shown if looked_at is None else looked_at + told
        bouts.sort(key=lambda bout: (bout["start"], bout["stop"], bout["behaviour"]))
        read.record = {
            "video": data["video_id"],
            "subject": data["subject"] or "",
            "annotator": annotator,
            "looked_at": [list(interval) for interval in _union(seen)],
            "bouts": bouts,
        }
    return read


# --- frames ------------------------------------------------------------------------------------------------------------------------


def _animals(results: Sequence[Result], picture: Picture, skeleton: Skeleton, read: Read) -> list[_Animal]:
    animals = []
    for result in results:
        for label in _words(result, "rectanglelabels"):
            if label not in skeleton.species:
                read.reasons.append(f"unknown class '{label}'; {nearest(label, list(skeleton.species))}")
            box = _box(result, picture, read)
            if box:
                animals.append(_Animal(str(result["id"]), {"class": label, "box": box, "identity": None, "keypoints": {}}))
    return animals


def _box(result: Result, picture: Picture, read: Read) -> list[float] | None:
    value = result["value"]
    if float(value.get("rotation") or 0) % 360:
        read.reasons.append(f"a box is turned by {value['rotation']} degrees; boxes stand upright, please draw it anew")
        return None
    corner = _pixels(result, picture, read)
    if corner is None:
        return None
    drawn = [*corner, *picture.source_place(float(value["x"]) + float(value["width"]), float(value["y"]) + float(value["height"]))]
    inside = picture.cut(drawn)
    if inside is None:
        read.reasons.append(f"a box has no area inside the image ({_places(drawn)}); delete it or draw it anew")
        return None
    if max(abs(a - b) for a, b in zip(inside, drawn, strict=True)) > 1e-3:
        read.remarks.append(f"a box was drawn beyond the image's edge ({_places(drawn)}) and is cut there")
    return inside


def _points(results: Sequence[Result], picture: Picture, skeleton: Skeleton, read: Read) -> list[_Point]:
    points = []
    known = list(skeleton.keypoint_names)
    for result in results:
        for label in _words(result, "keypointlabels"):
            if label not in known:
                read.reasons.append(f"unknown keypoint '{label}'; " + (nearest(label, known) if known else "skeleton.yaml has none"))
            place = _pixels(result, picture, read)
            if place is None:
                continue
            x, y = picture.moved_inside(*place)
            if max(abs(x - place[0]), abs(y - place[1])) > EDGE_TOLERANCE_PX:
                read.reasons.append(f"keypoint '{label}' at ({_places(place)}) lies outside of the image; move it or delete it")
                continue
            points.append(_Point(str(result["id"]), result.get("parentID") or None, label, x, y))
    return points


def _bind(animals: Sequence[_Animal], points: Sequence[_Point], extras: Extras, read: Read) -> None:
    """Give each keypoint to its box: the parent it names, else the only box that can hold it."""
    by_name = {animal.name: animal for animal in animals}
    for point in points:
        if point.parent in by_name:
            _place(by_name[point.parent], point, extras, read)
    waiting = [point for point in points if point.parent not in by_name]
    while waiting:
        homes = {point: [animal for animal in animals if _may_hold(animal, point, len(animals))] for point in waiting}
        certain = [point for point in waiting if len(homes[point]) == 1]
        if not certain:
            break
        _place(homes[certain[0]][0], certain[0], extras, read)
        waiting.remove(certain[0])
    for point in waiting:
        n = len(homes[point])
        why = f"lies in {n} boxes that lack it" if n else "lies in no box that lacks it"
        where = f"keypoint '{point.keypoint}' at ({_places([point.x, point.y])})"
        read.reasons.append(f"{where} {why}; drag it onto its box in the list of regions")


def _may_hold(animal: _Animal, point: _Point, n_animals: int) -> bool:
    x_min, y_min, x_max, y_max = animal.instance["box"]
    inside = x_min <= point.x <= x_max and y_min <= point.y <= y_max
    return point.keypoint not in animal.instance["keypoints"] and (inside or n_animals == 1)


def _place(animal: _Animal, point: _Point, extras: Extras, read: Read) -> None:
    if point.keypoint in animal.instance["keypoints"]:
        read.reasons.append(f"keypoint '{point.keypoint}' stands twice in one animal (box {_places(animal.instance['box'])}); delete one")
    hidden = extras.get((point.name, screen.VISIBILITY)) == [screen.HIDDEN]
    animal.instance["keypoints"][point.keypoint] = [point.x, point.y, 1 if hidden else 2]


def _status(extras: Extras, animals: Sequence[_Animal], read: Read) -> str:
    said = next((value for (_, name), value in extras.items() if name == screen.STATUS), None)
    status = str(said[0]) if said else ("animals" if animals else "")
    if said and status not in (screen.NO_ANIMAL, screen.UNUSABLE):
        read.reasons.append(f"unknown frame status '{status}'; {nearest(status, [screen.NO_ANIMAL, screen.UNUSABLE])}")
    elif said and animals:
        read.reasons.append(f"'{status}' is ticked, but {len(animals)} animals are drawn; only one of the two can be true")
    elif not status:
        read.reasons.append(f"nothing is drawn and nothing is ticked; an empty frame needs '{screen.NO_ANIMAL}' or '{screen.UNUSABLE}'")
    return status


def _pixels(result: Result, picture: Picture, read: Read) -> tuple[float, float] | None:
    """Place in source pixels. Percent hold in any size of the same picture, but not in a turned one."""
    width, height = result.get("original_width"), result.get("original_height")
    shown = picture.shown
    turned = float(result.get("image_rotation") or 0) % 360 != 0
    other = bool(width and height) and abs(float(width) / float(height) * shown[1] / shown[0] - 1) > SAME_SHAPE  # type: ignore[arg-type]
    if turned or other:
        seen = f"turned by {result['image_rotation']} degrees" if turned else f"{width} x {height}"
        reason = f"the picture was shown {seen}, and is {shown[0]:.0f} x {shown[1]:.0f}; please label it anew, upright"
        if reason not in read.reasons:
            read.reasons.append(reason)
        return None
    return picture.source_place(float(result["value"]["x"]), float(result["value"]["y"]))


# --- behaviour ---------------------------------------------------------------------------------------------------------------------


def _ranges(result: Result, label: str, frames: FrameMap, read: Read) -> list[tuple[int, int]]:
    """Half-open source frames of a region's ranges, which count proxy frames from 1 and include both ends."""
    n = frames.n_frames
    intervals = []
    for item in result["value"].get("ranges") or []:
        first, last = sorted((round(float(item["start"])), round(float(item["end"]))))
        if last < 1 or first > n:
            read.reasons.append(f"'{label}' {first} to {last} lies outside of the {n} frames shown")
            continue
        if first < 1 or last > n:
            read.remarks.append(f"'{label}' {first} to {last} goes beyond the {n} frames shown and is cut there")
        start, end = frames.to_source([max(first, 1) - 1, min(last, n) - 1]).tolist()
        intervals.append((start, end + 1))
    return intervals


def _in_words_of_today(marked: Mapping[str, list[tuple[int, int]]], today: Callable[[str], str | None], read: Read) -> dict[str, Any]:
    found: dict[str, list[tuple[int, int]]] = {}
    for word, intervals in marked.items():
        now = today(word)
        if now is None:
            read.remarks.append(
                f"{len(intervals)} ranges of '{word}', which the ethogram no longer has, are not taken; they stay on the server"
            )
        else:
            found.setdefault(now, []).extend(intervals)
    return found


def _joined_bouts(name: str, intervals: Sequence[tuple[int, int]], ethogram: Ethogram, read: Read) -> list[tuple[int, int]]:
    kinds = {behaviour.name: behaviour.kind for behaviour in ethogram.behaviours}
    if kinds.get(name) == "point":
        for start, stop in intervals:
            if stop != start + 1:
                read.reasons.append(f"'{name}' is a point event, but is marked over {stop - start} frames from {start}; shorten it to one")
        return sorted(set(intervals))
    joined = _union(intervals, touching=False)
    if len(joined) < len(set(intervals)):
        read.remarks.append(f"{len(intervals)} overlapping ranges of '{name}' are {len(joined)} bouts")
    return joined


def _exclusion_faults(bouts: Sequence[Record], ethogram: Ethogram) -> list[str]:
    groups = {behaviour.name: behaviour.exclusive_group for behaviour in ethogram.behaviours}
    faults: list[str] = []
    last: dict[str, Record] = {}
    for bout in sorted(bouts, key=lambda bout: (bout["start"], bout["stop"])):
        group = groups.get(bout["behaviour"])
        if group is None:
            continue
        before = last.get(group)
        if before and bout["start"] < before["stop"]:
            faults.append(
                f"'{before['behaviour']}' {before['start']} to {before['stop'] - 1} and '{bout['behaviour']}' {bout['start']} to "
                f"{bout['stop'] - 1} overlap, but of the group '{group}' only one is possible at a time"
            )
        if not before or bout["stop"] > before["stop"]:
            last[group] = bout
    return faults


def _union(intervals: Sequence[tuple[int, int]], *, touching: bool = True) -> list[tuple[int, int]]:
    """Sorted, disjoint intervals; with ``touching`` neighbours become one too."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(intervals):
        if joined and (start < joined[-1][1] or (touching and start == joined[-1][1])):
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined


# --- shared ------------------------------------------------------------------------------------------------------------------------


def _extras(results: Sequence[Result]) -> Extras:
    """Choices and texts by region and control; those about the whole picture by their own id."""
    extras: Extras = {}
    for result in results:
        for kind in ("choices", "text"):
            if kind in result.get("value", {}):
                extras[str(result["id"]), str(result.get("from_name"))] = _list(result["value"][kind])
    return extras


def _text(extras: Extras, region: str | None, control: str) -> str | None:
    """Text of a control, for one region or (None) for the whole picture; several lines become one."""
    for (name, source), value in extras.items():
        if source == control and region in (None, name):
            return " ".join(" ".join(map(str, value)).split()) or None
    return None


def _words(result: Result, kind: str) -> list[str]:
    return [str(word) for word in _list(result.get("value", {}).get(kind) or [])]


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _places(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)
