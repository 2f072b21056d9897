"""What every engine promises; a new file in engines/ is tested here from its first day."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import engine_tasks as tasks
import psutil
import pytest

from etholoop import registry
from etholoop.engines import open_engine
from etholoop.engines._settings import Settings
from etholoop.engines._shared import Engine, Outcome
from etholoop.errors import EthoLoopError

NAMES = registry.names("etholoop.engines")
APART = [name for name in NAMES if name != "serial"]
"""Engines whose workers are other processes."""


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Engine]]:
    """Each engine with two workers, started once."""
    running = {name: open_engine(Settings(engine=name, workers=2), tmp_path_factory.mktemp(name)) for name in NAMES}
    yield running
    for engine in running.values():
        engine.__exit__(None, None, None)


@pytest.fixture(params=NAMES)
def engine(request: pytest.FixtureRequest, engines: dict[str, Engine]) -> Engine:
    return engines[request.param]


@pytest.fixture(params=APART)
def apart(request: pytest.FixtureRequest, engines: dict[str, Engine]) -> Engine:
    return engines[request.param]


def outcomes(engine: Engine, function, items: list, **options) -> list[Outcome]:
    found = dict(engine.map(function, items, **options))
    assert sorted(found) == list(range(len(items))), "every item has one outcome"
    return [found[place] for place in range(len(items))]


def test_the_engines_are_those_that_the_documents_name():
    assert NAMES == ["dask", "processes", "serial"]


def test_every_item_has_its_result(engine):
    assert [outcome.value for outcome in outcomes(engine, tasks.square, list(range(20)))] == [n * n for n in range(20)]


def test_nothing_to_do(engine):
    assert outcomes(engine, tasks.square, []) == []


def test_results_belong_to_their_items_whatever_is_finished_first(engine):
    assert [outcome.value for outcome in outcomes(engine, tasks.slower_first, list(range(10)))] == list(range(10))


def test_the_cost_changes_no_result(engine):
    found = outcomes(engine, tasks.square, list(range(6)), cost=[1, 5, 2, 9, 0, 3])
    assert [outcome.value for outcome in found] == [0, 1, 4, 9, 16, 25]


def test_a_failure_concerns_its_item_only(engine):
    found = outcomes(engine, tasks.fails_on_three, list(range(6)))
    assert [outcome.kind for outcome in found] == ["done"] * 3 + ["failed"] + ["done"] * 2
    assert found[3].message == "ValueError: three is too many"
    assert "fails_on_three" in found[3].log


def test_what_a_worker_said_comes_with_the_failure(apart):
    assert "about to fail" in outcomes(apart, tasks.fails_on_three, [1, 3])[1].log


def test_what_a_worker_said_comes_with_the_result(apart):
    assert [outcome.log for outcome in outcomes(apart, tasks.says, [5, 6])] == ["this is 5\n", "this is 6\n"]


@pytest.mark.parametrize("how", ["exit", "kill", "crash"])
def test_a_worker_that_dies_costs_its_item_only(apart, how):
    found = outcomes(apart, tasks.dies_on, [(number, how) for number in range(6)])
    assert [outcome.value for outcome in found] == [0, 1, None, 3, 4, 5]
    assert found[2].kind == "died"
    assert "each of 3 times" in found[2].message
    assert "last words" in found[2].log
    if how == "crash":
        assert "dies_on" in found[2].log, "the place of a crash is in the log"


def test_an_item_whose_worker_died_is_tried_again(apart, tmp_path):
    found = outcomes(apart, tasks.dies_once, [(number, str(tmp_path)) for number in range(6)])
    assert [outcome.value for outcome in found] == list(range(6))


def test_workers_have_their_share_of_the_cores(apart, monkeypatch):
    threads = Settings(workers=2).threads_of(2)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ETHOLOOP_DECODER_THREADS"):
        assert [outcome.value for outcome in outcomes(apart, tasks.environment, [name])] == [str(threads)]


def test_workers_have_the_allocator_of_this_program(apart):
    """Dask would set this: large arrays, such as pictures, then cost a fifth more."""
    assert [outcome.value for outcome in outcomes(apart, tasks.is_set, ["MALLOC_TRIM_THRESHOLD_"])] == [False]


def test_workers_are_other_processes(apart):
    assert os.getpid() not in {outcome.value for outcome in outcomes(apart, tasks.process, [1, 2, 3, 4])}


def test_each_worker_sees_one_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with open_engine(Settings(engine="processes", workers=2, gpus=2), tmp_path) as engine:
        found = {outcome.value for outcome in outcomes(engine, tasks.slow_environment, ["CUDA_VISIBLE_DEVICES"] * 2)}
    assert found == {"3", "5"}


def test_a_map_left_in_the_middle_does_not_disturb_the_next(apart):
    for _ in apart.map(tasks.square, [1, 2, 3, 4]):
        break
    assert [outcome.value for outcome in outcomes(apart, tasks.square, [5, 6])] == [25, 36]


def test_torchvision_works_in_workers(engines):
    assert outcomes(engines["processes"], tasks.imports_torchvision, [1])[0].value == "nms"


def test_a_result_that_cannot_travel_is_a_failure(engines):
    found = outcomes(engines["processes"], tasks.unsendable, [1])[0]
    assert found.kind == "failed"
    assert "sent back" in found.message


def test_workers_that_cannot_begin_are_reported_with_what_they_said(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('no licence for this computer')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (
        open_engine(Settings(engine="processes", workers=1), tmp_path / "scratch") as engine,
        pytest.raises(EthoLoopError, match="no licence for this computer"),
    ):
        list(engine.map(tasks.square, [1]))


def test_nobody_answers_at_the_address(tmp_path, monkeypatch):
    from etholoop.engines import dask

    monkeypatch.setattr(dask, "ANSWER_S", 1)
    with pytest.raises(EthoLoopError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        open_engine(Settings(engine="dask", address="tcp://127.0.0.1:9"), tmp_path)


def test_dask_is_reached_from_this_computer_only(engines):
    list(engines["dask"].map(tasks.square, [1, 2]))
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = {
        connection.laddr.ip for process in processes for connection in process.net_connections("inet") if connection.status == "LISTEN"
    }
    assert listening == {"127.0.0.1"}


def test_an_existing_scheduler_is_used_and_left_running(tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50) as cluster:
        for _ in range(2):
            settings = Settings(engine="dask", address=cluster.scheduler_address)
            with open_engine(settings, tmp_path) as engine:
                assert [outcome.value for outcome in outcomes(engine, tasks.square, [3])] == [9]


def test_jobs_of_a_batch_system_work_and_are_ended(tmp_path, monkeypatch):
    """The Slurm engine with real job scripts, encrypted connections and real workers; only sbatch and scancel are stood in for."""
    import dask_jobqueue
    from fake_queue import ImmediateCluster

    monkeypatch.setattr(dask_jobqueue, "SLURMCluster", ImmediateCluster)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    settings = Settings(engine="slurm", workers=2, job={"processes": 1, "walltime": "00:10:00", "prologue": ["export FROM_PROLOGUE=yes"]})
    with open_engine(settings, tmp_path / "scratch") as engine:
        assert [outcome.value for outcome in outcomes(engine, tasks.square, list(range(6)))] == [n * n for n in range(6)]
        assert outcomes(engine, tasks.environment, ["FROM_PROLOGUE"])[0].value == "yes"
        found = outcomes(engine, tasks.dies_on, [(number, "exit") for number in range(4)])
        assert [outcome.kind for outcome in found] == ["done", "done", "died", "done"]
        assert str(engine._client.scheduler.address).startswith("tls://")
        workers = [process for process in psutil.Process().children(recursive=True) if "dask_worker" in " ".join(process.cmdline())]
        assert workers
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive


def test_a_worker_with_other_code_is_refused(tmp_path, engines, monkeypatch):
    from etholoop.engines import dask

    monkeypatch.setattr(dask, "code_digest", lambda: "another")
    found = outcomes(engines["dask"], tasks.square, [3])[0]
    assert found.kind == "failed"
    assert "other code of EthoLoop" in found.message


@pytest.mark.parametrize("name", APART)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_ending_the_program_leaves_no_process(name, how, tmp_path):
    program = "import sys; sys.path.insert(0, sys.argv[1]); import engine_tasks; engine_tasks.hold(*sys.argv[2:])"
    arguments = [sys.executable, "-c", program, str(Path(__file__).parent), str(tmp_path), name]
    main = subprocess.Popen(arguments, stderr=subprocess.PIPE, start_new_session=True)
    try:
        begun = wait_for(lambda: [path for path in tmp_path.iterdir() if "-" in path.name and path.is_file()], 90)
        assert begun, main.stderr.read().decode() if main.poll() is not None else "no worker began"
        family = [psutil.Process(main.pid), *psutil.Process(main.pid).children(recursive=True)]
        assert len(family) > 2
        os.kill(main.pid, how)
        _, alive = psutil.wait_procs(family, timeout=30)
        assert not alive
    finally:
        main.kill()
        main.wait()


def wait_for(condition, seconds: float):
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return found
