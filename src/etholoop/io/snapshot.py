"""The canonical snapshot of all human labels, ``label_studio/exports/snapshot.json``.

Everything people said, from whichever program, in one form: the same labels in any order give the same bytes, so that nothing reruns
when nothing was relabelled. The file is JSON with one record per line, so that a diff shows one line per changed frame::

    {"format":"etholoop-snapshot/1","frames":[
    {"annotator":"anna","instances":[…],"note":"","status":"animals","uid":"cage1:00000120"},
    …
    ],"behaviours":[
    {"annotator":"anna","bouts":[…],"looked_at":[[0,900]],"subject":"","video":"cage1"}
    ]}

Canonical means: coordinates rounded to 4 decimals of a source pixel, records sorted by what they are about and by annotator, instances
and bouts sorted by content, keys sorted, intervals that were looked at joined. Times, ids of other programs and anything else that
changes without a label changing has no place in it: an unknown key is a fault.
"""

import copy
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import atomic
from etholoop.params import nearest
from etholoop.schema.annotations import STATUSES
from etholoop.schema.columns import VIDEO_ID_PATTERN, frame_uid, parse_frame_uid

FORMAT = "etholoop-snapshot/1"
DECIMALS = 4
NOT_GOOD = "Nothing was changed. Correct these labels where they come from."
REMEDY = "Nothing was read. Correct the file, or bring back the last good one (`dvc checkout`, or an older version from Git and DVC)."

Record = dict[str, Any]
Key = tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """All labels: records about frames and records about behaviour. See the module for their form."""

    frames: list[Record] = field(default_factory=list)
    behaviours: list[Record] = field(default_factory=list)


@dataclass(frozen=True)
class Changes:
    """What a merge did, as keys of records: ``(uid, annotator)`` or ``(video, subject, annotator)``."""

    new: list[Key]
    changed: list[Key]
    removed: list[Key]
    unchanged: list[Key]

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.removed)

    def __str__(self) -> str:
        return f"{len(self.new)} new, {len(self.changed)} changed, {len(self.removed)} removed, {len(self.unchanged)} unchanged"


