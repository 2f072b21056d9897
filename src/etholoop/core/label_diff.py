"""What changes when labels are pulled: newest answers, time told window by window, removals, and the way back.

A record is a dictionary as ``io.snapshot`` describes it, its key ``(uid, annotator)`` or ``(video, subject, annotator)``.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from etholoop.core.labels import outside

Record = dict[str, Any]
Key = tuple[str, ...]
Interval = tuple[int, int]


@dataclass(frozen=True)
class Told:
    """One answer that can be taken.

    Args:
        uid: of the task.
        at: when it was last changed, ISO 8601 in UTC, so that text order is time order.
        number: of the annotation; settles answers of the same moment.
    """

    uid: str
    annotator: str
    at: str
    number: int
    record: Record


@dataclass(frozen=True)
class Change:
    """One record of the snapshot before and after; None = not there."""

    key: Key
    before: Record | None
    after: Record | None


def newest(told: Iterable[Told]) -> tuple[list[Told], list[Told]]:
    """The last answer of each person to each task, and the earlier ones that it replaces; both sorted by uid."""
    last: dict[tuple[str, str], Told] = {}
    earlier = []
    for item in sorted(told, key=lambda item: (item.at, item.number)):
        before = last.get((item.uid, item.annotator))
        if before:
            earlier.append(before)
        last[item.uid, item.annotator] = item
    return [last[key] for key in sorted(last)], sorted(earlier, key=lambda item: (item.uid, item.annotator, item.at))


def joined_windows(told: Iterable[Told], points: Container[str] = ()) -> list[Record]:
    """One record per video, subject and annotator out of the windows they answered; where windows overlap the newest answer counts.

    A bout that a person marked up to the end of one window and from the start of the next one is one bout. ``points``: behaviours that
    have a moment only, and are never joined.
    """
    windows: dict[Key, list[Told]] = {}
    for item in told:
        record = item.record
        windows.setdefault((record["video"], record["subject"], record["annotator"]), []).append(item)
    return [_joined(sorted(items, key=lambda item: (item.at, item.number), reverse=True), points) for _, items in sorted(windows.items())]


def _joined(newest_first: Sequence[Told], points: Container[str]) -> Record:
    bouts: list[Record] = []
    taken: list[Interval] = []
    seams: set[int] = set()
    for item in newest_first:
        record = item.record
        looked_at = [(start, stop) for start, stop in record["looked_at"]]
        own = outside(looked_at, taken)
        # cut at what is known already: a seam is where the time of one answer ends and that of another one begins
        seams |= {frame for interval in own for frame in interval} & {frame for interval in taken for frame in interval}
        for bout in record["bouts"]:
            pieces = outside([(bout["start"], bout["stop"])], taken)
            bouts += [{**bout, "start": start, "stop": stop} for start, stop in pieces]
        taken = union([*taken, *looked_at])
    return {**newest_first[0].record, "looked_at": [list(interval) for interval in taken], "bouts": _across(bouts, seams, points)}


def _across(bouts: Sequence[Record], seams: set[int], points: Container[str]) -> list[Record]:
    """Bouts of one behaviour that meet at a seam made one."""
    joined: list[Record] = []
    ending: dict[tuple[str, int], Record] = {}
    for bout in sorted(bouts, key=lambda bout: (bout["start"], bout["stop"], bout["behaviour"])):
        before = ending.pop((bout["behaviour"], bout["start"]), None) if bout["start"] in seams else None
        if before is None or bout["behaviour"] in points:
            before = dict(bout)
            joined.append(before)
        else:
            before["stop"] = bout["stop"]
        ending[before["behaviour"], before["stop"]] = before
    return joined


def filled(old: Sequence[Record], decided: Sequence[Record], points: Container[str] = ()) -> list[Record]:
    """Records with newer ones over them: each speaks for the time it looked at; bouts that meet at its ends are one."""
    told = [Told("", record["annotator"], "", 0, record) for record in old]
    return joined_windows([*told, *(Told("", record["annotator"], "", 1, record) for record in decided)], points)


def without_time(record: Record, intervals: Iterable[Sequence[int]]) -> Record | None:
    """A behaviour record without what it says about some time; None when nothing is left."""
    taken = union([(start, stop) for start, stop in intervals])
    looked_at = outside([(start, stop) for start, stop in record["looked_at"]], taken)
    bouts = [
        {**bout, "start": start, "stop": stop}
        for bout in record["bouts"]
        for start, stop in outside([(bout["start"], bout["stop"])], taken)
    ]
    return {**record, "looked_at": [list(interval) for interval in looked_at], "bouts": bouts} if looked_at else None


def changes(before: Mapping[Key, Record], after: Mapping[Key, Record]) -> list[Change]:
    """Records that differ, sorted by key."""
    keys = sorted({*before, *after})
    return [Change(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)]


def counts_by_annotator(made: Iterable[Change]) -> dict[str, Counter[str]]:
    """How many records are new, changed and removed, by annotator."""
    counts: dict[str, Counter[str]] = {}
    for change in made:
        kind = "new" if change.before is None else "removed" if change.after is None else "changed"
        counts.setdefault(change.key[-1], Counter())[kind] += 1
    return dict(sorted(counts.items()))


def undone(now: Mapping[Key, Record], made: Sequence[Change]) -> tuple[dict[Key, Record], list[Key]]:
    """The state before some changes, the newest of which was made last; and the keys that something else changed since.

    Those keys are left as they are: undoing them would lose what the other one said.
    """
    state, left_alone = dict(now), []
    for change in reversed(made):
        current = state.get(change.key)
        if current == change.before:
            continue
        if current != change.after:
            left_alone.append(change.key)
        elif change.before is None:
            del state[change.key]
        else:
            state[change.key] = change.before
    return state, sorted(set(left_alone))


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Sorted, disjoint intervals; those that touch become one."""
    joined: list[Interval] = []
    for start, stop in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined
