"""A Label Studio in memory that can be killed at any request, before or after it did what was asked, or half way through."""

import json
from collections.abc import Callable
from typing import Any

import httpx

from etholoop.services import label_studio

Json = dict[str, Any]


class FakeStudio:
    """Answers what `services/label_studio.py` asks. ``die_at``: number of the request to die at; ``how``: before, half or after."""

    def __init__(self) -> None:
        self.projects: dict[int, Json] = {}
        self.tasks: dict[int, Json] = {}
        self.storages: list[Json] = []
        self.tabs: list[Json] = []
        self.users: list[Json] = [{"id": 1, "email": "etholoop@localhost"}, {"id": 2, "email": "anna@lab.org"}]
        self.n_requests = 0
        self.die_at: int | None = None
        self.how = "before"
        self.number = 100
        self.clock = 0

    def client(self) -> label_studio.Client:
        return label_studio.Client("http://studio.test", "token", httpx.MockTransport(self._answer))

    def kill_at(self, request: int | None, how: str = "before") -> None:
        self.n_requests, self.die_at, self.how = 0, request, how

    # --- what people do -----------------------------------------------------------------------------------------------------------

    def answer(self, uid: str, result: list[Json], user: int = 2, **more: Any) -> Json:
        """Someone submits an answer to the first task with this uid."""
        task = next(task for task in self.tasks.values() if task["data"]["uid"] == uid)
        made = {"id": self._next(), "completed_by": user, "result": result, "was_cancelled": False, "updated_at": self._now(), **more}
        task["annotations"].append(made)
        return made

    def answer_all_as_drawn(self) -> None:
        for task in self.tasks.values():
            for prediction in task["predictions"]:
                self.answer(task["data"]["uid"], prediction["result"])

    # --- requests -----------------------------------------------------------------------------------------------------------------

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.n_requests += 1
        dying = self.die_at is not None and self.n_requests >= self.die_at
        first = self.n_requests == self.die_at
        if dying and not (first and self.how != "before"):
            raise httpx.ConnectError("connection refused", request=request)
        body = json.loads(request.content) if request.content else None
        if dying and self.how == "half" and isinstance(body, list):
            body = [{key: value for key, value in item.items() if key != "predictions"} for item in body[: len(body) // 2]]
        reply = self._do(request, body)
        if dying:
            raise httpx.ReadError("connection lost", request=request)
        return httpx.Response(200, json=reply)

    def _do(self, request: httpx.Request, body: Any) -> Any:
        parts = [part for part in request.url.path.split("/") if part][1:]
        routes: dict[tuple[str, ...], Callable[[Any, Any], Any]] = {
            ("GET", "version"): lambda *_: {"release": "fake"},
            ("GET", "users"): lambda *_: self.users,
            ("GET", "projects"): lambda *_: {"results": list(self.projects.values()), "next": None},
            ("POST", "projects"): lambda _, content: self._keep(self.projects, content),
            ("GET", "storages", "localfiles"): lambda *_: self.storages,
            ("POST", "storages", "localfiles"): lambda _, content: self.storages.append(content),
            ("GET", "dm", "views"): lambda *_: self.tabs,
            ("POST", "dm", "views"): lambda _, content: self.tabs.append(content),
            ("GET", "tasks"): self._list,
        }
        route = routes.get((request.method, *parts))
        return route(request.url.params, body) if route else self._numbered(request, parts, body)

    def _numbered(self, request: httpx.Request, parts: list[str], body: Any) -> Any:
        kind, number = parts[0], int(parts[1])
        if kind == "projects" and parts[2:] == ["import"]:
            for task in body:
                made = {"annotations": [], "drafts": [], "predictions": [], "overlap": 1, "project": number, **task}
                self._keep(self.tasks, made)
            return {}
        if kind == "projects" and parts[2:] == ["import", "predictions"]:
            for item in body:
                self.tasks[item["task"]]["predictions"].append(item)
            return {}
        if kind == "projects" and parts[2:] == ["export"] and "ids[]" not in request.url.params:
            return [task for task in self.tasks.values() if task["project"] == number]
        if kind == "projects" and parts[2:] == ["export"]:
            return [self.tasks[int(task)] for task in request.url.params.get_list("ids[]") if int(task) in self.tasks]
        store = {"projects": self.projects, "tasks": self.tasks}[kind]
        if request.method == "DELETE":
            del store[number]
        elif request.method == "PATCH":
            store[number] |= body
        if kind == "projects":
            self.projects[number]["task_number"] = sum(task["project"] == number for task in self.tasks.values())
        return store.get(number, {})

    def _list(self, query: Any, _: Any) -> Json:
        found = [task for task in self.tasks.values() if task["project"] == int(query["project"])]
        page, size = int(query["page"]), int(query["page_size"])
        shown = found[(page - 1) * size : page * size]
        return {"total": len(found), "tasks": [{**task, "total_predictions": len(task["predictions"])} for task in shown]}

    def _keep(self, store: dict[int, Json], content: Json) -> Json:
        number = self._next()
        store[number] = {**content, "id": number}
        return store[number]

    def _next(self) -> int:
        self.number += 1
        return self.number

    def _now(self) -> str:
        self.clock += 1
        return f"2026-01-01T00:{self.clock // 60:02d}:{self.clock % 60:02d}Z"
