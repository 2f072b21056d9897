"""dask: workers of a Dask cluster; on this computer, of a scheduler that is running somewhere, or as jobs of a batch system.

Items go one by one with their arguments; results lie on the disk that all workers share. Each worker has one thread, and an item
that began has a log, so that when a worker dies it is known which item was in its hands: only that one counts as a failed attempt.
"""

import contextlib
import functools
import hashlib
import logging
import pickle
import secrets
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from etholoop import runtime
from etholoop.engines._settings import QUEUES, Job, Settings
from etholoop.engines._shared import (
    THREAD_VARIABLES,
    Outcome,
    child_environment,
    died,
    order_of,
    outcome_of,
    read_log,
    said_into,
    with_log,
)
from etholoop.errors import EthoLoopError

POLL_S = 1.0
"""How often workers that came or went are noticed."""

ANSWER_S = 60
"""A scheduler that does not answer for so long is not there."""

PATIENCE_S = 30.0
"""After so long without any worker this is said."""

CLUSTERS = {queue: f"{queue.upper()}Cluster" for queue in QUEUES} | {"htcondor": "HTCondorCluster", "moab": "MoabCluster"}
PROJECTS = ("lsf", "sge", "oar")
"""Batch systems that call the account a project."""

CONFIG = {
    "distributed.worker.daemon": False,  # workers may have children, such as data loaders
    "distributed.worker.multiprocessing-method": "spawn",  # forks of torch and decoders hang
    "distributed.scheduler.allowed-failures": 0,  # attempts are counted here
    "distributed.comm.timeouts.connect": "30s",
    # a worker on this computer that died comes back, on a busy computer after more than the usual 15 s: nobody is to write it off
    "distributed.deploy.lost-worker-timeout": "1 hour",
    "distributed.admin.low-level-log-length": 0,
    # Dask's own MALLOC_TRIM_THRESHOLD_ makes the allocator hand back the memory of every picture and ask for it anew
    "distributed.nanny.pre-spawn-environ": {},
}

NO_PAGES: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
"""Dask opens a port for its pages in any case; with these it has nothing to say there."""

JOBS = {"distributed.deploy.lost-worker-timeout": "15s"}
"""A job that is gone is gone: another one takes its place."""

LOOPBACK = "127.0.0.1:0"


class DaskEngine:
    """A client and, unless the scheduler was there before, the cluster that belongs to it."""

    def __init__(self, settings: Settings, scratch: Path):
        import dask
        from distributed import Client

        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self.workers = settings.n_workers
        self._retries, self._scratch = settings.retries, scratch.resolve()
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._seen_s, self._told = time.monotonic(), False
        extra = ({} if settings.dashboard else NO_PAGES) | (JOBS if settings.engine in QUEUES else {})
        self._config = dask.config.set(CONFIG | extra)
        self._cluster = _cluster(settings, self._scratch)
        try:
            self._client = Client(self._cluster or settings.address, timeout=ANSWER_S, set_as_default=False)
        except (OSError, TimeoutError) as error:
            self._leave()
            raise EthoLoopError(
                f"no Dask scheduler answers at {settings.address} ({error}). Is it running, and is it this address?"
            ) from error

    def __enter__(self) -> "DaskEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close(timeout=5)
        self._leave()

    def _leave(self) -> None:
        if self._cluster is not None:
            _end_at_once(self._cluster)
            self._cluster.close(timeout=10)
        self._config.__exit__(None, None, None)

    def map(
        self, function: Callable[[Any], Any], items: Sequence[Any], *, cost: Sequence[float] | None = None
    ) -> Iterator[tuple[int, Outcome]]:
        tasks = [pickle.dumps((function, item)) for item in items]
        waiting, deaths = deque(order_of(len(items), cost)), Counter[int]()
        running: dict[Any, tuple[int, Path]] = {}
        name = secrets.token_hex(4)
        try:
            while waiting or running:
                while waiting and len(running) < self._window():
                    place = waiting.popleft()
                    log = self._scratch / f"{name}-{place}-{deaths[place]}.log"
                    future = self._client.submit(_run, tasks[place], str(log), code_digest(), pure=False)
                    running[future] = place, log
                for future in self._finished(list(running)):
                    place, log = running.pop(future)
                    outcome = self._collect(future, place, log, deaths)
                    if outcome is None:
                        waiting.append(place)
                    else:
                        yield place, outcome
        finally:
            # left in the middle: what is in hand is not wanted any more
            self._client.cancel(list(running))

    def _window(self) -> int:
        """Items to have under way: one in each worker's hands and one waiting beside it."""
        found = sum(self._client.nthreads().values())
        if found:
            self._seen_s = time.monotonic()
        elif time.monotonic() - self._seen_s > PATIENCE_S and not self._told:
            self._told = True
            print("there is no worker yet: jobs may be waiting in the queue; Ctrl-C gives up", file=sys.stderr)
        self.workers = max(1, found)
        return 2 * self.workers

    def _finished(self, futures: list[Any]) -> list[Any]:
        """Those that are done; after a while an empty list, so that new workers get something to do."""
        from distributed import wait

        with self._client.as_current(), contextlib.suppress(TimeoutError):
            return sorted(wait(futures, timeout=POLL_S, return_when="FIRST_COMPLETED").done, key=futures.index)
        return []

    def _collect(self, future: Any, place: int, log: Path, deaths: Counter[int]) -> Outcome | None:
        """The outcome of a finished item; None = try again."""
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        began, ended = log.exists(), _ended(log).exists()
        said = read_log(_ended(log) if ended else log)
        log.unlink(missing_ok=True)
        _ended(log).unlink(missing_ok=True)
        lost = future.exception() if future.status == "error" else None
        if future.status == "finished":
            try:
                return with_log(future.result(), said)
            except (KilledWorker, CancelledError) as error:
                lost = error  # the worker died with the result in its memory
        if lost is not None and not isinstance(lost, KilledWorker | CancelledError):
            return Outcome("failed", message=f"{type(lost).__name__}: {lost}", log=said)
        deaths[place] += began
        return died("lost by Dask", deaths[place], said) if deaths[place] > self._retries else None


