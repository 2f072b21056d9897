"""What is typed to choose an engine, and what is said."""

import os

import pytest
from typer.testing import CliRunner

from etholoop.__main__ import build_app
from etholoop.engines import _settings
from etholoop.errors import EthoLoopError

RUNNER = CliRunner()


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    for name in (_settings.ENGINE, _settings.WORKERS):
        monkeypatch.setenv(name, "")  # put back at the end, whatever a command sets
        monkeypatch.delenv(name)
    return tmp_path


def typed(*arguments: str):
    return RUNNER.invoke(build_app(), list(arguments), catch_exceptions=True)


def test_show_says_what_is_in_force(project):
    (project / "engine.yaml").write_text("workers: 3\nthreads: 2\n")
    assert "engine processes: 3 workers, 2 threads each (engine.yaml)" in typed("engine", "show").output
    assert "engine serial: 1 workers" in typed("engine", "show", "--engine", "serial", "--workers", "1").output


def test_show_prints_the_job_script_and_starts_nothing(project):
    (project / "engine.yaml").write_text("engine: slurm\nworkers: 6\njob: {processes: 2, queue: long}\n")
    said = typed("engine", "show").output
    assert "3 jobs like this one" in said
    assert "#SBATCH -p long" in said


def test_a_dry_run_shows_the_job_script(project, monkeypatch):
    from etholoop.commands import repro

    dry = []
    monkeypatch.setattr(repro, "repro", lambda project, targets, **options: dry.append(options["dry_run"]))
    assert "#SBATCH" in typed("repro", "--dry-run", "--engine", "slurm").output
    assert dry == [True]


def test_the_options_reach_the_stages_that_dvc_starts(project, monkeypatch):
    from etholoop.commands import repro

    seen = []
    monkeypatch.setattr(repro, "repro", lambda *_, **__: seen.append((os.environ[_settings.ENGINE], os.environ[_settings.WORKERS])))
    typed("repro", "--engine", "dask", "--workers", "5")
    assert seen == [("dask", "5")]


def test_a_misspelt_engine_stops_before_any_work(project):
    error = typed("repro", "--engine", "slurn").exception
    assert isinstance(error, EthoLoopError)
    assert "did you mean 'slurm'" in str(error)


def test_check_runs_every_worker_once_and_cleans_up(project):
    said = typed("engine", "check", "--engine", "processes:2")
    assert said.exit_code == 0
    assert " process " in said.output
    assert list((project / ".memo/engine").iterdir()) == []
