"""`etholoop runs`: a real MLflow page on this machine only, and figures that are logged once."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest


@pytest.fixture
def project_folder(tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text("{}\n")
    return tmp_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started(folder: Path, port: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "etholoop", "runs", "ui", "--port", str(port)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def page(port: int, server: subprocess.Popen, patience_s: float = 120) -> str:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        assert server.poll() is None, f"the server ended:\n{server.stdout.read()}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise AssertionError("no answer")


def listening(session: int) -> set[str]:
    """Addresses that any process of the session listens on."""
    found = set()
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session:
                found |= {entry.laddr.ip for entry in process.net_connections("inet") if entry.status == psutil.CONN_LISTEN}
        except (psutil.Error, ProcessLookupError):
            continue
    return found


@pytest.mark.slow
def test_the_page_answers_on_this_machine_only_and_ctrl_c_stops_it(project_folder):
    port = free_port()
    server = started(project_folder, port)
    try:
        assert "MLflow" in page(port, server)
        assert listening(server.pid) == {"127.0.0.1"}
        assert (project_folder / "mlflow.db").is_file()
    finally:
        os.killpg(server.pid, signal.SIGINT)
        said = server.communicate(timeout=60)[0]
    assert f"http://127.0.0.1:{port}" in said
    assert "stopped" in said
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_port_that_is_taken_is_named(project_folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = started(project_folder, port).communicate(timeout=60)[0]
    assert f"port {port}" in said and "--port" in said
    assert "Traceback" not in said
