"""processes: workers on this computer, each a Python of its own with its share of the cores.

The standard library's pool is broken as a whole by one dead worker, and then every unfinished item is lost. Here each worker has
its own pipe: when one dies, the item in its hands is tried again in a new one, and all others go on.
"""

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from etholoop.engines._settings import Settings
from etholoop.engines._shared import Outcome, child_environment, died, how_it_ended, order_of, read_log, with_log
from etholoop.engines._worker import READY
from etholoop.errors import EthoLoopError


class ProcessesEngine:
    """Workers are started when there is something to do, and stay for further maps."""

    def __init__(self, settings: Settings, scratch: Path):
        self.workers = settings.n_workers
        self._settings = settings
        self._scratch = scratch
        self._idle: list[_Worker] = []
        self._busy: dict[Any, tuple[_Worker, int]] = {}
        self._failed_starts = 0

    def __enter__(self) -> "ProcessesEngine":
        return self

    def __exit__(self, *_: object) -> None:
        _stop([*self._idle, *(worker for worker, _ in self._busy.values())])
        self._idle, self._busy = [], {}

    def map(
        self, function: Callable[[Any], Any], items: Sequence[Any], *, cost: Sequence[float] | None = None
    ) -> Iterator[tuple[int, Outcome]]:
        tasks = [pickle.dumps((function, item)) for item in items]
        waiting, deaths = deque(order_of(len(items), cost)), Counter[int]()
        finished: list[tuple[int, Outcome]] = []
        try:
            while waiting or self._busy or finished:
                while waiting and len(self._busy) < self.workers:
                    self._give(waiting.popleft(), tasks)
                yield from finished
                # to wait for nobody would be to wait for ever
                ready = wait(list(self._busy)) if self._busy else []
                finished = [found for pipe in ready if (found := self._collect(pipe, waiting, deaths))]
        finally:
            # left in the middle: what is in hand is not wanted any more
            _stop([worker for worker, _ in self._busy.values()])
            self._busy = {}

    def _give(self, place: int, tasks: list[bytes]) -> None:
        worker = self._idle.pop() if self._idle else self._start()
        self._busy[worker.pipe] = (worker, place)
        worker.send(tasks[place])

    def _start(self) -> "_Worker":
        taken = {worker.number for worker, _ in self._busy.values()}
        number = min(set(range(self.workers)) - taken)
        return _Worker(number, self._scratch, _environment(self._settings, number))

    def _collect(self, pipe: Any, waiting: deque[int], deaths: Counter[int]) -> tuple[int, Outcome] | None:
        """Take what a worker sent; None = nothing to report yet."""
        worker, place = self._busy[pipe]
        message = worker.receive()
        if message == READY:
            worker.ready, self._failed_starts = True, 0
            return None
        del self._busy[pipe]
        if message is not None:
            self._idle.append(worker)
            return place, with_log(pickle.loads(message), worker.said())
        how, said = worker.post_mortem()
        if not worker.ready:
            self._start_failed(how, said)
        else:
            deaths[place] += 1
            if deaths[place] > self._settings.retries:
                return place, died(how, deaths[place], said)
        waiting.append(place)
        return None

    def _start_failed(self, how: str, said: str) -> None:
        self._failed_starts += 1
        if self._failed_starts > self._settings.retries:
            raise EthoLoopError(f"workers end before they begin ({how}). The last one said:\n{said.strip()[-2000:]}")


class _Worker:
    """One child process and the pipe to it."""

    def __init__(self, number: int, scratch: Path, environment: dict[str, str]):
        self.number, self.ready = number, False
        scratch.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=scratch, prefix="worker-", suffix=".log")
        os.close(handle)
        self._log = Path(name)
        ours, theirs = socket.socketpair()
        self.pipe = Connection(ours.detach())
        with theirs, self._log.open("ab") as log:
            # a session of its own: Ctrl-C reaches the parent only, and the worker's own children can be ended with it
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "etholoop.engines._worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                env=environment,
                start_new_session=True,
            )
        self.send(pickle.dumps(sys.path))

    def send(self, message: bytes) -> None:
        try:
            self.pipe.send_bytes(message)
        except OSError:
            return  # it is dead, which is seen when its answer is read

    def receive(self) -> bytes | None:
        """Its message; None = it died."""
        try:
            return self.pipe.recv_bytes()
        except (EOFError, OSError):
            return None

    def said(self) -> str:
        return read_log(self._log)

    def post_mortem(self) -> tuple[str, str]:
        """How it ended, and what it said."""
        self.kill()  # the pipe may be closed while the process still hangs
        how = how_it_ended(self._process.wait())
        said = self.said()
        self.bury()
        return how, said

    def kill(self) -> None:
        if self._process.returncode is not None:
            return  # its number may belong to another process by now
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # it has ended already, and so have its children

    def bury(self) -> None:
        self._process.wait()
        self.pipe.close()
        self._log.unlink(missing_ok=True)


def _stop(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.bury()


def _environment(settings: Settings, number: int) -> dict[str, str]:
    environment = child_environment(settings.threads_of(settings.n_workers))
    if settings.gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(settings.gpus)))
        environment["CUDA_VISIBLE_DEVICES"] = visible.split(",")[number % settings.gpus]
    return environment


def open_engine(settings: Settings, scratch: Path) -> ProcessesEngine:
    """Nothing is started yet."""
    return ProcessesEngine(settings, scratch)
