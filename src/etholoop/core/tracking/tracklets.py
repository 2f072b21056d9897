"""Short safe tracklets: links that no other link comes near. Where two animals could be meant, the tracklet ends.

Whole blocks of frames are compared at once; nothing is looped over frames.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from etholoop.core.tracking.chains import after_of
from etholoop.core.tracking.cost import Judge, Model, Scene, first_model, judge_of, learn

Index = NDArray[np.int64]
Floats = NDArray[np.float64]

DOUBT = float(np.log(99))
"""Nats: a link is safe when every other one is at least 99 times less likely."""

GATE = 20.0
"""Nats: a link less likely than this is none; links of the same animal reach it less than once in a million at a normal spread."""

BLOCK = 200_000
"""Pairs compared at once, which bounds memory."""


def tracklets(scene: Scene, n_animals: int | None = None) -> tuple[Index, Model, float]:
    """Safe links (``before`` of each detection, -1 = begins a tracklet), the model learnt from them, and nats against a missed look."""
    n = len(scene.look)
    nothing = np.full(n, -1, dtype=np.int64)
    model = first_model(scene, _nearest(scene))
    if n < 2:
        return nothing, model, 1.0
    miss = miss_of(scene, n_animals)
    likely, _ = _neighbours(judge_of(model, scene, miss, nothing), rivals=False)
    for _ in range(2):
        model = learn(scene, likely, model)
        likely, before = _neighbours(judge_of(model, scene, miss, likely))
    for factor in (1, 4):
        model = learn(scene, _also(before, likely), model)
        before = _bridged(judge_of(model, scene, miss, before), before, factor * horizon(miss))
    return before, learn(scene, _also(before, likely), model), miss


def _also(before: Index, likely: Index) -> Index:
    """Safe links, and likely ones where there is none: safe ones alone are those of calm animals, and leaps would seem impossible."""
    return np.where(before >= 0, before, likely)


def miss_of(scene: Scene, n_animals: int | None) -> float:
    """Nats against an animal in view not being detected, from how many are seen and how many there are (or mostly are)."""
    count = np.unique(scene.look, return_counts=True)[1]
    most = np.quantile(count, 0.9) if n_animals is None else n_animals
    looks = max(float(scene.look[-1] - scene.look[0]) + 1, len(count))
    share = 1 - min(1.0, float(np.minimum(count, most).sum() / (looks * most)))
    return float(-np.log(np.clip(share, 0.01, 0.9)))


def horizon(miss: float) -> int:
    """Looks in a row that an animal is missed less than once in a thousand."""
    return int(np.clip(np.ceil(np.log(1000) / miss), 2, 30))


def _nearest(scene: Scene) -> Floats:
    """Distance of each detection to the nearest one a look later, px; a sample."""
    found = []
    for ends, starts in candidate_pairs(scene.look, np.arange(len(scene.look)), np.arange(len(scene.look)), 1):
        distance = np.hypot(*(scene.centre[starts] - scene.centre[ends]).T)
        _, first = np.unique(ends, return_index=True)
        found.append(np.minimum.reduceat(distance, first))
        if sum(map(len, found)) > BLOCK:
            break
    return np.concatenate(found) if found else np.zeros(0)


def candidate_pairs(look: Floats, ends: Index, starts: Index, span: int) -> Iterator[tuple[Index, Index]]:
    """Pairs (end, later start at most ``span`` looks away) in blocks; all pairs of one end are in one block, ends ascending."""
    low = np.searchsorted(look[starts], look[ends], side="right")
    high = np.searchsorted(look[starts], look[ends] + span + 1e-9, side="right")
    count = high - low
    total = np.cumsum(count)
    cut = 0
    while cut < len(ends):
        stop = max(int(np.searchsorted(total, (total[cut - 1] if cut else 0) + BLOCK, side="right")), cut + 1)
        own = count[cut:stop]
        first = np.repeat(ends[cut:stop], own)
        offset = np.arange(own.sum()) - np.repeat(np.cumsum(own) - own, own)
        if len(first):
            yield first, starts[np.repeat(low[cut:stop], own) + offset]
        cut = stop


def _neighbours(judge: Judge, rivals: bool = True) -> tuple[Index, Index]:
    """Links to the next look: the likely ones (best of both ends), and of these the safe ones."""
    scene = judge.scene
    every = np.arange(len(scene.look))
    first, second, price = _priced(judge, every, every, 1)
    lead = np.minimum(_lead(first, price), _lead(second, price))
    best = (lead >= 0) & (price < GATE)
    likely = _links(len(every), first[best], second[best])
    if not rivals:
        return likely, likely
    # an animal that was missed may come back where another one was missed: what ended before, or begins later, competes too
    span = horizon(judge.miss)
    ends, begins = np.flatnonzero(after_of(likely) < 0), np.flatnonzero(likely < 0)
    for others in ((ends, every), (every, begins)):
        rival_first, rival_second, rival = _priced(judge, *others, span)
        late = scene.look[rival_second] - scene.look[rival_first] > 1 + 1e-9
        place = rival_second if others[1] is every else rival_first
        cheapest = np.full(len(every), np.inf)
        np.minimum.at(cheapest, place[late], rival[late])
        lead = np.minimum(lead, cheapest[second if others[1] is every else first] - price)
    safe = best & (lead >= DOUBT)
    return likely, _links(len(every), first[safe], second[safe])


def _bridged(judge: Judge, before: Index, span: int) -> Index:
    """The links and safe ones over gaps of at most ``span`` looks.

    No link is safe that passes over a detection which could stand in the gap: two tracklets of one animal would lie over each other.
    """
    ends, begins = np.flatnonzero(after_of(before) < 0), np.flatnonzero(before < 0)
    first, second, price = _priced(judge, ends, begins, span)
    safe = (np.minimum(_lead(first, price), _lead(second, price)) >= DOUBT) & (price < GATE)
    look = judge.scene.look
    soonest, latest = np.full(len(look), np.inf), np.full(len(look), -np.inf)
    np.minimum.at(soonest, first, look[second])
    np.maximum.at(latest, second, look[first])
    safe &= (look[second] <= soonest[first]) & (look[first] >= latest[second])
    linked = before.copy()
    linked[second[safe]] = first[safe]
    return linked


def _priced(judge: Judge, ends: Index, starts: Index, span: int) -> tuple[Index, Index, Floats]:
    """All pairs that are not out of the question, with their prices."""
    kept: list[tuple[Index, Index, Floats]] = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for first, second in candidate_pairs(judge.scene.look, ends, starts, span):
        price = judge.price(first, second)
        near = price < GATE + DOUBT
        kept.append((first[near], second[near], price[near]))
    firsts, seconds, prices = (np.concatenate(column) for column in zip(*kept, strict=True))
    return firsts, seconds, prices


def _links(n: int, first: Index, second: Index) -> Index:
    before = np.full(n, -1, dtype=np.int64)
    before[second] = first
    return before


def _lead(group: Index, price: Floats) -> Floats:
    """By how much each entry is cheaper than the cheapest other one of its group; negative where it is not the cheapest."""
    if not len(group):
        return np.zeros(0)
    order = np.lexsort((price, group))
    starts = np.flatnonzero(np.r_[True, group[order][1:] != group[order][:-1]])
    sizes = np.diff(np.r_[starts, len(order)])
    best = price[order[starts]]
    second = np.full(len(starts), np.inf)
    many = sizes > 1
    second[many] = price[order[starts[many] + 1]]
    row = np.repeat(np.arange(len(starts)), sizes)
    lead = np.empty(len(price))
    lead[order] = best[row] - price[order]
    lead[order[starts]] = second - best
    return lead
