"""The server's settings and secrets, and the client's manners, without a server."""

import base64
import io
import json
import os
import socket
import time

import httpx
import psutil
import pytest

from etholoop.errors import EthoLoopError
from etholoop.project import Project
from etholoop.services import label_studio
from etholoop.services import label_studio_server as server


@pytest.fixture
def where(tmp_path):
    return server.place(Project(tmp_path))


def test_the_secret_is_strong_private_and_kept(where):
    login = server.secret(where)
    assert len(login.password) >= 20 and len(login.token) == 40
    assert where.secret.stat().st_mode & 0o777 == 0o600
    assert where.root.stat().st_mode & 0o777 == 0o700
    assert server.secret(where) == login
    where.secret.write_text("{")
    with pytest.raises(EthoLoopError, match="nobody can log in"):
        server.secret(where)


def test_the_server_is_told_to_keep_to_itself(where, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("LABEL_STUDIO_HOST", "0.0.0.0")
    settings = server.settings(where, server.secret(where), 8123)
    wanted = {
        "DISABLE_SIGNUP_WITHOUT_LINK": "true", "COLLECT_ANALYTICS": "false", "LATEST_VERSION_CHECK": "false", "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "", "CORS_ALLOW_ALL_ORIGINS": "false", "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "LOCAL_FILES_DOCUMENT_ROOT": str(where.media),
    }  # fmt: skip
    assert {name: settings[f"LABEL_STUDIO_{name}"] for name in wanted} == wanted
    assert "PYTHONPATH" not in settings and "LABEL_STUDIO_HOST" not in settings


def test_a_taken_port_is_named():
    with socket.socket() as other:
        other.bind((server.HOST, 0))
        other.listen()
        with pytest.raises(EthoLoopError, match=f"port {other.getsockname()[1]} is taken"):
            server.refuse_taken(other.getsockname()[1])


def test_another_process_with_the_same_number_is_not_our_server(where):
    present = psutil.Process(os.getpid())
    server.write_private(where.running, {"pid": os.getpid(), "port": 1, "started": present.create_time()})
    assert server.running(where) is not None
    server.write_private(where.running, {"pid": os.getpid(), "port": 1, "started": present.create_time() - 1000})
    assert server.running(where) is None
    assert server.stop(where) is False, "and it is not ended"


def test_an_unfinished_installation_does_not_count(tmp_path, monkeypatch):
    monkeypatch.delenv(server.VENV_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = server.venv_folder() / f"lib/python3.11/site-packages/label_studio-{server.VERSION}.dist-info"
    found.mkdir(parents=True)
    assert server.installed_version() is None
    (server.venv_folder() / "complete").touch()
    assert server.installed_version() == server.VERSION


def test_a_server_of_another_version_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(server.VENV_VARIABLE, str(tmp_path))
    (tmp_path / "lib/python3.11/site-packages/label_studio-1.0.0.dist-info").mkdir(parents=True)
    with pytest.raises(EthoLoopError, match=r"Label Studio 1\.0\.0, needed is"):
        server.install()


def client(answer):
    return label_studio.Client("http://studio.test", "token", httpx.MockTransport(answer))


def test_reading_is_tried_again_and_writing_is_not(monkeypatch):
    monkeypatch.setattr(label_studio.time, "sleep", lambda _: None)
    asked = []

    def answer(request):
        asked.append(request.method)
        if len(asked) < 3:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(200, json={"release": "1.23.2"})

    assert client(answer).version() == "1.23.2"
    assert asked == ["GET"] * 3
    asked.clear()
    with pytest.raises(label_studio.ServerDownError, match="stopped answering"):
        client(answer).create_project({})
    assert asked == ["POST"]


SAID = [(401, "RefusedError", "token"), (400, "RefusedError", "because"), (502, "ServerDownError", "502")]


@pytest.mark.parametrize(("status", "kind", "word"), SAID)
def test_what_the_server_says_is_passed_on(monkeypatch, status, kind, word):
    monkeypatch.setattr(label_studio.time, "sleep", lambda _: None)
    with pytest.raises(getattr(label_studio, kind), match=word):
        client(lambda _: httpx.Response(status, text="because")).users()


def test_a_personal_access_token_is_traded_for_short_lived_ones():
    seen = []

    def part(content):
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    access = f"{part({})}.{part({'exp': time.time() + 300})}.signature"

    def answer(request):
        seen.append((request.url.path, request.headers.get("Authorization")))
        return httpx.Response(200, json={"access": access} if "refresh" in request.url.path else [])

    studio = label_studio.Client("http://studio.test", "aa.bb.cc", httpx.MockTransport(answer))
    studio.users()
    studio.users()
    assert seen == [("/api/token/refresh", None), ("/api/users", f"Bearer {access}"), ("/api/users", f"Bearer {access}")]


def test_the_environment_names_the_server(tmp_path, monkeypatch):
    monkeypatch.setenv(label_studio.URL_VARIABLE, "http://lab.test/")
    monkeypatch.setenv(label_studio.TOKEN_VARIABLE, "t")
    with label_studio.connect(Project(tmp_path)) as found:
        assert found.url == "http://lab.test"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("items", [[], [1], [12, 34], [{"a": [1, "]"]}, "x,y", None, 5.5, "ü€"], [{}] * 9])
def test_a_long_list_is_read_item_by_item(monkeypatch, size, items):
    monkeypatch.setattr(label_studio, "READ_BYTES", size)
    for text in (json.dumps(items, ensure_ascii=False), json.dumps(items, indent=2)):
        assert list(label_studio.json_items(io.BytesIO(text.encode()))) == items


def test_a_download_cut_anywhere_is_told():
    whole = json.dumps([{"a": 1}, {"b": [2, 3]}])
    for length in range(len(whole) - 1):
        with pytest.raises(label_studio.ServerDownError, match="breaks off"):
            list(label_studio.json_items(io.BytesIO(whole[:length].encode())))
