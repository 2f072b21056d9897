"""A Label Studio server of one's own: installed apart, on this machine only, its data kept between starts.

It lives in ``.label_studio/`` beside the project's ``.dvc``, a folder that ignores itself in Git: ``data/`` (database, uploads),
``media/{frames,proxies}`` (the only files it serves), ``secret.json`` (mode 0600), ``server.log`` and ``running.json``.
The program itself is installed once per user, because its dependencies do not agree with those of the pipeline.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from etholoop.errors import EthoLoopError
from etholoop.project import Project

VERSION = "1.23.2"
"""The Label Studio that is installed; what EthoLoop's tests ran against."""

HOST = "127.0.0.1"
PORT = 8080
USER = "etholoop@localhost"
START_TIMEOUT_S = 300.0
"""The first start makes the database: half a minute on a quiet machine."""

VENV_VARIABLE = "ETHOLOOP_LABEL_STUDIO_VENV"
"""Environment variable: a virtual environment that already holds Label Studio."""

KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "SYSTEMROOT")
"""The server is started with nothing else of our environment: no PYTHONPATH, and no settings meant for another Label Studio."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """Paths of a project's own server."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def media(self) -> Path:
        """Holds ``frames`` and ``proxies``, the only folders whose files the server gives out."""
        return self.root / "media"

    @property
    def secret(self) -> Path:
        return self.root / "secret.json"

    @property
    def log(self) -> Path:
        return self.root / "server.log"

    @property
    def running(self) -> Path:
        return self.root / "running.json"


@dataclass(frozen=True)
class Secret:
    """How to log in: by hand (e-mail and password) and by program (token)."""

    email: str
    password: str
    token: str


@dataclass(frozen=True)
class Running:
    """A server that answers or is starting; ``started`` tells it from another process with the same number."""

    pid: int
    port: int
    started: float

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


def place(project: Project) -> Place:
    """The server's folder, made when new; it ignores itself in Git and DVC never looks into it."""
    root = project / ".label_studio"
    for folder in (root, root / "data", root / "media/frames", root / "media/proxies"):
        folder.mkdir(parents=True, exist_ok=True)
    root.chmod(0o700)
    if not (root / ".gitignore").is_file():
        (root / ".gitignore").write_text("*\n", encoding="utf-8")
    return Place(root)


# --- the program -------------------------------------------------------------------------------------------------------------------


def venv_folder() -> Path:
    """Where Label Studio is, or will be installed."""
    given = os.environ.get(VENV_VARIABLE)
    if given:
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / f"etholoop/label-studio-{VERSION}"


def installed_version() -> str | None:
    """Version of Label Studio in its environment; None where there is none or the installation was not finished."""
    found = sorted(venv_folder().glob("lib/python3*/site-packages/label_studio-*.dist-info"))
    complete = os.environ.get(VENV_VARIABLE) or (venv_folder() / "complete").is_file()
    return found[-1].name.removeprefix("label_studio-").removesuffix(".dist-info") if found and complete else None


def install(say: Say = print) -> Path:
    """Install Label Studio into its own environment unless it is there; returns the program's path.

    Raises:
        EthoLoopError: pip could not; its last lines are in the message.
    """
    folder = venv_folder()
    program = folder / ("Scripts/label-studio.exe" if os.name == "nt" else "bin/label-studio")
    if installed_version() == VERSION and program.is_file():
        return program
    if os.environ.get(VENV_VARIABLE):
        raise EthoLoopError(
            f"{VENV_VARIABLE}={folder} holds Label Studio {installed_version() or '(none)'}, needed is {VERSION}. Unset it, or install "
            f"label-studio=={VERSION} there."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if installed_version() != VERSION:
            say(f"installing Label Studio {VERSION} into {folder} (once; about 1 GB, 2 to 5 minutes)")
            shutil.rmtree(folder, ignore_errors=True)
            _pip_install(folder)
            (folder / "complete").touch()
    return program


def _pip_install(folder: Path) -> None:
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    steps = [
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"label-studio=={VERSION}"],
    ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False, env=_clean_environment(pip=True))
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
            raise EthoLoopError(f"Label Studio {VERSION} could not be installed into {folder}:\n{tail}\nIs the package index in reach?")


def _clean_environment(*, pip: bool = False) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in KEPT_VARIABLES}
    if pip:  # proxies and the index the user has set
        prefixes = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_", "REQUESTS_")
        kept |= {name: value for name, value in os.environ.items() if name.startswith(prefixes)}
    return kept


# --- secret ------------------------------------------------------------------------------------------------------------------------


