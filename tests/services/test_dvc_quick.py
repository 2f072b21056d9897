"""Lock files written by parts: the bytes are those of DVC itself, whatever the file holds, and parts are used where they can be."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from dvc import dvcfile
from dvc.repo import Repo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etholoop.project import Project
from etholoop.services import dvc, dvc_quick, process

OWN, QUICK = "own.lock", "quick.lock"
WHOLE = dvcfile.Lockfile.dump_stages

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    texts,
    st.sampled_from(["", "yes", "1:30", "0o17", "1e3", "~", "a # b", "- x", "&a", "*a", "two\nlines", "  stage:\n", "schema: '2.0'"]),
    st.text("ab ", min_size=70, max_size=200),
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6)
writes = st.lists(st.tuples(st.integers(0, 13), values), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    with Repo.init(str(tmp_path_factory.mktemp("repo")), no_scm=True) as repo:
        yield repo


@pytest.fixture
def parts_written(monkeypatch):
    """Names of the stages of which only the part was written."""
    names, modify_part = [], dvc_quick._modify_part

    def noted(parts, first_line, path, fs=None):
        names.append(first_line.strip(" :"))
        return modify_part(parts, first_line, path, fs)

    monkeypatch.setattr(dvc_quick, "_modify_part", noted)
    return names


def content(stage, value):
    deps = [{"path": f"src/{stage}/{number}.py", "hash": "md5", "md5": f"{number:032d}", "size": number} for number in range(3)]
    return {"cmd": f"make {stage}", "deps": deps, "params": {"params.yaml": {stage: value}}}


def write(repo, name, stage, value, monkeypatch):
    """One write, by DVC itself or by parts."""
    with monkeypatch.context() as patch:
        patch.setattr(dvcfile.serialize, "to_lockfile", lambda stage: {stage.name: content(stage.name, value)})
        lockfile = dvcfile.Lockfile(repo, str(Path(repo.root_dir, name)))
        arguments = [SimpleNamespace(name=stage)]
        if name == QUICK:
            dvc_quick._dump_stages(lockfile, dvcfile, WHOLE, arguments)
        else:
            WHOLE(lockfile, arguments)


def both(repo, stage, value, monkeypatch):
    for name in (OWN, QUICK):
        write(repo, name, stage, value, monkeypatch)
    return [Path(repo.root_dir, name).read_text(encoding="utf-8") for name in (OWN, QUICK)]


def begin(repo, monkeypatch, change=lambda text: text):
    """Two equal lock files of twelve stages that DVC wrote, then changed."""
    path = Path(repo.root_dir, OWN)
    path.unlink(missing_ok=True)
    for number in range(12):
        write(repo, OWN, f"stage{number}", {"rate": 0.1, "names": ["a", "b"]}, monkeypatch)
    text = change(path.read_text(encoding="utf-8"))
    for name in (OWN, QUICK):
        Path(repo.root_dir, name).write_text(text, encoding="utf-8")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes)
def test_the_bytes_are_those_of_dvc(repo, monkeypatch, changes):
    begin(repo, monkeypatch)
    for number, value in changes:
        own, quick = both(repo, f"stage{number}", value, monkeypatch)
        assert quick == own


def test_only_the_part_of_the_stage_is_written(repo, monkeypatch, parts_written):
    begin(repo, monkeypatch)
    own, quick = both(repo, "stage3", 5, monkeypatch)
    assert quick == own and parts_written == ["stage3"]
    own, quick = both(repo, "a_new_one", 1e-05, monkeypatch)
    assert quick == own and parts_written == ["stage3", "a_new_one"] and own.index("a_new_one") > own.index("stage11")


def test_what_is_known_to_be_settled_is_not_looked_at_again(repo, monkeypatch):
    begin(repo, monkeypatch)
    both(repo, "stage3", "first", monkeypatch)
    looked_at, is_settled = [], dvc_quick._is_settled
    monkeypatch.setattr(dvc_quick, "_is_settled", lambda part: looked_at.append(part.split(":")[0].strip()) or is_settled(part))
    both(repo, "stage4", "second", monkeypatch)
    assert looked_at == ["stage3"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\n  stage5:\n", "\n  # by hand\n  stage5:\n"),
        ("cmd: make stage5", "cmd: 'make stage5'"),
        ("rate: 0.1", "rate:   0.1"),
        ("stages:\n", "stages:\n\n"),
        ("    cmd: make stage5\n", "    cmd: &name make stage5\n"),
        ("schema: '2.0'\n", 'schema: "2.0"\n'),
        ("\n  stage5:\n", "\nothers:\n  stage5:\n"),
        ("\n  stage11:\n", "\n  stage11: {}\ndatasets:\n  stage12:\n"),
    ],
)
def test_what_dvc_would_not_have_written_is_left_to_dvc(repo, monkeypatch, parts_written, before, after):
    begin(repo, monkeypatch, lambda text: text.replace(before, after))
    assert after in Path(repo.root_dir, OWN).read_text(encoding="utf-8")
    own, quick = both(repo, "stage3", "changed", monkeypatch)
    assert quick == own and parts_written == []


def test_a_short_file_is_written_as_a_whole(repo, monkeypatch, parts_written):
    begin(repo, monkeypatch, lambda _: "schema: '2.0'\nstages:\n  one:\n    cmd: make one\n")
    own, quick = both(repo, "two", "x", monkeypatch)
    assert quick == own and parts_written == []


def test_a_repro_leaves_the_lock_file_that_plain_dvc_leaves(tmp_path):
    project = Project(tmp_path / "p")
    project.root.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=project.root, check=True)
    dvc.init(project)
    lines = [f"  s{number}: {{cmd: echo {number} > s{number}.txt, params: [rate], outs: [s{number}.txt]}}" for number in range(12)]
    (project / "dvc.yaml").write_text("\n".join(["stages:", *lines]) + "\n")
    (project / "params.yaml").write_text("rate: 0.5\n")
    assert process.stream([*dvc_quick.COMMAND, "repro", "--quiet"], project.root) == 0
    made = (project / "dvc.lock").read_bytes()
    assert list((project / ".dvc/tmp" / dvc_quick.SETTLED).iterdir())
    (project / "dvc.lock").unlink()
    # the outputs are there, so DVC itself notes down the same ones
    assert process.stream(["dvc", "commit", "--force", "--quiet"], project.root) == 0
    assert (project / "dvc.lock").read_bytes() == made


def test_the_status_is_that_of_dvc(tmp_path):
    done = subprocess.run([*dvc_quick.COMMAND, "repro"], cwd=tmp_path, capture_output=True, text=True, check=False)
    own = subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == own.returncode != 0 and done.stderr == own.stderr
