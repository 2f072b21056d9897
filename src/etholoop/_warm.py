"""Warm starts: the stages of one `etholoop repro` begin in a process that has imported the heavy libraries already.

DVC starts every stage as a program of its own, and a small stage spends most of its time importing. So a repro keeps helper
processes, one per kind of stage, each with the libraries of its kind in memory and nothing of EthoLoop. `etholoop stage NAME`
hands its arguments, environment, folder and terminal to the helper of its kind, which forks; the fork runs the project's code as
any Python would, and the program that DVC waits for ends as the fork ended: same status, same signal, killed with it.

Nothing depends on it: on other systems than Linux, without helpers, or with ETHOLOOP_WARM=off, a stage runs in its own process.

This file stands alone, because the helpers run it as a script. They import nothing before the first stage asks.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VARIABLE = "ETHOLOOP_WARM"
"""``<installation of Python>:<folder of sockets>``; by it a stage finds the helpers."""

TABLES = ("numpy", "pandas", "pyarrow.parquet", "pandera.pandas", "pydantic", "typer", "yaml", "tqdm")
KINDS: dict[str, tuple[str, ...]] = {
    "tables": TABLES,
    "gates": (*TABLES, "great_expectations", "great_expectations.expectations"),
    "networks": (*TABLES, "torch"),
}
"""What a helper imports before it takes the first stage."""

LATER: dict[str, tuple[str, ...]] = {
    "tables": ("av", "cv2", "scipy.ndimage", "scipy.optimize", "matplotlib.backends.backend_agg", "jinja2"),
    "gates": ("cv2", "scipy.ndimage", "scipy.optimize"),
    "networks": ("cv2", "av", "torch._dynamo", "torch._inductor"),
}
"""What it imports while nobody asks; a process that may use a GPU must not have touched it before a fork, so see :func:`_later`."""

WAKES = {"tables": ("tables", "gates"), "gates": ("gates", "networks"), "networks": ("networks",)}
"""Which helpers begin to import when a stage of a kind comes: gates follow tables, and training follows gates."""

NETWORK_STAGES = ("pose_train", "refine_train", "pose_predict")
PATIENCE_S = 60.0
"""A helper that has not begun by then is not waited for."""


# the side of the repro


@contextlib.contextmanager
def helpers() -> Iterator[None]:
    """Keep helpers while the body runs; programs started in it find them by their environment. Inside another, it does nothing."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open") or os.environ.get(VARIABLE):
        yield
        return
    folder = Path(tempfile.mkdtemp(prefix="etholoop-"))
    try:
        listeners = {kind: _listener(folder / kind) for kind in KINDS}
    except OSError:  # the folder's name is too long for a socket, or its disk knows none: stages then start cold
        shutil.rmtree(folder)
        yield
        return
    process = _start(listeners)
    os.environ[VARIABLE] = f"{sys.prefix}{os.pathsep}{folder}"
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        process.communicate()  # closes its standard input, by which it knows that it is over
        shutil.rmtree(folder, ignore_errors=True)


def _listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(16)
    return listener


def _start(listeners: dict[str, socket.socket]) -> subprocess.Popen[bytes]:
    """The first helper; its standard input ends when the repro does, however that comes about."""
    arguments = [f"{kind}={listener.fileno()}" for kind, listener in listeners.items()]
    process = subprocess.Popen(
        # -P: this file's folder is no place to import from, it holds modules named `io` and `params`
        [sys.executable, "-P", __file__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[listener.fileno() for listener in listeners.values()],
        env={"GOMP_SPINCOUNT": "1000", **os.environ, "GX_ANALYTICS_ENABLED": "false", "MPLBACKEND": "Agg"},  # see runtime.ENVIRONMENT
    )
    for listener in listeners.values():
        listener.close()
    return process


# the side of the stage


def elsewhere(arguments: list[str]) -> int | None:
    """Run a stage in a fork of a helper and give its exit status; None = there is no helper, run it here."""
    installation, _, folder = os.environ.get(VARIABLE, "").partition(os.pathsep)
    if installation != sys.prefix or not folder:
        return None
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(PATIENCE_S)
        try:
            line.connect(str(Path(folder) / _kind(arguments)))
            _hand_over(line)
            if line.recv(1) != b"+":
                return None
        except OSError:  # no helper, or it died before it began
            return None
        line.settimeout(None)
        return _wait(line)


def _kind(arguments: list[str]) -> str:
    name = arguments[1] if len(arguments) > 1 else ""
    return "gates" if name.startswith("check_") else "networks" if name in NETWORK_STAGES else "tables"


def _hand_over(line: socket.socket) -> None:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    umask = os.umask(0o077)
    os.umask(umask)
    request = {"arguments": sys.argv, "environment": environment, "folder": str(Path.cwd()), "umask": umask, "path": sys.path}
    content = json.dumps(request).encode()
    # standard input, output and error go along
    socket.send_fds(line, [len(content).to_bytes(8, "big")], [0, 1, 2])
    line.sendall(content)


def _wait(line: socket.socket) -> int:
    """Pass signals on until the fork has ended, then end like it."""
    for number, letter in ((signal.SIGTERM, b"T"), (signal.SIGINT, b"I")):
        signal.signal(number, lambda *_, letter=letter: line.send(letter))
    try:
        answer = line.recv(16)
    except ConnectionError:
        answer = b""
    if not answer:
        return 1  # its keeper was killed, and the stage with it
    status = int(answer)
    if os.WIFSIGNALED(status):
        with contextlib.suppress(OSError):  # SIGKILL has no other way
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status)


