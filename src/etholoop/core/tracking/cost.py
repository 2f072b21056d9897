"""How unlikely is it that two detections are one animal? In nats, from place, extent, pose and species.

Every kind of evidence is a residual judged by the spread it has on links beyond doubt:

* place: constant velocity, damped as much as the animals of this video are, forwards from the first and backwards from the second. The way
  is the mean of the keypoints that both show, the steady ones counting most, or else that of the boxes' centres: the box of an animal
  jumps when a leg or a wing is not found, its body does not;
* extent: width and height of the box; with the place this is what intersection over union sees, but it goes on telling when boxes no
  longer touch;
* pose: keypoints about their common mean, the exponent of OKS with each keypoint's own spread in this video in place of a sigma set
  beforehand. Without the mean it tells another thing than the place, so the two add up;
* bodies, where pixels were looked at: on one silhouette that touched no other it is the same animal, wherever in it the detection lies, and
  on two that were in view at one time it is not (`bodies.py`).
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from etholoop.core.tracking.chains import after_of, velocities
from etholoop.core.tracking.detections import DetectionFrames
from etholoop.core.tracking.motion import FEW, LAGS, SAMPLE, Spread, fit, surprise
from etholoop.core.tracking.sudden import USUAL, Sudden, fitted, together

Index = NDArray[np.int64]
Floats = NDArray[np.float64]
Pair = tuple[Index, Index]

BLOCK = 100_000
"""Pairs compared at once, which bounds memory."""

FLOOR_SHARE = 0.01
"""Spreads are at least this share of the animals' size: no detector is better."""

LEAST_KEYPOINTS = 3
"""Fewer common keypoints say nothing that the box does not."""


OTHER_SPECIES = 3.0
"""Nats against a link between species: detectors take one for another about once in twenty times."""


OTHER_BODY = 15.0
"""Nats against a link between two bodies that were in view at one time; less than certain, for pixels may err."""

GLITCH = 1e-3
"""Share of detections whose extent or pose is beside the animal, however different it looks."""


@dataclass(frozen=True)
class Scene:
    """The detections of a video, ready for comparison.

    ``look`` (n,) time in looks (frames / step). ``centre`` (n, 2), ``box`` (n, 4), ``side`` (n, 2), ``points`` (n, K, 2) px or None.
    ``size_px``: median root of the boxes' areas. ``species`` (n,) numbers. ``body`` (n,) silhouettes, -1 = not known, and ``body_span``
    (n, 2) the looks of its first and last sight, or None without pixels.
    """

    look: Floats
    centre: Floats
    box: Floats
    side: Floats
    points: NDArray[np.float32] | None
    size_px: float
    species: NDArray[np.int32]
    body: Index | None = None
    body_span: Floats | None = None


@dataclass(frozen=True)
class Model:
    """What was learnt from one video's sure links; ``point_px`` (K,) relative spread of the keypoints."""

    centre: Spread
    box: Spread
    points: Spread | None
    point_px: Floats | None
    sudden: Sudden = USUAL


def scene_of(frames: DetectionFrames, least_confidence: float = 0.05) -> Scene:
    """Centres, times and keypoints of a video's detections; keypoints below ``least_confidence`` count as missing."""
    box = frames.box
    points = None
    if frames.keypoints is not None and frames.keypoints.shape[1] >= LEAST_KEYPOINTS:
        points = frames.keypoints[:, :, :2].astype(np.float32)
        points[frames.keypoints[:, :, 2] < least_confidence] = np.nan
    side = np.maximum(box[:, 2:] - box[:, :2], 1.0)
    centre = (box[:, :2] + box[:, 2:]) / 2
    codes = pd.factorize(frames.species)[0] if frames.n else np.zeros(0, dtype=np.int64)
    size = float(np.median(np.sqrt(side.prod(1)))) if frames.n else 1.0
    scene = Scene(frames.frame / frames.step, centre, box, side, points, size, codes.astype(np.int32))
    if frames.body is None or frames.body_span is None or not (frames.body >= 0).any():
        return scene
    return replace(scene, body=frames.body, body_span=frames.body_span[np.maximum(frames.body, 0)] / frames.step)


