"""MLflow as a projection of DVC's state: the lock is the truth, this is the diary people browse.

A stage that DVC restores from its cache runs no code, so runs are not made while training: each run is keyed by the
digest of the stage's lock entry (tag ``stage_key``) and filled from the files the stage left. Doing it twice changes nothing.
"""

import csv
import hashlib
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
from filelock import FileLock
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Metric, Param, Run
from mlflow.tracking import MlflowClient

from etholoop.project import Project

CYCLES = "cycles"
"""Experiment that holds one parent run per cycle."""

TAG_LIMIT = 8000
"""MLflow refuses longer tags."""


@dataclass(frozen=True)
class StageRecord:
    """What is known of one computed stage."""

    experiment: str
    name: str
    stage_key: str
    params: dict[str, Any]
    metrics: dict[str, float]
    tags: dict[str, str]
    curves: Path | None = None
    artifacts: list[Path] = field(default_factory=list)
    figures: Callable[[], Mapping[str, bytes]] | None = None
    """Makes pictures by file name, asked only when the run is new."""
    dataset_digest: str | None = None


def stage_key(entry: dict[str, Any]) -> str:
    """MD5 of a lock entry's command, inputs and parameters: the same work has the same key."""
    known = {name: entry.get(name) for name in ("cmd", "deps", "params")}
    return hashlib.md5(json.dumps(known, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


@contextmanager
def opened(project: Project) -> Iterator[MlflowClient]:
    """The project's store: sqlite beside the project, one writer at a time, made on first use."""
    (project / ".cache").mkdir(parents=True, exist_ok=True)
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table it makes
    with FileLock(str(project / ".cache/mlflow.lock")):
        mlflow.set_tracking_uri(tracking_uri(project))
        yield MlflowClient()


def tracking_uri(project: Project) -> str:
    """An absolute sqlite address; without one MLflow would use whatever folder the process stands in."""
    return f"sqlite:///{project.root}/mlflow.db"


def experiment_id(client: MlflowClient, project: Project, name: str) -> str:
    """Id of an experiment, made when new, its artifacts kept below the project's ``mlruns/``."""
    known = client.get_experiment_by_name(name)
    if known is not None:
        return known.experiment_id
    return client.create_experiment(name, artifact_location=(project / "mlruns" / name).as_uri())


def find_run(client: MlflowClient, experiment: str, tag: str, value: str) -> Run | None:
    """The finished run that carries a tag value, if there is one."""
    found = client.search_runs([experiment], f"tags.`{tag}` = '{value}'", max_results=10)
    finished = [run for run in found if run.data.tags.get("complete") == "true"]
    return finished[0] if finished else None


def cycle_run(client: MlflowClient, project: Project, cycle: str) -> str:
    """Id of the parent run of a cycle."""
    experiment = experiment_id(client, project, CYCLES)
    known = find_run(client, experiment, "cycle", cycle)
    if known:
        return known.info.run_id
    run = client.create_run(experiment, run_name=cycle, tags={"cycle": cycle, "complete": "true"})
    client.set_terminated(run.info.run_id)
    return run.info.run_id


def sync_stage(client: MlflowClient, project: Project, cycle: str, record: StageRecord) -> tuple[str, bool]:
    """Make the run of a computed stage unless it is there; returns its id and whether it is new.

    A run interrupted while being filled lacks the tag ``complete`` and is deleted and made again.
    """
    experiment = experiment_id(client, project, record.experiment)
    known = find_run(client, experiment, "stage_key", record.stage_key)
    if known:
        return known.info.run_id, False
    for stale in client.search_runs([experiment], f"tags.stage_key = '{record.stage_key}'"):
        client.delete_run(stale.info.run_id)
    parent = cycle_run(client, project, cycle)
    tags = {**record.tags, "cycle": cycle, "stage_key": record.stage_key, "mlflow.parentRunId": parent}
    run = client.create_run(experiment, run_name=record.name, tags={name: value[:TAG_LIMIT] for name, value in tags.items()})
    _fill(client, run.info.run_id, record)
    client.set_tag(run.info.run_id, "complete", "true")
    client.set_terminated(run.info.run_id)
    return run.info.run_id, True


def _fill(client: MlflowClient, run_id: str, record: StageRecord) -> None:
    _log_batches(client, run_id, "params", [Param(name, str(value)) for name, value in sorted(record.params.items())])
    now = int(time.time() * 1000)
    _log_batches(client, run_id, "metrics", [Metric(name, value, now, 0) for name, value in sorted(record.metrics.items())])
    if record.curves is not None:
        _log_curves(client, run_id, record.curves)
    for path in record.artifacts:
        client.log_artifact(run_id, str(path))
    if record.figures is not None:
        _log_files(client, run_id, record.figures(), "figures")
    if record.dataset_digest:
        source = CodeDatasetSource(tags={"kind": "dvc", "path": "data/datasets/pose"})
        dataset = MetaDataset(source=source, name="pose", digest=record.dataset_digest)
        with mlflow.start_run(run_id=run_id):
            mlflow.log_input(dataset, context="training")


def _log_files(client: MlflowClient, run_id: str, files: Mapping[str, bytes], folder: str) -> None:
    with tempfile.TemporaryDirectory(prefix="etholoop-figures-") as temporary:
        for name, content in files.items():
            path = Path(temporary) / name
            path.write_bytes(content)
            client.log_artifact(run_id, str(path), folder)


def log_page(client: MlflowClient, run_id: str, page: Path, digest: str) -> bool:
    """Keep a page with a run in place of an older one; False when it is there already, known by the tag ``page.md5``."""
    if client.get_run(run_id).data.tags.get("page.md5") == digest:
        return False
    client.log_artifact(run_id, str(page))
    client.set_tag(run_id, "page.md5", digest)
    return True


def _log_curves(client: MlflowClient, run_id: str, path: Path) -> None:
    """Every column of a curves table against its ``epoch``; those of several model families under the name of each."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    points = [
        Metric("/".join(["curve", *filter(None, [row.get("family")]), name]), float(value), 0, int(float(row["epoch"])))
        for row in rows
        for name, value in row.items()
        if name not in ("epoch", "family") and value not in ("", None)
    ]
    _log_batches(client, run_id, "metrics", points)


def _log_batches(client: MlflowClient, run_id: str, kind: str, entries: Sequence[Metric | Param]) -> None:
    """Metrics or parameters, many in one call: each by itself takes ten milliseconds."""
    at_once = {"metrics": 900, "params": 90}[kind]  # MLflow takes at most 1,000 and 100
    for start in range(0, len(entries), at_once):
        client.log_batch(run_id, **{kind: entries[start : start + at_once]})


def register_weights(client: MlflowClient, name: str, run_id: str, weights_sha256: str, *, pointer: dict[str, str], alias: str) -> str:
    """Give a model version to these weights (once per digest) and point ``alias`` at it; DVC keeps the bytes.

    Returns:
        The version number as text.
    """
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    known = [v for v in client.search_model_versions(f"name = '{name}'") if v.tags.get("weights_sha256") == weights_sha256]
    if known:
        version = known[0].version
    else:
        client.log_dict(run_id, pointer, "weights/where.json")
        source = f"runs:/{run_id}/weights"
        uri = client.get_run(run_id).info.artifact_uri + "/weights"
        made = client.create_model_version(name, source=uri, run_id=run_id, tags={"weights_sha256": weights_sha256, "source": source})
        version = made.version
    current = client.get_registered_model(name).aliases
    if str(current.get(alias)) != str(version):
        client.set_registered_model_alias(name, alias, str(version))
    return str(version)


def set_tags(client: MlflowClient, run_id: str, tags: dict[str, str]) -> None:
    """Add tags to a run; those that already have the value are left alone."""
    present = client.get_run(run_id).data.tags
    for name, value in tags.items():
        if present.get(name) != value:
            client.set_tag(run_id, name, value)
