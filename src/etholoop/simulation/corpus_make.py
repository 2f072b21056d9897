"""How the files of the collection are made: healthy, relabelled, remuxed, joined, damaged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etholoop.simulation import corpus_surgery as surgery
from etholoop.simulation.corpus_encode import Recipe, encode

N_FRAMES = 240


@dataclass(frozen=True)
class Sample:
    """A written video.

    ``shown`` has the number that frame 0, 1, … must show, for all frames that the file can be said to hold.
    ``usable`` is the least number of frames that must be usable; all of them in a file that is whole.
    ``intact`` is the same video before it was damaged.
    """

    path: Path
    shown: Sequence[int]
    usable: int
    intact: Path | None = None


@dataclass(frozen=True)
class Kind:
    """One file of the collection; ``make(path, numbers)`` writes it."""

    name: str
    words: str
    codec: str
    make: Callable[[Path, Sequence[int]], Sample]
    n_frames: int = N_FRAMES

    def write(self, folder: Path) -> Sample:
        return self.make(folder / self.name, range(self.n_frames))


def whole(name: str, words: str, recipe: Recipe, n_frames: int = N_FRAMES) -> Kind:
    """A healthy file."""

    def make(path: Path, numbers: Sequence[int]) -> Sample:
        times = recipe.times[: len(numbers)] if recipe.times is not None else None
        encode(path, numbers, recipe.but(times=times))
        return Sample(path, numbers, len(numbers))

    return Kind(name, words, recipe.codec, make, n_frames)


def changed(name: str, words: str, recipe: Recipe, change: Callable[[Path], object]) -> Kind:
    """A file that holds every frame, though its headers were changed."""

    def make(path: Path, numbers: Sequence[int]) -> Sample:
        encode(path, numbers, recipe)
        change(path)
        return Sample(path, numbers, len(numbers))

    return Kind(name, words, recipe.codec, make)


def damaged(
    name: str, words: str, recipe: Recipe, damage: Callable[[Path], object], usable: float, *, index_in_front: bool = False
) -> Kind:
    """A file that lost something; at least the share ``usable`` of its frames must still be given out.

    An index in front of a file that is cut off still promises every frame.
    """

    def make(path: Path, numbers: Sequence[int]) -> Sample:
        encode(path, numbers, recipe)
        intact = path.with_name(f"intact_{path.name}")
        intact.write_bytes(path.read_bytes())
        damage(path)
        shown = numbers if index_in_front else surgery.promised(path, intact)
        return Sample(path, shown, int(usable * len(numbers)), intact)

    return Kind(name, words, recipe.codec, make)


def remuxed(name: str, words: str, recipe: Recipe, edit: Callable[[list[Any]], list[Any]], *, first: int = 0, source: str = "mp4") -> Kind:
    """A file whose packets were copied from another; it shows the frames from ``first`` on."""

    def make(path: Path, numbers: Sequence[int]) -> Sample:
        before = path.with_name(f"before_{path.stem}.{source}")
        encode(before, numbers, recipe)
        surgery.remux(before, path, edit)
        before.unlink()
        return Sample(path, numbers[first:], len(numbers) - first)

    return Kind(name, words, recipe.codec, make)


def hidden(name: str, words: str, recipe: Recipe, places: Sequence[int]) -> Kind:
    """A VP8 file in which some packets hold pictures that are decoded but not shown; the others are its frames."""

    def make(path: Path, numbers: Sequence[int]) -> Sample:
        before = path.with_name(f"before_{path.name}")
        encode(before, numbers, recipe)
        there = [place for place in places if place < len(numbers)]
        surgery.remux(before, path, lambda packets: surgery.hide(packets, there))
        before.unlink()
        shown = [number for place, number in enumerate(numbers) if place not in places]
        return Sample(path, shown, len(shown))

    return Kind(name, words, recipe.codec, make)


def joined(name: str, words: str, recipe: Recipe, second_start_ms: int) -> Kind:
    """Two transport streams behind each other; the times of the second begin anew.

    The packets of a transport stream are counted, so the joint looks like a loss and may cost a few frames.
    """

    def make(path: Path, numbers: Sequence[int]) -> Sample:
        half, parts = len(numbers) // 2, list[Path]()
        for start, some in ((0, numbers[:half]), (second_start_ms, numbers[half:])):
            parts.append(path.with_name(f"part{len(parts)}_{path.name}"))
            encode(parts[-1], some, recipe.but(times=[start + 40 * place for place in range(len(some))]))
        surgery.join(parts, path)
        for part in parts:
            part.unlink()
        return Sample(path, numbers, len(numbers) - 8)

    return Kind(name, words, recipe.codec, make)


def begun_inside(name: str, words: str, recipe: Recipe, first: int, next_key: int) -> Kind:
    """A transport stream that begins at picture ``first``; nothing can be decoded before ``next_key``."""

    def make(path: Path, numbers: Sequence[int]) -> Sample:
        encode(path, numbers, recipe)
        intact = path.with_name(f"intact_{path.name}")
        intact.write_bytes(path.read_bytes())
        surgery.begin_at_ts_picture(path, first)
        return Sample(path, numbers[first:], len(numbers) - next_key, intact)

    return Kind(name, words, recipe.codec, make)


def uneven(n_frames: int, step: int = 40) -> list[int]:
    """Times with jitter, short pauses and one long pause, in milliseconds; always rising."""
    times, now = [], 0
    for place in range(n_frames):
        times.append(now)
        now += step + (place * 7 % 23) - 11 + (400 if place % 37 == 36 else 0) + (30_000 if place == n_frames // 2 else 0)
    return times


def with_pauses(n_frames: int) -> list[int]:
    """Times in frame periods, some left out: a camera that dropped frames."""
    return [place + place // 10 * 3 for place in range(n_frames)]
