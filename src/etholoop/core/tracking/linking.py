"""Tracklets to tracks: the cheapest set of paths through all tracklets at once.

Every tracklet is used by one track or by none. In a closed world there are exactly as many tracks as animals, so what is detected beyond
them is left out where it costs least; in an open one a track begins where that is likelier than any link. Solved exactly as an
assignment of "what comes next" to "what came before", in blocks of tracklets that overlap.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from etholoop.core.tracking.cost import OTHER_BODY, Judge, Scene, density

Index = NDArray[np.int64]
Floats = NDArray[np.float64]

ANYWHERE = 1e-3
"""Prior probability that an animal comes back where no motion leads: it was hidden, carried, or moved as never before."""

RAREST, COMMONEST = 1e-5, 1e-2
"""Bounds of that probability as it is estimated for a video."""

EVEN = 0.5
"""At most this share of the detections is taken for false ones: beyond it nothing says which are the animals."""

MISS_LIMIT = 8.0
"""Nats at most against being unseen, however long: animals hide for reasons that one frame shares with the next."""

BIRTH = 2 * float(np.log(1 / ANYWHERE))
"""Nats against a track that begins, in an open world."""

COMMIT, AHEAD = 3000, 1000
"""Tracklets decided at once, and tracklets looked at beyond them."""


@dataclass(frozen=True)
class Pieces:
    """Tracklets by first detection: ``first`` and ``last`` detection, ``size`` detections, ``reward`` nats for being animals (T,)."""

    first: Index
    last: Index
    size: Floats
    reward: Floats


@dataclass(frozen=True)
class Joined:
    """``track`` (T,) of each tracklet by first appearance, -1 = no animal; ``before`` (T,) the tracklet before it, -1 = none."""

    track: Index
    before: Index


@dataclass(frozen=True)
class World:
    """``n_animals`` None = open. ``area_px``: px² where animals may be. ``span``: looks after which a lost animal is a new one.

    ``jump``: probability that no motion leads from one detection of an animal to the next.
    """

    n_animals: int | None
    area_px: float
    span: float
    jump: float = ANYWHERE


@dataclass(frozen=True)
class Block:
    """Tracklets decided together, the last tracklets of the tracks so far, and how many tracks there are."""

    pieces: Index
    heads: Index
    n_tracks: int


def pieces_of(number: Index, reward: Floats) -> Pieces:
    """Tracklets from the chain number of each detection; detections are sorted by time."""
    n = int(number.max()) + 1 if len(number) else 0
    first = np.full(n, len(number), dtype=np.int64)
    last = np.full(n, -1, dtype=np.int64)
    np.minimum.at(first, number, np.arange(len(number)))
    np.maximum.at(last, number, np.arange(len(number)))
    size, total = np.bincount(number, minlength=n), np.bincount(number, weights=reward, minlength=n)
    return Pieces(first, last, size.astype(np.float64), total.astype(np.float64))


def joined(judge: Judge, pieces: Pieces, world: World) -> Joined:
    """The best tracks through the tracklets."""
    n = len(pieces.first)
    before = np.full(n, -2, dtype=np.int64)  # -2 unused, -1 begins a track
    track = np.full(n, -1, dtype=np.int64)
    heads: list[int] = []
    n_tracks = 0
    for start in range(0, n, COMMIT):
        block = np.arange(start, min(start + COMMIT + AHEAD, n))
        own = _solved(judge, pieces, world, Block(block, np.array(heads, dtype=np.int64), n_tracks))
        for piece in block[:COMMIT]:
            before[piece] = own[piece - start]
            if before[piece] == -1:
                track[piece] = n_tracks
                n_tracks += 1
            elif before[piece] >= 0:
                track[piece] = track[before[piece]]
        heads = _heads(track[: start + COMMIT], pieces, judge.scene, world)
    return Joined(track, np.maximum(before, -1))


def rates(judge: Judge, pieces: Pieces, world: World, found: Joined) -> tuple[float, float]:
    """Share of detections that are no animal, judged by given tracks, and of links that are jumps.

    No animal is what was left out though it fits into no gap of a track, and excursions.

    An excursion is where a track leaves by a way that no motion explains and comes back by another one, while the direct way across is
    plausible: the tracklets in between are false, the animal was not seen. It is no longer than what it interrupts.
    """
    left_out = np.flatnonzero(found.track < 0)
    left_out = left_out[~_fits(judge, pieces, world, found, left_out)]
    linked = np.flatnonzero(found.before >= 0)
    wild = np.zeros(len(found.track), dtype=bool)
    wild[linked] = is_jump(judge, world, pieces.last[found.before[linked]], pieces.first[linked])
    order = np.lexsort((pieces.first, found.track))
    order = order[found.track[order] >= 0]
    # runs of tracklets between jumps
    begins = np.flatnonzero(wild[order] | (found.before[order] < 0))
    run_size = np.add.reduceat(pieces.size[order], begins) if len(begins) else np.zeros(0)
    first = pieces.first[order[begins]]
    last = pieces.last[order[np.r_[begins[1:], len(order)] - 1]] if len(begins) else first
    track = found.track[order[begins]]
    inner = np.flatnonzero((track[2:] == track[:-2]) & (run_size[1:-1] <= np.minimum(run_size[:-2], run_size[2:]))) + 1
    inner = inner[~is_jump(judge, world, last[inner - 1], first[inner + 1])]
    n_false, n_jumps = pieces.size[left_out].sum() + run_size[inner].sum(), max(int(wild.sum()) - 2 * len(inner), 0)
    n = max(float(pieces.size.sum()), 1.0)
    return float(min((n_false + 1) / n, EVEN)), float(np.clip((n_jumps + 1) / n, RAREST, COMMONEST))


def _fits(judge: Judge, pieces: Pieces, world: World, found: Joined, left_out: Index) -> NDArray[np.bool_]:
    """Tracklets that were left out although a track has a gap there into which they fit without a jump."""
    look = judge.scene.look
    fits = np.zeros(len(left_out), dtype=bool)
    start, stop = look[pieces.first[left_out]], look[pieces.last[left_out]]
    order = np.flatnonzero(found.track >= 0)
    order = order[np.lexsort((pieces.first[order], found.track[order]))]
    for own in np.split(order, np.flatnonzero(np.diff(found.track[order])) + 1):
        place = np.searchsorted(look[pieces.first[own]], start, side="right")
        row = np.flatnonzero((place > 0) & (place < len(own)) & ~fits)
        old, new = own[place[row] - 1], own[place[row]]
        free = (look[pieces.last[old]] < start[row]) & (look[pieces.first[new]] > stop[row])
        row, old, new = row[free], old[free], new[free]
        own_row = left_out[row]
        fits[row] = ~is_jump(judge, world, pieces.last[old], pieces.first[own_row])
        fits[row] &= ~is_jump(judge, world, pieces.last[own_row], pieces.first[new])
    return fits


def is_jump(judge: Judge, world: World, first: Index, second: Index) -> NDArray[np.bool_]:
    """Links that are likelier by a way that no motion explains."""
    return np.log1p(-world.jump) + _likely(judge, world, first, second) < np.log(world.jump)


def _likely(judge: Judge, world: World, first: Index, second: Index) -> Floats:
    """Log likelihood of links by the learnt motion, against finding the animal anywhere in view."""
    lag = judge.scene.look[second] - judge.scene.look[first]
    return -judge.cost(first, second) + density(judge.model, lag) + np.log(world.area_px)


def _heads(track: Index, pieces: Pieces, scene: Scene, world: World) -> list[int]:
    """Last tracklet of each track so far; in an open world only those that may still go on."""
    last: dict[int, int] = {}
    for piece in np.flatnonzero(track >= 0):
        last[int(track[piece])] = int(piece)
    if world.n_animals is not None:
        return sorted(last.values())
    now = scene.look[pieces.first[len(track) - 1]]
    return sorted(piece for piece in last.values() if now - scene.look[pieces.last[piece]] <= world.span)


def _solved(judge: Judge, pieces: Pieces, world: World, part: Block) -> Index:
    """For each tracklet of a block the one before it (any tracklet, -1 = begins a track, -2 = not used)."""
    block, heads, n_tracks = part.pieces, part.heads, part.n_tracks
    n, n_heads = len(block), len(heads)
    outs = np.concatenate([block, heads])
    ends, starts, price = _links(judge, pieces, world, outs, block)
    rows, columns, values = [ends], [starts], [price]

    def put(row: Index, column: Index, value: Floats) -> None:
        rows.append(row)
        columns.append(column)
        values.append(value)

    every = np.arange(n)
    put(every, every, pieces.reward[block])  # not used
    if world.n_animals is not None:
        fresh = max(world.n_animals - n_tracks, 0)
        n_tokens = n_heads + fresh
        tokens = n + np.arange(n_tokens)
        sinks = n + np.arange(n_tokens)
        if fresh:  # tracks that have not begun may begin anywhere, and the same for ends
            put(np.repeat(tokens[n_heads:], n), np.tile(every, fresh), np.zeros(n * fresh))
        put(np.repeat(every, n_tokens), np.tile(sinks, n), np.zeros(n * n_tokens))
        put(np.repeat(tokens, n_tokens), np.tile(sinks, n_tokens), np.zeros(n_tokens**2))
        size = n + n_tokens
    else:
        # every out has its own end, every in its own begin; an end and a begin that are both not needed cancel out
        n_outs = n + n_heads
        put(np.arange(n_outs), n + np.arange(n_outs), np.zeros(n_outs))
        put(n_outs + every, every, np.full(n, BIRTH))
        put(n_outs + starts, n + ends, np.zeros(len(ends)))
        put(n_outs + every, n + every, np.zeros(n))
        size = n_outs + n
    partner = _matching(np.concatenate(rows), np.concatenate(columns), np.concatenate(values), size)
    found = np.full(n, -1, dtype=np.int64)
    for row, column in enumerate(partner):
        if column < n and row < len(outs):
            found[column] = -2 if row == column else outs[row]
    return found


def _matching(row: Index, column: Index, value: Floats, size: int) -> Index:
    """Column of each row in the cheapest full matching; of entries given twice the cheaper counts."""
    order = np.lexsort((value, column, row))
    row, column, value = row[order], column[order], value[order]
    kept = np.r_[True, (row[1:] != row[:-1]) | (column[1:] != column[:-1])]
    # zero would mean no edge, and a constant on every edge changes nothing
    matrix: csr_array = coo_array((value[kept] - value.min() + 1.0, (row[kept], column[kept])), shape=(size, size)).tocsr()
    rows, columns = min_weight_full_bipartite_matching(matrix)
    partner = np.full(size, -1, dtype=np.int64)
    partner[rows] = columns
    return partner


def _links(judge: Judge, pieces: Pieces, world: World, outs: Index, block: Index) -> tuple[Index, Index, Floats]:
    """Links worth looking at: (place in ``outs``, place in ``block``, nats against them compared with an animal from anywhere)."""
    scene = judge.scene
    begin = scene.look[pieces.first[block]]
    end = scene.look[pieces.last[outs]]
    low = np.searchsorted(begin, end + 1e-9, side="right")
    most = 40 if world.n_animals is None else 4 * world.n_animals + 16
    high = np.minimum(low + most, len(block))
    high = np.minimum(high, np.searchsorted(begin, end + world.span, side="right"))
    high = np.maximum(high, low)
    count = high - low
    ends = np.repeat(np.arange(len(outs)), count)
    starts = np.repeat(low, count) + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    first, second = pieces.last[outs[ends]], pieces.first[block[starts]]
    return ends, starts, link_price(judge, world, first, second)


def link_price(judge: Judge, world: World, first: Index, second: Index) -> Floats:
    """Nats against a link, compared with finding the animal anywhere in view; negative = the link is the better explanation."""
    lag = judge.scene.look[second] - judge.scene.look[first]
    likely = _likely(judge, world, first, second)
    unseen = np.minimum(judge.miss * (lag - 1), MISS_LIMIT)
    # an animal may come back where no motion leads, but not into another one's body
    return -np.logaddexp(np.log1p(-world.jump) + likely, np.log(world.jump)) + unseen + OTHER_BODY * judge.apart(first, second)
