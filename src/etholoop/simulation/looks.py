"""How a synthetic session looks: arena, camera and coats, drawn once per session.

Sessions differ in everything that differs between real recordings (floor, light, noise, camera position, coats), so that a model
cannot do well on held-out sessions by remembering one picture. Colours are RGB, 0 to 255.
"""

from dataclasses import dataclass

import numpy as np

from etholoop.simulation import randomness

Colour = tuple[float, float, float]

FLOORS: dict[str, Colour] = {
    "white": (226, 224, 218),
    "light grey": (200, 200, 198),
    "shavings": (196, 170, 128),
    "grey": (134, 134, 134),
    "blue": (86, 116, 152),
    "green": (96, 128, 104),
    "dark grey": (66, 68, 72),
}
COATS: dict[str, Colour] = {
    "black": (40, 38, 38),
    "dark brown": (72, 54, 42),
    "agouti": (108, 88, 64),
    "white": (230, 226, 220),
}
MARKINGS = ("none",) * 6 + ("hood", "saddle", "spots", "blaze")
"""Most laboratory mice have one colour."""

MIN_CONTRAST = 70.0
"""Grey levels between coat and floor. People choose arenas so that their animals can be seen; we do not set traps."""


@dataclass(frozen=True)
class Arena:
    """The floor animals walk on, centred in the frame; lengths in world pixels (the camera then shifts and turns the picture)."""

    shape: str  # rectangle, rounded or circle
    centre: tuple[float, float]
    half_width: float
    half_height: float
    floor: Colour
    texture: str  # plain, bedding, tiles or speckle
    wall: Colour
    outside: Colour

    def clamp(self, point: np.ndarray, margin: float) -> np.ndarray:
        """The nearest place at least ``margin`` inside the walls."""
        offset = point - np.array(self.centre)
        if self.shape == "circle":
            distance, radius = float(np.hypot(*offset)), self.half_width - margin
            return np.array(self.centre) + offset * (min(1.0, radius / distance) if distance > 0 else 1.0)
        limit = np.array([self.half_width - margin, self.half_height - margin])
        return np.array(self.centre) + np.clip(offset, -limit, limit)

    def random_place(self, rng: np.random.Generator, margin: float) -> np.ndarray:
        """A place on the floor, at least ``margin`` from the walls."""
        corner = np.array([self.half_width, self.half_height])
        return self.clamp(np.array(self.centre) + rng.uniform(-corner, corner), margin)


@dataclass(frozen=True)
class Camera:
    """Where the camera hangs, how it sees and how the room is lit."""

    rotation_deg: float
    zoom: float
    shift: tuple[float, float]  # share of the frame size
    blur_px: float
    noise: float  # standard deviation in grey levels
    monochrome: bool
    light_direction: float  # radians, towards the lamp
    light_slope: float  # relative brightness gained across the frame
    vignette: float  # relative brightness lost in the corners
    tint: Colour  # factors on R, G, B
    gain: float

    def matrix(self, width: int, height: int) -> np.ndarray:
        """World pixels to image pixels, (2, 3): turn and zoom about the frame centre, then shift."""
        angle = np.deg2rad(self.rotation_deg)
        turn = self.zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = np.array([width / 2, height / 2])
        offset = middle - turn @ middle + np.array(self.shift) * (width, height)
        return np.column_stack([turn, offset])


@dataclass(frozen=True)
class Coat:
    """Colours and markings of one animal."""

    fur: Colour
    marking: str
    marking_fur: Colour
    skin: Colour  # ears, nose and tail
    spots: tuple[tuple[float, float, float], ...]  # place along the body, place across (-1 to 1), radius (share of body length)


