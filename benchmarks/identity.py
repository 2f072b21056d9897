"""Who keeps animals apart? EthoLoop's tracker beside ByteTrack, BoT-SORT and OC-SORT on recordings whose animals are known.

    ETHOLOOP_DATA=… python benchmarks/identity.py --seeds 10

* real: `sleap_fly_pair` and `dreem_two_flies` with the detections of real or deliberately faulty detectors, and seen perfectly;
* noisy: `dreem_four_flies` and `sleap_fly_pair` with 10 and 20 % of the detections dropped and the others jittered, mildly (2 and 4 %
  of an animal's size) and grossly (10 and 20 %), different noise for each seed;
* look-alikes: simulated animals of one shape that walk through each other (`_lookalikes.py`);
* rendered crossings: the same ways, walked by drawn mice of one coat, detected where they can be seen (`_rendered_lookalikes.py`).

"etholoop" is what the stage `track` does: where boxes leave an exchange to be feared, and there is a video, its pixels are looked at and
the video is tracked again. "without pixels" is the same without that, "boxes only" without keypoints too.

Switches and IDF1 are those of `core/metrics/tracking.py` (equal to TrackEval): boxes match from an overlap of .5 on. `--seed-from` chooses
other seeds than those that were looked at while the tracker was written (0 to 29). The swap queue and the estimate of accuracy are
judged against the truth in the same runs.

Bars: IDF1 ≥ .99 and never more switches than the best of the others on the first; ≥ 50 % fewer than the best of the others on the rest;
≥ 90 % of true exchanges within the first 5 % of the frames that the queue shows.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _lookalikes import lookalikes
from _rendered_lookalikes import rendered_lookalikes
from _tracking_data import Sequence, near, noisy, sequences

from etholoop import registry
from etholoop.core.metrics._clear_mot import clear_figures, clear_sums
from etholoop.core.metrics._identity import identity_figures, identity_sums
from etholoop.core.metrics._tracking_frames import side_by_side
from etholoop.core.tracking.detections import track_table
from etholoop.core.tracking.gaps import filled
from etholoop.core.tracking.identity_accuracy import calibration, estimated, first_share
from etholoop.core.tracking.risks import risks_of, track_numbers
from etholoop.modeling.silhouettes import watched
from etholoop.modeling.trackers import settings_of
from etholoop.stages._track_pixels import wanted

OURS, OTHERS, ORACLE = "etholoop", ("bytetrack", "botsort", "ocsort"), "oracle"
REAL = ("sleap_fly_pair", "sleap_fly_pair_real", "dreem_two_flies", "dreem_two_flies_real")
NOISY = ("dreem_four_flies", "sleap_fly_pair")
LEVELS = ((0.1, 0.02), (0.2, 0.04), (0.1, 0.1), (0.2, 0.2))
"""(share of detections dropped, standard deviation of the noise on each side of a box and each keypoint in sizes of an animal)."""
NO_PIXELS, BOXES_ONLY = f"{OURS} without pixels", f"{OURS} boxes only"
TRACKERS = (OURS, NO_PIXELS, BOXES_ONLY, *OTHERS, ORACLE)
RADII_PX = (60.0, 75.0, 120.0)
"""Distances (half, five eighths and the whole of a fly's length) up to which points match, for recordings that are judged by points."""
NEAR = 5
"""An exchange counts as shown when a row that is shown spans its frame, or ends or begins at most so many frames away: whoever looks at a
place sees a little before and after it. Frames shown are those that the rows span, each counted once; the few around them are not."""


def cases(data: Path, seeds: range, only: str = "") -> Iterator[tuple[str, int, Sequence]]:
    """(group, seed, recording) of the groups whose name holds ``only``."""
    known = {sequence.name: sequence for sequence in sequences(data)}
    makers: dict[str, Callable[[int], Sequence]] = {}
    for name in NOISY:
        for drop, jitter in LEVELS:
            clean = known[name]
            makers[f"{name} {drop:.0%}/{jitter:.0%}"] = partial(noisy, clean, drop, jitter * size_px(clean), 0.0)
    makers |= {"look-alikes": lookalikes, "rendered crossings": rendered_lookalikes}
    yield from ((name, 0, known[name]) for name in REAL if only in name)
    yield from ((name, seed, make(seed)) for name, make in makers.items() if only in name for seed in seeds)


def size_px(sequence: Sequence) -> float:
    """Median root of the area of the animals' boxes."""
    box = sequence.detections.box
    return float(np.median(np.sqrt((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]))))


