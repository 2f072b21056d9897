"""BehavTrack's sampling and splits: equal to numbers recorded from the original (docs/datasets.md)."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from etholoop.core import behavtrack_splits
from etholoop.core.sampling import histogram_kmeans
from etholoop.core.sampling._shared import Footage

CLUSTER_SHARES = [0.22, 0.18, 0.15, 0.13, 0.12, 0.1, 0.06, 0.04]


@pytest.fixture(scope="module")
def kit(public_data: Path):
    """The recorded numbers with their reader and comparer."""
    folder = public_data / "parity"
    modules = {}
    for name in ("recipe", "kit"):
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        modules[name] = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(name, modules[name])
        spec.loader.exec_module(modules[name])
    return modules["kit"].Kit(folder)


def test_histograms(kit):
    case = kit.case("sampling/histograms")
    sizes = kit.expected(case)["sizes"]
    frames = [kit.frame(f"sampling/frame{k}", int(h), int(w)) for k, (h, w) in enumerate(sizes)]
    frames[18][:], frames[19][:] = 0, 255
    mine = histogram_kmeans.features([frame[..., ::-1] for frame in frames])
    results = kit.compare(case, {"hist": mine})
    assert [result for result in results if not result.ok] == []
    assert np.abs(mine - kit.expected(case)["hist"]).max() <= 1e-5


def allocated(case: dict, kit) -> dict:
    """Counts and frames of one case of allocation.json, in the original's words."""
    labels = labels_of(case, kit)
    videos = np.repeat(case["videos"], case["frames_per_video"])
    frames = np.concatenate([np.arange(n) * case["frame_skip"] for n in case["frames_per_video"]])
    positions = histogram_kmeans.choose(labels, case["k"], case["n"], case["seed"])
    selected = {}
    for video in case["video_order"]:
        own = sorted((position for position in positions if videos[position] == video), key=lambda position: frames[position])
        selected[video] = {"indices": frames[own].tolist(), "clusters": labels[own].tolist()}
    counts = np.bincount(labels[positions], minlength=case["k"]).tolist()
    return {"selected_per_cluster": counts, "total": len(positions), "selected": selected}


def labels_of(case: dict, kit) -> np.ndarray:
    counts = case["counts"]
    order = kit.rng(f"sampling/{case['name']}/order").permutation(sum(counts))
    labels = np.repeat(np.arange(case["k"]), counts)[order]
    if isinstance(case.get("labels"), list):
        assert labels.tolist() == case["labels"]
    return labels


def test_allocation_and_members(kit):
    cases = kit.expected(kit.case("sampling/allocation"))["cases"]
    clustered = [case for case in cases if sum(case["counts"]) > case["n"]]
    assert len(clustered) >= 10
    for case in clustered:
        mine = allocated(case, kit)
        for field in ("selected_per_cluster", "total"):
            assert mine[field] == case[field], case["name"]
        theirs = case["selected"]
        if "indices" in next(iter(theirs.values()), {}):
            assert mine["selected"] == theirs, case["name"]


def test_all_frames_when_no_more_are_there(kit):
    """The original gives them the cluster null; ours is missing."""
    cases = [case for case in kit.expected(kit.case("sampling/allocation"))["cases"] if sum(case["counts"]) <= case["n"]]
    assert len(cases) == 2
    for case in cases:
        footage, features = [], {}
        for video, n in zip(case["videos"], case["frames_per_video"], strict=True):
            footage.append(Footage(video, np.arange(n * case["frame_skip"])))
            features[video] = (np.arange(n) * case["frame_skip"], np.eye(n, 256, dtype=np.float32))
        params = histogram_kmeans.Params(k=case["k"], frame_skip=case["frame_skip"])
        picks = histogram_kmeans.sample(footage, features, case["n"], max_per_video=None, params=params, seed=case["seed"])
        mine = {video: part["frame"].tolist() for video, part in picks.groupby("video_id")}
        assert mine == {video: chosen["indices"] for video, chosen in case["selected"].items()}
        assert picks["cluster"].isna().all() and len(picks) == case["total"]


@pytest.mark.parametrize("n", [300, 2000, 3000])
def test_growth_of_the_label_set(kit, n: int):
    recorded = next(result for result in kit.expected(kit.case("sampling/splits"))["results"] if result["n"] == n)
    clusters = kit.rng(f"splits/{n}/clusters").choice(8, size=n, p=CLUSTER_SHARES)
    assert np.bincount(clusters).tolist() == recorded["cluster_counts"]
    state = behavtrack_splits.first_cycle(clusters)
    assert sorted(state.test.tolist()) == recorded["test_members"]
    for cycle in recorded["cycles"]:
        sizes = {name: len(getattr(state, name)) for name in ("annotated", "train", "val", "predict", "reserve") if name in cycle}
        assert sizes == {name: cycle[name] for name in sizes}, cycle["cycle"]
        for name in ("train", "val", "predict"):
            if f"{name}_members" in cycle:
                assert sorted(getattr(state, name).tolist()) == cycle[f"{name}_members"], (cycle["cycle"], name)
        if "raises" in cycle:
            break
        state = behavtrack_splits.next_cycle(state, clusters)
    # where the original stops, the whole reserve is asked for, and then everything is annotated
    assert state.cycle == len(recorded["cycles"]) and len(state.reserve) == 0 and len(state.predict) > 0
    last = behavtrack_splits.next_cycle(state, clusters)
    assert len(last.annotated) == recorded["pool"] and len(last.predict) == 0


def test_published_sizes_for_2000_frames(kit):
    """Annotated frames of cycles 1 to 11 as in the original's own table."""
    clusters = kit.rng("splits/2000/clusters").choice(8, size=2000, p=CLUSTER_SHARES)
    state = behavtrack_splits.first_cycle(clusters)
    sizes = [(len(state.annotated), len(state.train), len(state.val), len(state.predict), len(state.reserve))]
    for _ in range(9):
        state = behavtrack_splits.next_cycle(state, clusters)
        sizes.append((len(state.annotated), len(state.train), len(state.val), len(state.predict), len(state.reserve)))
    assert sizes == [
        (101, 85, 16, 31, 1568),
        (132, 112, 20, 40, 1528),
        (172, 146, 26, 51, 1477),
        (223, 189, 34, 67, 1410),
        (290, 246, 44, 88, 1322),
        (378, 321, 57, 113, 1209),
        (491, 417, 74, 148, 1061),
        (639, 543, 96, 191, 870),
        (830, 705, 125, 249, 621),
        (1079, 917, 162, 323, 298),
    ]
