"""Synthetic frames: a scene and a frame number to pixels.

A frame is a pure function of the scene and its number, so frame k alone equals frame k of the stream. Drawing is done ``SCALE`` times
larger and reduced, which gives smooth edges; positions are passed to OpenCV with 4 binary digits below the pixel.
"""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from etholoop.simulation import body, randomness
from etholoop.simulation.behaviour import LOCOMOTE
from etholoop.simulation.looks import Arena, Coat, Colour, luminance
from etholoop.simulation.scene import Scene

SCALE = 3
SHIFT = 4
"""Binary digits below the pixel in the coordinates that OpenCV is given."""

SHADES = ((1.0, 0.80), (0.86, 0.90), (0.68, 0.98), (0.48, 1.05), (0.26, 1.12))
"""Width of each layer of fur and its brightness: dark edges and a lighter back make the body look round."""


class Patch(NamedTuple):
    """A drawing on part of the frame: corner in image pixels, and the drawing ``SCALE`` times larger."""

    left: int
    top: int
    colour: np.ndarray  # (h, w, 3) float32
    cover: np.ndarray  # (h, w) uint8, 255 where drawn


def render(scene: Scene, frame: int) -> np.ndarray:
    """One synthetic frame, uint8 RGB (height, width, 3).

    Raises:
        IndexError: the frame is not in the session.
    """
    scene.check_frame(frame)
    image = _background(scene).copy()
    for animal in scene.present(frame):
        _put_on(image, _draw_animal(scene, frame, animal), scene)
    return _photograph(image, scene, frame)


# --- animals -----------------------------------------------------------------------------------------------------------------------


def _draw_animal(scene: Scene, frame: int, animal: int) -> Patch:
    posture = scene.posture(frame, animal)
    shape, coat = body.shape(posture), scene.coats[animal]
    curve, half_widths = body.tail(shape, posture)
    reach = np.concatenate([scene.to_image(body.outline(shape)), scene.to_image(curve)])
    margin = 0.15 * posture.length
    left, top = np.floor(reach.min(axis=0) - margin).astype(int)
    right, bottom = np.ceil(reach.max(axis=0) + margin).astype(int)
    size = ((bottom - top) * SCALE, (right - left) * SCALE)
    pen = _Pen(scene, left, top, _filled(size, coat.fur), np.zeros(size, np.uint8))
    _draw_paws(pen, shape, posture, coat, scene.motion.activity[frame, animal] == LOCOMOTE)
    _draw_tail(pen, curve, half_widths, coat)
    _draw_fur(pen, shape, posture, coat, _hairs(scene, animal))
    _draw_head(pen, shape, coat)
    return Patch(int(left), int(top), pen.colour, pen.cover)


def _filled(size: tuple[int, int], colour: Colour) -> np.ndarray:
    """One colour everywhere, (h, w, 3) float32; OpenCV fills several times as fast as numpy."""
    image = np.empty((*size, 3), np.float32)
    return np.asarray(cv2.rectangle(image, (0, 0), (size[1] - 1, size[0] - 1), colour, -1))


class _Pen:
    """Draws world shapes on a patch."""

    def __init__(self, scene: Scene, left: int, top: int, colour: np.ndarray, cover: np.ndarray):
        self.scene, self.corner, self.colour, self.cover = scene, np.array([left, top]), colour, cover

    def points(self, world: np.ndarray) -> np.ndarray:
        # OpenCV's whole numbers name pixel centres, ours the corners
        inside = (self.scene.to_image(world) - self.corner) * SCALE - 0.5
        return np.round(inside * (1 << SHIFT)).astype(np.int32)

    def polygon(self, world: np.ndarray, colour: np.ndarray | tuple[float, ...], cover: bool = True) -> None:
        points = self.points(world)
        cv2.fillPoly(self.colour, [points], tuple(map(float, colour)), shift=SHIFT)
        if cover:
            cv2.fillPoly(self.cover, [points], 255, shift=SHIFT)

    def disc(self, world: np.ndarray, radius_px: float, colour: np.ndarray | tuple[float, ...], cover: bool = True) -> None:
        x, y = map(int, self.points(world[None])[0])
        radius = max(1, round(radius_px * self.scene.camera.zoom * SCALE * (1 << SHIFT)))
        cv2.circle(self.colour, (x, y), radius, tuple(map(float, colour)), -1, shift=SHIFT)
        if cover:
            cv2.circle(self.cover, (x, y), radius, 255, -1, shift=SHIFT)