# the side of the helpers


def main() -> None:
    """Wait for the first stages, then for the end of the repro; leaves this function only in a fork that is to run a stage."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stages; helpers end with the repro
    listeners = {kind: socket.socket(fileno=int(number)) for kind, number in (text.split("=") for text in sys.argv[1:])}
    started: dict[str, int] = {}
    while True:
        for kind in [kind for kind in listeners if set(WAKES[kind]) <= set(started)]:
            listeners.pop(kind).close()  # open in its helper only: when that dies, those who wait there are told
        ready = select.select([0, *(listener.fileno() for listener in listeners.values())], [], [])[0]
        if 0 in ready:
            break
        for kind in [kind for kind, listener in listeners.items() if listener.fileno() in ready]:
            for other in WAKES[kind]:
                if other not in started:
                    started[other] = os.fork()
                    if not started[other]:
                        _become_helper(other, listeners)
                        return
    for pid in started.values():
        os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _become_helper(kind: str, listeners: dict[str, socket.socket]) -> None:
    """Import, then fork for every stage that comes; returns only in such a fork."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system clears away keepers that have ended
    listener = listeners[kind]
    for other in listeners.values():
        if other is not listener:
            other.close()
    _load(KINDS[kind])
    later = _later(kind)
    while True:
        ready = select.select([0, listener.fileno()], [], [], 0 if later else None)[0]
        if 0 in ready:
            os._exit(0)
        if not ready:
            _load((later.pop(0),))
            continue
        line = listener.accept()[0]
        gc.freeze()
        if os.fork() == 0:
            listener.close()
            _keep(line)
            return
        line.close()


def _load(names: tuple[str, ...]) -> None:
    for name in names:
        with contextlib.suppress(ImportError):  # the stage that needs it says what is missing
            importlib.import_module(name)


def _later(kind: str) -> list[str]:
    torch = sys.modules.get("torch")
    if torch is not None and torch.version.cuda:
        return [name for name in LATER[kind] if not name.startswith("torch")]
    return list(LATER[kind])


def _keep(line: socket.socket) -> None:
    """Fork once more, and watch over that fork for the program that DVC waits for; returns only in the fork."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    interrupts: list[int] = []
    signal.signal(signal.SIGINT, lambda *_: interrupts.append(1))
    try:
        request, streams = _receive(line)
        line.send(b"+")
    except (OSError, ValueError):  # the program has gone, or found this too slow
        os._exit(0)
    keeper, pid = os.getpid(), os.fork()
    if pid == 0:
        line.close()
        _become_stage(request, streams, keeper)
        return
    status = _watch(line, pid, interrupts)
    with contextlib.suppress(OSError):
        line.send(str(status).encode())
    os._exit(0)


def _receive(line: socket.socket) -> tuple[dict[str, Any], list[int]]:
    head, streams, _, _ = socket.recv_fds(line, 8, 3)
    missing, content = int.from_bytes(head, "big"), b""
    while len(content) < missing:
        part = line.recv(missing - len(content))
        if not part:
            raise ValueError("the line was cut")
        content += part
    return json.loads(content), streams


def _watch(line: socket.socket, pid: int, interrupts: list[int]) -> int:
    """The fork's status when it has ended; it is killed when the program it stands for is."""
    ended = os.pidfd_open(pid)
    while True:
        ready = select.select([line.fileno(), ended], [], [])[0]
        if ended in ready:
            return os.waitpid(pid, 0)[1]
        letter = line.recv(1)
        if letter == b"T":
            os.kill(pid, signal.SIGTERM)
        elif letter == b"I":
            # Ctrl-C reaches the whole group, this process and the stage too; a signal to the one program only does not
            select.select([], [], [], 0.05)
            if not interrupts:
                os.kill(pid, signal.SIGINT)
            interrupts.clear()
        else:
            os.kill(pid, signal.SIGKILL)
            os._exit(0)


def _become_stage(request: dict[str, Any], streams: list[int], keeper: int) -> None:
    """Take over everything by which one process differs from another."""
    _die_with(keeper)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.umask(request["umask"])
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv, sys.path[:] = request["arguments"], request["path"]
    # the standard streams live as long as the process
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1 if os.isatty(1) else -1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # forks would otherwise all draw the same


def _die_with(parent: int) -> None:
    """Have the system kill this process when its parent dies, so that no stage runs on unseen."""
    import ctypes

    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        os._exit(1)


if __name__ == "__main__":
    main()
    runpy.run_module("etholoop", run_name="__main__", alter_sys=True)
