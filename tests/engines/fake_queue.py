"""A batch system for tests: it takes a job script and runs it at once on this computer."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from dask_jobqueue.core import JobQueueCluster
from dask_jobqueue.slurm import SLURMJob


class ImmediateJob(SLURMJob):
    """A Slurm job whose script is handed to bash instead of sbatch."""

    async def _submit_job(self, script_filename: str) -> str:
        text = Path(script_filename).read_text(encoding="utf-8")
        process = subprocess.Popen(["bash", "-c", text], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        return str(process.pid)

    def _job_id_from_submit_output(self, out: str) -> str:
        return out

    @classmethod
    async def _close_job(cls, job_id: str, cancel_command: str) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(job_id), signal.SIGKILL)


class ImmediateCluster(JobQueueCluster):
    """Stands in for ``SLURMCluster``."""

    job_cls = ImmediateJob
