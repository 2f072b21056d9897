"""Making a project: safe to repeat, presets applied with comments kept, nothing overwritten."""

import inspect

import pytest
import yaml

from etholoop.commands import init
from etholoop.commands.params import check_all
from etholoop.errors import EthoLoopError
from etholoop.services import dvc, git


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return init.make_project(tmp_path_factory.mktemp("init") / "my mice", "openfield")


def test_a_new_project_is_committed_and_clean(project):
    assert git.head(project)
    assert git.dirty(project) == []
    assert all("changed" not in str(value) for name, value in dvc.status(project).items() if name.endswith(".dvc"))


def test_the_preset_s_words_and_parameters_are_in_force(project):
    assert "snout" in project.skeleton.read_text()
    assert yaml.safe_load(project.params.read_text())["refine_train"]["refiner"] == "heatmap"
    assert check_all(project)["refine_train"].refiner == "heatmap"  # type: ignore[attr-defined]


def test_comments_of_params_yaml_survive_a_preset(project):
    assert "# what is never split" in project.params.read_text()


def test_making_it_again_changes_nothing(project):
    before = project.params.read_bytes()
    project.metadata.write_text(project.metadata.read_text() + "videos/a.mp4,s1,,,\n")
    init.make_project(project.root)
    assert project.params.read_bytes() == before
    assert "videos/a.mp4" in project.metadata.read_text()


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(EthoLoopError, match=r"not empty \(it holds thesis.txt\)"):
        init.make_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_unknown_preset_names_the_nearest(tmp_path):
    with pytest.raises(EthoLoopError, match="did you mean 'openfield'"):
        init.make_project(tmp_path / "p", "openfeld")
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("preset", init.presets())
def test_every_preset_gives_valid_parameters(tmp_path, preset):
    project = init.make_project(tmp_path / "p", preset)
    assert check_all(project)


def test_the_help_names_every_preset():
    option = next(parameter for parameter in inspect.signature(init.init).parameters.values() if parameter.name == "preset").default
    assert all(name in option.help for name in init.presets())
