"""`etholoop repro`: targets are looked at before DVC is asked."""

import pytest

from etholoop import registry
from etholoop.commands import repro
from etholoop.errors import EthoLoopError
from etholoop.project import Project


@pytest.fixture
def project(tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages: {track: {cmd: x}, report: {cmd: y}}\n")
    return Project(tmp_path)


@pytest.mark.parametrize("places", [True, False])
def test_misspelt_stages_are_named_together(project, places):
    repro.check_targets(project, ["track", "report"], places=places)
    with pytest.raises(EthoLoopError, match=r"unknown stage 'trak': did you mean 'track'\?; 'reprot': did you mean 'report'\?"):
        repro.check_targets(project, ["trak", "report", "reprot"], places=places)


def test_files_are_targets_of_a_run_but_not_of_a_plan(project):
    repro.check_targets(project, ["data/tracks", "sub/dvc.yaml:track"], places=True)
    with pytest.raises(EthoLoopError, match="unknown stage 'data/tracks'"):
        repro.check_targets(project, ["data/tracks"], places=False)


def test_an_unknown_stage_is_called_a_stage():
    with pytest.raises(EthoLoopError, match=r"unknown stage 'tracks'; did you mean 'track'\?"):
        registry.load("etholoop.stages", "tracks")
