"""How many small animals of a large picture are found with tiles and without?

    python benchmarks/tiles.py [--weights best.pt] [--pictures 3] [--imgsz 640 1280]

Pictures of 3840 × 2160 are rendered: 60 animals of 24 to 40 px on a floor. The model is trained for a minute on rendered pictures of
160 px with animals of about that size. An animal is found where a detection of at least 0.25 overlaps it by an IoU of 0.5; each detection
counts once, and those that are left over are false. Bar: tiles find at least 1.5 times what the whole picture finds at the usual imgsz of
640; at larger ones the whole picture may find so many that there is no room for it.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import inference_speed as films

WIDTH, HEIGHT, N_ANIMALS, CELL = 3840, 2160, 60, 120
SURE, SAME, LEAST_RATIO = 0.25, 0.5, 1.5
LONGEST_PX, USUAL_PX = 40.0, 32.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a YOLO checkpoint; default: train one on rendered pictures")
    parser.add_argument("--pictures", type=int, default=3)
    parser.add_argument("--imgsz", type=int, nargs="+", default=[640, 1280])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="etholoop-tiles-") as name:
        weights = arguments.weights or films.trained(Path(name), 160, 160, n_images=64, epochs=30)
        compare(weights, arguments.pictures, arguments.imgsz)


def compare(weights: Path, n_pictures: int, sizes: list[int]) -> None:
    from etholoop import runtime

    runtime.prepare()
    from etholoop.modeling.detectors._tiles import find_in_tiles, tiling_of
    from etholoop.modeling.detectors.yolo import Predictor

    model, scenes = Predictor.load(weights), [scene(seed) for seed in range(n_pictures)]
    head = ("imgsz", "tiles", "animals", "whole: found / false", "tiles: found / false", "ratio", "CPU s a picture, whole / tiles")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for imgsz in sizes:
        tiling = tiling_of({"animal_px": USUAL_PX, "longest_px": LONGEST_PX}, imgsz, WIDTH, HEIGHT)
        if tiling is None:
            sys.exit(f"imgsz {imgsz} shows these animals large enough; there are no tiles.")
        find = partial(seen_by, model, {"confidence": SURE, "iou": 0.7, "max_detections": 300, "imgsz": imgsz})
        whole, whole_false, whole_s = count(lambda image, find=find: find([image])[0], scenes)
        tiled, tiled_false, tiled_s = count(lambda image, find=find, tiling=tiling: find_in_tiles(find, image, tiling, 300), scenes)
        ratio = f"{tiled / whole:.2f}" if whole else "–"
        bar = (
            "met"
            if tiled and tiled >= LEAST_RATIO * whole
            else f"NOT met; at most {N_ANIMALS * n_pictures / max(whole, 1):.2f} is possible"
        )
        cells = [f"{imgsz}", f"{tiling.size} / {tiling.overlap} px", f"{N_ANIMALS * n_pictures}", f"{whole} / {whole_false}"]
        cells += [f"{tiled} / {tiled_false}", f"{ratio} ({bar})", f"{whole_s:.1f} / {tiled_s:.1f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def seen_by(model: Any, options: dict[str, Any], views: list[np.ndarray]) -> list[Any]:
    """One view after the other, as the stage does on a CPU."""
    return [model.predict([view], **options)[0] for view in views]


def count(look: Callable[[np.ndarray], Any], scenes: list[tuple[np.ndarray, np.ndarray]]) -> tuple[int, int, float]:
    """Found and false animals over all pictures, and CPU seconds a picture."""
    begin = time.process_time()
    judged = [judge(look(image).boxes, truth) for image, truth in scenes]
    seconds = (time.process_time() - begin) / len(scenes)
    return sum(found for found, _ in judged), sum(false for _, false in judged), seconds


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture and the boxes (n, 4) of its animals, which do not touch."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(110, 170, (HEIGHT // 40, WIDTH // 40, 3), np.uint8), (WIDTH, HEIGHT))
    image += rng.integers(0, 6, (HEIGHT, WIDTH, 1), np.uint8)
    columns, rows = WIDTH // CELL, HEIGHT // CELL
    boxes = []
    for cell in rng.choice(columns * rows, N_ANIMALS, replace=False):
        centre = (np.array([cell % columns, cell // columns]) + rng.uniform(0.2, 0.8, 2)) * CELL
        direction, length = rng.uniform(0, 2 * np.pi), rng.uniform(24, LONGEST_PX)
        films.draw(image, centre, direction, length)
        boxes.append(films.box(centre, direction, length))
    return image, np.array(boxes)


def judge(found: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    """How many animals were found, and how many detections show none or one that was found already."""
    from scipy.optimize import linear_sum_assignment

    from etholoop.core.metrics.matching import box_iou

    if not len(found):
        return 0, 0
    overlap = box_iou(truth, found)
    pairs = linear_sum_assignment(-overlap)
    n_found = int((overlap[pairs] >= SAME).sum())
    return n_found, len(found) - n_found


if __name__ == "__main__":
    main()
