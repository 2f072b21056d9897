"""``etholoop weights``: only whole files come in, all or none."""

import zipfile
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from etholoop.commands import weights
from etholoop.errors import FaultsError
from etholoop.project import Project
from etholoop.services import dvc


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    project = Project(tmp_path / "project")
    project.init_weights.mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml"):
        (project / name).touch()
    monkeypatch.setattr(dvc, "add", lambda project, *paths: None)
    monkeypatch.chdir(project.root)
    return project


def weight_file(path: Path, words: str = "numbers") -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", words * 1000)
    return path


def test_whole_files_come_in_and_twice_is_once(project, tmp_path):
    path = weight_file(tmp_path / "a.pt")
    for _ in range(2):
        assert weights.add(project, [path]) == [project.init_weights / "a.pt"]
    assert (project.init_weights / "a.pt").read_bytes() == path.read_bytes()


def test_one_bad_file_and_nothing_is_copied(project, tmp_path):
    whole = weight_file(tmp_path / "whole.pt")
    cut = tmp_path / "cut.pt"
    cut.write_bytes(whole.read_bytes()[:500])
    page = tmp_path / "page.pt"
    page.write_text("<html>404</html>")
    (tmp_path / "empty.pt").touch()
    with pytest.raises(FaultsError) as caught:
        weights.add(project, [whole, cut, page, tmp_path / "empty.pt", tmp_path / "nowhere.pt"])
    assert [fault.split(": ")[1].split(";")[0] for fault in caught.value.faults] == [
        *["not a whole PyTorch file"] * 2,
        "empty file",
        "file not found",
    ]
    assert list(project.init_weights.iterdir()) == []


def test_another_file_of_the_same_name_is_refused(project, tmp_path):
    weights.add(project, [weight_file(tmp_path / "a.pt")])
    with pytest.raises(FaultsError, match=r"holds another file named a\.pt"):
        weights.add(project, [weight_file(tmp_path / "a.pt", "others")])


def test_an_empty_list_says_what_to_do(project):
    app = typer.Typer()
    weights.register(app)
    assert "weights add FILE" in CliRunner().invoke(app, ["weights", "list"], catch_exceptions=False).output
