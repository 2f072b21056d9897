"""Fixtures shared by all tests, and how the suite shares a machine with itself when several processes run it (``pytest -n auto``)."""

import os
import signal
from pathlib import Path

import pytest

from etholoop import runtime
from etholoop.engines._settings import cores

MOST_PROCESSES = 4
"""More are of little use: files stay whole, and the longest one takes its time anyway; each process may need 2 GB."""

N_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if N_PROCESSES > 1:
    # Threads of OpenMP that wait for each other spin: two programs with a thread for every core each would take most of the time
    # from each other. Programs which tests start, and trainings that ask for all cores, inherit this.
    own_cores = str(max(1, cores() // N_PROCESSES))
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), own_cores))
    os.environ.setdefault("GOMP_SPINCOUNT", "0")  # they sleep at once

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a suite that a shell started in the background is deaf to Ctrl-C, and so would be all programs that its tests interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)

runtime.prepare(None)
# tests of stages look into this process; tests of engines start workers themselves
os.environ["ETHOLOOP_ENGINE"] = "serial"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """``-n auto``: a process for each core that this computer, or the container, gives us."""
    return min(MOST_PROCESSES, cores())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side, files with slow tests come first, so that no process is left alone with one at the end."""
    if N_PROCESSES > 1:
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def public_data() -> Path:
    """Folder with the public data sets and recorded numbers (docs/datasets.md); tests on them are skipped where it is absent."""
    configured = os.environ.get("ETHOLOOP_DATA")
    if not configured:
        pytest.skip("ETHOLOOP_DATA is not set: tests on public data sets are left out (docs/datasets.md says where they come from)")
    folder = Path(configured)
    if not (folder / "data").is_dir():
        pytest.skip(f"ETHOLOOP_DATA={configured} holds no folder 'data'")
    return folder
