"""The centroid tracker of kabr-tools and what its track store makes of it.

A compatible re-implementation from a description of its behaviour (kabr-tools is MIT): the same ids in the same frames, faults included
(`tests/parity/test_trackers_kabr.py`). What it does not do, `etholoop` does:

* an animal that appears while another is lost gets no track until the lost one is given up;
* the filter lags behind (28 px at 20 px per frame), so fast neighbours are exchanged;
* an animal seen in fewer frames than it is then missed for is forgotten altogether.

Coordinates are whole pixels: the original cuts off what lies behind the point, in boxes, centres and predictions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

NO_ROW = -1
STEP_S = np.float32(0.01)
"""The filter's idea of the time from one frame to the next; the original's, whatever the video's rate."""
SETTLED = 1000
"""Steps after which the filter's gain is taken not to change any more."""


@dataclass(frozen=True)
class Settings:
    """The original's parameters. ``interpolation``: fill the frames in which an animal was missed."""

    max_disappeared: int = 40
    max_distance: float = 300.0
    interpolation: bool = True


@dataclass(frozen=True)
class Seen:
    """What the tracker says of one animal in one frame: its point, and the row of its detection within the frame, -1 = lost."""

    id: int
    point: tuple[int, int]
    row: int


@dataclass
class Track:
    """One animal's entries, a run of frames from ``start_frame`` on.

    ``row``: the detection within its frame, -1 where there is none; ``box``: xyxy or None; ``filled``: the box was interpolated.
    """

    id: int
    start_frame: int
    box: list[tuple[int, int, int, int] | None] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    filled: list[bool] = field(default_factory=list)
    unseen: int = 0
    closed: bool = False

    @property
    def stop_frame(self) -> int:
        return self.start_frame + len(self.box)


@dataclass
class _Animal:
    """``point``: where it was seen or, while it is lost, where the filter puts it; ``state``: x, y from ``origin`` and their speeds."""

    point: NDArray[np.float32]
    origin: NDArray[np.float32]
    row: int = NO_ROW
    state: NDArray[np.float32] = field(default_factory=lambda: np.zeros(4, np.float32))
    n_steps: int = -1
    missed: int = 0


class Tracker:
    """The frame-to-frame part; one for each video.

    Args:
        box_by_point: the original's way to an animal's box, the first detection that lies exactly at its point; so one detection may be
            given to two animals, also to one that is lost. False: the detection it was matched with.
    """

    def __init__(self, settings: Settings, *, box_by_point: bool = True):
        self._settings, self._by_point = settings, box_by_point
        self._animals: dict[int, _Animal] = {}
        self._next_id = 1

    def update(self, boxes: NDArray[np.int64]) -> list[Seen]:
        """What is where in the next frame, by rising id.

        Args:
            boxes: (m, 4) xyxy, whole pixels.
        """
        points = centres(boxes)
        for animal in self._animals.values():
            _predict(animal)
            animal.row = NO_ROW
        if not self._animals:
            self._add(points, range(len(points)))
        elif not len(points):
            self._age(list(self._animals))
        else:
            self._match(points)
        return self._seen(points)

    def _match(self, points: NDArray[np.float32]) -> None:
        ids = list(self._animals)
        distance = cdist(np.stack([self._animals[key].point for key in ids]), points)
        rows, columns = linear_sum_assignment(distance)
        near = distance[rows, columns] <= self._settings.max_distance
        for row, column in zip(rows[near].tolist(), columns[near].tolist(), strict=True):
            animal = self._animals[ids[row]]
            animal.point, animal.row, animal.missed = points[column], column, 0
        if len(ids) >= len(points):
            self._age([key for at, key in enumerate(ids) if at not in set(rows[near].tolist())])
        else:
            self._add(points, [column for column in range(len(points)) if column not in set(columns[near].tolist())])

    def _add(self, points: NDArray[np.float32], columns: Iterable[int]) -> None:
        for column in columns:
            self._animals[self._next_id] = _Animal(points[column], points[column], column)
            self._next_id += 1

    def _age(self, ids: list[int]) -> None:
        for key in ids:
            self._animals[key].missed += 1
            if self._animals[key].missed > self._settings.max_disappeared:
                del self._animals[key]

    def _seen(self, points: NDArray[np.float32]) -> list[Seen]:
        row_at = {tuple(point): row for row, point in reversed(list(enumerate(points.tolist())))} if self._by_point else {}
        found = []
        for key, animal in self._animals.items():
            x, y = animal.point.tolist()
            found.append(Seen(key, (int(x), int(y)), row_at.get((x, y), NO_ROW) if self._by_point else animal.row))
        return found


