"""A worker of the ``processes`` engine: started as a new Python, takes items from a pipe until the pipe is closed.

``python -m etholoop.engines._worker FD`` with a connected socket under that number.
"""

import faulthandler
import os
import pickle
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

from etholoop import runtime
from etholoop.engines._shared import Outcome, outcome_of

READY = b"ready"
"""The first message of a worker: from here on a death is the fault of the item in hand."""


def main(number: int) -> None:
    """Serve until the other end is closed. The parent ends us by SIGKILL; its own death closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(number, False)
    pipe = Connection(number)
    faulthandler.enable(all_threads=False)
    sys.path[:] = pickle.loads(pipe.recv_bytes())
    runtime.cure_torchvision()
    runtime.become_worker()
    pipe.send_bytes(READY)
    inbox: list[bytes] = []
    arrived = threading.Semaphore(0)
    threading.Thread(target=_listen, args=(pipe, inbox, arrived), daemon=True).start()
    while True:
        arrived.acquire()
        pipe.send_bytes(_answer(inbox.pop(0)))


def _listen(pipe: Connection, inbox: list[bytes], arrived: threading.Semaphore) -> None:
    """Take messages while the main thread works, so that the end of the parent is noticed at once."""
    while True:
        try:
            inbox.append(pipe.recv_bytes())
        except (EOFError, OSError):
            _end()
        arrived.release()


def _end() -> None:
    """End at once, and with this worker its own children: it leads a group of its own."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _answer(message: bytes) -> bytes:
    def work(task: bytes) -> Any:
        function, item = pickle.loads(task)
        return function(item)

    outcome = outcome_of(work, message)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        return pickle.dumps(outcome)
    except Exception as error:  # pickle raises several unrelated types
        return pickle.dumps(Outcome("failed", message=f"the result cannot be sent back: {error}"))


if __name__ == "__main__":
    main(int(sys.argv[1]))
