"""Drawn animals with a pointed head on a spotted floor: they stand, go, turn left or right, in windows that follow them."""

import cv2
import numpy as np

from etholoop.modeling.behaviour._shared import Strip, Task

TASK = Task(("stand", "go", "left", "right"), ("way", "way", "way", "way"))
SIDE, LENGTH = 64, 34


def egg(image: np.ndarray, centre: np.ndarray, heading: float, colour: tuple[int, int, int] = (60, 40, 35)) -> None:
    """Draw an animal into an image; it is narrow at its head."""
    t = np.linspace(0, 2 * np.pi, 60)
    along = np.cos(t) * LENGTH / 2
    across = np.sin(t) * LENGTH / 4.5 * (1 - 0.55 * np.cos(t))
    x = centre[0] + along * np.cos(heading) - across * np.sin(heading)
    y = centre[1] + along * np.sin(heading) + across * np.cos(heading)
    cv2.fillPoly(image, [np.round(np.column_stack([x, y]) * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)


def floor(seed: int, side: int = 400) -> np.ndarray:
    """A light ground with soft spots."""
    rng = np.random.default_rng(seed)
    spots = cv2.GaussianBlur(rng.normal(0, 60, (side, side)).astype(np.float32), (0, 0), 3)
    return np.clip(185 + spots[..., None] + np.array([0, 2, 5]), 0, 255).astype(np.uint8)


def way(behaviour: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres (n, 2) and headings (n,) of an animal; y is down, so a turn to the right raises the angle."""
    rng = np.random.default_rng([seed, len(behaviour), *behaviour.encode()])
    speed = {"stand": 0.0, "go": 3.0}.get(behaviour, 0.4)
    turn = {"left": -0.12, "right": 0.12}.get(behaviour, 0.0)
    heading = rng.uniform(-np.pi, np.pi) + np.cumsum(np.full(n, turn) + rng.normal(0, 0.01, n))
    steps = speed * np.column_stack([np.cos(heading), np.sin(heading)])
    return 200 + np.cumsum(steps, axis=0) + rng.normal(0, 0.15, (n, 2)), heading


def strip(behaviour: str, seed: int, n: int = 24, behaviours: tuple[str, ...] = TASK.behaviours) -> Strip:
    """One animal that does one thing."""
    ground, (centres, headings) = floor(seed), way(behaviour, n, seed)
    images, windows = [], []
    for centre, heading in zip(centres, headings, strict=True):
        image = ground.copy()
        egg(image, centre, heading)
        x, y = np.clip(np.round(centre - SIDE / 2), 0, 400 - SIDE).astype(int)
        images.append(image[y : y + SIDE, x : x + SIDE])
        windows.append([x, y, x + SIDE, y + SIDE])
    labels = np.tile([name == behaviour for name in behaviours], (n, 1)).astype(np.int8)
    return Strip(f"{behaviour}{seed}", np.stack(images), labels, np.array(windows, float))


def strips(seeds: range) -> list[Strip]:
    return [strip(behaviour, seed) for seed in seeds for behaviour in TASK.behaviours]
