"""Records what TrackEval says of the generated videos in ``trackeval_expected.json``. Needs ``pip install trackeval numpy pandas``.

python tests/core/metrics/record_trackeval.py
"""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import trackeval
from tracking_cases import SEEDS, case

METRICS = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR({"PRINT_CONFIG": False}), trackeval.metrics.Identity({"PRINT_CONFIG": False})]
BOX = ["x_min", "y_min", "x_max", "y_max"]


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    size = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(size, 0, None).prod(axis=2)
    return shared / ((a[:, 2:] - a[:, :2]).prod(axis=1)[:, None] + (b[:, 2:] - b[:, :2]).prod(axis=1)[None, :] - shared)


def as_trackeval(truth: pd.DataFrame, found: pd.DataFrame) -> dict[str, Any]:
    n_frames = int(max(truth["frame"].max(), found["frame"].max())) + 1 if len(truth) and len(found) else 50
    data: dict[str, Any] = {"num_timesteps": n_frames, "gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    codes = {key: {name: at for at, name in enumerate(sorted(table["track"].unique()))} for key, table in (("t", truth), ("f", found))}
    for frame in range(n_frames):
        ours, theirs = truth[truth["frame"] == frame], found[found["frame"] == frame]
        data["gt_ids"].append(np.array([codes["t"][name] for name in ours["track"]], int))
        data["tracker_ids"].append(np.array([codes["f"][name] for name in theirs["track"]], int))
        data["similarity_scores"].append(overlap(ours[BOX].to_numpy(float), theirs[BOX].to_numpy(float)))
    return data | {
        "num_gt_dets": len(truth),
        "num_tracker_dets": len(found),
        "num_gt_ids": len(codes["t"]),
        "num_tracker_ids": len(codes["f"]),
    }


def plain(results: dict[str, Any]) -> dict[str, float]:
    wanted = ["HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA", "IDF1", "IDP", "IDR"]
    wanted += ["MOTA", "MOTP", "IDSW", "Frag", "MT", "PT", "ML", "CLR_FP", "CLR_FN"]
    return {name: float(np.mean(results[name])) for name in wanted}


def main() -> None:
    by_metric: list[dict[str, Any]] = [{} for _ in METRICS]
    expected: dict[str, Any] = {"trackeval": importlib.metadata.version("trackeval"), "videos": {}}
    for seed in SEEDS:
        data = as_trackeval(*case(seed))
        together: dict[str, Any] = {}
        for metric, kept in zip(METRICS, by_metric, strict=True):
            kept[str(seed)] = metric.eval_sequence(data)
            together |= kept[str(seed)]
        expected["videos"][str(seed)] = plain(together)
    combined: dict[str, Any] = {}
    for metric, kept in zip(METRICS, by_metric, strict=True):
        combined |= metric.combine_sequences(kept)
    expected["all"] = plain(combined)
    path = Path(__file__).with_name("trackeval_expected.json")
    path.write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
