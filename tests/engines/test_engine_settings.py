"""Which engine is used: command line before environment before engine.yaml before the default."""

import pytest

from etholoop.engines import _settings
from etholoop.engines._settings import QUEUES, Settings, cores, parse, read_settings
from etholoop.engines.dask import job_script
from etholoop.errors import EthoLoopError, FaultsError


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    monkeypatch.delenv(_settings.ENGINE, raising=False)
    monkeypatch.delenv(_settings.WORKERS, raising=False)


def test_without_anything_all_cores_work(tmp_path):
    settings = read_settings(tmp_path)
    assert (settings.engine, settings.n_workers) == ("processes", cores())


def test_the_file_the_environment_and_the_number_of_workers(tmp_path, monkeypatch):
    (tmp_path / "engine.yaml").write_text("engine: dask\nworkers: 3\nretries: 0\n")
    assert (read_settings(tmp_path).engine, read_settings(tmp_path).n_workers) == ("dask", 3)
    monkeypatch.setenv(_settings.ENGINE, "processes:5")
    assert (read_settings(tmp_path).engine, read_settings(tmp_path).n_workers, read_settings(tmp_path).retries) == ("processes", 5, 0)
    monkeypatch.setenv(_settings.WORKERS, "2")
    assert read_settings(tmp_path).n_workers == 2


def test_an_address_belongs_to_dask():
    assert parse("dask:tcp://head:8786") == {"engine": "dask", "address": "tcp://head:8786"}
    with pytest.raises(EthoLoopError, match=r"slurm:tcp.*expected a name"):
        parse("slurm:tcp://head:8786")


def test_a_misspelt_engine_names_the_nearest(tmp_path, monkeypatch):
    monkeypatch.setenv(_settings.ENGINE, "proceses")
    with pytest.raises(FaultsError, match="did you mean 'processes'"):
        read_settings(tmp_path)


def test_a_misspelt_key_names_the_nearest(tmp_path):
    (tmp_path / "engine.yaml").write_text("worker: 3\n")
    with pytest.raises(FaultsError, match="did you mean 'workers'"):
        read_settings(tmp_path)


@pytest.mark.parametrize("workers", [1, 2, 3, 1000])
def test_workers_times_threads_are_the_cores(workers, monkeypatch):
    monkeypatch.setattr(_settings, "cores", lambda: 8)
    assert Settings(workers=workers).threads_of(workers) == {1: 8, 2: 4, 3: 2, 1000: 1}[workers]


@pytest.mark.parametrize("queue", QUEUES)
def test_a_job_script_for_every_batch_system(queue, tmp_path):
    job = {"processes": 2, "memory": "6GB", "prologue": ["module load ffmpeg"], "options": {"disk": "1GB"} if queue == "htcondor" else {}}
    script = job_script(Settings(engine=queue, job=job), tmp_path)
    assert "module load ffmpeg" in script
    assert "OMP_NUM_THREADS" in script
    assert "PYTHONPATH" in script
    assert "--nworkers 2" in script


def test_a_slurm_script_says_what_engine_yaml_says(tmp_path):
    job = {"queue": "long", "account": "lab", "walltime": "08:00:00", "memory": "4GB", "directives": ["--gres=gpu:1"]}
    lines = job_script(Settings(engine="slurm", job=job), tmp_path).splitlines()
    for line in ("#SBATCH -p long", "#SBATCH -A lab", "#SBATCH -t 08:00:00", "#SBATCH --mem=4G", "#SBATCH --gres=gpu:1"):
        assert line in lines