def secret(where: Place) -> Secret:
    """The log-in, made up on first use; readable by this user only, and outside of Git."""
    try:
        return Secret(**json.loads(where.secret.read_text(encoding="utf-8")))
    except FileNotFoundError:
        made = Secret(USER, secrets.token_urlsafe(18), secrets.token_hex(20))
        write_private(where.secret, asdict(made))
        return made
    except (ValueError, TypeError) as error:
        raise EthoLoopError(f"{where.secret}: not readable ({error}). Restore it: without it nobody can log in to {where.data}.") from None


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Write JSON that only this user may read; the file never exists with wider rights."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=2)
        stream.write("\n")
    temporary.replace(path)


# --- start, look, stop -------------------------------------------------------------------------------------------------------------


def settings(where: Place, login: Secret, port: int) -> dict[str, str]:
    """Environment of the server: loopback, closed sign-up, nothing sent anywhere, files from the media folder only."""
    own = {
        "BASE_DATA_DIR": str(where.data),
        "USERNAME": login.email,
        "PASSWORD": login.password,
        "USER_TOKEN": login.token,
        "ENABLE_LEGACY_API_TOKEN": "true",
        "DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "ALLOWED_HOSTS": f"{HOST},localhost",
        "CORS_ALLOW_ALL_ORIGINS": "false",
        "CORS_ALLOWED_ORIGINS": f"http://{HOST}:{port},http://localhost:{port}",
        "LOCAL_FILES_SERVING_ENABLED": "true",
        "LOCAL_FILES_DOCUMENT_ROOT": str(where.media),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "DEBUG": "false",
    }
    return _clean_environment() | {f"LABEL_STUDIO_{name}": value for name, value in own.items()} | {"PYTHONUNBUFFERED": "1"}


def start(project: Project, port: int = PORT, say: Say = print) -> tuple[Running, "subprocess.Popen[bytes]"]:
    """Start the project's server and wait until it answers.

    Raises:
        EthoLoopError: it runs already, the port is taken, or it stopped; the end of its log is in the message.
    """
    where = place(project)
    with FileLock(str(where.root / "start.lock")):
        present = running(where)
        if present:
            raise EthoLoopError(
                f"Label Studio runs already at {present.url} (process {present.pid}). `etholoop labels serve --stop` ends it."
            )
        refuse_taken(port)
        program = install(say)
        login = secret(where)
        arguments = [str(program), "start", "--no-browser", "--internal-host", HOST, "--port", str(port), "--enable-legacy-api-token"]
        with where.log.open("ab") as log:
            where.log.chmod(0o600)
            process = subprocess.Popen(
                arguments,
                cwd=where.root,
                env=settings(where, login, port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        found = Running(process.pid, port, psutil.Process(process.pid).create_time())
        write_private(where.running, asdict(found))
    try:
        _wait_until_it_answers(found, process, where)
    except BaseException:
        stop(where)
        raise
    return found, process


def refuse_taken(port: int) -> None:
    """Label Studio would quietly take the next port; people would look in vain at the one they asked for."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise EthoLoopError(f"port {port} is taken by another program. Choose another one with --port, or end that program.") from None


def running(where: Place) -> Running | None:
    """The server that was started here and is still alive."""
    try:
        found = Running(**json.loads(where.running.read_text(encoding="utf-8")))
        alive = abs(psutil.Process(found.pid).create_time() - found.started) < 1.0
    except (FileNotFoundError, ValueError, TypeError, psutil.NoSuchProcess):
        return None
    return found if alive and psutil.Process(found.pid).status() != psutil.STATUS_ZOMBIE else None


def answers(url: str, timeout_s: float = 2.0) -> bool:
    """Whether a Label Studio server says that it is up."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=timeout_s) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError, ValueError):
        return False


def stop(where: Place, timeout_s: float = 15.0) -> bool:
    """End the project's server and what it started; False when none was running."""
    found = running(where)
    where.running.unlink(missing_ok=True)
    if not found:
        return False
    family = [psutil.Process(found.pid)]
    family += family[0].children(recursive=True)
    for member in family:
        _signal(member, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(family, timeout=timeout_s)
    for member in stubborn:
        _signal(member, getattr(signal, "SIGKILL", signal.SIGTERM))
    psutil.wait_procs(stubborn, timeout=5)
    return True


def log_tail(where: Place, n_lines: int = 15) -> str:
    """The end of the server's log."""
    try:
        return "\n".join(where.log.read_text(encoding="utf-8", errors="replace").splitlines()[-n_lines:])
    except FileNotFoundError:
        return "(no log)"


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _wait_until_it_answers(found: Running, process: "subprocess.Popen[bytes]", where: Place) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise EthoLoopError(
                f"Label Studio stopped while starting (status {process.returncode}). End of {where.log}:\n{log_tail(where)}"
            )
        if answers(found.url):
            return
        time.sleep(0.3)
    raise EthoLoopError(f"Label Studio did not answer within {START_TIMEOUT_S:.0f} s. End of {where.log}:\n{log_tail(where)}")
