"""Where two tracks may have been exchanged, how likely that is, and putting right what more likely than not was exchanged.

An encounter of two tracks is a stretch in which the links could as well be crossed. For each there is evidence of three kinds:

* at every link the price of crossing it (motion, box, keypoints; from both directions);
* across the whole encounter, where an animal was not seen in it: who came in how, and who left how;
* the animals themselves: size, proportions and, if given, appearance before and after, judged by how much these change within one track.

It works on the tracks of any tracker.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from etholoop.core.tracking.chains import after_of, links_of
from etholoop.core.tracking.cost import Judge, Scene, judge_of
from etholoop.core.tracking.looks import Looks
from etholoop.core.tracking.tracklets import BLOCK, DOUBT, GATE, horizon

Index = NDArray[np.int64]
Floats = NDArray[np.float64]
Take = tuple[int, int, int, int, float]
"""First and last of a few detections in a row, one of the track they may belong to, the one before them in their own, nats against it."""

WORTH = 14.0
"""Nats: with more against them, crossed links are no encounter; tempered as risks are (``TEMPER``), that is once in a thousand."""

FEW_IN_A_ROW = 3
"""Longer runs in another animal's track are looked for as exchanges."""

CLOSE = 2
"""Looks around a detection in which the other track that it may belong to is looked for."""

TEMPER = 0.5
"""Share of the nats of a link that count for a risk: place, extent and pose, forwards and backwards, are not independent of each other.
Without it risks came true more often than they said, on simulated and real animals alike (`benchmarks/identity.py`)."""

ACROSS = 1.0
"""Nats at most from the way across an encounter: the links inside it speak of the same ways already."""

BOUND = 4.0
"""Nats at most from looks: what was never seen to change within a track does change once in fifty times or so."""

CROSSED = 0.9
"""Tracks are exchanged where they are crossed with this probability: the global association knew more than one encounter tells."""

ROUNDS = 3
"""Single detections are moved at most so often."""

NEXT = 2.0
"""Looks from one detection to the one after the next."""

MERGE = 5
"""Encounters of the same two closer than so many looks are one."""