def _draw_tail(pen: _Pen, curve: np.ndarray, half_widths: np.ndarray, coat: Coat) -> None:
    along = np.gradient(curve, axis=0)
    across = np.column_stack([along[:, 1], -along[:, 0]]) / np.hypot(*along.T)[:, None]
    for share, shade in ((1.0, 0.72), (0.55, 0.95)):
        side = across * half_widths[:, None] * share
        pen.polygon(np.concatenate([curve + side, (curve - side)[::-1]]), np.array(coat.skin) * shade)


def _draw_paws(pen: _Pen, shape: body.Shape, posture: body.Posture, coat: Coat, walking: bool) -> None:
    """Paws that show beside the body; in a walk they step in turn."""
    swing = 0.05 * np.sin(posture.bend * 9) if walking else 0.0
    for s, reach, sign in ((0.20, 1.06, 1), (0.20, 1.06, -1), (0.60, 1.08, 1), (0.60, 1.08, -1)):
        width = float(np.interp(s, body.S, shape.half_widths))
        pen.disc(body.place(shape, s + 0.04 + sign * swing, sign * reach * width), 0.028 * posture.length, np.array(coat.skin) * 0.9)


def _draw_fur(pen: _Pen, shape: body.Shape, posture: body.Posture, coat: Coat, hairs: np.ndarray) -> None:
    pen.polygon(body.outline(shape), np.array(coat.fur) * SHADES[0][1])
    _draw_marking(pen, shape, coat)
    blend = max(3, int(0.035 * posture.length * SCALE) | 1)
    cv2.blur(pen.colour, (blend, blend), dst=pen.colour)  # hairs of two colours mix where they meet
    light = np.ones(pen.cover.shape, np.float32)
    for shrink, brightness in SHADES:
        cv2.fillPoly(light, [pen.points(body.outline(shape, shrink, 0.0, 0.97))], brightness / SHADES[0][1], shift=SHIFT)
    blur = max(3, int(0.05 * posture.length * SCALE) | 1)
    soft = cv2.blur(cv2.blur(light, (blur, blur)), (blur, blur))
    pen.colour *= (soft * _fur_texture(pen, posture, hairs))[:, :, None]


def _draw_marking(pen: _Pen, shape: body.Shape, coat: Coat) -> None:
    shade = np.array(coat.marking_fur) * SHADES[0][1]
    if coat.marking == "hood":
        pen.polygon(body.outline(shape, 1.0, 0.6, 1.0), shade, cover=False)
    elif coat.marking == "saddle":
        pen.polygon(body.outline(shape, 1.0, 0.2, 0.46), shade, cover=False)
    elif coat.marking == "blaze":
        pen.polygon(body.outline(shape, 0.34, 0.1, 0.95), shade, cover=False)
    elif coat.marking == "spots":
        for s, across, radius in coat.spots:
            width = float(np.interp(s, body.S, shape.half_widths))
            pen.disc(body.place(shape, s, across * width * 0.8), radius * shape.size * 0.8, shade, cover=False)


