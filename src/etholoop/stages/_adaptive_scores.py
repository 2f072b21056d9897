"""Probabilities of behaviours with a stride that adapts itself: part of the clips is judged, the rest is filled in, and it is said which.

Mini-scenes are taken in groups whose pictures fit into memory. The pictures of a group are read once, in one pass; then the refinement
(:mod:`etholoop.core.refinement`) asks level by level for clips. Finished groups can be kept, so that stopped work goes on where it stood.
"""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from etholoop.core.clips import ClipRule
from etholoop.core.refinement import Check, Refinement, Wish
from etholoop.io import atomic
from etholoop.modeling.behaviour._x3d_predict import SinglePredictor

ROOM_BYTES = 256 * 1024**2
"""Pictures of a group take no more, but for those of a few clips at least."""

LEAST_LOOKS = 300
"""What the network's first layer makes of pictures is kept in their place where it leaves room for so many."""

AT_ONCE = 16
"""Pictures that the first layer takes together, and clips between two signs of progress."""

LEAST_MOMENTS = 64


@dataclass(frozen=True)
class Film:
    """A video and its first ``n_moments`` frames to be judged. ``images``: ascending frames → (frame, picture as the network sees it)."""

    n_moments: int
    n_video_frames: int
    images: Callable[[list[int]], Iterable[tuple[int, np.ndarray]]]


@dataclass(frozen=True)
class Part:
    """Moments [start, stop) of a film."""

    film: int
    start: int
    stop: int


@dataclass(frozen=True)
class Found:
    """``probabilities`` (m, classes) float32 and whether each was ``judged`` (m,) and not filled in."""

    probabilities: np.ndarray
    judged: np.ndarray
    check: Check


@dataclass(frozen=True)
class Room:
    """``pictures`` of a group at most; ``looks``: they are kept as what the first layer makes of them."""

    pictures: int
    looks: bool


def room_for(picture_bytes: int, look_bytes: int) -> Room:
    """Room for pictures that take so much memory as they are, and behind the first layer."""
    n_looks = ROOM_BYTES // look_bytes
    return Room(n_looks, True) if n_looks >= LEAST_LOOKS else Room(max(1, ROOM_BYTES // picture_bytes), False)


def groups_of(n_moments: list[int], rule: ClipRule, room: Room) -> list[list[Part]]:
    """All films in parts, those that share the room together, in order."""
    reach = rule.n_frames * rule.rate
    longest = max(LEAST_MOMENTS, room.pictures - reach)
    groups: list[list[Part]] = []
    free = 0
    for film, n in enumerate(n_moments):
        n_parts = -(-n // longest)
        for place in range(n_parts):
            part = Part(film, n * place // n_parts, n * (place + 1) // n_parts)
            needed = part.stop - part.start + reach
            if needed > free or not groups:
                groups.append([])
                free = room.pictures
            groups[-1].append(part)
            free -= needed
    return groups


def judge_group(
    films: list[Film],
    parts: list[Part],
    rule: ClipRule,
    predict: SinglePredictor,
    *,
    wish: Wish,
    looks: bool,
    seed: int,
    exclusive: bool = True,
    keep: Path | None = None,
    seen: Callable[[int], object] = lambda n: None,
) -> Found:
    """All moments of the parts, in order.

    Args:
        looks: see :class:`Room`.
        seed: of the random choices.
        exclusive: the probabilities of a moment add up to 1.
        keep: where the result is kept, and taken from if it is there; None = nowhere.
        seen: told of each number of moments done.
    """
    found = _kept(keep, sum(part.stop - part.start for part in parts))
    if found is None:
        found = _judged(films, parts, rule, predict, wish, looks, seed, exclusive, seen)
        if keep:
            check = found.check
            with atomic.new_file(keep) as temporary, temporary.open("wb") as stream:
                counts = np.array([check.n, check.judged, check.tried, check.same])
                np.savez(stream, probabilities=found.probabilities, judged=found.judged, check=counts)
    else:
        seen(len(found.judged))
    return found


def _judged(  # noqa: PLR0917
    films: list[Film],
    parts: list[Part],
    rule: ClipRule,
    predict: SinglePredictor,
    wish: Wish,
    looks: bool,
    seed: int,
    exclusive: bool,
    seen: Callable[[int], object],
) -> Found:
    stores = [Pictures(films[part.film], part, rule, predict, looks) for part in parts]
    places = [(store, place) for store in stores for place in range(len(store.clips))]
    refinement = Refinement([part.stop - part.start for part in parts], rule.rate, wish, seed=seed, exclusive=exclusive)
    while len(asked := refinement.ask()):
        found = []
        for start in range(0, len(asked), AT_ONCE):
            rows = asked[start : start + AT_ONCE].tolist()
            # clip by clip, so that each is in the processor's caches when it is judged
            found.append(predict.judge(store.clip(place) for store, place in (places[row] for row in rows)))
            seen(len(rows))
        refinement.tell(np.concatenate(found))
    seen(int((~refinement.judged).sum()))
    return Found(refinement.probabilities, refinement.judged, refinement.check)


class Pictures:
    """The pictures of one part, read once."""

    def __init__(self, film: Film, part: Part, rule: ClipRule, predict: SinglePredictor, looks: bool):
        frames = rule.frames(np.arange(part.start, part.stop), film.n_video_frames)
        needed, places = np.unique(frames, return_inverse=True)
        self.clips = places.reshape(frames.shape)
        self.predict, self.looks = predict, looks
        self.pictures = np.zeros(0)
        number = 0
        for batch in _batches(film.images(needed.tolist())):
            made = predict.look(batch) if looks else batch
            if not number:
                self.pictures = np.empty((len(needed), *made.shape[1:]), made.dtype)
            self.pictures[number : number + len(made)] = made
            number += len(made)
        assert number == len(needed), "a reader gives every frame or a fault"

    def clip(self, place: int) -> np.ndarray:
        """The looks (n_frames, …) of the clip of a moment."""
        own = self.pictures[self.clips[place]]
        return own if self.looks else self.predict.look(own)


def _batches(images: Iterable[tuple[int, np.ndarray]]) -> Iterator[np.ndarray]:
    batch: list[np.ndarray] = []
    for _, image in images:
        batch.append(image)
        if len(batch) == AT_ONCE:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def _kept(path: Path | None, n_moments: int) -> Found | None:
    """A group that was done before; None if there is none, or a damaged one."""
    if path is None or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            found = Found(kept["probabilities"], kept["judged"], Check(*kept["check"].tolist()))
    except (ValueError, OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile):
        return None
    return found if len(found.probabilities) == len(found.judged) == n_moments else None