def read(path: Path) -> Snapshot:
    """Read and check a snapshot; the result is canonical.

    Raises:
        EthoLoopError: no file, or not JSON (for example cut in half), with the place.
        FaultsError: every faulty record, with its number and uid.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: file not found. `etholoop labels import …` makes it.") from None
    except UnicodeDecodeError as error:
        raise EthoLoopError(f"{path}: not UTF-8 text at byte {error.start}; the file is damaged. {REMEDY}") from None
    return _from_content(_parse(text, path), str(path))


def read_or_empty(path: Path) -> Snapshot:
    """Like :func:`read`; a project without labels yet has an empty snapshot."""
    return read(path) if path.exists() else Snapshot()


def dumps(snapshot: Snapshot) -> bytes:
    """The canonical bytes.

    Raises:
        FaultsError: records that are not good labels.
    """
    good = canonical(snapshot)
    return f'{{"format":"{FORMAT}","frames":{_lines(good.frames)},"behaviours":{_lines(good.behaviours)}}}\n'.encode()


def write(snapshot: Snapshot, path: Path) -> None:
    """Write the canonical form, all or nothing; a bad snapshot is not written."""
    atomic.write_bytes(path, dumps(snapshot))


def canonical(snapshot: Snapshot, where: str = "snapshot", remedy: str = NOT_GOOD) -> Snapshot:
    """The same labels, checked and in canonical form; the snapshot given is left as it is.

    Raises:
        FaultsError: all faults together.
    """
    faults = _check_records(snapshot.frames, "frames", _frame_faults, frame_key)
    faults += _check_records(snapshot.behaviours, "behaviours", _behaviour_faults, behaviour_key)
    if faults:
        raise FaultsError(where, faults, remedy)
    frames = sorted(map(_canonical_frame, snapshot.frames), key=frame_key)
    behaviours = sorted(map(_canonical_behaviour, snapshot.behaviours), key=behaviour_key)
    return Snapshot(frames, behaviours)


def merge(old: Snapshot, new: Snapshot) -> tuple[Snapshot, Changes]:
    """Put new labels into old ones; nothing is ever removed.

    A frame record replaces the one with the same uid and annotator. A behaviour record with the same video, subject and annotator
    speaks for the time it looked at: there it replaces what was said before, elsewhere the old bouts stay. Merging the same labels
    twice changes nothing.
    """
    old, new = canonical(old, "labels so far"), canonical(new, "new labels")
    frames = {frame_key(record): record for record in old.frames + new.frames}
    behaviours = {behaviour_key(record): record for record in old.behaviours}
    for record in new.behaviours:
        key = behaviour_key(record)
        behaviours[key] = _canonical_behaviour(_overlay(behaviours[key], record)) if key in behaviours else record
    merged = Snapshot([frames[key] for key in sorted(frames)], [behaviours[key] for key in sorted(behaviours)])
    return merged, compare(old, merged)


def compare(old: Snapshot, new: Snapshot) -> Changes:
    """Which records differ between two canonical snapshots."""
    before, after = _by_key(old), _by_key(new)
    return Changes(
        new=sorted(after.keys() - before.keys()),
        changed=sorted(key for key in after.keys() & before.keys() if after[key] != before[key]),
        removed=sorted(before.keys() - after.keys()),
        unchanged=sorted(key for key in after.keys() & before.keys() if after[key] == before[key]),
    )


def frame_key(record: Record) -> Key:
    """What makes a frame record unique."""
    return record["uid"], record["annotator"]


def behaviour_key(record: Record) -> Key:
    """What makes a behaviour record unique."""
    return record["video"], record["subject"], record["annotator"]


# --- reading -----------------------------------------------------------------------------------------------------------------------


def _parse(text: str, path: Path) -> Any:
    """JSON to Python; a key that stands twice in one mapping is an error, as Python would keep the last without a word."""
    try:
        return json.loads(text, object_pairs_hook=_mapping)
    except json.JSONDecodeError as error:
        raise EthoLoopError(f"{path}: {_damage(text, error)} {REMEDY}") from None
    except _RepeatedKeyError as error:
        raise EthoLoopError(f"{path}: key '{error}' stands twice in one record; one of the two would be lost. {REMEDY}") from None


class _RepeatedKeyError(Exception):
    pass


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    counts = Counter(key for key, _ in pairs)
    repeated = [key for key, count in counts.items() if count > 1]
    if repeated:
        raise _RepeatedKeyError(repeated[0])
    return dict(pairs)


def _damage(text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return "the file is empty."
    cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated") or not text.rstrip().endswith("}")
    if cut:
        return f"the file is cut off: it stops in line {text.count(chr(10)) + 1} after {len(text.encode())} bytes, inside a record."
    return f"not JSON in line {error.lineno}, column {error.colno}: {error.msg}."


def _from_content(content: Any, where: str) -> Snapshot:
    if not isinstance(content, dict):
        raise EthoLoopError(f"{where}: expected a snapshot of labels, found {type(content).__name__}. {REMEDY}")
    if content.get("format") != FORMAT:
        raise EthoLoopError(f"{where}: expected format '{FORMAT}', found {content.get('format')!r}. {REMEDY}")
    known = ["format", "frames", "behaviours"]
    faults = [f"unknown key '{key}'; {nearest(key, known)}" for key in content if key not in known]
    faults += [f"'{key}' must be a list" for key in known[1:] if not isinstance(content.get(key), list)]
    if faults:
        raise FaultsError(where, faults, REMEDY)
    return canonical(Snapshot(content["frames"], content["behaviours"]), where, REMEDY)


# --- checking ----------------------------------------------------------------------------------------------------------------------


def _check_records(
    records: Iterable[Any], what: str, faults_of: Callable[[Record], list[str]], key_of: Callable[[Record], Key]
) -> list[str]:
    """All faults of a list of records, each with the record's number and name, and keys used twice."""
    faults: list[str] = []
    seen: dict[Key, int] = {}
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            faults.append(f"{what}[{number}]: expected a record, found {record!r}")
            continue
        name = record.get("uid", record.get("video", "without a name"))
        where = f"{what}[{number}] ({name} by {record.get('annotator', '?')})"
        found = faults_of(record)
        faults += [f"{where}: {fault}" for fault in found]
        if found:
            continue
        key = key_of(record)
        if key in seen:
            faults.append(f"{where}: labelled twice by the same annotator, first in {what}[{seen[key]}]")
        seen.setdefault(key, number)
    return faults


def _frame_faults(record: Record) -> list[str]:
    faults = _key_faults(record, required=("uid", "annotator", "status"), optional=("note", "instances"))
    if faults:
        return faults
    faults = _uid_faults(record["uid"]) + _word_faults(record["annotator"], "annotator")
    if not isinstance(record.get("note", ""), str):
        faults.append(f"note must be text, found {record['note']!r}")
    if record["status"] not in STATUSES:
        faults.append(f"unknown status {record['status']!r}; {nearest(str(record['status']), list(STATUSES))}")
    instances = record.get("instances", [])
    if not isinstance(instances, list):
        return [*faults, f"instances must be a list, found {instances!r}"]
    if record["status"] == "animals" and not instances:
        faults.append("status 'animals' without any animal; a frame without animals is labelled 'no_animal'")
    if record["status"] in ("no_animal", "unusable") and instances:
        faults.append(f"status '{record['status']}', but it holds animals ({len(instances)}); only one of the two can be true")
    for number, instance in enumerate(instances):
        faults += [f"animal {number}: {fault}" for fault in _instance_faults(instance)]
    return faults