def _fur_texture(pen: _Pen, posture: body.Posture, hairs: np.ndarray) -> np.ndarray:
    """Brightness of the hairs; the pattern sits on the animal and moves with it."""
    scene, middle = pen.scene, hairs.shape[0] / 2
    zoom = scene.camera.zoom * SCALE * posture.length / 60
    angle = posture.heading + np.deg2rad(scene.camera.rotation_deg)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = (scene.to_image(posture.centre[None])[0] - pen.corner) * SCALE
    matrix = np.column_stack([turn, centre - turn @ np.array([middle, middle])])
    height, width = pen.cover.shape
    return cv2.warpAffine(hairs, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _draw_head(pen: _Pen, shape: body.Shape, coat: Coat) -> None:
    left, right, radius = body.ears(shape)
    head_fur = coat.marking_fur if coat.marking == "hood" else coat.fur
    ear = 0.55 * np.array(coat.skin) + 0.45 * np.array(head_fur)
    for place in (left, right):
        pen.disc(place, radius, ear * 0.72)
        pen.disc(place, radius * 0.68, ear * 1.08, cover=False)
    for side in (1, -1):
        eye = body.place(shape, body.EYE_S, side * body.EYE_ACROSS * shape.size)
        pen.disc(eye, 0.019 * shape.size, (16, 13, 13), cover=False)
    pen.disc(body.place(shape, 0.985, 0.0), 0.022 * shape.size, np.array(coat.skin) * 0.95, cover=False)


@lru_cache(maxsize=64)
def _hairs(scene: Scene, animal: int) -> np.ndarray:
    """Streaks along the body, mean 1, (128, 128) float32."""
    noise = randomness.stream(scene.seed, scene.session, "hairs", animal).normal(size=(128, 128)).astype(np.float32)
    streaks = cv2.GaussianBlur(noise, (0, 0), sigmaX=2.2, sigmaY=0.7)
    return 1 + 0.07 * streaks / float(streaks.std())


def _put_on(image: np.ndarray, patch: Patch, scene: Scene) -> None:
    """Lay a drawing with its soft shadow on the picture; parts outside of the frame are cut."""
    height, width = patch.cover.shape[0] // SCALE, patch.cover.shape[1] // SCALE
    # premultiplied colours, so that edges do not take up the colour of what was not drawn
    share = patch.cover.astype(np.float32) / 255
    colour = cv2.resize(patch.colour * share[:, :, None], (width, height), interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(share, (width, height), interpolation=cv2.INTER_AREA)
    length = float(scene.lengths.mean())
    away = -0.045 * length * np.array([np.cos(scene.camera.light_direction), np.sin(scene.camera.light_direction)])
    moved = cv2.warpAffine(alpha, np.array([[1, 0, away[0]], [0, 1, away[1]]]), (width, height))
    shadow = cv2.GaussianBlur(moved, (0, 0), 0.05 * length) * 0.42
    top, left = max(patch.top, 0), max(patch.left, 0)
    bottom, right = min(patch.top + height, image.shape[0]), min(patch.left + width, image.shape[1])
    if top >= bottom or left >= right:
        return
    inside = np.s_[top - patch.top : bottom - patch.top, left - patch.left : right - patch.left]
    below = image[top:bottom, left:right]
    below *= (1 - shadow[inside])[:, :, None]
    below *= (1 - alpha[inside])[:, :, None]
    below += colour[inside]


# --- arena, light and camera -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _background(scene: Scene) -> np.ndarray:
    """The empty arena as the camera sees it, float32 (height, width, 3)."""
    rng = randomness.stream(scene.seed, scene.session, "arena")
    canvas = _draw_arena(scene.arena, rng, scene.width, scene.height)
    matrix = scene.camera_matrix.copy()
    matrix[:, 2] = (matrix[:, 2] + 0.5 * matrix[:, :2].sum(axis=1)) * SCALE - 0.5 * matrix[:, :2].sum(axis=1)
    size = (scene.width * SCALE, scene.height * SCALE)
    seen = cv2.warpAffine(canvas, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(seen, (scene.width, scene.height), interpolation=cv2.INTER_AREA)


def _draw_arena(arena: Arena, rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    canvas = _filled((height * SCALE, width * SCALE), arena.outside)
    wall_px = 0.028 * height
    inner, rim = _arena_mask(arena, canvas.shape[:2], 0), _arena_mask(arena, canvas.shape[:2], wall_px)
    cv2.copyTo(_filled(rim.shape, arena.wall), rim, canvas)
    floor = _draw_floor(arena, rng, canvas.shape[:2], height)
    # floors are darker close to the wall
    depth = cv2.distanceTransform(inner, cv2.DIST_L2, 3) / SCALE
    floor *= (1 - 0.28 * np.exp(-depth / (0.035 * height)))[:, :, None]
    return np.asarray(cv2.copyTo(floor, inner, canvas))


def _arena_mask(arena: Arena, size: tuple[int, int], grow_px: float) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    x, y = (value * SCALE for value in arena.centre)
    half_width, half_height = (arena.half_width + grow_px) * SCALE, (arena.half_height + grow_px) * SCALE
    if arena.shape == "circle":
        cv2.circle(mask, (round(x), round(y)), round(half_width), 255, -1)
        return mask
    corner = 0.22 * half_height if arena.shape == "rounded" else 0.0
    inner = np.array([half_width - corner, half_height - corner])
    middle = np.array([x, y])
    start, stop = np.round(middle - inner).astype(int), np.round(middle + inner).astype(int)
    cv2.rectangle(mask, tuple(map(int, start)), tuple(map(int, stop)), 255, -1)
    return _rounded(mask, start, stop, round(corner)) if corner else mask


def _rounded(mask: np.ndarray, start: np.ndarray, stop: np.ndarray, radius: int) -> np.ndarray:
    """A filled rectangle grown by an ellipse: four ellipses at its corners and two longer rectangles, much faster than ``cv2.dilate``."""
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2) * 255
    # drawn on a sheet that has room for it on all sides
    sheet = np.zeros((mask.shape[0] + 2 * radius, mask.shape[1] + 2 * radius), np.uint8)
    # as the rectangle itself, the corners end where the picture ends
    (left, top), (right, bottom) = np.clip(start, 0, None), np.minimum(stop, (mask.shape[1] - 1, mask.shape[0] - 1))
    for x in (left, right):
        for y in (top, bottom):
            sheet[y : y + 2 * radius + 1, x : x + 2 * radius + 1] |= ellipse
    sheet[top + radius : bottom + radius + 1, left : right + 2 * radius + 1] = 255
    sheet[top : bottom + 2 * radius + 1, left + radius : right + radius + 1] = 255
    return sheet[radius:-radius, radius:-radius].copy()


def _draw_floor(arena: Arena, rng: np.random.Generator, size: tuple[int, int], height: int) -> np.ndarray:
    floor = _filled(size, arena.floor)
    coarse = rng.normal(size=(12, 16)).astype(np.float32)
    stains = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    floor *= (1 + 0.022 * stains)[:, :, None]
    if arena.texture == "bedding":
        _draw_shavings(floor, rng, arena, height)
    elif arena.texture == "tiles":
        _draw_tiles(floor, rng, arena, height)
    elif arena.texture == "speckle":
        grain = cv2.GaussianBlur(rng.normal(size=size).astype(np.float32), (0, 0), 1.6)
        floor *= (1 + 0.05 * grain / float(grain.std()))[:, :, None]
    _draw_droppings(floor, rng, arena, height)
    return floor


def _draw_shavings(floor: np.ndarray, rng: np.random.Generator, arena: Arena, height: int) -> None:
    n_shavings, unit = 2200, height * SCALE / 240
    places = rng.uniform((0, 0), floor.shape[1::-1], (n_shavings, 2))
    angles, lengths = rng.uniform(0, np.pi, n_shavings), rng.uniform(2, 7, n_shavings) * unit
    shades = rng.normal(1.0, 0.09, n_shavings)
    half = 0.5 * lengths[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
    starts, stops = np.round(places - half).astype(int).tolist(), np.round(places + half).astype(int).tolist()
    colours = np.clip(np.array(arena.floor) * shades[:, None], 0, 255).tolist()
    thickness = max(1, round(1.4 * unit))
    for start, stop, colour in zip(starts, stops, colours, strict=True):
        cv2.line(floor, start, stop, colour, thickness)


def _draw_tiles(floor: np.ndarray, rng: np.random.Generator, arena: Arena, height: int) -> None:
    step, shade = round(height * SCALE * rng.uniform(0.16, 0.24)), 0.86 if luminance(arena.floor) > 90 else 1.25
    colour, thickness = tuple(np.clip(np.array(arena.floor) * shade, 0, 255)), max(1, round(0.004 * height * SCALE))
    for x in range(step // 2, floor.shape[1], step):
        cv2.line(floor, (x, 0), (x, floor.shape[0]), colour, thickness)
    for y in range(step // 2, floor.shape[0], step):
        cv2.line(floor, (0, y), (floor.shape[1], y), colour, thickness)


def _draw_droppings(floor: np.ndarray, rng: np.random.Generator, arena: Arena, height: int) -> None:
    """A few small dark things that are not animals."""
    radius = max(1, round(0.0055 * height * SCALE))
    for place in rng.uniform((0, 0), floor.shape[1::-1], (int(rng.integers(3, 12)), 2)):
        x, y = map(int, place)
        cv2.ellipse(floor, (x, y), (2 * radius, radius), float(rng.uniform(0, 180)), 0, 360, tuple(np.array(arena.floor) * 0.45), -1)


@lru_cache(maxsize=16)
def _light(scene: Scene) -> np.ndarray:
    """Factors of brightness and tint, float32 (height, width, 3)."""
    camera = scene.camera
    x = (np.arange(scene.width) + 0.5) / scene.width - 0.5
    y = (np.arange(scene.height) + 0.5) / scene.height - 0.5
    slope = np.cos(camera.light_direction) * x[None] + np.sin(camera.light_direction) * y[:, None]
    corners = (x[None] ** 2 + y[:, None] ** 2) / 0.5
    light = camera.gain * (1 + camera.light_slope * slope) * (1 - camera.vignette * corners)
    return (light[:, :, None] * np.array(camera.tint)).astype(np.float32)


def _photograph(image: np.ndarray, scene: Scene, frame: int) -> np.ndarray:
    """Light, lens and sensor."""
    camera, rng = scene.camera, randomness.stream(scene.seed, scene.session, "sensor", frame)
    image = image * (_light(scene) * np.float32(1 + 0.006 * rng.normal()))
    image = cv2.GaussianBlur(image, (0, 0), camera.blur_px * scene.height / 240)
    if camera.monochrome:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.add(image, _sensor_noise(scene, rng), dtype=cv2.CV_8U))  # rounded, and cut to 0 to 255


def _sensor_noise(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Noise of one frame, (height, width, 3): a piece of a larger sheet, moved and mirrored by lot, faster than drawing it anew."""
    sheet = _noise_sheet(scene)
    top, left = rng.integers(0, (sheet.shape[0] - scene.height + 1, sheet.shape[1] - scene.width + 1))
    down, right = rng.choice([-1, 1], 2)
    piece = sheet[top : top + scene.height, left : left + scene.width]
    mirror = {(-1, 1): 0, (1, -1): 1, (-1, -1): -1}.get((int(down), int(right)))
    return piece if mirror is None else np.asarray(cv2.flip(piece, mirror))


@lru_cache(maxsize=16)
def _noise_sheet(scene: Scene) -> np.ndarray:
    rng = randomness.stream(scene.seed, scene.session, "sensor")
    height, width = scene.height * 3 // 2, scene.width * 3 // 2
    grey = rng.standard_normal((height, width, 1), dtype=np.float32)
    colour = 0.0 if scene.camera.monochrome else 0.35
    return scene.camera.noise * (grey + colour * rng.standard_normal((height, width, 3), dtype=np.float32))
