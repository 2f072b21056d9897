"""A small client for Label Studio's web interface: only what push and pull need, so that most server versions do.

Everything here is plain JSON in and out; what it means is told in ``io/label_studio_*.py``. A reading that fails is tried again;
a writing that fails is not, because nobody knows whether it was done: callers look, then write what is missing.
"""

import base64
import codecs
import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import httpx

from etholoop.errors import EthoLoopError
from etholoop.project import Project
from etholoop.services import label_studio_server as server

URL_VARIABLE, TOKEN_VARIABLE = "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"
CONNECTION = "connection.json"
"""In ``.label_studio/``: url and token of a server of the lab's, mode 0600."""

CHUNK = 250
"""Tasks per request; a killed push loses at most this much work, and no request grows beyond a few megabytes."""

READ_TRIES = 4
TIMEOUT_S = 120.0
DOWNLOAD_TIMEOUT_S = 900.0
"""Until the first bytes of an export come: the server puts all of it together first."""

READ_BYTES = 1 << 18
_SPACE = re.compile(r"\s*")

Json = dict[str, Any]


class ServerDownError(EthoLoopError):
    """The server does not answer, or stopped answering in the middle."""


class RefusedError(EthoLoopError):
    """The server answers, and says no."""


class Client:
    """One server and one log-in.

    Args:
        url: for example ``http://127.0.0.1:8080``.
        token: a legacy token, or a personal access token (which is traded for short-lived ones).
    """

    def __init__(self, url: str, token: str, transport: httpx.BaseTransport | None = None):
        self.url = url.rstrip("/")
        self._token = token
        self._access: tuple[str, float] | None = None
        self._http = httpx.Client(base_url=self.url, timeout=TIMEOUT_S, transport=transport, follow_redirects=True)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    # --- projects -----------------------------------------------------------------------------------------------------------------

    def version(self) -> str:
        return str(self._read("/api/version").get("release", "unknown"))

    def projects(self) -> list[Json]:
        """All projects with id, title, description, label_config and counts."""
        return list(self._pages("/api/projects", {"page_size": 100}))

    def create_project(self, content: Mapping[str, Any]) -> Json:
        return self._write("POST", "/api/projects", content)

    def update_project(self, project: int, content: Mapping[str, Any]) -> Json:
        return self._write("PATCH", f"/api/projects/{project}", content)

    def project(self, project: int) -> Json:
        return self._read(f"/api/projects/{project}")

    def local_storages(self, project: int) -> list[Json]:
        return self._read("/api/storages/localfiles", {"project": project})

    def create_local_storage(self, project: int, path: str, title: str) -> Json:
        content = {"project": project, "path": path, "title": title, "use_blob_urls": True, "regex_filter": "^$"}
        return self._write("POST", "/api/storages/localfiles", content)

    def views(self, project: int) -> list[Json]:
        return self._read("/api/dm/views", {"project": project})

    def create_view(self, project: int, data: Mapping[str, Any]) -> Json:
        return self._write("POST", "/api/dm/views", {"project": project, "data": data})

    # --- tasks --------------------------------------------------------------------------------------------------------------------

    def task_list(self, project: int, fields: Sequence[str] = ()) -> list[Json]:
        """All tasks without their annotations: id, data, total_annotations, total_predictions, overlap."""
        found: dict[int, Json] = {}
        page, total = 1, 1
        while page == 1 or (page - 1) * 1000 < total:
            reply = self._read("/api/tasks", {"project": project, "page": page, "page_size": 1000, "resolve_uri": "false"}, empty_404=True)
            total = int(reply.get("total", 0))
            found |= {task["id"]: task for task in reply.get("tasks", [])}
            page += 1
        return [found[number] for number in sorted(found)]

    def annotated_tasks(self, project: int, ids: Sequence[int]) -> Iterator[Json]:
        """Tasks with data, annotations (submitted and skipped) and drafts, by the given numbers; those deleted meanwhile are missing."""
        for start in range(0, len(ids), CHUNK):
            numbers = [("ids[]", number) for number in ids[start : start + CHUNK]]
            yield from self._read(f"/api/projects/{project}/export", [("exportType", "JSON"), ("download_all_tasks", "true"), *numbers])

    def all_annotated_tasks(self, project: int) -> Iterator[Json]:
        """Every task with data, annotations and drafts, out of one download that is kept on disk and read task by task.

        Raises:
            ServerDownError: the download broke off, also when it was tried again; nothing was yielded then.
        """
        with tempfile.TemporaryFile() as file:
            path = f"/api/projects/{project}/export"
            self._download(path, [("exportType", "JSON"), ("download_all_tasks", "true")], file)
            yield from json_items(file)

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> Json:
        return self._write("POST", f"/api/projects/{project}/import", list(tasks), {"commit_to_project": "true", "return_task_ids": "true"})

    def update_task(self, task: int, content: Mapping[str, Any]) -> Json:
        return self._write("PATCH", f"/api/tasks/{task}", content)

    def delete_task(self, task: int) -> None:
        self._write("DELETE", f"/api/tasks/{task}")

    def create_prediction(self, task: int, prediction: Mapping[str, Any]) -> Json:
        return self._write("POST", "/api/predictions", {"task": task, **prediction})

    def create_predictions(self, project: int, predictions: Sequence[Mapping[str, Any]]) -> Json:
        """Many at once; each names its task."""
        return self._write("POST", f"/api/projects/{project}/import/predictions", list(predictions))

    def create_annotation(self, task: int, annotation: Mapping[str, Any]) -> Json:
        return self._write("POST", f"/api/tasks/{task}/annotations", annotation)

    # --- people -------------------------------------------------------------------------------------------------------------------

    def users(self) -> list[Json]:
        return self._read("/api/users")

    def sign_up(self, email: str, password: str) -> None:
        """Make an account by the invitation of this organisation; sign-up without one is closed."""
        token = self._read("/api/invite")["token"]
        with httpx.Client(base_url=self.url, timeout=TIMEOUT_S, follow_redirects=False) as browser:
            browser.get("/user/signup/", params={"token": token})
            form = {"email": email, "password": password, "csrfmiddlewaretoken": browser.cookies.get("csrftoken", "")}
            reply = browser.post("/user/signup/", params={"token": token}, data=form, headers={"Referer": f"{self.url}/user/signup/"})
        if reply.status_code not in (301, 302):
            raise RefusedError(f"{self.url} made no account for {email} (status {reply.status_code}). Is there one already?")

    # --- transport ----------------------------------------------------------------------------------------------------------------

    def _pages(self, path: str, query: Json) -> Iterator[Json]:
        page = 1
        while True:
            reply = self._read(path, {**query, "page": page})
            yield from reply["results"]
            if not reply.get("next"):
                return
            page += 1

    def _read(self, path: str, query: Any = None, *, empty_404: bool = False) -> Any:
        for attempt in range(READ_TRIES):
            try:
                reply = self._http.get(path, params=query, headers=self._headers())
                if reply.status_code < 500:
                    break
            except httpx.TransportError as error:
                if attempt == READ_TRIES - 1:
                    raise ServerDownError(f"{self.url} does not answer ({_said(error)}).{_START}") from None
            time.sleep(0.2 * 2**attempt)
        if reply.status_code == 404 and empty_404:
            return {}
        return self._checked(reply)

    def _download(self, path: str, query: Any, file: IO[bytes]) -> None:
        """A reading whose answer may be large, into a file, whole."""
        for attempt in range(READ_TRIES):
            file.seek(0)
            file.truncate()
            try:
                with self._http.stream("GET", path, params=query, headers=self._headers(), timeout=DOWNLOAD_TIMEOUT_S) as reply:
                    if reply.status_code >= 400:
                        reply.read()
                    else:
                        for part in reply.iter_bytes():
                            file.write(part)
                if reply.status_code < 500:
                    break
            except httpx.TransportError as error:
                if attempt == READ_TRIES - 1:
                    raise ServerDownError(f"{self.url} does not answer ({_said(error)}).{_START}") from None
            time.sleep(0.2 * 2**attempt)
        self._refuse_bad(reply)

    def _write(self, method: str, path: str, content: Any = None, query: Any = None) -> Any:
        try:
            reply = self._http.request(method, path, json=content, params=query, headers=self._headers())
        except httpx.TransportError as error:
            raise ServerDownError(f"{self.url} stopped answering ({_said(error)}). Start it and do the same again.") from None
        return self._checked(reply)

    def _checked(self, reply: httpx.Response) -> Any:
        self._refuse_bad(reply)
        return reply.json() if reply.content else {}

    def _refuse_bad(self, reply: httpx.Response) -> None:
        if reply.status_code == 401:
            raise RefusedError(
                f"{self.url} does not know this token. Take a new one (Label Studio: Account & Settings) and run `etholoop labels connect`."
            )
        if reply.status_code >= 500:
            raise ServerDownError(f"{self.url} is in trouble (status {reply.status_code} for {reply.request.url.path}).{_START}")
        if reply.status_code >= 400:
            raise RefusedError(
                f"{self.url} refused {reply.request.method} {reply.request.url.path} (status {reply.status_code}): {_body(reply)}"
            )

    def _headers(self) -> dict[str, str]:
        if self._token.count(".") != 2:
            return {"Authorization": f"Token {self._token}"}
        if self._access is None or self._access[1] < time.time() + 30:
            reply = self._http.post("/api/token/refresh", json={"refresh": self._token})
            if reply.status_code != 200:
                raise RefusedError(f"{self.url} does not accept this personal access token (status {reply.status_code}).")
            self._access = reply.json()["access"], _expiry(reply.json()["access"])
        return {"Authorization": f"Bearer {self._access[0]}"}