def _instance_faults(instance: Any) -> list[str]:
    if not isinstance(instance, dict):
        return [f"expected a mapping, found {instance!r}"]
    faults = _key_faults(instance, required=("class", "box"), optional=("identity", "keypoints"))
    if faults:
        return faults
    faults = _word_faults(instance["class"], "class") + _box_faults(instance["box"])
    if instance.get("identity") is not None:
        faults += _word_faults(instance["identity"], "identity")
    points = instance.get("keypoints", {})
    if not isinstance(points, dict):
        return [*faults, f"keypoints must be a mapping of name to [x, y, visibility], found {points!r}"]
    for name, point in points.items():
        faults += [f"keypoint '{name}': {fault}" for fault in _point_faults(point)]
    return faults


def _box_faults(box: Any) -> list[str]:
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(_is_number, box)):
        return [f"box must be [x_min, y_min, x_max, y_max] in pixels, found {box!r}"]
    if not all(map(math.isfinite, box)):
        return [f"box {list(box)} is not finite; every side needs a place"]
    x_min, y_min, x_max, y_max = map(_rounded, box)
    if x_max <= x_min or y_max <= y_min:
        return [f"box {list(box)} has no area; x_min < x_max and y_min < y_max are needed"]
    return []


def _point_faults(point: Any) -> list[str]:
    if not isinstance(point, list | tuple) or len(point) != 3 or not all(map(_is_number, point)):
        return [f"expected [x, y, visibility], found {point!r}"]
    faults = []
    if not all(map(math.isfinite, point[:2])):
        faults.append(f"[{point[0]}, {point[1]}] is not finite; a missing keypoint is left out")
    if point[2] not in (1, 2):
        faults.append(f"visibility must be 1 (hidden) or 2 (visible), found {point[2]!r}; a missing keypoint is left out")
    return faults


def _behaviour_faults(record: Record) -> list[str]:
    faults = _key_faults(record, required=("video", "subject", "annotator", "looked_at", "bouts"), optional=())
    if faults:
        return faults
    faults = _video_faults(record["video"]) + _word_faults(record["annotator"], "annotator")
    if not isinstance(record["subject"], str):
        faults.append(f"subject must be text ('' = the only animal), found {record['subject']!r}")
    if not isinstance(record["looked_at"], list) or not isinstance(record["bouts"], list):
        return [*faults, "looked_at and bouts must be lists"]
    looked_at_faults = [fault for item in record["looked_at"] for fault in _interval_faults(item, "looked_at")]
    faults += looked_at_faults
    looked_at = [] if looked_at_faults else _joined(record["looked_at"])
    sound: list[Record] = []
    for number, bout in enumerate(record["bouts"]):
        found = _bout_faults(bout)
        faults += [f"bout {number}: {fault}" for fault in found]
        if found or looked_at_faults:
            continue
        sound.append(bout)
        if not any(start <= bout["start"] and bout["stop"] <= stop for start, stop in looked_at):
            faults.append(f"bout {number}: {_said(bout)} lies outside of looked_at {looked_at}; time with a bout was looked at")
    return faults + _overlap_faults(sound)


def _overlap_faults(bouts: list[Record]) -> list[str]:
    """One animal cannot do the same thing twice at the same time; bouts may touch."""
    faults = []
    ordered = sorted(bouts, key=lambda bout: (bout["behaviour"], bout["start"], bout["stop"]))
    for one, other in pairwise(ordered):
        if one["behaviour"] == other["behaviour"] and other["start"] < one["stop"]:
            faults.append(f"bouts {_said(one)} and {_said(other)} overlap; join them, or mark where the first one ends")
    return faults


def _bout_faults(bout: Any) -> list[str]:
    if not isinstance(bout, dict):
        return [f"expected a mapping, found {bout!r}"]
    faults = _key_faults(bout, required=("behaviour", "start", "stop"), optional=())
    if faults:
        return faults
    return _word_faults(bout["behaviour"], "behaviour") + _interval_faults([bout["start"], bout["stop"]], "interval")


def _interval_faults(interval: Any, what: str) -> list[str]:
    whole = isinstance(interval, list | tuple) and len(interval) == 2 and all(type(end) is int for end in interval)
    if not whole:
        return [f"{what} must be [first frame, frame after the last] in whole numbers, found {interval!r}"]
    if interval[0] < 0 or interval[0] >= interval[1]:
        return [f"{what} {list(interval)} is empty or before frame 0; start must be smaller than stop (a point event has stop = start + 1)"]
    return []


