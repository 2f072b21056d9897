"""The folder of a demo: emptied only where it is an earlier demo, and never under the hands of another run."""

import signal
import subprocess
import sys

import pytest

from etholoop.commands import demo_behaviour, simulate
from etholoop.commands._demo_folder import MARKER, alone_in, remove_old
from etholoop.errors import EthoLoopError

AT_WORK = """
import sys, time
from pathlib import Path
from etholoop.commands._demo_folder import alone_in
with alone_in(Path(sys.argv[1])):
    print("at work", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def earlier(tmp_path):
    """A folder with an earlier demo."""
    folder = tmp_path / "demo"
    (folder / "data/videos").mkdir(parents=True)
    (folder / MARKER).write_text("{}")
    (folder / "data/videos/a.mp4").write_text("pixels")
    return folder


@pytest.fixture
def at_work(earlier):
    """Another process that works in there."""
    with subprocess.Popen([sys.executable, "-c", AT_WORK, str(earlier)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "at work\n"
        yield process
        process.kill()


def test_only_an_earlier_demo_is_removed(tmp_path, earlier):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(EthoLoopError, match="not an earlier demo"):
        remove_old(mine)
    assert (mine / "thesis.tex").read_text() == "years of work"
    remove_old(earlier)
    assert list(earlier.iterdir()) == []
    remove_old(tmp_path / "nothing there")


def test_what_an_earlier_demo_points_to_stays(tmp_path, earlier):
    (tmp_path / "own").mkdir()
    (tmp_path / "own/a.mp4").write_text("mine")
    (earlier / "linked").symlink_to(tmp_path / "own")
    remove_old(earlier)
    assert list(earlier.iterdir()) == [] and (tmp_path / "own/a.mp4").read_text() == "mine"


COMMANDS = {
    "demo": lambda folder: simulate.demo_command(folder=folder),
    "demo-behaviour": lambda folder: demo_behaviour.demo_behaviour(folder=folder, family=["motion"], sessions=6, frames=100, seed=1),
    "simulate": lambda folder: simulate.simulate_command(
        cycles=1, folder=folder, seed=1, batch=None, sessions=4, frames=25, noise="none", keep=True
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_in_which_another_run_is_at_work_is_left_alone(name, earlier, at_work, monkeypatch):
    for module in (simulate, demo_behaviour):
        monkeypatch.setattr(module, "run", lambda *_, **__: pytest.fail("it began"))
    with pytest.raises(EthoLoopError, match=r"another demo or simulation is at work in .*demo.* --folder"):
        COMMANDS[name](earlier)
    assert (earlier / "data/videos/a.mp4").read_text() == "pixels" and (earlier / MARKER).is_file()


def test_a_run_that_was_killed_keeps_nothing(earlier, at_work, monkeypatch):
    at_work.send_signal(signal.SIGKILL)
    at_work.wait()
    seen = []
    monkeypatch.setattr(simulate, "run", lambda folder, *_: seen.append(list(folder.iterdir())))
    simulate.demo_command(folder=earlier)
    assert seen == [[]], "it began in an empty folder"


def test_it_is_kept_while_it_works_and_free_afterwards(tmp_path):
    for _ in range(2):  # after the first one ended by an error it is free again
        with pytest.raises(RuntimeError), alone_in(tmp_path / "new/demo"):
            with pytest.raises(EthoLoopError, match="is at work"), alone_in(tmp_path / "new/demo"):
                pass
            raise RuntimeError


def test_a_file_is_no_place(tmp_path):
    (tmp_path / "demo").touch()
    with pytest.raises(EthoLoopError, match="is a file"), alone_in(tmp_path / "demo"):
        pass
