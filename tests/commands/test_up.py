"""One command for all servers: what starts, what is left out and why, and how they end."""

import socket
import sys

import pytest

from etholoop.commands import up
from etholoop.errors import EthoLoopError
from etholoop.project import Project
from etholoop.services import label_studio_server as server


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("FIFTYONE_DATABASE_URI", raising=False)
    return Project(tmp_path)


def test_fiftyone_without_a_database_says_what_to_do(project, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(up.Path, "glob", lambda *_: iter(()))
    assert "FIFTYONE_DATABASE_URI" in up.no_fiftyone()
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", "mongodb://127.0.0.1")
    assert up.no_fiftyone() == ""


def stand_in(monkeypatch, code):
    """Every program that is started is a small Python one; its first argument is the port."""
    popen = up.subprocess.Popen

    def started(arguments, *_, **options):
        if "--port" not in arguments:
            return popen(arguments, **options)
        return popen([sys.executable, "-c", code, arguments[arguments.index("--port") + 1]], **options)

    monkeypatch.setattr(up.subprocess, "Popen", started)


ANSWERS = (
    "import sys; from http.server import *\n"
    "class H(BaseHTTPRequestHandler):\n"
    "    def do_GET(self): self.send_response(200); self.end_headers()\n"
    "HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()\n"
)


@pytest.mark.parametrize("database", [False, True])
def test_up_starts_what_there_is_and_down_ends_it(project, monkeypatch, database):
    stand_in(monkeypatch, ANSWERS)
    monkeypatch.setattr(up, "no_fiftyone", lambda: "" if database else "no database")
    studio = server.Running(1, free_port(), 0.0)
    monkeypatch.setattr(server, "running", lambda _: studio)
    monkeypatch.setattr(server, "stop", lambda _: True)
    said = []
    addresses = up.up(project, 1, free_port(), free_port(), said.append)
    names = ["Label Studio", "MLflow", "FiftyOne"] if database else ["Label Studio", "MLflow"]
    assert list(addresses) == [*names, "page"]
    assert said == ([] if database else ["FiftyOne is left out: no database"])
    assert up.up(project, 1, free_port(), free_port(), said.append) == addresses, "what runs goes on running"
    page = (server.place(project).root / "index.html").read_text()
    assert all(name in page for name in names)
    assert up.down(project) == names
    assert up._running(server.place(project), "mlflow") is None


def test_one_that_does_not_start_shows_its_last_words(project, monkeypatch):
    stand_in(monkeypatch, "import sys; sys.exit('no disk')")
    with pytest.raises(EthoLoopError, match="no disk"):
        up._start_mlflow(project, server.place(project), free_port())