_START = " Is it running? `etholoop labels serve --status` tells, `etholoop labels serve` starts it."


def connect(project: Project) -> Client:
    """The server to talk to: named in the environment, else connected to by `labels connect`, else the project's own, if it runs.

    Raises:
        EthoLoopError: there is none.
    """
    url, token = os.environ.get(URL_VARIABLE), os.environ.get(TOKEN_VARIABLE)
    if url and token:
        return Client(url, token)
    where = server.place(project)
    stored = where.root / CONNECTION
    if stored.is_file():
        content = json.loads(stored.read_text(encoding="utf-8"))
        return Client(content["url"], content["token"])
    found = server.running(where)
    if found:
        return Client(found.url, server.secret(where).token)
    raise ServerDownError(
        "no Label Studio: this project's own server does not run (start it with `etholoop labels serve --background`), "
        f"and no other one is named ({URL_VARIABLE} with {TOKEN_VARIABLE}, or `etholoop labels connect URL`)."
    )


def remember(project: Project, url: str, token: str) -> Path:
    """Keep url and token of a server for this project; readable by this user only, outside of Git."""
    path = server.place(project).root / CONNECTION
    server.write_private(path, {"url": url.rstrip("/"), "token": token})
    return path


def forget(project: Project) -> bool:
    """Go back to the project's own server; False when no other one was kept."""
    path = server.place(project).root / CONNECTION
    there = path.is_file()
    path.unlink(missing_ok=True)
    return there