def _run(task: bytes, log: str, code: str) -> Outcome:
    """In a worker: run one item."""
    with said_into(Path(log)):
        outcome = outcome_of(_checked, (task, code))
    # from here on the death of this worker is not the item's fault
    Path(log).rename(_ended(Path(log)))
    return outcome


def _ended(log: Path) -> Path:
    """Where the log of an item is when it has been done."""
    return log.with_suffix(".done")


def _checked(task_and_code: tuple[bytes, str]) -> Any:
    task, code = task_and_code
    runtime.cure_torchvision()
    if code_digest() != code:
        raise EthoLoopError(
            f"a worker on {socket.gethostname()} runs other code of EthoLoop. Start the workers from this project's own src/."
        )
    function, item = pickle.loads(task)
    return function(item)


@functools.cache
def code_digest() -> str:
    """SHA-256 of EthoLoop's own files: workers that were started elsewhere must run the code that is hashed here."""
    root = Path(runtime.__file__).resolve().parent
    parts = [path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() for path in sorted(root.rglob("*.py"))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _cluster(settings: Settings, scratch: Path) -> Any:
    if settings.engine in QUEUES:
        return _queue_cluster(settings, scratch)
    return None if settings.address else _local_cluster(settings, scratch)


def _local_cluster(settings: Settings, scratch: Path) -> Any:
    """Workers on this computer. Only this computer can connect, and only with the certificate made for this run."""
    from distributed import LocalCluster

    environment = child_environment(settings.threads_of(settings.n_workers))
    return LocalCluster(
        n_workers=settings.n_workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        protocol="tls://",
        security=True,
        dashboard_address=settings.dashboard or LOOPBACK,
        scheduler_kwargs={"dashboard": settings.dashboard is not None},
        local_directory=str(scratch),
        memory_limit=0,
        silence_logs=logging.CRITICAL,
        env={name: environment[name] for name in (*THREAD_VARIABLES, "PYTHONPATH")},
    )


def _end_at_once(cluster: Any) -> None:
    """Kill the workers on this computer, which would else finish what nobody waits for."""
    import psutil

    own = {child.pid: child for child in psutil.Process().children()}
    for nanny in getattr(cluster, "workers", {}).values():
        nanny.auto_restart = False
        worker = own.get(getattr(nanny, "pid", None) or 0)
        if worker is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()


def _queue_cluster(settings: Settings, scratch: Path) -> Any:
    """Jobs that connect back to this process, over TLS with certificates made for this run."""
    import dask_jobqueue
    from distributed import Security

    security = Security.temporary()
    cluster = getattr(dask_jobqueue, CLUSTERS[settings.engine])(
        **_job_arguments(settings, scratch),
        security=security,
        shared_temp_directory=str(scratch),
        protocol="tls://",
        scheduler_options={"dashboard_address": settings.dashboard or LOOPBACK, "dashboard": settings.dashboard is not None},
    )
    # and not scale(): a job that reaches its wall time is followed by another
    cluster.adapt(minimum=settings.n_workers, maximum=settings.n_workers)
    return cluster


def job_script(settings: Settings, scratch: Path) -> str:
    """The script of one job, as it would be handed to the batch system; nothing is started."""
    import dask_jobqueue

    job = getattr(dask_jobqueue, CLUSTERS[settings.engine]).job_cls
    return job("tls://ADDRESS-OF-THIS-COMPUTER:PORT", name="NAME", **_job_arguments(settings, scratch)).job_script()


def _job_arguments(settings: Settings, scratch: Path) -> dict[str, Any]:
    """What dask-jobqueue calls these settings."""
    job: Job = settings.job
    account = "project" if settings.engine in PROJECTS else "account"
    environment = {**runtime.ENVIRONMENT, **dict.fromkeys(THREAD_VARIABLES, str(settings.threads_of(1)))}
    environment["PYTHONPATH"] = child_environment(1)["PYTHONPATH"]
    named = {
        "walltime": None if settings.engine == "htcondor" else job.walltime,
        "queue": job.queue,
        account: job.account,
        "interface": job.interface,
        "local_directory": job.local_directory,
    }
    return {
        "cores": job.processes,
        "processes": job.processes,
        "memory": job.memory,
        "python": sys.executable,
        "job_name": "etholoop",
        "log_directory": str(scratch.parent / "jobs"),
        "job_extra_directives": job.directives,
        "job_script_prologue": [f"export {name}='{value}'" for name, value in sorted(environment.items())] + job.prologue,
        "worker_extra_args": ["--no-dashboard"],
        **{name: value for name, value in named.items() if value is not None},
        **job.options,
    }


def open_engine(settings: Settings, scratch: Path) -> DaskEngine:
    """Start or find the cluster."""
    return DaskEngine(settings, scratch)