@dataclass(frozen=True)
class Encounters:
    """One entry for each stretch in which two tracks may have been exchanged, by start.

    ``a`` < ``b``: track numbers. ``start``, ``stop``: last look before and first look after. ``worst``: look after which crossing costs
    least. ``crossed``: probability that the tracks are crossed here. ``overlap``, ``unseen``, ``jump``, ``looks_differ``: why.
    ``nats`` for their being crossed, all ways of crossing them taken together, before anything is known about how often that comes true.
    """

    a: Index
    b: Index
    start: Floats
    stop: Floats
    worst: Floats
    crossed: Floats
    overlap: NDArray[np.bool_]
    unseen: NDArray[np.bool_]
    jump: NDArray[np.bool_]
    looks_differ: NDArray[np.bool_]
    single: NDArray[np.bool_]
    nats: Floats

    @property
    def risk(self) -> Floats:
        """Probability that the decision taken here, crossed or not, is wrong."""
        return np.minimum(self.crossed, 1 - self.crossed)

    @property
    def risk_now(self) -> Floats:
        """Probability that the tracks as they are have exchanged the two here."""
        return self.crossed

    def only(self, rows: Index) -> "Encounters":
        """Some of the entries."""
        return Encounters(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class _Crossings:
    """Pairs of links (i → i2 of one track, j → j2 of another) that overlap in time; ``extra``: nats against crossing them."""

    i: Index
    i2: Index
    j: Index
    j2: Index
    extra: Floats
    jump: NDArray[np.bool_]


def encounters(judge: Judge, number: Index, looks: Looks | None) -> Encounters:
    """All encounters of tracks; ``number``: track of each detection, -1 = none; ``looks``: what the animals look like."""
    before = links_of(number, judge.scene.look)
    judge = judge_of(judge.model, judge.scene, judge.miss, before)
    crossings = _crossings(judge, before)
    groups, bounds = _grouped(judge.scene, number, crossings, max(MERGE, horizon(judge.miss)))
    found = _stacked([_encounter(judge, number, crossings, group, stop) for group, stop in zip(groups, bounds, strict=True)])
    return found if looks is None or not groups else _with_looks(found, judge.scene, number, looks)


def taken(judge: Judge, number: Index) -> Encounters:
    """Detections, one to a few in a row, that may belong to another track, which has none at that time: ``crossed`` is how likely."""
    found = [take for length in range(1, FEW_IN_A_ROW + 1) for take in _takes(judge, number, length)]
    return _stacked([_single(judge.scene, number, take) for take in (*found, *_replaced(judge, number))])


def given_back(judge: Judge, number: Index) -> Index:
    """Tracks in which detections, one to a few in a row, are where they more likely belong; the surest first, neighbours wait a round."""
    fixed = number.copy()
    for _ in range(ROUNDS):
        moved: list[tuple[float, float, int]] = []
        takes = [take for length in range(1, FEW_IN_A_ROW + 1) for take in _takes(judge, fixed, length) if take[4] < 0]
        for x, last, other, _, _ in sorted(takes, key=lambda take: (take[4], take[0], take[1])):
            low, high, pair = float(judge.scene.look[x]), float(judge.scene.look[last]), (int(fixed[x]), int(fixed[other]))
            if any(low - stop < NEXT and start - high < NEXT and track in pair for start, stop, track in moved):
                continue
            run = np.arange(x, last + 1)
            fixed[run[fixed[run] == pair[0]]] = pair[1]
            moved += [(low, high, track) for track in pair]
        if not moved:
            break
    return fixed


def _single(scene: Scene, number: Index, take: Take) -> tuple:
    x, last, other, old, extra = take
    a, b = sorted((int(number[other]), int(number[x])))
    crossed = float(1 / (1 + np.exp(TEMPER * np.clip(extra, -30, 30))))
    overlap = bool(_overlaps(scene, np.array([x]), np.array([old]))[0])
    return a, b, float(scene.look[x]), float(scene.look[last]), float(scene.look[x]), crossed, overlap, True, False, False, True, -extra


def _takes(judge: Judge, number: Index, length: int = 1) -> list[Take]:
    """Detections that may, with the next ones in a row of ``length``, belong to another track, where that is worth a thought."""
    look = judge.scene.look
    before = links_of(number, look)
    after = after_of(before)
    judge = judge_of(judge.model, judge.scene, judge.miss, before)
    late = np.flatnonzero(before >= 0)
    late = late[look[late] - look[before[late]] > NEXT - 0.5]
    low = np.searchsorted(look, look[before[late]] + 1e-9, side="right")
    # later ones cost more than the gate by the looks in between alone
    reach = np.minimum(look[late] - 1e-9, look[before[late]] + 1 + GATE / judge.miss)
    high = np.searchsorted(look, reach, side="left")
    found: list[Take] = []
    for start, stop in _blocks(high - low):
        row, x = _ranges(low[start:stop], high[start:stop])
        two = late[start:stop][row]
        last = x
        for _ in range(length - 1):
            last = np.where(last >= 0, after[last], -1)
        inner = (number[x] >= 0) & (before[x] >= 0) & (last >= 0)
        inner &= (after[last] >= 0) & (look[last] < look[two])
        one, two, x, last = before[two[inner]], two[inner], x[inner], last[inner]
        there = judge.price(one, x)
        near = there < GATE  # the first price is the cheapest test
        one, two, x, last, there = one[near], two[near], x[near], last[near], there[near]
        old, new = before[x], after[last]
        extra = there + judge.price(last, two) + judge.price(old, new)
        extra -= judge.price(old, x) + judge.price(last, new) + judge.price(one, two)
        doubt = extra < WORTH
        found += zip(*(column[doubt].tolist() for column in (x, last, one, old, extra)), strict=True)
    return found


def _replaced(judge: Judge, number: Index) -> list[Take]:
    """Detections in whose stead a track could as well have one that is in no track; they may belong to the nearest other track."""
    scene, look = judge.scene, judge.scene.look
    before = links_of(number, look)
    after = after_of(before)
    judge = judge_of(judge.model, scene, judge.miss, before)
    left_out = np.flatnonzero(number < 0)
    same = _ranges(np.searchsorted(look, look[left_out] - 1e-9), np.searchsorted(look, look[left_out] + 1e-9))
    spare, x = left_out[same[0]], same[1]
    inner = (number[x] >= 0) & (before[x] >= 0) & (after[x] >= 0)
    if scene.body is not None:  # on one body either shows the same animal
        inner &= (scene.body[spare] != scene.body[x]) | (scene.body[x] < 0)
    spare, x = spare[inner], x[inner]
    old, new = before[x], after[x]
    extra = judge.price(old, spare) + judge.price(spare, new) - judge.price(old, x) - judge.price(x, new)
    found: list[Take] = []
    for row in np.flatnonzero(extra < WORTH).tolist():
        low, high = np.searchsorted(look, [look[x[row]] - CLOSE - 1e-9, look[x[row]] + CLOSE + 1e-9])
        others = np.arange(low, high)
        others = others[(number[others] >= 0) & (number[others] != number[x[row]])]
        if len(others):
            near = others[np.hypot(*(scene.centre[others] - scene.centre[x[row]]).T).argmin()]
            found.append((int(x[row]), int(x[row]), int(near), int(old[row]), float(extra[row])))
    return found


def _ranges(low: Index, high: Index) -> tuple[Index, Index]:
    """All (row, value) with low[row] <= value < high[row]."""
    count = np.maximum(high - low, 0)
    row = np.repeat(np.arange(len(count)), count)
    return row, low[row] + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)


