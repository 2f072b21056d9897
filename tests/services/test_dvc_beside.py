"""Two stages beside each other under DVC: they overlap, both are noted down, and a failure loses no work of the other."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from etholoop.project import Project
from etholoop.services import dvc, dvc_beside, process

STAGE = """
import sys, time
from pathlib import Path
from etholoop.services.dvc_beside import noted

own, other, status = sys.argv[1:]
with noted(own):
    Path(f"{own}.there").touch()
    deadline = time.monotonic() + 60
    # ends only when the other one is at work at the same time
    while not Path(f"{other}.there").exists():
        assert time.monotonic() < deadline, f"{other} did not come"
        time.sleep(0.05)
    print(f"{own} says hello")
    if status != "0":
        sys.exit(int(status))
    Path(f"{own}.out").write_text(own)
"""


def make(folder, one_ends=0, two_ends=0):
    project = Project(folder)
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    dvc.init(project)
    (folder / "stage.py").write_text(STAGE)
    (folder / "in.txt").write_text("input")
    command = f"{sys.executable} stage.py"
    (folder / "dvc.yaml").write_text(
        f"""stages:
  before: {{cmd: "{sys.executable} -c 'import shutil; shutil.copy(\\"in.txt\\", \\"between.txt\\")'", deps: [in.txt], outs: [between.txt]}}
  one: {{cmd: {command} one two {one_ends}, deps: [between.txt], outs: [one.out]}}
  two: {{cmd: {command} two one {two_ends}, deps: [between.txt], outs: [two.out]}}
"""
    )
    return project


def test_both_run_at_the_same_time_and_dvc_knows_both(tmp_path, capfd):
    project = make(tmp_path / "p")
    assert dvc_beside.repro(project, "one", "two") == 0
    assert sorted(dvc.lock(project)) == ["before", "one", "two"]
    assert dvc.status(project) == {}
    assert (project / "one.out").read_text() == "one" and (project / "two.out").read_text() == "two"
    said = capfd.readouterr().out
    assert "Running stage 'two' beside 'one'" in said and "runs/two.log" in said and "two says hello" in said


@pytest.mark.parametrize(("ends", "kept", "failed"), [((0, 3), "one", "two"), ((3, 0), "two", "one")])
def test_what_the_other_one_made_is_kept_when_one_fails(tmp_path, capfd, ends, kept, failed):
    project = make(tmp_path / "p", *ends)
    assert dvc_beside.repro(project, "one", "two") != 0
    assert kept in dvc.lock(project) and failed not in dvc.lock(project)
    assert (project / f"{kept}.out").exists() and not (project / f"{failed}.out").exists()
    said = capfd.readouterr()
    assert f"failed to reproduce '{failed}'" in said.out + said.err


ENDLESS = """
import sys, time
from pathlib import Path
from etholoop.services.dvc_beside import noted

with noted(sys.argv[1]):
    Path(f"{sys.argv[1]}.there").touch()
    try:
        time.sleep(300)
    except KeyboardInterrupt:
        Path(f"{sys.argv[1]}.stopped").touch()
        raise
