"""Run by every Python child process (its folder is on PYTHONPATH after ``runtime.prepare``): cure torchvision there too."""

import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def _run(name: str, file: str) -> None:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file that can be run", path=file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    getattr(module, "install", lambda: None)()


def _next_sitecustomize() -> None:
    """This file hides a sitecustomize of the machine or the environment; run that one as well, but not the same file of another project."""
    elsewhere = [folder for folder in sys.path if not (Path(folder).parent / "_torchvision_cure.py").is_file()]
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.origin:
        _run("_next_sitecustomize", spec.origin)


_run("etholoop_torchvision_cure", str(_HERE.parent / "_torchvision_cure.py"))
_next_sitecustomize()