def first_model(scene: Scene, distance: Floats) -> Model:
    """A model before any link is known, from the distances (px) of nearest neighbours one look apart."""
    middle = max(float(np.median(distance)) if len(distance) else 0.0, FLOOR_SHARE * scene.size_px)
    n = len(LAGS)
    spread = Spread(middle * np.sqrt(np.array(LAGS, float)), np.full(n, 2.0), np.zeros(n), np.zeros(n))
    return Model(spread, spread, None, None)


def learn(scene: Scene, before: Index, old: Model) -> Model:
    """The model of a video from the links between its detections; lags with few links keep their neighbours' values."""
    came = speeds(scene, before, old.point_px)
    pairs = {lag: _pairs(scene, before, lag) for lag in LAGS}
    floor = FLOOR_SHARE * scene.size_px
    centre = _spread([_fit_centre(scene, came, old.point_px, pairs[lag]) for lag in LAGS], old.centre)
    model = replace(old, centre=centre)
    box = _spread([_fit_plain(_box_residual(scene, *pairs[lag]), floor) for lag in LAGS], old.box)
    model = replace(model, box=box)
    if scene.points is None:
        return replace(model, sudden=_sudden(model, scene, came, pairs))
    point_px = _point_spread(scene, *pairs[1])
    about = [moves(scene, point_px, *pairs[lag])[1] for lag in LAGS]
    fits = [_fit_plain(_point_residual(point_px, beside), 0.05) for beside in about if beside is not None]
    fallback = old.points or Spread(np.sqrt(np.array(LAGS, float)), np.full(len(LAGS), 2.0), np.zeros(len(LAGS)), np.zeros(len(LAGS)))
    model = replace(model, point_px=point_px, points=_spread(fits, fallback))
    return replace(model, sudden=_sudden(model, scene, came, pairs))


def _sudden(model: Model, scene: Scene, came: Floats, pairs: dict[int, Pair]) -> Sudden:
    """How often and how wide sudden moves are, from links at each lag."""
    goes = np.full_like(came, np.nan)
    judged = [_calm(model, scene, (came, goes), pairs[lag]) for lag in LAGS]
    return fitted([calm for calm, _ in judged], [residual for _, residual in judged])


@dataclass(frozen=True)
class Judge:
    """Judges pairs of detections: what was learnt, the scene, and with which velocities (n, 2) animals came to and leave each detection.

    ``miss``: nats against a look in which an animal is not detected. Velocities are px per look, NaN = not known.
    """

    model: Model
    scene: Scene
    miss: float
    came: Floats
    goes: Floats

    def cost(self, first: Index, second: Index) -> Floats:
        """Nats against ``first`` being the same animal as the later detection ``second``; the most likely motion costs 0."""
        model, scene = self.model, self.scene
        lag = scene.look[second] - scene.look[first]
        calm, residual = _calm(model, scene, (self.came, self.goes), (first, second))
        total = together(calm, residual, *model.sudden.at(lag))
        total += OTHER_SPECIES * (scene.species[first] != scene.species[second])
        if scene.body is None:
            return total
        same = (scene.body[first] == scene.body[second]) & (scene.body[first] >= 0)
        return np.where(same, 0.0, total + OTHER_BODY * self.apart(first, second))

    def apart(self, first: Index, second: Index) -> NDArray[np.bool_]:
        """Pairs on two bodies that were in view at one time: for certain two animals."""
        body, span = self.scene.body, self.scene.body_span
        if body is None or span is None:
            return np.zeros(len(first), dtype=bool)
        known = (body[first] >= 0) & (body[second] >= 0) & (body[first] != body[second])
        return known & (span[first, 0] <= span[second, 1]) & (span[second, 0] <= span[first, 1])

    def price(self, first: Index, second: Index) -> Floats:
        """Nats against a link, comparable over lags: unlikely motion, a wide spread and looks without a detection count against it."""
        lag = self.scene.look[second] - self.scene.look[first]
        nearest = density(self.model, np.ones(1))
        return self.cost(first, second) - density(self.model, lag) + nearest + self.miss * (lag - 1)


