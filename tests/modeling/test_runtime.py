"""The process environment, the cure of torchvision, and suppression."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etholoop import runtime
from etholoop._torchvision_cure import nms


def brute_force_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """The definition, pair by pair."""
    kept: list[int] = []
    for candidate in sorted(range(len(boxes)), key=lambda number: (-scores[number], number)):
        if all(iou(boxes[candidate], boxes[other]) <= threshold for other in kept):
            kept.append(candidate)
    return kept


def iou(a: np.ndarray, b: np.ndarray) -> float:
    common = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union else 0.0


def random_boxes(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    low = rng.integers(0, 20, (n, 2)).astype(float)
    boxes = np.concatenate([low, low + rng.integers(0, 12, (n, 2))], axis=1)
    return boxes, rng.integers(0, 5, n) / 4  # few different scores: many ties


@given(seed=st.integers(0, 10_000), n=st.integers(0, 40), threshold=st.sampled_from([0.0, 0.3, 0.45, 0.7, 0.999]))
@settings(max_examples=150, deadline=None)
def test_nms_equals_the_definition_with_ties_and_empty_boxes(seed: int, n: int, threshold: float) -> None:
    boxes, scores = random_boxes(np.random.default_rng(seed), n)
    assert nms(boxes, scores, threshold).tolist() == brute_force_nms(boxes, scores, threshold)


def test_two_boxes_that_overlap_by_a_third() -> None:
    boxes, scores = np.array([[0, 0, 2, 1], [1, 0, 3, 1]], float), np.array([0.4, 0.9])
    assert nms(boxes, scores, 0.3).tolist() == [1]
    assert nms(boxes, scores, 0.34).tolist() == [1, 0]


def test_nms_is_fast_for_a_whole_image() -> None:
    rng = np.random.default_rng(0)
    low = rng.random((8400, 2)) * 640
    boxes = np.concatenate([low, low + rng.random((8400, 2)) * 60], axis=1).astype(np.float32)
    start = time.process_time()
    kept = nms(boxes, rng.random(8400), 0.7)
    assert len(kept) > 1000
    assert time.process_time() - start < 3


def test_torchvision_nms_keeps_dtype_and_order() -> None:
    runtime.prepare()
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0, 2, 1], [0, 0, 2, 1], [5, 5, 6, 6]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.5, 0.8, 0.1]), 0.5)
    assert kept.dtype == torch.int64
    assert kept.tolist() == [1, 2]


def import_torchvision(queue) -> None:
    import torchvision

    queue.put(torchvision.__name__)


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_torchvision_is_cured_in_child_processes(method: str) -> None:
    runtime.prepare()
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=import_torchvision, args=(queue,))
    process.start()
    try:
        assert queue.get(timeout=120) == "torchvision"
    finally:
        process.join(30)


def test_a_python_child_that_knows_nothing_of_us_is_cured_too() -> None:
    runtime.prepare()
    code = "import torchvision, sys; print('etholoop' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip() == "False"


def test_another_sitecustomize_still_runs_in_children(tmp_path: Path) -> None:
    runtime.prepare()
    (tmp_path / "sitecustomize.py").write_text("import os; os.environ['SEEN'] = 'yes'\n")
    path = os.pathsep.join([str(runtime.CHILDREN), str(tmp_path)])
    code = "import os, sys; print(os.environ['SEEN'], any(type(f).__name__ == 'TorchvisionFinder' for f in sys.meta_path))"
    result = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.split() == ["yes", "True"]


def test_children_of_two_projects_on_the_path_do_not_call_each_other(tmp_path: Path) -> None:
    shutil.copytree(runtime.CHILDREN, tmp_path / "etholoop/_children")
    shutil.copy(runtime.CHILDREN.parent / "_torchvision_cure.py", tmp_path / "etholoop")
    path = os.pathsep.join([str(runtime.CHILDREN), str(tmp_path / "etholoop/_children")])
    result = subprocess.run(
        [sys.executable, "-c", "pass"], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stderr == ""


def test_the_real_extension_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from etholoop import _torchvision_cure as cure

    monkeypatch.setattr(cure, "extension_loads", lambda spec: True)
    monkeypatch.setattr(cure, "define_operators", lambda: pytest.fail("operators were defined"))
    spec = cure.TorchvisionFinder().find_spec("torchvision")
    assert type(spec.loader).__name__ != "_CuredLoader"
    assert cure.TorchvisionFinder().find_spec("torch") is None


def test_prepare_sets_the_environment_and_the_user_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*runtime.ENVIRONMENT, "YOLO_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    runtime.prepare(tmp_path)
    runtime.prepare(tmp_path)
    assert os.environ["DO_NOT_TRACK"] == "0"
    assert os.environ["YOLO_OFFLINE"] == os.environ["ULTRALYTICS_SAFE_LOAD"] == "true"
    assert os.environ["YOLO_AUTOINSTALL"] == os.environ["GX_ANALYTICS_ENABLED"] == "false"
    assert os.environ["PYTHONPATH"].split(os.pathsep) == ["elsewhere", str(runtime.CHILDREN)]
    font = tmp_path / ".cache/yolo/Ultralytics/Arial.ttf"
    assert font.read_bytes()[:4] == b"\x00\x01\x00\x00"  # a TrueType font


def test_importing_runtime_loads_nothing_heavy() -> None:
    code = "import sys; from etholoop import runtime; runtime.prepare(); print(sorted({'torch', 'numpy', 'matplotlib'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == "[]"