def together(one: Encounters, two: Encounters) -> Encounters:
    """All entries of both."""
    return Encounters(*(np.concatenate([getattr(one, field.name), getattr(two, field.name)]) for field in fields(Encounters)))


def repaired(number: Index, scene: Scene, found: Encounters) -> tuple[Index, Encounters]:
    """Tracks with the crossed ones exchanged from there on, and the encounters under the new numbers."""
    current = {int(track): int(track) for track in np.unique(number[number >= 0])}
    fixed = number.copy()
    a, b = found.a.copy(), found.b.copy()
    cut = 0
    order = np.argsort(found.worst, kind="stable")
    places = np.searchsorted(scene.look, found.worst[order] + 1e-9, side="right")
    for place, row in zip(places, order, strict=True):
        _rename(fixed, number, cut, int(place), current)
        cut = int(place)
        one, two = int(found.a[row]), int(found.b[row])
        a[row], b[row] = sorted((current[one], current[two]))
        if found.crossed[row] > CROSSED:
            current[one], current[two] = current[two], current[one]
    _rename(fixed, number, cut, len(number), current)
    crossed = np.where(found.crossed > CROSSED, 1 - found.crossed, found.crossed)
    return fixed, replace(found, a=a, b=b, crossed=crossed)


def _rename(fixed: Index, number: Index, start: int, stop: int, current: dict[int, int]) -> None:
    own = number[start:stop]
    changed = {old: new for old, new in current.items() if old != new}
    for old, new in changed.items():
        fixed[start:stop][own == old] = new


