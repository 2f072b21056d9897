"""``etholoop runs``: bring MLflow up to date with DVC, and look at it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etholoop.commands._help import examples

if TYPE_CHECKING:
    from etholoop.project import Project
    from etholoop.services.mlflow_store import StageRecord

STAGES = {
    "pose_train": "pose",
    "refine_train": "pose",
    "evaluate": "evaluate",
    "behaviour_train": "behaviour",
    "behaviour_evaluate": "behaviour",
    "select": "select",
}
"""Which stages become runs, and in which experiment."""

LOOPBACK = "127.0.0.1"
"""Nobody but this machine sees the page: MLflow asks for no password."""

METRIC_FILES = {
    "pose_train": "metrics/pose_train.json",
    "refine_train": "metrics/refine_train.json",
    "evaluate": "metrics/evaluate.json",
    "behaviour_train": "metrics/behaviour_train.json",
    "behaviour_evaluate": "metrics/behaviour.json",
}

CURVES = {"pose_train": "metrics/plots/pose_curves.csv", "behaviour_train": "metrics/plots/behaviour_curves.csv"}


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The diary of all cycles in MLflow.", no_args_is_help=True)
    group.command("sync", help="Record what DVC has computed; doing it twice changes nothing.", epilog=examples("etholoop runs sync"))(sync)
    group.command("ui", help="Open MLflow on this machine only. Stop with Ctrl-C.", epilog=examples("etholoop runs ui --port 5001"))(ui)
    app.add_typer(group, name="runs")


def sync() -> None:
    from etholoop.project import find_project

    made = sync_runs(find_project())
    typer.echo(f"MLflow: {made} new run{'s' * (made != 1)}" if made else "MLflow: up to date")


def ui(port: int = typer.Option(5000, min=1, max=65535, help="Port on 127.0.0.1.")) -> None:
    import os

    from etholoop import runtime
    from etholoop.project import find_project
    from etholoop.services import mlflow_store, process

    project = find_project()
    _require_free(port)
    runtime.prepare(project.root)
    store = ["--backend-store-uri", mlflow_store.tracking_uri(project), "--artifacts-destination", str(project / "mlruns")]
    # seven more processes for jobs that this store never has, and Ctrl-C would wait for them
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    typer.echo(f"MLflow on http://{LOOPBACK}:{port}/#/experiments (Ctrl-C stops it)")
    arguments = ["mlflow", "server", *store, "--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    try:
        raise typer.Exit(process.stream(arguments, project.root))
    except KeyboardInterrupt:
        typer.echo("stopped")


def _require_free(port: int) -> None:
    import socket

    from etholoop.errors import EthoLoopError

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that has just ended is no hindrance
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise EthoLoopError(
                f"port {port} of {LOOPBACK} cannot be used ({error.strerror}). Give another, for example --port 5001."
            ) from None


def sync_runs(project: "Project") -> int:
    """Make the missing runs; returns how many are new."""
    from etholoop import runtime
    from etholoop.commands.params import check_all
    from etholoop.services import dvc

    runtime.prepare(project.root)
    from etholoop.services import mlflow_store

    stages = dvc.lock(project)
    cycle = check_all(project)["cycle"].id  # type: ignore[attr-defined]
    new = 0
    with mlflow_store.opened(project) as client:
        for name in STAGES:
            record = _record(project, stages, name)
            if record is None:
                continue
            run_id, is_new = mlflow_store.sync_stage(client, project, cycle, record)
            new += is_new
            if name == "pose_train":
                _register(client, project, stages, run_id)
        _keep_report(client, project, stages)
    return new


def _keep_report(client: Any, project: "Project", stages: dict[str, Any]) -> None:
    """The report that the lock knows, with the run of the cycle it is about; that cycle may be closed, and another open."""
    from etholoop.services import dvc, mlflow_store

    digest = dvc.output_digest(stages, "report", str(project.report.relative_to(project.root)))
    cycle = stages.get("report", {}).get("params", {}).get("params.yaml", {}).get("cycle", {}).get("id")
    if digest and cycle and project.report.is_file() and dvc.file_md5(project.report) == digest:
        mlflow_store.log_page(client, mlflow_store.cycle_run(client, project, cycle), project.report, digest)


def _register(client: Any, project: "Project", stages: dict[str, Any], run_id: str) -> None:
    from etholoop.services import dvc, mlflow_store

    sha256 = str(_metrics(project, "pose_train")["weights_sha256"])
    pointer = {"path": "models/pose/best.pt", "sha256": sha256, "dvc_md5": dvc.output_digest(stages, "pose_train", "models/pose") or ""}
    mlflow_store.register_weights(client, "pose", run_id, sha256, pointer=pointer, alias="candidate")


def _record(project: "Project", stages: dict[str, Any], name: str) -> "StageRecord | None":
    """What MLflow should hold of a stage; None when it has not run, or ran without a model."""
    from functools import partial

    from etholoop.commands._figures import figures_of
    from etholoop.services import dvc, git
    from etholoop.services.mlflow_store import StageRecord, stage_key

    metrics = _metrics(project, name)
    if name not in stages or metrics.get("trained") is False or metrics.get("evaluated") is False or metrics.get("families") == {}:
        return None
    tags = {
        "stage": name,
        "dvc.lock.md5": dvc.lock_digest(project),
        "git.commit": git.head(project) or "",
        "git.dirty": str(bool(git.dirty(project))).lower(),
        "labels.md5": _dep_digest(stages, "annotations", "label_studio/exports/snapshot.json"),
        "split.md5": dvc.output_digest(stages, "split", "data/splits") or "",
        "init_weights.md5": _dep_digest(stages, "pose_train", "models/init"),
        "weights_sha256": str(metrics.get("weights_sha256", "")),
    }
    is_training = name in ("pose_train", "refine_train")
    curves = project / CURVES.get(name, "")
    return StageRecord(
        experiment=STAGES[name],
        name=name,
        stage_key=stage_key(stages[name]),
        params=_flat(stages[name].get("params", {}).get("params.yaml", {})),
        metrics={key: value for key, value in _flat(metrics).items() if isinstance(value, int | float) and not isinstance(value, bool)},
        tags=tags,
        curves=curves if name in CURVES and curves.is_file() else None,
        artifacts=_artifacts(project, name),
        figures=partial(figures_of, project, name),
        dataset_digest=dvc.output_digest(stages, "pose_dataset", "data/datasets/pose") if is_training else None,
    )


def _artifacts(project: "Project", name: str) -> list[Path]:
    wanted = {
        "pose_train": ["metrics/pose_train.json", *_plots("pose_curves")],
        "refine_train": ["metrics/refine_train.json"],
        "evaluate": ["metrics/evaluate.json", *_plots("pr_curve", "calibration", "by_video")],
        "behaviour_train": ["metrics/behaviour_train.json", *_plots("behaviour_curves", "behaviour_confusion")],
        "behaviour_evaluate": ["metrics/behaviour.json", *_plots("behaviour_test_confusion", "behaviour_by_video")],
        "select": ["data/selection/batch.parquet", "data/selection/tasks.json"],
    }
    return [project / path for path in wanted[name] if (project / path).is_file()]


def _plots(*names: str) -> list[str]:
    return [f"metrics/plots/{name}.csv" for name in names]


def _metrics(project: "Project", name: str) -> dict[str, Any]:
    path = project / METRIC_FILES.get(name, "")
    return json.loads(path.read_text(encoding="utf-8")) if name in METRIC_FILES and path.is_file() else {}


def _dep_digest(stages: dict[str, Any], stage: str, path: str) -> str:
    return next((dep["md5"] for dep in stages.get(stage, {}).get("deps", []) if dep["path"] == path), "")


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested names joined by dots, lists by position."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            flat |= _flat({str(position): item for position, item in enumerate(value)}, f"{prefix}{name}.")
        elif value is not None:
            flat[f"{prefix}{name}"] = value
    return flat
