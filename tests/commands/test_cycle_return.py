"""Back to a closed cycle and forward again, with uncommitted work kept safe. Real Git and DVC on a project of three small files."""

import json

import pytest
import yaml

from etholoop.commands import _cycle_return as cycles
from etholoop.commands import cycle as command
from etholoop.errors import EthoLoopError
from etholoop.io import snapshot
from etholoop.io.memo import file_digest
from etholoop.project import Project
from etholoop.services import dvc, git, git_return, process

LABELS = "label_studio/exports/snapshot.json"


def write(project, name, text):
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # DVC's links are read-only
    path.write_text(text)
    return path


def work(project, cycle, n_labels):
    """What a cycle leaves behind: labels and weights (DVC), parameters, a batch and a ledger (Git)."""
    records = [{"uid": f"v:{n:08d}", "annotator": "anna", "status": "no_animal", "note": "", "instances": []} for n in range(n_labels)]
    project.snapshot.unlink(missing_ok=True)
    snapshot.write(snapshot.Snapshot(records), project.snapshot)
    weights = write(project, "models/pose/best.pt", f"weights of {cycle}")
    batch = write(project, "data/selection/batch.parquet", f"batch of {cycle}")
    dvc.add(project, project.snapshot, weights, batch)
    write(project, "params.yaml", f"cycle:\n  id: {cycle}\npose_train:\n  epochs: {n_labels}\n")
    write(project, "dvc.lock", f"schema: '2.0'\nstages: {{}}\n# {cycle}\n")
    ledger = {
        "cycle": cycle, "snapshot_md5": dvc.file_md5(project.snapshot), "dvc_lock_md5": dvc.lock_digest(project),
        "weights": {"pose": file_digest(weights)}, "batch_sha256": file_digest(batch), "split_md5": "s", "init_weights_md5": "i",
        "labels": {"frames": n_labels}, "metrics": {"box_ap": n_labels / 10, "ci": {"box_ap": [0.1, 0.9]}}, "promoted": True,
        "reason": "better",
    }  # fmt: skip
    write(project, f"cycles/{cycle}.json", json.dumps(ledger))
    git.commit(project, f"Close {cycle}")
    git.tag(project, f"cycle/{cycle}", cycle)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("cycles"))
    git.init(project)
    dvc.init(project)
    write(project, "dvc.yaml", "stages: {}\n")
    write(project, ".gitignore", ".label_studio/\n")
    for cycle, n_labels in (("c001", 2), ("c002", 5)):
        work(project, cycle, n_labels)
    write(project, "params.yaml", "cycle:\n  id: c003\npose_train:\n  epochs: 5\n")
    git.commit(project, "Open c003")
    return project


@pytest.fixture
def project(made):
    yield made
    process.run(["git", "checkout", "--quiet", "--force", "main"], made.root)
    process.run(["dvc", "checkout", "--quiet", "--force"], made.root)


def state(project):
    return {name: (project / name).read_bytes() for name in (LABELS, "models/pose/best.pt", "data/selection/batch.parquet", "params.yaml")}


def test_there_and_back_every_byte_is_the_same(project):
    newest = state(project)
    said = cycles.restore(project, "c001")
    assert "up to date" in said[0]
    old = state(project)
    assert old["models/pose/best.pt"] == b"weights of c001" and len(snapshot.read(project.snapshot).frames) == 2
    assert git_return.branch(project) is None and git.dirty(project) == []
    assert cycles.reopen(project) == ["back on branch main; c003 is open"]
    assert state(project) == newest
    cycles.restore(project, "c001")
    assert state(project) == old, "the same bytes every time"


def test_from_one_old_cycle_to_another_and_home(project):
    cycles.restore(project, "c001")
    cycles.restore(project, "c002")
    assert (project / "models/pose/best.pt").read_text() == "weights of c002"
    assert "branch main" in cycles.reopen(project)[0]


@pytest.mark.parametrize("name", ["params.yaml", LABELS, "notes.txt"])
def test_work_that_is_not_committed_stops_it_and_stays(project, name):
    before = (project / name).read_text() if (project / name).exists() else ""
    write(project, name, before.replace("no_animal", "unusable") + " ")
    try:
        with pytest.raises(EthoLoopError, match=name.split("/")[-1]):
            cycles.restore(project, "c001")
        assert git_return.branch(project) == "main"
        assert (project / name).read_text().endswith(" ")
    finally:
        (project / name).unlink()


def test_data_that_are_gone_leave_everything_as_it_was(project):
    newest = state(project)
    pointer = yaml.safe_load(process.run(["git", "show", "cycle/c001:models/pose/best.pt.dvc"], project.root))["outs"][0]["md5"]
    held = project / ".dvc/cache/files/md5" / pointer[:2] / pointer[2:]
    aside = held.rename(project / ".dvc/tmp/aside")
    try:
        with pytest.raises(EthoLoopError, match="everything is as it was"):
            cycles.restore(project, "c001")
        assert state(project) == newest and git_return.branch(project) == "main" and git.dirty(project) == []
    finally:
        aside.rename(held)


def test_an_unknown_cycle_is_named(project):
    with pytest.raises(EthoLoopError, match="there are c001, c002"):
        cycles.restore(project, "c009")


def test_a_cycle_can_be_gone_on_from_on_a_branch_of_its_own(project):
    cycles.restore(project, "c001")
    with pytest.raises(EthoLoopError, match="--branch NAME"):
        cycles.open_new(project, "c010", "")
    with pytest.raises(EthoLoopError, match="cycle open"):
        command._require_closable(project, "c001")
    assert "c010 is open on branch again" in cycles.open_new(project, "c010", "again")[0]
    assert yaml.safe_load(project.params.read_text())["cycle"]["id"] == "c010"
    assert len(snapshot.read(project.snapshot).frames) == 2
    with pytest.raises(EthoLoopError, match="was closed already"):
        cycles.open_new(project, "c002", "")
    with pytest.raises(EthoLoopError, match="no id of a cycle"):
        cycles.open_new(project, "ten", "")


def test_two_cycles_side_by_side(project):
    lines = cycles.compare(project, "c001", "c002")
    text = "\n".join(lines)
    assert [line.split() for line in lines if line.startswith("labelled frames")] == [["labelled", "frames", "2", "5", "+3"]]
    assert "0.2000 [0.100, 0.900]" in text and "+0.3000" in text
    assert "parameter pose_train.epochs: 2 → 5" in lines
    assert any(line.startswith("weights of pose") and line.endswith("differs") for line in lines)
    assert any(line.startswith("splits") and line.endswith("the same") for line in lines)


def test_a_list_of_no_cycles_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("etholoop.project.find_project", lambda: Project(tmp_path))
    command.list_command()
    assert "no cycle was closed yet" in capsys.readouterr().out
