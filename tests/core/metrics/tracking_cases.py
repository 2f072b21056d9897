"""Generated videos for the test of the tracking metrics: animals on a walk, and tracks of them that are wrong in known ways."""

import numpy as np
import pandas as pd

SEEDS = range(20)
COLUMNS = ["track", "frame", "x_min", "y_min", "x_max", "y_max"]


def case(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Truth and tracks of one video. Some videos have empty frames; the first two have no tracks and no animals at all."""
    rng = np.random.default_rng(seed)
    n_animals, n_frames = int(rng.integers(1, 7)), int(rng.integers(8, 41))
    truth = _walks(rng, n_animals, n_frames)
    found = _seen(rng, truth, n_frames)
    if seed == 0:
        found = found.iloc[:0]
    if seed == 1:
        truth = truth.iloc[:0]
    return truth, found


def _walks(rng: np.random.Generator, n_animals: int, n_frames: int) -> pd.DataFrame:
    rows = []
    for animal in range(n_animals):
        start, stop = sorted(rng.integers(0, n_frames + 1, 2).tolist()) if rng.uniform() < 0.4 else (0, n_frames)
        corner, step = rng.uniform(0, 150, 2), rng.uniform(-6, 6, 2)
        size = rng.uniform(20, 50, 2)
        for frame in range(start, stop):
            low = corner + step * frame + rng.uniform(-2, 2, 2)
            rows.append([10 + 3 * animal, frame, *low, *(low + size)])
    return _table(rows)


def _seen(rng: np.random.Generator, truth: pd.DataFrame, n_frames: int) -> pd.DataFrame:
    """Tracks with missed boxes, shaken boxes, false boxes, exchanged and broken identities, and frames without any track."""
    name = {animal: 1 + at for at, animal in enumerate(truth["track"].unique())}
    missed, shake, swap, new = rng.uniform(0, 0.4), rng.uniform(0, 9), rng.uniform(0, 0.15), rng.uniform(0, 0.05)
    blind = set(rng.integers(0, n_frames, 2).tolist()) if rng.uniform() < 0.5 else set()
    next_name, rows = 100, []
    for frame in range(n_frames):
        here = truth[truth["frame"] == frame]
        animals = here["track"].tolist()
        if len(animals) > 1 and rng.uniform() < swap:
            one, other = rng.choice(len(animals), 2, replace=False)
            name[animals[one]], name[animals[other]] = name[animals[other]], name[animals[one]]
        for animal, *box in here[["track", *COLUMNS[2:]]].to_numpy().tolist():
            if rng.uniform() < new:
                name[animal], next_name = next_name, next_name + 1
            moved = np.array(box) + rng.uniform(-shake, shake, 4)
            if frame not in blind and rng.uniform() >= missed:
                rows.append([name[animal], frame, *moved])
        if frame not in blind and rng.uniform() < 0.2:
            low = rng.uniform(0, 150, 2)
            rows.append([900 + int(rng.integers(0, 3)), frame, *low, *(low + 30)])
    return _table(rows)


def _table(rows: list[list[float]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=COLUMNS).round(2)
    return table.astype({"track": "int64", "frame": "int64"})