"""


def test_ctrl_c_reaches_both_and_nothing_is_left_running(tmp_path):
    project = make(tmp_path / "p")
    (project / "stage.py").write_text(ENDLESS)
    code = "import sys; from pathlib import Path; from etholoop.project import Project; from etholoop.services import dvc_beside"
    code += "; dvc_beside.repro(Project(Path(sys.argv[1])), 'one', 'two')"
    running = subprocess.Popen([sys.executable, "-c", code, str(project.root)], start_new_session=True, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not all((project / f"{name}.there").exists() for name in ("one", "two")):
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    assert "KeyboardInterrupt" in running.communicate(timeout=60)[1]
    assert all((project / f"{name}.stopped").exists() for name in ("one", "two"))
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)
    assert dvc.status(project).keys() == {"before", "one", "two"} - set(dvc.lock(project))


def test_the_second_is_left_alone_when_the_first_has_nothing_to_do(tmp_path):
    project = make(tmp_path / "p")
    assert dvc_beside.repro(project, "one", "two") == 0
    (project / "two.out").unlink()
    assert dvc_beside.repro(project, "one", "two") == 0
    assert not (project / "two.out").exists()


def test_a_stage_by_itself_notes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv(dvc_beside.VARIABLE, f"1:{tmp_path}")
    with dvc_beside.noted("annotations"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_stage_ends_only_when_the_other_ones_result_is_noted_down(tmp_path, monkeypatch):
    monkeypatch.setenv(dvc_beside.VARIABLE, f"{os.getpid()}:{tmp_path}")
    for stage in ("one", "two"):
        (tmp_path / stage).touch()
    with dvc_beside.noted("one"):
        assert (tmp_path / "one.begun").exists() and not (tmp_path / "one.ended").exists()
    ended = threading.Event()

    def work() -> None:
        with dvc_beside.noted("two"):
            pass
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert not ended.wait(0.5)
    (tmp_path / "one.saved").touch()
    assert ended.wait(20)
    thread.join()


def test_a_stage_does_not_wait_for_a_starter_that_is_gone(tmp_path, monkeypatch):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setenv(dvc_beside.VARIABLE, f"{gone.pid}:{tmp_path}")
    for name in ("one", "two", "one.ended"):
        (tmp_path / name).touch()
    start = time.monotonic()
    with dvc_beside.noted("two"):
        pass
    assert (tmp_path / "two.ended").exists() and time.monotonic() - start < 20


TWO_STAGES = "stages: {pose_train: {cmd: a, outs: [a]}, refine_train: {cmd: b, outs: [b]}, predict: {cmd: c, deps: [a, b]}}"


@pytest.fixture
def asked(monkeypatch):
    """What DVC is asked to do, which is not done."""
    commands: list[list[str]] = []
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(dvc_beside, "repro", lambda _, *pair: commands.append(["beside", *pair]) or 0)
    monkeypatch.setattr(process, "stream", lambda arguments, _: commands.append(arguments) or 0)
    return commands


def settings(folder, threads=(1, 1)):
    text = [f"{name}: {{settings: {{threads: {n or 'null'}}}}}" for name, n in zip(dvc.TRAININGS, threads, strict=True)]
    (folder / "params.yaml").write_text("\n".join(text))
    (folder / "dvc.yaml").write_text(TWO_STAGES)
    project = Project(folder)
    project.snapshot.parent.mkdir(parents=True)
    project.snapshot.write_text('{"frames": [{"frame": 3}]}')
    return project


@pytest.mark.parametrize(
    ("threads", "targets", "beside"),
    [((1, 1), [], True), ((1, None), [], False), ((1000, 1), [], False), ((1, 1), ["pose_train"], False), ((1, 1), ["predict"], True)],
)
def test_trainings_run_beside_each_other_where_their_threads_fit(tmp_path, asked, threads, targets, beside):
    dvc.repro(settings(tmp_path, threads), targets)
    assert len(asked) == 1 + beside
    assert (asked[0] == ["beside", *dvc.TRAININGS]) == beside


def test_without_labels_there_is_nothing_to_train(tmp_path, asked):
    project = settings(tmp_path)
    project.snapshot.write_text('{"frames": []}')
    dvc.repro(project, [])
    assert len(asked) == 1


def test_trainings_that_are_up_to_date_start_no_second_dvc(tmp_path, asked):
    project = settings(tmp_path)
    pointer = project.snapshot.with_name(f"{project.snapshot.name}.dvc")
    pointer.write_text("outs: [{md5: abc, path: snapshot.json}]")
    done = {name: {"params": {"params.yaml": {name: {"settings": {"threads": 1}}}}} for name in dvc.TRAININGS}
    labels = {"annotations": {"deps": [{"path": str(project.snapshot.relative_to(project.root)), "md5": "abc"}]}}
    (tmp_path / "dvc.lock").write_text(json.dumps({"stages": done | labels}))
    dvc.repro(project, [])
    assert len(asked) == 1
    pointer.write_text("outs: [{md5: new labels, path: snapshot.json}]")
    dvc.repro(project, [])
    assert asked[1] == ["beside", *dvc.TRAININGS]