def judge_of(model: Model, scene: Scene, miss: float, before: Index) -> Judge:
    """A judge with the velocities of given links."""
    came = speeds(scene, before, model.point_px)
    return Judge(model, scene, miss, came, speeds(scene, after_of(before), model.point_px))


def speeds(scene: Scene, link: Index, point_px: Floats | None) -> Floats:
    """Velocity (n, 2) px per look over the links of each detection's chain, NaN where there is none."""
    return velocities(partial(_way, scene, point_px), scene.look, link)


def _way(scene: Scene, point_px: Floats | None, first: Index, second: Index) -> Floats:
    """The way of many pairs, in blocks, which bounds memory."""
    cuts = range(0, max(len(first), 1), BLOCK)
    return np.concatenate([moves(scene, point_px, first[cut : cut + BLOCK], second[cut : cut + BLOCK])[0] for cut in cuts])


def moves(scene: Scene, point_px: Floats | None, first: Index, second: Index) -> tuple[Floats, Floats | None]:
    """Way (m, 2) px of each pair, and how far each keypoint moved beyond it (m, K), NaN where one is missing, None without keypoints.

    ``point_px`` (K,) is the keypoints' own spread: steady ones say more about the way.
    """
    way = scene.centre[second] - scene.centre[first]
    if scene.points is None:
        return way, None
    step = scene.points[second] - scene.points[first]
    known = np.isfinite(step[:, :, 0])
    steady = np.ones(known.shape[1], np.float32) if point_px is None else (1 / point_px**2).astype(np.float32)
    weight = known * steady
    total = np.maximum(weight.sum(1), np.float32(1e-12))
    mean = np.einsum("mk,mkc->mc", weight, np.where(known[:, :, None], step, 0)) / total[:, None]
    step -= mean[:, None, :]
    enough = known.sum(1) >= LEAST_KEYPOINTS
    return np.where(enough[:, None], mean, way), np.hypot(step[:, :, 0], step[:, :, 1])


def density(model: Model, lag: Floats) -> Floats:
    """Log of the highest density (1/px²) of an animal's place after ``lag`` looks: what a cost of 0 stands for."""
    scale, *_ = model.centre.at(lag)
    return -np.log(2 * np.pi * scale**2)


def _calm(model: Model, scene: Scene, speed: tuple[Floats, Floats], pair: Pair) -> tuple[Floats, Floats]:
    """Nats (m,) against links as calm motion, and the residuals (3, m) of place, extent and pose in their spreads, NaN = not told.

    ``speed``: velocities (n, 2) with which animals come to and leave each detection.
    """
    first, second = pair
    lag = scene.look[second] - scene.look[first]
    step, about = moves(scene, model.point_px, first, second)
    scale, tail, share, damping = model.centre.at(lag)
    forth, back = _ways(speed, pair, damping * lag)
    beside = []
    for way in (forth, back):
        gone = step - way
        beside.append(np.hypot(gone[:, 0], gone[:, 1]) / np.hypot(scale, share * np.hypot(way[:, 0], way[:, 1])))
    nats = (surprise(beside[0], 1.0, tail) + surprise(beside[1], 1.0, tail)) / 2
    place = np.sqrt((beside[0] ** 2 + beside[1] ** 2) / 2)
    extent = _box_residual(scene, first, second)
    nats += _judge(model.box, extent, lag)
    extent = extent / model.box.at(lag)[0]
    pose = np.full_like(place, np.nan)
    if model.points is not None and model.point_px is not None and about is not None:
        residual = _point_residual(model.point_px, about)
        spread, point_tail, *_ = model.points.at(lag)
        told = np.isfinite(residual)
        # animals that show too few keypoints are not likelier than those that fit: they get the middle
        middle = (point_tail + 2) / point_tail * np.log(2)
        nats += np.where(told, _judge(model.points, np.where(told, residual, 0), lag), middle)
        pose = np.where(told, residual / spread, np.sqrt(point_tail * (2 ** (2 / point_tail) - 1)))
    return nats, np.stack([place, extent, pose])


def _judge(spread: Spread, residual: Floats, lag: Floats) -> Floats:
    scale, tail, *_ = spread.at(lag)
    return -np.logaddexp(-surprise(residual, scale, tail), np.log(GLITCH))