def luminance(colour: Colour) -> float:
    """Grey level of a colour, ITU-R BT.601."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def draw_arena(rng: np.random.Generator, width: int, height: int) -> Arena:
    """An arena that fills the frame, but for a border."""
    shape = str(rng.choice(["rectangle", "rounded", "circle"], p=[0.45, 0.3, 0.25]))
    half_height = height * rng.uniform(0.40, 0.43)
    half_width = half_height if shape == "circle" else min(width * 0.42, half_height * rng.uniform(1.15, 1.4))
    floor_name = str(rng.choice(list(FLOORS)))
    floor = _varied(rng, FLOORS[floor_name], 8)
    texture = (
        "bedding"
        if floor_name in ("shavings", "sand")
        else str(rng.choice(["plain", "bedding", "tiles", "speckle"], p=[0.35, 0.2, 0.2, 0.25]))
    )
    bright_wall = luminance(floor) < 128
    wall = _varied(rng, (165, 163, 158) if bright_wall else (88, 86, 84), 22)
    outside = _varied(rng, (48, 48, 50) if bright_wall else (30, 30, 32), 14)
    return Arena(shape, (width / 2, height / 2), half_width, half_height, floor, texture, wall, outside)


def draw_camera(rng: np.random.Generator) -> Camera:
    """A camera that hangs almost straight, under a light that is almost even."""
    monochrome = bool(rng.random() < 0.25)
    warmth = rng.uniform(-0.07, 0.07)
    return Camera(
        rotation_deg=rng.uniform(-4, 4),
        zoom=rng.uniform(0.96, 1.03),
        shift=(rng.uniform(-0.015, 0.015), rng.uniform(-0.012, 0.012)),
        blur_px=rng.uniform(0.35, 0.8),
        noise=rng.uniform(1.5, 6.0),
        monochrome=monochrome,
        light_direction=rng.uniform(-np.pi, np.pi),
        light_slope=rng.uniform(0.05, 0.35),
        vignette=rng.uniform(0.08, 0.3),
        tint=(1 + warmth, 1.0, 1 - warmth),
        gain=rng.uniform(0.88, 1.08),
    )


def draw_coats(rng: np.random.Generator, arena: Arena, n_animals: int) -> tuple[Coat, ...]:
    """Coats that can be told from the floor; in half of the sessions all animals are of one strain."""
    visible = [name for name, fur in COATS.items() if abs(luminance(fur) - luminance(arena.floor)) >= MIN_CONTRAST]
    strain = str(rng.choice(visible)) if rng.random() < 0.5 else None
    return tuple(_draw_coat(rng, strain or str(rng.choice(visible)), visible) for _ in range(n_animals))


def draw_lengths(rng: np.random.Generator, height: int, n_animals: int) -> np.ndarray:
    """Nose to tail base in world pixels, (animals,): about a quarter of the frame height; litter mates differ by some percent."""
    return height * rng.uniform(0.205, 0.245) * rng.uniform(0.93, 1.07, n_animals)


def draw_session(session: str, seed: int, width: int, height: int, n_animals: int) -> tuple[Arena, Camera, tuple[Coat, ...], np.ndarray]:
    """Arena, camera, coats and body lengths of a session; its name and the seed decide."""
    rng = randomness.stream(seed, session, "looks")
    arena, camera = draw_arena(rng, width, height), draw_camera(rng)
    return arena, camera, draw_coats(rng, arena, n_animals), draw_lengths(rng, height, n_animals)


def _draw_coat(rng: np.random.Generator, name: str, visible: list[str]) -> Coat:
    fur = _varied(rng, COATS[name], 7)
    others = [other for other in visible if other != name]
    marking = str(rng.choice(MARKINGS)) if others else "none"
    marking_fur = _varied(rng, COATS[str(rng.choice(others))], 7) if others else fur
    skin = _varied(rng, (178, 138, 128), 10)
    # the skin of dark animals is dark too
    share = 0.35 + 0.5 * luminance(fur) / 255
    skin = _rgb(np.array(skin) * share + np.array(fur) * (1 - share))
    spots = tuple((rng.uniform(0.12, 0.6), rng.uniform(-0.8, 0.8), rng.uniform(0.04, 0.09)) for _ in range(5))
    return Coat(fur, marking, marking_fur, skin, spots)


def _varied(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    """A colour near the given one: brightness moves by ``spread``, hue a little."""
    return _rgb(np.array(colour) + rng.uniform(-spread, spread) + rng.uniform(-0.3, 0.3, 3) * spread)


def _rgb(values: np.ndarray) -> Colour:
    red, green, blue = np.clip(values, 0, 255)
    return float(red), float(green), float(blue)