def chunks(items: Sequence[Any], size: int = CHUNK) -> Iterable[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def json_items(file: IO[bytes]) -> Iterator[Any]:
    """Items of a JSON list in a file, one at a time, so that a list of any length needs the memory of its largest item.

    Raises:
        ServerDownError: the file ends within the list.
    """
    file.seek(0)
    letters, decoder = codecs.getincrementaldecoder("utf-8")(), json.JSONDecoder()
    text, place, opened, ended = "", 0, False, False
    while True:
        start = _SPACE.match(text, place).end()  # type: ignore[union-attr]
        sign, first = text[start : start + 1], _SPACE.match(text, start + 1).end()  # type: ignore[union-attr]
        if (opened and sign == "]") or (not opened and sign == "[" and text[first : first + 1] == "]"):
            return
        if sign == ("," if opened else "["):
            try:
                item, end = decoder.raw_decode(text, first)
            except ValueError:
                end = len(text)
            after = _SPACE.match(text, end).end()  # type: ignore[union-attr]
            if text[after : after + 1] and text[after] in ",]":  # else the item may go on behind what was read
                yield item
                place, opened = end, True
                continue
        if ended:
            raise ServerDownError("what the server sent breaks off in the middle. Nothing was changed; do the same again.")
        part = file.read(READ_BYTES)
        ended = not part
        text, place = text[place:] + letters.decode(part, final=ended), 0


def _expiry(token: str) -> float:
    """When an access token ends; its middle part says so."""
    middle = token.split(".")[1]
    return float(json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4))).get("exp", 0))


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _body(reply: httpx.Response) -> str:
    text = reply.text.strip()
    return text if len(text) <= 1500 else f"{text[:1500]} …"