def _ways(speed: tuple[Floats, Floats], pair: Pair, looks: Floats) -> tuple[Floats, Floats]:
    """Displacement (m, 2) predicted from the first detection's past and from the second one's future; one stands in for the other.

    ``looks`` (m,): for how long the velocity lasts, damping included.
    """
    forth, back = speed[0][pair[0]] * looks[:, None], speed[1][pair[1]] * looks[:, None]
    forth, back = np.where(np.isfinite(forth), forth, back), np.where(np.isfinite(back), back, forth)
    return np.nan_to_num(forth), np.nan_to_num(back)


def _box_residual(scene: Scene, first: Index, second: Index) -> Floats:
    change = scene.side[second] - scene.side[first]
    return np.hypot(change[:, 0], change[:, 1])


def _point_residual(point_px: Floats, about: Floats) -> Floats:
    square = (about / point_px) ** 2
    known = np.isfinite(square)
    n = known.sum(1)
    mean = np.where(known, square, 0).sum(1) / np.maximum(n, 1)
    return np.where(n >= LEAST_KEYPOINTS, np.sqrt(mean), np.nan)


def _point_spread(scene: Scene, first: Index, second: Index) -> Floats:
    """Spread (K,) px of the keypoints about their plain mean: about one that follows the steady ones they would seem ever steadier."""
    assert scene.points is not None
    k = scene.points.shape[1]
    floor = FLOOR_SHARE * scene.size_px
    distance = moves(scene, None, first, second)[1]
    assert distance is not None
    known = np.isfinite(distance).sum(0) >= FEW
    middle = np.full(k, max(float(np.nanmedian(distance)), floor) if known.any() else scene.size_px)
    middle[known] = np.nanmedian(distance[:, known], axis=0)
    return np.maximum(middle, floor)


def _pairs(scene: Scene, before: Index, lag: int) -> tuple[Index, Index]:
    """Detections of one chain about ``lag`` looks apart, evenly spaced over the video."""
    late = np.flatnonzero(before >= 0)
    if len(late) > 4 * SAMPLE:
        late = late[np.linspace(0, len(late) - 1, 4 * SAMPLE).astype(np.int64)]
    early = late.copy()
    for _ in range(lag):
        early = np.where(early >= 0, before[early], -1)
    kept = early >= 0
    late, early = late[kept], early[kept]
    exact = np.abs(scene.look[late] - scene.look[early] - lag) < 0.3 * lag
    late, early = late[exact], early[exact]
    if len(late) > SAMPLE:
        some = np.linspace(0, len(late) - 1, SAMPLE).astype(np.int64)
        late, early = late[some], early[some]
    return early, late


def _fit_centre(scene: Scene, came: Floats, point_px: Floats | None, pair: Pair) -> tuple[float, float, float, float] | None:
    first, second = pair
    known = np.isfinite(came[first, 0])
    first, second = first[known], second[known]
    if len(first) < FEW:
        return None
    lag = scene.look[second] - scene.look[first]
    return fit(came[first] * lag[:, None], moves(scene, point_px, first, second)[0], FLOOR_SHARE * scene.size_px)


def _fit_plain(residual: Floats, floor: float) -> tuple[float, float, float, float] | None:
    residual = residual[np.isfinite(residual)]
    if len(residual) < FEW:
        return None
    step = np.stack([residual, np.zeros_like(residual)], axis=1)
    return fit(np.zeros_like(step), step, floor)


def _spread(fits: list[tuple[float, float, float, float] | None], old: Spread) -> Spread:
    """Values at every lag: learnt ones, and beyond them the last learnt one, its scale growing with the root of the lag."""
    rows, last, last_lag = [], None, 1
    for place, (lag, found) in enumerate(zip(LAGS, fits, strict=True)):
        if found is not None:
            last, last_lag = found, lag
            rows.append(found)
        elif last is not None:
            rows.append((last[0] * np.sqrt(lag / last_lag), *last[1:]))
        else:
            rows.append((old.scale[place], old.tail[place], old.speed_share[place], old.damping[place]))
    table = np.array(rows, dtype=np.float64)
    scale = np.maximum.accumulate(table[:, 0])
    return Spread(scale, table[:, 1], table[:, 2], table[:, 3])
