"""``etholoop up`` and ``etholoop down``: the labelling server and the diary of runs with one command, and a page that links them."""

import html
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project

MLFLOW_TIMEOUT_S = 120.0


def register(app: typer.Typer) -> None:
    app.command("up", short_help="Start Label Studio and MLflow.", epilog=examples("etholoop up", "etholoop up --port 9000"))(up_command)
    app.command("down", short_help="End what `up` started.", epilog=examples("etholoop down"))(down_command)


def up_command(
    port: int = typer.Option(8080, min=1, max=65534, help="Port of Label Studio on 127.0.0.1."),
    mlflow_port: int = typer.Option(5000, min=1, max=65535, help="Port of MLflow on 127.0.0.1."),
) -> None:
    """Start Label Studio and MLflow in the background, on this machine only, and write a page that links them."""
    from etholoop.project import find_project

    project = find_project()
    addresses = up(project, port, mlflow_port)
    for name, address in addresses.items():
        typer.echo(f"{name:<14}{address}")
    typer.echo("`etholoop down` ends them")


def down_command() -> None:
    """End the servers that `etholoop up` (or `labels serve --background`) started; their data stay."""
    from etholoop.project import find_project

    ended = down(find_project())
    typer.echo(f"ended: {', '.join(ended)}" if ended else "nothing was running")


def up(project: "Project", port: int, mlflow_port: int) -> dict[str, str]:
    """Start what does not run yet; addresses by name, the page's among them.

    Raises:
        EthoLoopError: a port is taken, or a server did not start; what runs already goes on running.
    """
    from etholoop.services import label_studio_server as server

    where = server.place(project)
    studio = server.running(where) or server.start(project, port, typer.echo)[0]
    mlflow = _mlflow_running(where) or _start_mlflow(project, where, mlflow_port)
    addresses = {"Label Studio": studio.url, "MLflow": f"{mlflow.url}/#/experiments"}
    return addresses | {"page": write_page(project, where.root / "index.html", addresses).as_uri()}


def down(project: "Project") -> list[str]:
    """End both; names of those that were running."""
    from etholoop.services import label_studio_server as server

    where = server.place(project)
    ended = ["Label Studio"] if server.stop(where) else []
    mlflow = _mlflow_running(where)
    (where.root / "mlflow.json").unlink(missing_ok=True)
    if mlflow:
        os.killpg(mlflow.pid, signal.SIGTERM)  # it was started as the head of its own group
        ended.append("MLflow")
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
    import psutil

    from etholoop import runtime
    from etholoop.errors import EthoLoopError
    from etholoop.services import label_studio_server as server
    from etholoop.services import mlflow_store, process

    server.refuse_taken(port)
    runtime.prepare(project.root)
    store = ["--backend-store-uri", mlflow_store.tracking_uri(project), "--artifacts-destination", str(project / "mlruns")]
    arguments = ["mlflow", "server", *store, "--host", server.HOST, "--port", str(port), "--workers", "1"]
    settings = process.environment(project.root) | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ALLOW_MODEL_CODE_EXECUTION": "false",
    }
    log = where.root / "mlflow.log"
    with log.open("ab") as stream:
        started = subprocess.Popen(
            arguments, cwd=project.root, env=settings, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
        )
    found = server.Running(started.pid, port, psutil.Process(started.pid).create_time())
    server.write_private(where.root / "mlflow.json", {"pid": found.pid, "port": port, "started": found.started})
    until = time.monotonic() + MLFLOW_TIMEOUT_S
    while time.monotonic() < until and started.poll() is None:
        if server.answers(found.url):
            return found
        time.sleep(0.3)
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
    raise EthoLoopError(f"MLflow did not start. End of {log}:\n{tail}")


def _mlflow_running(where: Any) -> Any:
    import psutil

    from etholoop.services import label_studio_server as server

    try:
        found = server.Running(**json.loads((where.root / "mlflow.json").read_text(encoding="utf-8")))
        alive = abs(psutil.Process(found.pid).create_time() - found.started) < 1.0
    except (FileNotFoundError, ValueError, TypeError, psutil.NoSuchProcess):
        return None
    return found if alive and psutil.Process(found.pid).status() != psutil.STATUS_ZOMBIE else None
