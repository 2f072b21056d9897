"""How long thousands of tasks take to push and to pull, and whether kills leave duplicates or lose labels, on a real server.

Usage: python benchmarks/label_studio_scale.py --tasks 5000
       python benchmarks/label_studio_scale.py --tasks 300 --client-kills 40 --server-kills 10
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/browser"))

import studio_live

from etholoop.commands import labels_pull, labels_push
from etholoop.errors import EthoLoopError
from etholoop.io import label_studio_journal, snapshot
from etholoop.project import Project
from etholoop.services import dvc, label_studio, label_studio_project
from etholoop.services import label_studio_server as server

CLIENT = """
import sys
from pathlib import Path
from etholoop.commands import labels_pull, labels_push
from etholoop.project import Project
from etholoop.services import dvc
dvc.add = lambda *_: None
project = Project(Path(sys.argv[2]))
print("ready", flush=True)
labels_push.push(project, labels_push.Order(media="http://m/")) if sys.argv[1] == "push" else labels_pull.pull(project)
"""

MEASURED = """
import json, resource, sys, time
from pathlib import Path
from etholoop.commands import labels_pull, labels_push
from etholoop.project import Project
from etholoop.services import dvc
dvc.add = lambda *_: None
project, start = Project(Path(sys.argv[2])), time.monotonic()
labels_push.push(project, labels_push.Order(media="http://m/")) if sys.argv[1] == "push" else labels_pull.pull(project)
usage = resource.getrusage(resource.RUSAGE_SELF)
said = {"wall_s": time.monotonic() - start, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}
print(json.dumps({name: round(value, 1) for name, value in said.items()}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--client-kills", type=int, default=0)
    parser.add_argument("--server-kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    dvc.add = lambda *_: None  # DVC is not what is measured
    with tempfile.TemporaryDirectory(prefix="etholoop-scale-") as folder:
        project = make_project(Path(folder), args.tasks)
        port = studio_live.free_port()
        server.start(project, port)
        try:
            result = kills(project, port, args) if args.client_kills or args.server_kills else scale(project)
        finally:
            server.stop(server.place(project))
    print(json.dumps({"tasks": args.tasks, **result}, indent=1))


def make_project(root: Path, n_tasks: int) -> Project:
    project = studio_live.make_project(root, n_frames=1, n_held_out=0)
    studio_live.write_tasks(project, [studio_live.question(number, "batch", number) for number in range(n_tasks)])
    (server.place(project).media / "frames/cage1").mkdir(parents=True, exist_ok=True)
    for number in range(n_tasks):  # pictures are not what is measured: an empty file each
        (server.place(project).media / f"frames/cage1/{number:08d}.png").touch()
    return project


def scale(project: Project) -> dict[str, float]:
    """Push and pull twice each, in processes of their own: so each peak of memory is that of one command."""
    found: dict[str, float] = {}
    for name, work in (("push", "push"), ("push_again", "push"), ("pull", "pull"), ("pull_again", "pull")):
        if name == "pull":
            with label_studio.connect(project) as client:
                submit(client, project)
        found |= measured(name, work, project)
    found["labels"] = len(snapshot.read(project.snapshot).frames)
    return found


def measured(name: str, work: str, project: Project) -> dict[str, float]:
    """Wall seconds and peak memory of one command; told at once, with the share of a core that was to be had: on a busy machine the wall
    says little."""
    done = subprocess.run([sys.executable, "-c", MEASURED, work, str(project.root)], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{name}: {said['wall_s']} s (client {said['cpu_s']} s of a core; machine's load {busy})", file=sys.stderr, flush=True)
    return {f"{name}_s": said["wall_s"], f"{name}_peak_mb": said["peak_mb"]}


def submit(client: label_studio.Client, project: Project) -> None:
    """An answer to every task. One by one that takes an hour; tasks that come with their answers take the place of those without."""
    number = label_studio_project.find(client, labels_push.project_key(project), "frame")["id"]
    tasks = client.task_list(number)
    client._write("POST", "/api/dm/actions", {"selectedItems": {"all": True, "excluded": []}}, {"id": "delete_tasks", "project": number})
    questions = {question["uid"]: question for question in json.loads((project.batches / "c001.json").read_text())["questions"]}
    order = labels_push.Order(media="http://m/")
    answered = []
    for task in tasks:
        made = labels_push._task(project, questions[task["data"]["uid"]], "c001", order)
        answered.append({**made, "annotations": [{"result": made["predictions"][0]["result"], "completed_by": 1}]})
    for part in label_studio.chunks(answered):
        client.import_tasks(number, part)


def kills(project: Project, port: int, args: argparse.Namespace) -> dict[str, object]:
    """Kill the client or the server at random moments, while tasks are pushed and, once they are answered, pulled."""
    rng = random.Random(args.seed)
    plan = ["client"] * args.client_kills + ["server"] * args.server_kills
    rng.shuffle(plan)
    half = len(plan) // 2
    for victim in plan[:half]:
        kill_during("push", victim, project, port, rng)
    labels_push.push(project, labels_push.Order(media="http://m/"))
    with label_studio.connect(project) as client:
        number = label_studio_project.find(client, labels_push.project_key(project), "frame")["id"]
        tasks = client.task_list(number)
        uids = [task["data"]["uid"] for task in tasks]
        bare = sum(task["total_predictions"] != 1 for task in tasks)
        submit(client, project)
    for victim in plan[half:]:
        kill_during("pull", victim, project, port, rng)
    labels_pull.pull(project)
    list(label_studio_journal.entries(labels_pull.journal_folder(project)))
    labels = snapshot.read(project.snapshot).frames
    return {
        "kills": len(plan), "duplicates": len(uids) - len(set(uids)), "missing_tasks": args.tasks - len(set(uids)),
        "tasks_without_exactly_one_prediction": bare, "lost_labels": args.tasks - len(labels),
    }  # fmt: skip


def kill_during(what: str, victim: str, project: Project, port: int, rng: random.Random) -> None:
    worker = subprocess.Popen([sys.executable, "-c", CLIENT, what, str(project.root)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert worker.stdout and worker.stdout.readline() == b"ready\n"
    time.sleep(rng.uniform(0, 3 if what == "push" else 2))
    if victim == "client":
        worker.kill()
        worker.wait()
        return
    os.killpg(server.running(server.place(project)).pid, signal.SIGKILL)
    worker.wait()
    until = time.monotonic() + 30
    while (server.running(server.place(project)) or taken(port)) and time.monotonic() < until:
        time.sleep(0.05)  # a killed process and its port may be seen for a moment more
    server.start(project, port)


def taken(port: int) -> bool:
    try:
        server.refuse_taken(port)
    except EthoLoopError:
        return True
    return False


if __name__ == "__main__":
    main()
