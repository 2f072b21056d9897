"""A Label Studio project kept in the state we want: screen, media, tasks, tabs. Whatever was killed before, doing it again mends it."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etholoop.services.label_studio import Client, RefusedError, chunks

TITLE_LENGTH = 50
"""Label Studio's limit."""

Json = dict[str, Any]
Say = Callable[[str], None]


@dataclass
class Pushed:
    """What a push did on the server."""

    new: int = 0
    present: int = 0
    predictions_added: int = 0
    duplicates_removed: int = 0

    def __str__(self) -> str:
        parts = [f"{self.new} new tasks", f"{self.present} there already"]
        parts += [f"{self.predictions_added} predictions put back"] if self.predictions_added else []
        parts += [f"{self.duplicates_removed} duplicates removed"] if self.duplicates_removed else []
        return ", ".join(parts)


def marker(key: str, kind: str) -> str:
    """What our project is recognised by on the server; people may rename the title as they like."""
    return f"etholoop:{key}:{kind}"


def find(client: Client, key: str, kind: str) -> Json | None:
    """The project on the server, None when there is none yet; the oldest one if a killed push ever made two."""
    found = [project for project in client.projects() if marker(key, kind) in (project.get("description") or "").split()]
    return min(found, key=lambda project: project["id"]) if found else None


def ensure(client: Client, key: str, kind: str, *, title: str, config: str, older: Sequence[str] = ()) -> Json:
    """The project with our screen; made when new, its screen put back when somebody changed it.

    ``older``: screens that hold more words, taken in turn where the server does not let go of words that labels hold.

    Raises:
        RefusedError: labels are in use that all these screens lack; the server names them.
    """
    project = find(client, key, kind)
    if project is None:
        content = {"title": title[:TITLE_LENGTH], "description": f"{marker(key, kind)} (this word is how EthoLoop finds the project)"}
        options = {
            "show_skip_button": True,
            "enable_empty_annotation": True,
            "show_annotation_history": True,
            "sampling": "Sequential sampling",
        }
        return client.create_project({**content, **options, "label_config": config})
    refused = None
    for screen in (config, *older):
        if same_config(project["label_config"], screen):
            return project
        try:
            return client.update_project(project["id"], {"label_config": screen})
        except RefusedError as error:
            refused = error
    raise RefusedError(
        f"the labelling screen of '{project['title']}' cannot be brought up to date: {refused} Labels of words that skeleton.yaml or "
        "ethogram.yaml no longer has must be pulled and changed first (behaviours: change them with `etholoop labels behaviours`, which "
        "keeps track); nothing was pushed."
    ) from None


def same_config(one: str, other: str) -> bool:
    """Whether two screens differ in nothing but white space."""
    return "".join(one.split()) == "".join(other.split())


def ensure_media(client: Client, project: int, folders: Iterable[Path]) -> None:
    """Let the server give out files of these folders; it never makes tasks of them."""
    known = {str(storage.get("path")) for storage in client.local_storages(project)}
    for folder in folders:
        if str(folder) not in known:
            client.create_local_storage(project, str(folder), f"EthoLoop {folder.name}")


def ensure_tabs(client: Client, project: int, tabs: Mapping[str, Json]) -> None:
    """Tabs of the task list by title, made when missing; others are left alone."""
    known = {str((view.get("data") or {}).get("title")) for view in client.views(project)}
    for title, data in tabs.items():
        if title not in known:
            client.create_view(project, {"title": title, **data})


def tab(filters: Mapping[str, str]) -> Json:
    """A tab of tasks whose data contain the given words, in the order in which they should be labelled."""
    items = [
        {"filter": f"filter:tasks:data.{name}", "operator": "contains", "type": "String", "value": value} for name, value in filters.items()
    ]
    return {"type": "list", "target": "tasks", "filters": {"conjunction": "and", "items": items}, "ordering": ["tasks:data.order"]}


def by_uid(tasks: Iterable[Json]) -> dict[str, list[Json]]:
    """Tasks by our uid; those of others (without one) under ''."""
    found: dict[str, list[Json]] = {}
    for task in tasks:
        found.setdefault(str((task.get("data") or {}).get("uid") or ""), []).append(task)
    return found


def reconcile(
    client: Client, project: int, tasks: Sequence[Json], people: Mapping[str, int] | None = None, say: Say = lambda _: None
) -> Pushed:
    """Bring the server to hold each task exactly once, with its prediction; what people did is never touched.

    ``people`` says by uid how many should answer a task: the server stops offering it when so many have.

    Looks, writes what is missing, and looks again until nothing is missing: so a push killed anywhere, on either side, is mended.
    """
    done = Pushed()
    for attempt in range(5):
        present = by_uid(client.task_list(project))
        missing = [task for task in tasks if task["data"]["uid"] not in present]
        if attempt == 0:
            done.present = len(tasks) - len(missing)
        done.duplicates_removed += _remove_duplicates(client, project, present)
        added = _put_back_predictions(client, project, present, tasks)
        done.predictions_added += added
        if not missing and not added:
            _set_overlap(client, present, people or {})
            return done
        for number, part in enumerate(chunks(missing), start=1):
            client.import_tasks(project, part)
            done.new += len(part)
            say(f"{min(number * len(part), len(missing))} of {len(missing)} tasks sent")
    return done


def settle(client: Client, project: int, pause_s: float = 1.0, tries: int = 30) -> None:
    """Wait until the number of tasks stands still: a server may still be working on the request of a client that was killed."""
    before = -1
    for _ in range(tries):
        now = int(client.project(project).get("task_number") or 0)
        if now == before:
            return
        before = now
        time.sleep(pause_s)


def _set_overlap(client: Client, present: Mapping[str, list[Json]], people: Mapping[str, int]) -> None:
    for uid, wanted in people.items():
        for task in present.get(uid, []):
            if task.get("overlap") != wanted:
                client.update_task(task["id"], {"overlap": wanted})


def _remove_duplicates(client: Client, project: int, present: dict[str, list[Json]]) -> int:
    """Remove tasks that stand twice, if nobody has worked on them; the oldest stays."""
    suspects = [task for uid, tasks in present.items() if uid and len(tasks) > 1 for task in tasks]
    if not suspects:
        return 0
    worked_on = {
        task["id"] for task in client.annotated_tasks(project, [task["id"] for task in suspects]) if task["annotations"] or task["drafts"]
    }
    removed = 0
    for uid, tasks in present.items():
        if not uid or len(tasks) == 1:
            continue
        kept = [task for task in tasks if task["id"] in worked_on] or tasks[:1]
        for task in tasks:
            if task not in kept:
                client.delete_task(task["id"])
                removed += 1
        present[uid] = kept
    return removed


def _put_back_predictions(client: Client, project: int, present: dict[str, list[Json]], tasks: Sequence[Json]) -> int:
    """A server killed between a task and its prediction leaves the task bare."""
    bare = [
        {"task": there["id"], **prediction}
        for task in tasks
        for there in present.get(task["data"]["uid"], [])
        if not there.get("total_predictions")
        for prediction in task.get("predictions") or []
    ]
    for part in chunks(bare):
        client.create_predictions(project, part)
    return len(bare)
