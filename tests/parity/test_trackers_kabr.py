"""kabr-tools' tracker, its store and its CVAT file: equal to what was recorded from the original (docs/datasets.md)."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etholoop.commands.kabr_detector2cvat import compat_annotations
from etholoop.core.tracking import centroid_kalman
from etholoop.core.tracking.detections import DetectionFrames
from etholoop.core.tracking.kabr_detections import Kept, kept
from etholoop.io import cvat
from etholoop.modeling.trackers import centroid_kalman as plugin

PREFIX = "trackers/kabr/"
NO_BOX = [-1] * 4


@pytest.fixture(scope="module")
def kit(public_data: Path) -> Any:
    """The recorded numbers with their reader and comparer."""
    folder = public_data / "parity"
    modules = {}
    for name in ("recipe", "kit"):
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        modules[name] = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(name, modules[name])
        spec.loader.exec_module(modules[name])
    return modules["kit"].Kit(folder)


def kept_in(content: dict[str, Any]) -> list[Kept]:
    size = np.array([content["width"], content["height"]] * 2)
    return [
        kept(
            np.array(frame["boxes"], np.float32).reshape(-1, 4) * size,
            np.array(frame["conf"], np.float32),
            frame["label"],
            target_labels=content["target_labels"],
            label_map=content["label_map"],
            above=content["confidence_above"],
        )
        for frame in content["frames"]
    ]


def rows_of(one: Kept) -> list[list[Any]]:
    return [[*box, sure, label] for box, sure, label in zip(one.box.tolist(), one.confidence.tolist(), one.label, strict=True)]


def live_rows(live: list[list[centroid_kalman.Seen]], found: list[Kept]) -> list[list[int]]:
    return [
        [frame, seen.id, *seen.point, *(found[frame].box[seen.row].tolist() if seen.row >= 0 else NO_BOX)]
        for frame, animals in enumerate(live)
        for seen in animals
    ]


def final_tracks(tracks: list[centroid_kalman.Track]) -> dict[str, list[list[int]]]:
    return {
        str(track.id): [
            [frame, *(box or NO_BOX), int(filled)]
            for frame, (box, filled) in enumerate(zip(track.box, track.filled, strict=True), track.start_frame)
        ]
        for track in tracks
    }


def test_every_sequence(kit: Any) -> None:
    cases = kit.cases(PREFIX)
    assert cases
    for case in cases:
        content = kit.json(case["files"][0])
        found = kept_in(content)
        live, tracks = centroid_kalman.follow([one.box for one in found], centroid_kalman.Settings(**case["settings"]))
        name = case["id"].removeprefix(PREFIX)
        meta = cvat.Meta("task", size=content["n_frames"], width=content["width"], height=content["height"], source=name)
        mine = {
            "kept_detections": [rows_of(one) for one in found],
            "live_rows": live_rows(live, found),
            "final_tracks": final_tracks(tracks),
            "xml": cvat.text(compat_annotations(tracks, [one.label for one in found], meta)),
        }
        assert [result for result in kit.compare(case, mine) if not result.ok] == []
        assert set(mine) == set(case["outputs"])


def test_the_plugin_gives_the_same_boxes(kit: Any) -> None:
    """As table Tracks: entries without a box have no row, ids count from 0."""
    for case in kit.cases(PREFIX):
        content = kit.json(case["files"][0])
        found = kept_in(content)
        frame = np.repeat(np.arange(len(found)), [len(one.box) for one in found])
        detections = DetectionFrames(
            frame=frame,
            box=np.concatenate([one.box for one in found]).astype(float),
            confidence=np.concatenate([one.confidence for one in found]),
            species=np.array([label for one in found for label in one.label], dtype=object),
            instance=np.arange(len(frame)) - np.searchsorted(frame, frame),
            n_frames=content["n_frames"],
        )
        size = {"width": content["width"], "height": content["height"]}
        table = plugin.track(detections, plugin.Params(**case["settings"]), fps=29.97, **size)
        mine: dict[str, list[list[int]]] = {}
        for row in table.to_dict("records"):
            box = [int(row[name]) for name in ("x_min", "y_min", "x_max", "y_max")]
            mine.setdefault(str(row["track"] + 1), []).append([row["frame"], *box, int(row["state"] == "interpolated")])
        recorded = kit.expected(case)["final_tracks"]
        assert mine == {key: [row for row in rows if row[1:5] != NO_BOX] for key, rows in recorded.items()}