def judged(sequence: Sequence, name: str) -> tuple[dict[str, Any], pd.DataFrame]:
    """Figures of one tracker on one recording, and its tracks."""
    start = time.perf_counter()
    if name == ORACLE:
        found = oracle(sequence)
    else:
        tracker = registry.load("etholoop.modeling.trackers", name)
        settings = settings_of(name, {}, "benchmark")
        found = tracker.track(sequence.detections, settings, fps=sequence.fps, width=sequence.width, height=sequence.height)
    seconds = time.perf_counter() - start
    figures = compared(sequence, found, sequence.radius_px) | {"seconds": seconds}
    if sequence.radius_px is not None:
        others = {f"IDF1 {radius:.0f} px": compared(sequence, found, radius)["IDF1"] for radius in RADII_PX}
        figures |= others
    return figures, found


def compared(sequence: Sequence, found: pd.DataFrame, radius_px: float | None) -> dict[str, float]:
    """Switches, IDF1 and MOTA of tracks; ``radius_px`` = match by distance up to there, None = by overlap."""
    frames = side_by_side(sequence.truth, found) if radius_px is None else side_by_side(sequence.truth, found, near(radius_px))
    clear, identity = clear_figures(clear_sums(frames)), identity_figures(identity_sums(frames))
    return {"switches": float(clear["switches"]), "IDF1": float(identity["IDF1"]), "MOTA": float(clear["MOTA"])}


def oracle(sequence: Sequence) -> pd.DataFrame:
    """The tracks of a tracker that knows which animal each detection shows, gaps filled as ours fills them: no assignment can do better."""
    assert sequence.true_track is not None
    seen = sequence.detections
    kept = np.flatnonzero(sequence.true_track >= 0)
    track, frame, box = sequence.true_track[kept], seen.frame[kept], seen.box[kept]
    more = filled(track, frame, box, int(settings_of(OURS, {}, "benchmark").model_dump()["fill_s"] * sequence.fps), seen.step)
    species = np.full(len(kept) + len(more[0]), "", dtype=object)
    instance = np.concatenate([seen.instance[kept], np.full(len(more[0]), -1)])
    track, frame, box = (np.concatenate(pair) for pair in zip((track, frame, box), more, strict=True))
    return track_table(track, frame, box, species, np.ones(len(species)), instance)


def queue_figures(sequence: Sequence, found: pd.DataFrame) -> dict[str, Any]:
    """How many of the true exchanges the first 5 % of the queue shows, and each risk with whether it came true."""
    assert sequence.true_track is not None
    risks = risks_of(sequence.detections, found)
    true = exchanges(sequence, track_numbers(sequence.detections, found))
    top = first_share(risks, 0.05 * sequence.detections.n_frames) if len(risks) else risks
    shown = [_shown(top, frame) for frame, _ in true]
    # a risk came true when one of its tracks becomes another animal there, for a while or for good
    wrong = np.array([_came_true(true, row) for row in risks.itertuples(index=False)], dtype=bool)
    estimate = estimated(found, risks)
    figures: dict[str, Any] = {
        "exchanges": float(len(true)),
        "shown": float(sum(shown)),
        "estimated_switches": estimate.n_switches,
        "estimated_accuracy": estimate.accuracy,
    }
    figures["true_accuracy"] = accuracy(sequence, track_numbers(sequence.detections, found))
    return figures | {"risks": risks["risk"].tolist(), "came_true": wrong.tolist()}


def exchanges(sequence: Sequence, number: np.ndarray) -> list[tuple[int, int]]:
    """(frame, track) at which a track's detections become another animal's."""
    found = []
    frame, true = sequence.detections.frame, sequence.true_track
    assert true is not None
    for track in np.unique(number[number >= 0]):
        own = np.flatnonzero((number == track) & (true >= 0))
        changes = np.flatnonzero(true[own[1:]] != true[own[:-1]])
        found += [(int(frame[own[place + 1]]), int(track)) for place in changes]
    return found


def accuracy(sequence: Sequence, number: np.ndarray) -> float:
    """Share of tracked detections whose track is mostly the same animal."""
    assert sequence.true_track is not None
    table = pd.crosstab(number[number >= 0], sequence.true_track[number >= 0])
    return float(table.max(axis=1).sum() / max(table.to_numpy().sum(), 1))


def _shown(top: pd.DataFrame, frame: int) -> bool:
    return bool(((top["start_frame"] - NEAR <= frame) & (frame < top["stop_frame"] + NEAR)).any())


