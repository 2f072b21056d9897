"""Which engine this computer uses: ``engine.yaml``, the environment, the command line. Never a parameter: it must not change results."""

import math
import os
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from etholoop import registry
from etholoop.errors import EthoLoopError
from etholoop.params import Section, nearest_of, read_yaml, section_from

FILE = "engine.yaml"
ENGINE, WORKERS = "ETHOLOOP_ENGINE", "ETHOLOOP_WORKERS"
"""Environment variables. ``ETHOLOOP_ENGINE`` may hold the number of workers (``processes:4``) or an address
(``dask:tcp://host:8786``)."""

QUEUES = ("slurm", "pbs", "lsf", "sge", "oar", "htcondor", "moab")
"""Batch systems that dask-jobqueue starts workers on."""


class Job(Section):
    """One job of a batch system. ``options`` go to dask-jobqueue as they are, for what is not named here."""

    processes: int = Field(1, ge=1, description="workers in one job, one core each")
    memory: str = Field("4GB", description="of the whole job")
    walltime: str = Field("04:00:00", description="of one job; it is followed by another while there is work")
    queue: str | None = None
    account: str | None = None
    interface: str | None = Field(None, description="network interface between the computers, for example ib0")
    directives: list[str] = Field([], description="more lines for the head of the job script, without #SBATCH")
    prologue: list[str] = Field([], description="shell commands before the worker starts, for example `module load ffmpeg`")
    local_directory: str | None = Field(None, description="fast scratch disk of the computing node")
    options: dict[str, Any] = Field({})


class Settings(Section):
    """What ``engine.yaml`` may say; everything has a default, so the file may be missing."""

    engine: str = Field("processes", description="serial, processes, dask, or a batch system: " + ", ".join(QUEUES))
    workers: int | None = Field(None, ge=1, description="null = one for each core")
    threads: int | None = Field(None, ge=1, description="of one worker; null = cores divided by workers")
    retries: int = Field(2, ge=0, description="how often a unit whose worker died is tried again")
    address: str | None = Field(None, description="of a Dask scheduler that is already running; engine dask only")
    dashboard: str | None = Field(None, description="null = none; for example 127.0.0.1:8787 shows Dask's page there")
    gpus: int | None = Field(None, ge=1, description="set by stages that compute on several GPUs: each worker sees one of them")
    job: Job = Job.model_validate({})

    @field_validator("engine")
    @classmethod
    def _known(cls, engine: str) -> str:
        known = [*registry.names("etholoop.engines"), *QUEUES]
        if engine not in known:
            raise ValueError(f"unknown engine '{engine}'; {nearest_of(engine, known)}")
        return engine

    @property
    def plugin(self) -> str:
        """File of the engine: batch systems are Dask's."""
        return "dask" if self.engine in QUEUES else self.engine

    @property
    def is_local(self) -> bool:
        """Whether the workers run on this computer."""
        return self.engine in ("serial", "processes") or (self.engine == "dask" and self.address is None)

    @property
    def n_workers(self) -> int:
        return self.workers or (1 if self.engine == "serial" else cores())

    def threads_of(self, n_workers: int) -> int:
        """Threads of each of so many workers: together they use every core once."""
        return self.threads or (max(1, cores() // n_workers) if self.is_local else 1)


def read_settings(root: Path) -> Settings:
    """Settings in force in a project: environment before ``engine.yaml`` before the defaults.

    Raises:
        EthoLoopError: FaultsError for unknown keys and impossible values, each named.
    """
    path = root / FILE
    content = read_yaml(path) if path.is_file() else {}
    where = str(path)
    if os.environ.get(ENGINE):
        content, where = {**content, **parse(os.environ[ENGINE])}, f"{ENGINE}={os.environ[ENGINE]}"
    if os.environ.get(WORKERS):
        content, where = {**content, "workers": os.environ[WORKERS]}, f"{where} with {WORKERS}={os.environ[WORKERS]}"
    return section_from({"engine": content}, "engine", Settings, where)


def parse(text: str) -> dict[str, Any]:
    """``name``, ``name:workers`` or ``dask:address`` as settings; an engine that is named takes no address from the file."""
    name, _, rest = text.strip().partition(":")
    if rest.isdigit():
        return {"engine": name, "address": None, "workers": int(rest)}
    if rest and name != "dask":
        raise EthoLoopError(f"engine '{text}': expected a name, name:workers (processes:4) or dask:tcp://host:port.")
    return {"engine": name, "address": rest or None}


def cores() -> int:
    """Cores that this process may use: those it is bound to, less where a container's quota is smaller."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, _quota()))


def _quota() -> int:
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return 1 << 20
    return (1 << 20) if quota == "max" else math.ceil(int(quota) / int(period))