def _crossings(judge: Judge, before: Index) -> _Crossings:
    look = judge.scene.look
    late = np.flatnonzero(before >= 0)
    late = late[np.lexsort((before[late], look[before[late]]))]
    early = before[late]
    own = judge.price(early, late)
    first = np.arange(len(early)) + 1
    stop = np.maximum(np.searchsorted(look[early], look[late] - 1e-9, side="right"), first)
    none = np.zeros(0, dtype=np.int64)
    parts: list[tuple] = [(none, none, none, none, np.zeros(0), np.zeros(0, dtype=bool))]
    for low, high in _blocks(stop - first):
        row, two = _ranges(first[low:high], stop[low:high])
        one = low + row
        possible = look[late[one]] > look[early[two]]
        one, two = one[possible], two[possible]
        there = judge.price(early[one], late[two])
        near = there - own[one] - own[two] < WORTH
        one, two, there = one[near], two[near], there[near]
        i, i2, j, j2 = early[one], late[one], early[two], late[two]
        extra = there + judge.price(j, i2) - own[one] - own[two]
        doubt = extra < WORTH
        jump = np.maximum(own[one], own[two]) > 2 * DOUBT
        parts.append(tuple(values[doubt] for values in (i, i2, j, j2, extra, jump)))
    return _Crossings(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _blocks(count: Index) -> list[tuple[int, int]]:
    total, cut, found = np.cumsum(count), 0, []
    while cut < len(count):
        stop = max(int(np.searchsorted(total, (total[cut - 1] if cut else 0) + BLOCK, side="right")), cut + 1)
        found.append((cut, stop))
        cut = stop
    return found


def _grouped(scene: Scene, number: Index, crossings: _Crossings, near: float) -> tuple[list[Index], list[float]]:
    """Rows of crossings that belong together, and where each group stops (look)."""
    one, two = number[crossings.i], number[crossings.j]
    a, b = np.minimum(one, two), np.maximum(one, two)
    start = np.minimum(scene.look[crossings.i], scene.look[crossings.j])
    stop = np.maximum(scene.look[crossings.i2], scene.look[crossings.j2])
    order = np.lexsort((start, b, a))
    groups: list[list[int]] = []
    stops: list[float] = []
    last = (-1, -1)
    for row in order.tolist():
        pair = (int(a[row]), int(b[row]))
        if pair != last or start[row] > stops[-1] + near:
            groups.append([])
            stops.append(-np.inf)
        groups[-1].append(row)
        stops[-1] = max(stops[-1], float(stop[row]))
        last = pair
    return [np.array(group) for group in groups], stops


def _encounter(judge: Judge, number: Index, crossings: _Crossings, rows: Index, stop: float) -> tuple:
    look = judge.scene.look
    i, i2, j, j2, extra = crossings.i[rows], crossings.i2[rows], crossings.j[rows], crossings.j2[rows], crossings.extra[rows]
    start = float(np.minimum(look[i], look[j]).min())
    unseen = bool(((look[i2] - look[i] > NEXT - 0.5) | (look[j2] - look[j] > NEXT - 0.5)).any())
    a, b = sorted((int(number[i[0]]), int(number[j[0]])))
    odd = (1 - np.prod(1 - 2 / (1 + np.exp(TEMPER * np.clip(extra, -30, 30))))) / 2
    odds = np.log(odd + 1e-12) - np.log(1 - odd + 1e-12)
    nats = float(np.logaddexp.reduce(-extra))
    if unseen and len(rows) > 1:
        across = np.clip(_across(judge, number, (a, b), start, stop), -ACROSS, ACROSS)
        odds, nats = odds - across, nats - across
    least = int(np.argmin(extra))
    # crossed after both have begun the doubtful link
    worst = float(max(look[i[least]], look[j[least]]))
    overlap, jump = bool(_overlaps(judge.scene, i, j).any()), bool(crossings.jump[rows].any())
    return a, b, start, stop, worst, 1 / (1 + np.exp(-odds)), overlap, unseen, jump, False, False, nats


def _across(judge: Judge, number: Index, tracks: tuple[int, int], start: float, stop: float) -> float:
    """Nats for both going on as they came, against both taking the other's way, from how they came in and how they left."""
    look = judge.scene.look
    low, high = np.searchsorted(look, [start - 30, stop + 30])
    near = np.arange(low, high)
    ends = []
    for track in tracks:
        own = near[number[near] == track]
        inside, after = own[look[own] <= start + 1e-9], own[look[own] >= stop - 1e-9]
        if not len(inside) or not len(after):
            return 0.0
        ends.append((inside[-1], after[0]))
    (a, a2), (b, b2) = ends
    price = judge.price(np.array([a, b, a, b]), np.array([a2, b2, b2, a2]))
    return float(price[2] + price[3] - price[0] - price[1])


def _overlaps(scene: Scene, i: Index, j: Index) -> NDArray[np.bool_]:
    one, two = scene.box[i], scene.box[j]
    return np.all(np.minimum(one[:, 2:], two[:, 2:]) > np.maximum(one[:, :2], two[:, :2]), axis=1)


def _stacked(rows: list[tuple]) -> Encounters:
    rows = sorted(rows, key=lambda row: (row[2], row[0], row[1]))
    kinds = (np.int64, np.int64, float, float, float, float, bool, bool, bool, bool, bool, float)
    columns = zip(*rows, strict=True) if rows else [()] * len(kinds)
    return Encounters(*(np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)))


def _with_looks(found: Encounters, scene: Scene, number: Index, looks: Looks) -> Encounters:
    """The same encounters, judged also by what the animals look like before and after."""
    odds = np.log(found.crossed + 1e-12) - np.log(1 - found.crossed + 1e-12)
    stretches = (found.a, found.b, found.start, found.stop)
    keep = looks.calm(stretches, scene.look, number).keep(stretches)
    odds = odds - np.clip(keep, -BOUND, BOUND)
    return replace(found, crossed=1 / (1 + np.exp(-odds)), looks_differ=keep < -1, nats=found.nats - np.clip(keep, -BOUND, BOUND))
