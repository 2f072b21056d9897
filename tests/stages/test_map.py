"""The map over videos: memo, engine and progress together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import map_tasks as tasks
import pytest

from etholoop.engines import _settings
from etholoop.errors import FaultsError
from etholoop.io.memo import Memo
from etholoop.project import Project
from etholoop.stages import _map
from etholoop.stages._map import Unit, keep_engines, map_memo, try_map_memo

WORKERS = ["serial", "processes:2"]


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def memo(project) -> Memo:
    return Memo(project.memo, "step")


def units(n: int, **fields) -> list[Unit]:
    return [Unit(f"key{number}", f"unit {number}", (number,), cost=10.0, source="a", **fields) for number in range(n)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def use(monkeypatch, engine: str) -> None:
    monkeypatch.setenv(_settings.ENGINE, engine)


def test_the_bytes_do_not_depend_on_the_engine_or_the_workers(tmp_path, monkeypatch):
    results = []
    for engine in ("serial", "processes:1", "processes:3"):
        use(monkeypatch, engine)
        project = Project(tmp_path / engine.replace(":", ""))
        map_memo(Memo(project.memo, "step"), units(7), tasks.write, project)
        results.append(contents(project.memo / "step"))
    assert results[0] == results[1] == results[2]
    assert len(results[0]) == 7 * 3


@pytest.mark.parametrize("engine", WORKERS)
def test_what_the_memo_has_is_not_done_again(project, memo, monkeypatch, engine):
    use(monkeypatch, engine)
    first = map_memo(memo, units(3), tasks.write, project)
    (first["key1"] / "number").write_text("x")  # same length, so it is taken for whole
    again = map_memo(memo, units(5), tasks.write, project)
    assert [(again[f"key{n}"] / "number").read_text() for n in range(5)] == ["0", "x", "2", "3", "4"]


def test_a_result_that_a_power_cut_emptied_is_made_again(project, memo):
    first = map_memo(memo, units(1), tasks.write, project)
    (first["key0"] / "number").write_text("")
    assert (map_memo(memo, units(1), tasks.write, project)["key0"] / "number").read_text() == "0"


@pytest.mark.parametrize("engine", WORKERS)
def test_every_failure_is_reported_after_everything_else_is_done(project, memo, monkeypatch, engine):
    use(monkeypatch, engine)
    work = [Unit(f"k{n}", f"unit {n}", (n, "fail" if n in (1, 3) else ""), cost=10.0) for n in range(5)]
    with pytest.raises(FaultsError) as caught:
        map_memo(memo, work, tasks.write_or_fail, project, what="trying")
    assert caught.value.faults == [
        "unit 1: ValueError: 1 is bad (.memo/log/step/k1.log)",
        "unit 3: ValueError: 3 is bad (.memo/log/step/k3.log)",
    ]
    assert "write_or_fail" in (project / ".memo/log/step/k1.log").read_text()
    assert [n for n in range(5) if memo.has(f"k{n}")] == [0, 2, 4]
    assert {path.name for path in (project.memo / "step").iterdir()} == {"k0", "k2", "k4"}, "nothing half-made is left"


def test_a_worker_that_dies_is_tried_again_and_named_with_its_log(project, memo, monkeypatch):
    use(monkeypatch, "processes:2")
    work = [Unit(f"k{n}", f"unit {n}", (n, "die" if n == 2 else ""), cost=10.0) for n in range(4)]
    done, failures = try_map_memo(memo, work, tasks.write_or_fail, project)
    assert sorted(done) == ["k0", "k1", "k3"]
    assert [(failure.kind, failure.unit.label) for failure in failures] == [("died", "unit 2")]
    assert "each of 3 times" in failures[0].message
    assert "so long" in (project / failures[0].log).read_text()
    assert {path.name for path in (project.memo / "step").iterdir()} == {"k0", "k1", "k3"}, "what it left was swept away"


@pytest.mark.parametrize("engine", WORKERS)
def test_units_of_a_run_share_what_is_opened(project, memo, monkeypatch, engine, tmp_path):
    use(monkeypatch, engine)
    work = [Unit(f"k{n}", f"unit {n}", (tmp_path, n), cost=10.0, run=f"run{n // 3}") for n in range(6)]
    memo.result("k1", lambda folder: (folder / "number").write_text("1 from before"))
    done = map_memo(memo, work, tasks.take, project, begin=tasks.open_shelf)
    said = [(done[f"k{n}"] / "number").read_text() for n in range(6)]
    assert said[1] == "1 from before"
    assert said[0].split()[1:] == said[2].split()[1:], "one worker does a run"
    assert sorted(path.name for path in tmp_path.glob("closed*")) == ["closed-after-2-of-2", "closed-after-3-of-3"]


def test_after_a_failure_the_rest_of_its_run_is_named_too(project, memo):
    work = [Unit(f"k{n}", f"unit {n}", (n, "fail" if n == 1 else ""), run="r") for n in range(4)]
    done, failures = try_map_memo(memo, work, tasks.write_or_fail, project)
    assert list(done) == ["k0"]
    assert [failure.message for failure in failures] == ["ValueError: 1 is bad", *["not reached, because unit 1 failed before it"] * 2]


def test_the_fault_names_what_failed_and_counts_what_was_not_reached(project, memo):
    work = [Unit(f"k{n}", f"unit {n}", (n, "fail" if n == 1 else ""), run="r") for n in range(9)]
    with pytest.raises(FaultsError, match="7 units behind these in the same videos were not reached") as caught:
        map_memo(memo, work, tasks.write_or_fail, project)
    assert caught.value.faults == ["unit 1: ValueError: 1 is bad (.memo/log/step/k1.log)"]


def test_one_gpu_is_one_worker_and_several_have_one_each(project, monkeypatch):
    use(monkeypatch, "processes:8")
    for n_gpus, expected in ((1, ("serial", 1, None)), (4, ("processes", 4, 4)), (0, ("processes", 8, None))):
        monkeypatch.setattr(_map, "_n_gpus", lambda n_gpus=n_gpus: n_gpus)
        settings = _map._settings(project, 20, 1000.0, isolate=False, gpu=True)
        assert (settings.engine, settings.n_workers, settings.gpus) == expected


def test_the_same_key_is_done_once(project, memo):
    twins = [Unit("k", "one", (1,)), Unit("k", "other", (1,))]
    assert list(map_memo(memo, twins, tasks.write, project)) == ["k"]


def test_nothing_to_do_starts_nothing(project, memo, monkeypatch):
    use(monkeypatch, "no such engine")
    assert map_memo(memo, [], tasks.write, project) == {}


def test_little_work_stays_in_this_process_unless_the_files_may_be_hostile(project, memo, monkeypatch, tmp_path):
    use(monkeypatch, "processes:2")
    small = [Unit(f"k{n}", f"unit {n}", (tmp_path, n), cost=0.1) for n in range(3)]
    here = map_memo(memo, small, tasks.take, project, begin=tasks.open_shelf)
    assert (here["k0"] / "number").read_text().endswith(f"process {os.getpid()}")
    apart = map_memo(Memo(project.memo, "other"), small, tasks.take, project, begin=tasks.open_shelf, isolate=True)
    assert not (apart["k0"] / "number").read_text().endswith(f"process {os.getpid()}")


def test_what_workers_say_reaches_the_reader(project, memo, monkeypatch, capsys):
    use(monkeypatch, "processes:2")
    map_memo(memo, units(2), tasks.warn, project)
    assert sorted(capsys.readouterr().err.splitlines()) == ["unit 0 looks odd", "unit 1 looks odd"]


def test_without_a_terminal_there_are_no_bars(project, memo, capfd):
    map_memo(memo, units(4), tasks.write, project, what="trying")
    assert capfd.readouterr() == ("", "")


def test_on_a_terminal_there_is_a_bar_in_all_and_one_for_each_video(project, memo, monkeypatch):
    shown = watch_bars(monkeypatch)
    work = [Unit(f"k{n}", f"unit {n}", (n,), source="cage1" if n < 3 else "cage2") for n in range(5)]
    map_memo(memo, work, tasks.write, project, what="trying")
    assert [(bar["desc"], bar["total"], bar["n"]) for bar in shown] == [("trying", 5, 5), ("  cage1", 3, 2), ("  cage2", 2, 1)]


def watch_bars(monkeypatch) -> list[dict]:
    """Stand-ins for the bars, as on a terminal: what each counted up to."""
    import tqdm

    shown: list[dict] = []

    class Bar:
        disable = False

        def __init__(self, total, desc, initial=0, **_):
            self.entry = {"desc": desc, "total": total, "n": initial}
            shown.append(self.entry)

        def update(self, n):
            self.entry["n"] += n

        def close(self):
            self.entry["closed"] = True

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    return shown


def test_kept_engines_serve_several_maps(project, memo, monkeypatch, tmp_path):
    use(monkeypatch, "processes:1")
    with keep_engines():
        seen = set()
        for number in range(2):
            work = [Unit(f"k{number}", "unit", (tmp_path, number), cost=10.0)]
            done = map_memo(memo, work, tasks.take, project, begin=tasks.open_shelf, isolate=True)
            seen.add((done[f"k{number}"] / "number").read_text().split()[-1])
    assert len(seen) == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl-c", "term", "kill"])
def test_an_end_in_the_middle_leaves_nothing_half_made(tmp_path, how):
    """After Ctrl-C nothing is left at all; after a kill nothing under a final name, and the next run sweeps."""
    project, marks = Project(tmp_path / "project"), tmp_path / "marks"
    marks.mkdir()
    main = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(project.root), str(marks)], start_new_session=True, env=program_environment()
    )
    try:
        assert wait_for(lambda: len(list(marks.iterdir())) == 2), "two workers began"
        os.kill(main.pid, how)
        assert main.wait(30) != 0
    finally:
        main.kill()
        main.wait()
    left = [path.name for path in (project.memo / "step").iterdir()]
    if how != signal.SIGKILL:
        assert left == []
    assert not [name for name in left if not name.startswith(".")]
    wait_for(lambda: not abandoned(project))
    done = map_memo(Memo(project.memo, "step"), units(4), tasks.write, project)
    assert {path.name for path in (project.memo / "step").iterdir()} == set(done)


PROGRAM = """
import signal, sys
from pathlib import Path
import map_tasks
from etholoop.io.memo import Memo
from etholoop.project import Project
from etholoop.stages import _map
from etholoop.stages._map import Unit, map_memo
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
project = Project(Path(sys.argv[1]))
units = [Unit(f"key{n}", f"unit {n}", (n, Path(sys.argv[2])), cost=10.0) for n in range(4)]
map_memo(Memo(project.memo, "step"), units, map_tasks.slow, project)
"""


def program_environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, _settings.ENGINE: "processes:2"}


def abandoned(project: Project) -> list[Path]:
    """Folders whose makers still live; a killed parent's workers follow it a moment later."""
    return [path for path in (project.memo / "step").iterdir() if Path(f"/proc/{path.name.split('-')[1]}").exists()]


def wait_for(condition, seconds: float = 60):
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return found
