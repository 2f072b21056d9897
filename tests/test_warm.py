"""Stages from a warm start: a stage cannot tell, nor can the program that waits for it; and nothing depends on it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from etholoop import _warm

pytestmark = pytest.mark.skipif(sys.platform != "linux" or not hasattr(os, "pidfd_open"), reason="warm starts need Linux")

STAGE = """
import json, os, signal, sys, time
what = sys.argv[2].split("-")[-1]
if what == "facts":
    umask = os.umask(0); os.umask(umask)
    facts = {"arguments": sys.argv[1:], "folder": os.getcwd(), "umask": umask, "environment": dict(os.environ), "stdin": sys.stdin.read(),
             "threads": len(os.listdir("/proc/self/task")), "main": sys.modules["__main__"].__spec__.name,
             "handlers": [str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE)]}
    facts["environment"].pop("ETHOLOOP_WARM", None)
    facts["loaded"] = sorted({"pandas", "great_expectations"} & set(sys.modules))
    print(json.dumps(facts))
elif what == "words":
    print("out"); print("err", file=sys.stderr); sys.exit("last words")
elif what == "three":
    sys.exit(3)
elif what == "fault":
    raise ValueError("not good")
elif what == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
elif what == "sleep":
    open(os.environ["NOTE"], "w").write(str(os.getpid()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted"); sys.exit(130)
"""
CLIENT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("warm", {file!r})
warm = importlib.util.module_from_spec(spec); spec.loader.exec_module(warm)
status = warm.elsewhere(sys.argv[1:])
sys.exit("no helper" if status is None else status)
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory) -> Path:
    """A package named etholoop that does what these tests ask."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "etholoop").mkdir()
    (folder / "etholoop/__init__.py").touch()
    (folder / "etholoop/__main__.py").write_text(STAGE)
    (folder / "client.py").write_text(CLIENT.format(file=_warm.__file__))
    return folder


@pytest.fixture(scope="module")
def helpers():
    with _warm.helpers():
        yield


def start(code: Path, name: str, *, warm: bool, **more) -> subprocess.Popen:
    program = [str(code / "client.py")] if warm else ["-m", "etholoop"]
    environment = {**os.environ, "PYTHONPATH": str(code), "NOTE": str(code / "note"), "FOO": "bär"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, *program, "stage", name, "--more"], env=environment, text=True, **pipes, **more)


def told(code: Path, name: str, *, warm: bool, **more) -> tuple[int, str, str]:
    process = start(code, name, warm=warm, **more)
    out, err = process.communicate("asked", timeout=120)
    return process.returncode, out, err


def test_a_stage_sees_the_same_world(helpers, code, tmp_path):
    seen = [json.loads(told(code, "facts", warm=warm, cwd=tmp_path, umask=0o027)[1]) for warm in (True, False)]
    loaded = [facts.pop("loaded") for facts in seen]
    threads = [facts.pop("threads") for facts in seen]
    assert seen[0] == seen[1]
    assert seen[0]["stdin"] == "asked" and seen[0]["environment"]["FOO"] == "bär" and seen[0]["umask"] == 0o027
    assert loaded == [["pandas"], []], "the warm one had a head start"
    assert threads[1] == 1


def test_each_kind_has_its_own_head_start(helpers, code):
    assert json.loads(told(code, "check_a-facts", warm=True)[1])["loaded"] == ["great_expectations", "pandas"]


@pytest.mark.parametrize(("name", "status"), [("words", 1), ("three", 3), ("fault", 1), ("killed", -signal.SIGKILL)])
def test_a_stage_ends_the_same_way(helpers, code, name, status):
    warm, cold = (told(code, name, warm=warm) for warm in (True, False))
    assert warm[0] == cold[0] == status
    assert warm[1] == cold[1]
    assert warm[2].splitlines()[-1:] == cold[2].splitlines()[-1:]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
@pytest.mark.parametrize("whole_group", [True, False])
def test_signals_reach_the_stage_once_and_it_never_outlives_its_program(helpers, code, number, status, whole_group):
    (code / "note").unlink(missing_ok=True)
    process = start(code, "sleep", warm=True, start_new_session=True)
    stage = psutil.Process(int(_when_written(code / "note")))
    if whole_group:
        # a terminal's Ctrl-C goes to every process of its group, which in a repro the helpers' forks belong to as well
        for pid in (stage.ppid(), stage.pid) if number == signal.SIGINT else ():
            os.kill(pid, number)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert out == ("interrupted\n" if number == signal.SIGINT else "")
    psutil.wait_procs([stage], timeout=20)
    assert not stage.is_running()


def _when_written(path: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if path.is_file() and path.read_text():
            return path.read_text()
        time.sleep(0.05)
    raise AssertionError("the stage did not begin")


def test_a_stage_dies_with_its_keeper(helpers, code):
    (code / "note").unlink(missing_ok=True)
    process = start(code, "sleep", warm=True)
    stage = psutil.Process(int(_when_written(code / "note")))
    stage.parent().kill()
    assert process.wait(timeout=60) == 1
    psutil.wait_procs([stage], timeout=20)
    assert not stage.is_running()


def test_a_dead_helper_is_not_waited_for(monkeypatch, code):
    monkeypatch.delenv(_warm.VARIABLE, raising=False)
    before = set(psutil.Process().children())
    with _warm.helpers():
        (helper,) = set(psutil.Process().children()) - before
        assert told(code, "three", warm=True)[0] == 3
        for child in helper.children(recursive=True):
            child.kill()
        began = time.monotonic()
        assert told(code, "three", warm=True) == (1, "", "no helper\n")
        assert time.monotonic() - began < _warm.PATIENCE_S


@pytest.mark.parametrize("value", ["", "off", f"{sys.prefix}{os.pathsep}/nowhere", f"/other/python{os.pathsep}/tmp"])
def test_without_helpers_the_stage_runs_by_itself(monkeypatch, value):
    monkeypatch.setenv(_warm.VARIABLE, value)
    assert _warm.elsewhere(["stage", "manifest"]) is None


def test_helpers_cost_nothing_until_a_stage_asks_and_end_with_the_repro(monkeypatch):
    monkeypatch.delenv(_warm.VARIABLE, raising=False)
    before = set(psutil.Process().children(recursive=True))
    with _warm.helpers():
        (helper,) = set(psutil.Process().children(recursive=True)) - before
        assert helper.children() == []
        outer = os.environ[_warm.VARIABLE]
        with _warm.helpers():
            assert os.environ[_warm.VARIABLE] == outer, "one set of helpers is enough"
        assert os.environ[_warm.VARIABLE] == outer
    assert not helper.is_running()
    assert _warm.VARIABLE not in os.environ
    assert not Path(outer.split(os.pathsep)[1]).exists()


def test_helpers_go_when_their_repro_is_killed(code):
    script = "import time\nfrom etholoop import _warm\nwith _warm.helpers():\n    print('up', flush=True)\n    time.sleep(60)\n"
    environment = {name: value for name, value in os.environ.items() if name != _warm.VARIABLE}
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout.readline() == "up\n"
    (helper,) = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    psutil.wait_procs([helper], timeout=20)
    assert not helper.is_running()
