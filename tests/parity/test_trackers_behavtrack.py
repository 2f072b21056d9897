"""BehavTrack's identity tracking: equal to assignments and costs recorded from the original (docs/datasets.md)."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etholoop.core.tracking import behavtrack
from etholoop.io import behavtrack as behavtrack_files

CORNERS = ("x1", "y1", "x2", "y2")
PARTS = ("iou_box", "distance_box", "iou_keypoints", "distance_keypoints", "cost")
PREFIX = "trackers/behavtrack/"


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


def cases_with(kit: Any, output: str) -> list[dict[str, Any]]:
    """Cases that record ``output`` for some settings, whatever the folder calls them."""
    return [case for case in kit.cases(PREFIX) if any(name.split(".")[-1] == output for name in case["outputs"])]


def keypoint_names(annotations: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for annotation in annotations for name in annotation["keypoints"]))


def arrays(annotations: list[dict[str, Any]], names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    box = np.array([[annotation["bbox"][corner] for corner in CORNERS] for annotation in annotations], float)
    missing = [np.nan, np.nan]
    points = [[annotation["keypoints"].get(name, missing)[:2] for name in names] for annotation in annotations]
    return box.reshape(-1, 4), np.array(points, float).reshape(len(annotations), len(names), 2)


def assigned(content: dict[str, Any], settings: behavtrack.Settings) -> dict[str, dict[str, str]]:
    """uid that each id holds in each frame, as the recordings tell it."""
    rows = [(int(frame), int(key), one) for frame, slots in content["frames"].items() for key, one in slots.items()]
    box, points = arrays([row[2] for row in rows], keypoint_names([row[2] for row in rows]))
    frame, key = (np.array([row[place] for row in rows], np.int64) for place in (0, 1))
    size = {"width": content["width"], "height": content["height"]}
    held = behavtrack.track(frame, key, box, points, **size, settings=settings)
    result: dict[str, dict[str, str]] = {}
    for number, identity, row in zip(held.frame.tolist(), held.id.tolist(), held.row.tolist(), strict=True):
        result.setdefault(str(number), {})[str(identity)] = rows[row][2]["uid"]
    return result


def test_every_sequence_with_every_setting(kit: Any) -> None:
    cases = cases_with(kit, "assigned")
    assert cases
    for case in cases:
        content = kit.json(case["files"][0])
        mine = {f"{name}.assigned": assigned(content, behavtrack.Settings(**own)) for name, own in case["settings"].items()}
        assert [result for result in kit.compare(case, mine) if not result.ok] == []
        assert set(mine) == set(case["outputs"])


def test_where_the_original_ends_with_an_error_the_first_animals_come_first(kit: Any) -> None:
    """No detection in frame 1 is a KeyError there; here the walk begins with the first frame that has any."""
    cases = cases_with(kit, "raises")
    assert cases
    for case in cases:
        content = kit.json(case["files"][0])
        recorded = kit.expected(case)
        for name, own in case["settings"].items():
            assert recorded[name]["raises"] == "KeyError"
            mine = assigned(content, behavtrack.Settings(**own))
            first = min(content["frames"], key=int)
            assert first != str(content["first_frame"])
            assert mine[first] == {key: one["uid"] for key, one in content["frames"][first].items()}
            assert set(mine) == set(content["frames"])


def test_costs_of_pairs(kit: Any) -> None:
    cases = cases_with(kit, "cost")
    assert cases
    for case in cases:
        content = kit.json(case["files"][0])
        both = [one for pair in content["pairs"] for one in pair]
        names = keypoint_names(both)
        first, second = (arrays([pair[side] for pair in content["pairs"]], names) for side in (0, 1))
        for name, own in case["settings"].items():
            diagonal = float(np.hypot(content["width"], content["height"]))
            costs = behavtrack.pair_costs(*first, *second, diagonal_px=diagonal, settings=behavtrack.Settings(**own))
            mine = {f"{name}.{part}": getattr(costs, part) for part in PARTS}
            assert [result for result in kit.compare(case, mine) if not result.ok] == []


def test_prediction_text(kit: Any) -> None:
    """Frames give a list, videos a dictionary by id, in which a line without id is an error there and reported here."""
    cases = [case for case in kit.cases(PREFIX) if "expected.frames" in case["outputs"]]
    assert cases
    for case in cases:
        recorded = kit.expected(case)
        size = (recorded["width"], recorded["height"])
        frames, video = {}, {}
        for name, content in recorded["files"].items():
            one = behavtrack_files.predictions(content, recorded["keypoints"], *size, visible_above=recorded["thresholds"]["frames"])
            frames[name] = one.annotations
            two = behavtrack_files.predictions(content, recorded["keypoints"], *size, visible_above=recorded["thresholds"]["video"])
            if None in two.ids:
                assert recorded["expected"]["video"][name]["raises"] == "IndexError"
                video[name] = recorded["expected"]["video"][name]
            else:
                video[name] = dict(zip(two.ids, two.annotations, strict=True))
        mine = {"expected.frames": frames, "expected.video": video}
        assert [result for result in kit.compare(case, mine) if not result.ok] == []


def test_the_defaults_are_the_notebooks_and_the_functions(kit: Any) -> None:
    case = cases_with(kit, "assigned")[0]
    assert case["settings"]["notebook"] == vars(behavtrack.Settings())
    assert case["settings"]["function_defaults"] == vars(behavtrack.FUNCTION_DEFAULTS)