def _came_true(true: list[tuple[int, int]], row: Any) -> bool:
    near = range(row.start_frame - NEAR, row.stop_frame + NEAR)
    return any(track in (row.track_a, row.track_b) and frame in near for frame, track in true)


def seen_by(sequence: Sequence, name: str) -> Sequence:
    """What a tracker is shown: with pixels where ours would look at them, without keypoints where only boxes count."""
    if name == BOXES_ONLY:
        return replace(sequence, detections=replace(sequence.detections, keypoints=None))
    if name != OURS or sequence.read is None or not wanted("auto", sequence.detections, judged(sequence, OURS)[1]):
        return sequence
    frames = watched(sequence.detections, sequence.read, np.arange(sequence.detections.n_frames))
    return replace(sequence, detections=frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--seed-from", type=int, default=100, help="first seed")
    parser.add_argument("--only", default="", help="groups whose name holds this")
    parser.add_argument("--trackers", default=",".join(TRACKERS), help="names, separated by commas")
    parser.add_argument("--out", type=Path, help="JSON with every run")
    parser.add_argument("--join", type=Path, nargs="+", help="only the tables, from JSON of earlier runs")
    options = parser.parse_args()
    runs: list[dict[str, Any]] = []
    names = tuple(options.trackers.split(","))
    if options.join:
        report(pd.DataFrame([run for path in options.join for run in json.loads(path.read_text())]))
        return
    seeds = range(options.seed_from, options.seed_from + options.seeds)
    for group, seed, sequence in cases(Path(os.environ["ETHOLOOP_DATA"]), seeds, options.only):
        for name in names:
            if name == NO_PIXELS and sequence.read is None:
                continue
            seen = seen_by(sequence, name)
            figures, found = judged(seen, name.split()[0])
            if name == OURS and sequence.true_track is not None:
                figures |= queue_figures(seen, found)
            runs.append({"group": group, "seed": seed, "tracker": name, **figures})
            print(
                f"{group} seed {seed} {name}: {figures['switches']:.0f} switches, IDF1 {figures['IDF1']:.4f}", file=sys.stderr, flush=True
            )
    report(pd.DataFrame(runs))
    if options.out:
        options.out.write_text(json.dumps(runs, indent=1) + "\n")


def report(runs: pd.DataFrame) -> None:
    """The tables."""
    names = [name for name in TRACKERS if name in set(runs["tracker"])]
    print("switches, summed over seeds (and least IDF1)")
    print(f"{'':26}" + "".join(f"{name:>24}" for name in names) + f"{'of the best other':>20}")
    for group, own in runs.groupby("group", sort=False):
        by = own.groupby("tracker")
        total, least = by["switches"].sum(), by["IDF1"].min()
        others = [total[name] for name in OTHERS if name in total]
        share = f"{total[OURS] / min(others):.0%}" if OURS in total and others and min(others) else "-"
        cells = "".join(f"{f'{total[name]:.0f} ({least[name]:.4f})' if name in total else '-':>24}" for name in names)
        print(f"{group:26}{cells}{share:>20}")
    by_radius = [name for name in runs.columns if str(name).startswith("IDF1 ")]
    for group, own in runs[runs[by_radius].notna().any(axis=1)].groupby("group", sort=False) if by_radius else ():
        print(f"\n{group}: IDF1 by the distance up to which points match")
        print(own.set_index("tracker")[by_radius].round(4).to_string())
    ours = runs[(runs["tracker"] == OURS) & runs.get("exchanges", pd.Series(dtype=float)).notna()]
    if len(ours):
        print("\nswap queue, first 5 % of frames, and the estimate without truth")
        for group, own in ours.groupby("group", sort=False):
            n, shown = own["exchanges"].sum(), own["shown"].sum()
            print(
                f"{group:26}{shown:.0f} of {n:.0f} exchanges shown; expected {own['estimated_switches'].sum():.1f}; "
                f"accuracy estimated {own['estimated_accuracy'].mean():.4f}, true {own['true_accuracy'].mean():.4f}"
            )
    risk, wrong = (np.concatenate([np.zeros(0), *ours[name]]) if len(ours) else np.zeros(0) for name in ("risks", "came_true"))
    if len(risk):
        print(f"\ncalibration of {len(risk)} risks: Brier score {np.mean((risk - wrong) ** 2):.4f}, of their mean {wrong.var():.4f}")
        print(calibration(risk, wrong > 0).to_string(index=False))


if __name__ == "__main__":
    main()
