"""Pulling while a real `dvc repro` is reading the labels: nothing is lost, and DVC knows that its result is out of date."""

import subprocess
import time

import pytest
from fake_studio import FakeStudio
from test_label_studio_commands import made_project

from etholoop.commands import labels_pull, labels_push
from etholoop.commands.labels_push import Order
from etholoop.io import snapshot
from etholoop.services import dvc, git, label_studio, process

pytestmark = pytest.mark.slow

PIPELINE = """stages:
  annotations:
    cmd: cp label_studio/exports/snapshot.json read.json && touch started && sleep 6
    deps: [label_studio/exports/snapshot.json]
    outs: [read.json]
"""


def test_labels_that_come_during_a_repro_are_not_taken_for_computed(tmp_path, monkeypatch):
    studio = FakeStudio()
    monkeypatch.setattr(label_studio, "connect", lambda project: studio.client())
    project = made_project(tmp_path / "p")
    (project / "dvc.yaml").write_text(PIPELINE)
    git.init(project)
    dvc.init(project)
    dvc.add(project, project.snapshot)
    labels_push.push(project, Order())
    studio.answer_all_as_drawn()
    command = ["dvc", "repro", "--quiet"]
    with subprocess.Popen(command, cwd=project.root, env=process.environment(project.root)) as repro:
        while not (project / "started").exists():
            assert repro.poll() is None
            time.sleep(0.1)
        said: list[str] = []
        labels_pull.pull(project, say=said.append)
        assert any("waiting" in line for line in said)
        assert repro.wait() == 0
    assert len(snapshot.read(project.snapshot).frames) == 4
    assert snapshot.read(project / "read.json").frames == [], "the stage had read the labels as they were"
    assert "annotations" in dvc.status(project), "and DVC knows that there are newer ones"
    subprocess.run(command, cwd=project.root, env=process.environment(project.root), check=True)
    assert len(snapshot.read(project / "read.json").frames) == 4
    assert dvc.status(project) == {}