class Store:
    """What becomes of the animals: gaps are filled, short tracks are forgotten."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._tracks: dict[int, Track] = {}

    def update(self, frame: int, seen: Sequence[Seen], boxes: NDArray[np.int64]) -> None:
        for one in seen:
            track = self._tracks.setdefault(one.id, Track(one.id, frame))
            box = None if one.row == NO_ROW else _whole(boxes[one.row])
            _append(track, box, one.row, self._settings.interpolation)
        self._forget({one.id for one in seen})

    def _forget(self, present: set[int]) -> None:
        """A track given up by the tracker loses the frames in which it was already missed, or is removed if little else is in it."""
        limit = self._settings.max_disappeared
        for track in [track for key, track in self._tracks.items() if key not in present and not track.closed]:
            track.unseen += 1
            if track.unseen <= limit:
                continue
            if len(track.box) > 2 * limit:
                track.closed = True
                if limit:
                    del track.box[-limit:], track.row[-limit:], track.filled[-limit:]
            else:
                del self._tracks[track.id]

    def tracks(self) -> list[Track]:
        """All tracks that are left, by id; the entries of an animal still missed at the end have no box."""
        return [self._tracks[key] for key in sorted(self._tracks)]


def follow(boxes_by_frame: Iterable[NDArray[np.int64]], settings: Settings) -> tuple[list[list[Seen]], list[Track]]:
    """What the tracker says in each frame, and the tracks that come of it. The first frame is frame 0."""
    tracker, store = Tracker(settings), Store(settings)
    live = []
    for frame, boxes in enumerate(boxes_by_frame):
        seen = tracker.update(boxes)
        store.update(frame, seen, boxes)
        live.append(seen)
    return live, store.tracks()


def centres(boxes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Centres (m, 2) of boxes in whole pixels, cut off."""
    return ((boxes[:, :2] + boxes[:, 2:]) / 2).astype(np.int64).astype(np.float32)


def _predict(animal: _Animal) -> None:
    """One round of the filter: the last point is its measurement, and what it expects becomes the point.

    The filter counts from the place where the animal was first seen, begins one frame later, and its result is cut to whole pixels
    towards that place. Rounding follows OpenCV 4, because a value just below a whole pixel is cut to another one than a value just above.
    """
    animal.n_steps += 1
    if animal.n_steps == 0:
        return
    gain = _gain(animal.n_steps - 1)  # (2,) of place and of speed
    error = (animal.point - animal.origin - animal.state[:2]).astype(np.float64)
    state = (animal.state + np.concatenate([gain[0] * error, gain[1] * error])).astype(np.float32)
    state[:2] += STEP_S * state[2:]
    animal.state, animal.point = state, animal.origin + np.trunc(state[:2])


_gains: list[NDArray[np.float64]] = []
_covariances: list[NDArray[np.float32]] = [np.zeros((2, 2), np.float32)]


def _gain(step: int) -> NDArray[np.float64]:
    """The filter's gains of place and speed at a step, (2,).

    Noise of process and measurement are the identity and the covariance begins with 0, so the gains depend on nothing but the step.
    Standard Kalman recursion of one coordinate, in single precision and in the order of operations of OpenCV's ``cv::KalmanFilter``.
    After :data:`SETTLED` steps they change no more.
    """
    step = min(step, SETTLED)
    while len(_gains) <= step:
        covariance = _covariances.pop()
        spread = np.float32(np.float64(covariance[0, 0]) + 1)
        unit = np.float64(spread * (np.float32(1) / spread))  # OpenCV solves by a singular value decomposition, which leaves this
        numerator = (unit * covariance[0].astype(np.float64)).astype(np.float32)
        gain = (numerator.astype(np.float64) * (1 / np.float64(spread))).astype(np.float32).astype(np.float64)
        _gains.append(gain)
        _covariances.append(_predicted_covariance(covariance, gain))
    return _gains[step]


def _predicted_covariance(covariance: NDArray[np.float32], gain: NDArray[np.float64]) -> NDArray[np.float32]:
    """(2, 2) after one measurement and one step of time."""
    covariance = (covariance - np.outer(gain, covariance[0].astype(np.float64))).astype(np.float32)
    moved = np.stack([covariance[0] + STEP_S * covariance[1], covariance[1]]).astype(np.float64)
    motion = np.array([[1, STEP_S], [0, 1]], np.float32).astype(np.float64)
    return (moved @ motion.T + np.eye(2)).astype(np.float32)


def _append(track: Track, box: tuple[int, int, int, int] | None, row: int, interpolation: bool) -> None:
    if box is not None and interpolation and track.box and track.box[-1] is None:
        _fill(track, box)
    track.box.append(box)
    track.row.append(row)
    track.filled.append(False)


def _fill(track: Track, box: tuple[int, int, int, int]) -> None:
    """Boxes on the line between the last one and ``box``, in the frames between that have none."""
    last = max((at for at, known in enumerate(track.box) if known is not None), default=None)
    if last is None:
        return
    before = np.array(track.box[last], float)
    n_steps = len(track.box) - last
    for step in range(1, n_steps):
        between = before + (np.array(box, float) - before) * step / n_steps
        track.box[last + step] = _whole(between)
        track.filled[last + step] = True


def _whole(box: NDArray[np.generic]) -> tuple[int, int, int, int]:
    x_min, y_min, x_max, y_max = (int(value) for value in box)
    return x_min, y_min, x_max, y_max
