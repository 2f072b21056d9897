"""How fast is tracking alone, and how much memory does a long video take?

    python benchmarks/tracking_speed.py                 5 animals, one core, clean and noisy detections
    python benchmarks/tracking_speed.py --detections 1000000    a day of video; peak memory of the process, the detections included

The animals walk at random and cross each other (`_lookalikes.py`), with 4 keypoints each. Bars: ≥ 2,000 frames/s for 5 animals; a million
detections in ≤ 1 GB.
"""

import argparse
import resource
import statistics
import sys
import time
from dataclasses import replace

import numpy as np
from _lookalikes import lookalikes

from etholoop.core.tracking.detections import DetectionFrames
from etholoop.modeling.trackers import etholoop as tracker

PIECE = 2000
"""Frames of one simulated piece; a long video is many of them with the animals put back in between."""


def long_video(n_detections: int, n_animals: int) -> DetectionFrames:
    """Detections of a long video: pieces of a simulation one after another, each put into place as it comes."""
    names = ("frame", "box", "confidence", "species", "instance", "keypoints")
    columns: dict[str, np.ndarray] = {}
    n = pieces = 0
    while n < n_detections:
        part = lookalikes(pieces, n_animals, PIECE).detections
        part = replace(part, frame=part.frame + pieces * PIECE)
        for name in names:
            values = getattr(part, name)
            if name not in columns:
                columns[name] = np.empty((n_detections, *values.shape[1:]), values.dtype)
            columns[name][n : n + len(values)] = values[: n_detections - n]
        n += part.n
        pieces += 1
    return DetectionFrames(n_frames=PIECE * pieces, n_animals=n_animals, **columns)


def seconds(frames: DetectionFrames, rounds: int) -> list[float]:
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        tracker.track(frames, tracker.Params(), fps=25, width=640, height=640)
        taken.append(time.process_time() - start)
    return taken


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detections", type=int, default=0)
    parser.add_argument("--animals", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.detections:
        frames = long_video(options.detections, options.animals)
        before = peak_mb()
        taken = seconds(frames, 1)[0]
        print(f"{frames.n} detections in {frames.n_frames} frames: {taken:.1f} s of CPU, {frames.n_frames / taken:.0f} frames/s")
        print(f"peak memory {peak_mb():.0f} MB ({before:.0f} MB before tracking, with the detections and Python)")
        sys.exit(peak_mb() > 1024)
    for name, drop in (("clean", 0.0), ("20 % dropped", 0.2)):
        frames = lookalikes(0, options.animals, 5000).detections
        kept = np.random.default_rng(0).random(frames.n) >= drop
        rows = ("frame", "box", "confidence", "species", "instance", "keypoints")
        frames = replace(frames, **{row: getattr(frames, row)[kept] for row in rows})
        taken = statistics.median(seconds(frames, options.rounds))
        print(f"{options.animals} animals, {name}: {frames.n_frames / taken:.0f} frames/s (median of {options.rounds}, CPU time)")


if __name__ == "__main__":
    main()