def _key_faults(record: Record, required: tuple[str, ...], optional: tuple[str, ...]) -> list[str]:
    known = [*required, *optional]
    faults = [f"unknown key '{key}'; {nearest(str(key), known)}" for key in record if key not in known]
    return faults + [f"'{key}' is missing" for key in required if key not in record]


def _uid_faults(uid: Any) -> list[str]:
    try:
        video_id, frame = parse_frame_uid(uid)
    except (ValueError, TypeError):
        return [f"{uid!r} is not a frame uid; expected <video_id>:<frame, 8 digits>, for example cage1:00000120"]
    if frame_uid(video_id, frame) != uid:
        return [f"uid '{uid}' has too many digits; the same frame is '{frame_uid(video_id, frame)}'"]
    return []


def _video_faults(video: Any) -> list[str]:
    if isinstance(video, str) and re.fullmatch(VIDEO_ID_PATTERN, video):
        return []
    return [f"video {video!r} is not a video id ({VIDEO_ID_PATTERN})"]


def _word_faults(value: Any, what: str) -> list[str]:
    good = isinstance(value, str) and value.strip() == value and value.isprintable() and value != ""
    return [] if good else [f"{what} must be a word without spaces at its ends, found {value!r}"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _said(bout: Record) -> str:
    return f"'{bout['behaviour']}' [{bout['start']}, {bout['stop']})"


# --- canonical form ----------------------------------------------------------------------------------------------------------------


def _canonical_frame(record: Record) -> Record:
    instances = sorted(map(_canonical_instance, record.get("instances", [])), key=_instance_order)
    return {
        "uid": record["uid"],
        "annotator": record["annotator"],
        "status": record["status"],
        "note": record.get("note", ""),
        "instances": instances,
    }


def _canonical_instance(instance: Record) -> Record:
    points = instance.get("keypoints", {})
    return {
        "class": instance["class"],
        "box": [_rounded(value) for value in instance["box"]],
        "identity": instance.get("identity"),
        "keypoints": {name: [_rounded(points[name][0]), _rounded(points[name][1]), int(points[name][2])] for name in sorted(points)},
    }


def _instance_order(instance: Record) -> tuple[Any, ...]:
    """A total order on content: two instances that compare equal are the same in every byte."""
    identity = instance["identity"]
    return instance["class"], instance["box"], identity is not None, identity or "", list(instance["keypoints"].items())


def _canonical_behaviour(record: Record) -> Record:
    bouts = [{"behaviour": bout["behaviour"], "start": bout["start"], "stop": bout["stop"]} for bout in record["bouts"]]
    return {
        "video": record["video"],
        "subject": record["subject"],
        "annotator": record["annotator"],
        "looked_at": _joined(record["looked_at"]),
        "bouts": sorted(bouts, key=lambda bout: (bout["start"], bout["stop"], bout["behaviour"])),
    }


def _rounded(value: float) -> float:
    """Rounded; adding zero turns -0.0 into 0.0, which are equal but not the same bytes."""
    return round(float(value), DECIMALS) + 0.0


def _joined(intervals: Iterable[Iterable[int]]) -> list[list[int]]:
    """Overlapping and touching intervals as one."""
    joined: list[list[int]] = []
    for start, stop in sorted(map(tuple, intervals)):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], stop)
        else:
            joined.append([start, stop])
    return joined


def _overlay(old: Record, new: Record) -> Record:
    """The newer behaviour record over the older one: it decides where it looked, and nowhere else."""
    kept = [
        {"behaviour": bout["behaviour"], "start": start, "stop": stop}
        for bout in old["bouts"]
        for start, stop in _outside(bout["start"], bout["stop"], new["looked_at"])
    ]
    return {**new, "looked_at": _joined(old["looked_at"] + new["looked_at"]), "bouts": kept + copy.deepcopy(new["bouts"])}


def _outside(start: int, stop: int, intervals: list[list[int]]) -> list[tuple[int, int]]:
    """The pieces of one interval that lie outside of sorted, disjoint others."""
    pieces = []
    for other_start, other_stop in intervals:
        if other_start >= stop or other_stop <= start:
            continue
        if start < other_start:
            pieces.append((start, other_start))
        start = other_stop
    return [*pieces, (start, stop)] if start < stop else pieces


def _by_key(snapshot: Snapshot) -> dict[Key, Record]:
    return {frame_key(record): record for record in snapshot.frames} | {behaviour_key(record): record for record in snapshot.behaviours}


def _lines(records: list[Record]) -> str:
    return "[\n" + ",\n".join(map(_line, records)) + "\n]" if records else "[]"


def _line(record: Record) -> str:
    return json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
