"""Checkpoints and configurations of SlowFast (.pyth, .zip, YAML), from a local path or the Hugging Face hub.

A .pyth file holds ``model_state`` (tensors), ``cfg`` (the whole configuration as YAML text), ``epoch`` (from 0) and ``optimizer_state``.
Nothing is executed and nothing is written: zip files are unpacked into a temporary folder, and a configuration that comes with the
weights is used from memory.
"""

import os
import pickle
import re
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import archives

LIMITS = archives.ArchiveLimits(max_members=1000, max_bytes=8 * 1024**3)


AGAIN = "Fetch it again, and compare its size with that of the source; nothing was used."


@dataclass(frozen=True)
class SlowFastCheckpoint:
    """Weights by name, the configuration with dotted keys (None if the file has none) and the epoch counted from 0 (-1 = not told)."""

    state: dict[str, Any]
    config: dict[str, Any] | None
    epoch: int
    where: str


def read_checkpoint(path: Path) -> SlowFastCheckpoint:
    """Read a ``.pyth`` file, or a zip file with one in it.

    Raises:
        EthoLoopError: no such file, a damaged or unsafe one, or one without weights.
    """
    path = Path(path)
    if not path.is_file():
        raise EthoLoopError(
            f"{path}: checkpoint not found. Give the path of a .pyth or .zip file; one of the hub's needs --hub OWNER/NAME."
        )
    if path.suffix.lower() != ".zip":
        return _checkpoint(path, str(path))
    with tempfile.TemporaryDirectory(prefix="etholoop-checkpoint-") as name:
        if not zipfile.is_zipfile(path):
            raise EthoLoopError(f"{path}: expected a zip file with one checkpoint (.pyth) in it; this one was cut off, or is none. {AGAIN}")
        try:
            files = archives.unpack(path, Path(name) / "unpacked", LIMITS)
        except FaultsError:
            raise  # unsafe names, which another copy would have too
        except EthoLoopError as error:
            raise EthoLoopError(f"{error} {AGAIN}") from error
        member = _member(path, files)
        return _checkpoint(member, f"{path} ({member.name})")


def read_config(path: Path) -> dict[str, Any]:
    """Read a YAML configuration; keys become dotted, ``{"X3D.WIDTH_FACTOR": 2.0, …}``.

    Raises:
        EthoLoopError: no such file, or not a SlowFast configuration.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EthoLoopError(f"{path}: configuration not found.") from None
    except UnicodeDecodeError as error:
        raise EthoLoopError(f"{path}: expected a YAML configuration, found something that is no text.") from error
    return config_of(text, str(path))


def config_of(text: str, where: str) -> dict[str, Any]:
    """A configuration from its YAML text.

    Raises:
        EthoLoopError: not YAML, no mapping, or one that refers to another file.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise EthoLoopError(f"{where}: the configuration is not readable as YAML: {error}") from error
    if not isinstance(content, dict) or not any(isinstance(value, dict) for value in content.values()):
        raise EthoLoopError(f"{where}: expected a SlowFast configuration (sections MODEL, DATA, X3D, …), found {str(content)[:60]!r}.")
    if "_BASE_" in content:
        raise EthoLoopError(f"{where}: leans on another file (_BASE_: {content['_BASE_']}). Give the whole configuration.")
    return _dotted(content)


def hub_file(repo: str, name: str) -> Path:
    """A file of a Hugging Face repository, from its server or, without one, from the local cache.

    Raises:
        EthoLoopError: the file cannot be had; the message says what to do.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise EthoLoopError(f"--hub {repo}: expected OWNER/NAME, for example imageomics/x3d-kabr-kinetics.")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        return _from_cache(repo, name, "the package huggingface_hub is not installed (pip install huggingface_hub)")
    try:
        return Path(hf_hub_download(repo, name))
    except Exception as error:  # the library and what it stands on raise many unrelated types when there is no network
        return _from_cache(
            repo, name, f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"
        )


def _from_cache(repo: str, name: str, because: str) -> Path:
    """The newest copy in the cache, which holds ``models--OWNER--NAME/{refs/main, snapshots/<revision>/<file>}``."""
    folder = cache_folder() / f"models--{repo.replace('/', '--')}"
    reference = folder / "refs/main"
    if reference.is_file():
        path = folder / "snapshots" / reference.read_text(encoding="utf-8").strip() / name
        if path.is_file():
            return path
    raise EthoLoopError(
        f"{repo}: '{name}' could not be fetched ({because}) and is not in the cache {cache_folder()}. "
        f"Fetch it where there is a network, put it into the cache or anywhere else, and give its path to --checkpoint without --hub."
    )


def cache_folder() -> Path:
    """Where Hugging Face keeps files: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub."""
    own = os.environ.get("HF_HUB_CACHE")
    home = os.environ.get("HF_HOME") or str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface")
    return Path(own) if own else Path(home) / "hub"


def _member(path: Path, files: list[Path]) -> Path:
    """The checkpoint among the files of a zip: the one named like it, else the only .pyth."""
    weights = [file for file in files if file.suffix.lower() in (".pyth", ".pth", ".pt")]
    named = [file for file in weights if file.name == path.stem]
    choice = named or weights
    if len(choice) != 1:
        found = ", ".join(sorted(file.name for file in files)) or "nothing"
        raise EthoLoopError(f"{path}: expected one checkpoint (.pyth) in it, found {found}.")
    return choice[0]


def _checkpoint(path: Path, where: str) -> SlowFastCheckpoint:
    content = _loaded(path, where)
    state = content.get("model_state", content)
    tensors = isinstance(state, Mapping) and state and all(hasattr(value, "shape") for value in state.values())
    if not tensors:
        keys = ", ".join(map(str, list(content)[:8]))
        raise EthoLoopError(f"{where}: expected weights under 'model_state', found {keys or 'nothing'}.")
    config = content.get("cfg") if state is not content else None
    if config is not None and not isinstance(config, str):
        raise EthoLoopError(f"{where}: expected the configuration 'cfg' as text, found {type(config).__name__}.")
    epoch = content.get("epoch", -1) if state is not content else -1
    return SlowFastCheckpoint(dict(state), config_of(config, f"{where}, cfg") if config else None, int(epoch), where)


def _loaded(path: Path, where: str) -> dict[str, Any]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own words advise to load it unsafely, which nobody should
        raise EthoLoopError(
            f"{where}: refused: expected a checkpoint of tensors and plain values; it holds other objects, or is no checkpoint at all. "
            "Nothing in it was executed. Fetch it again, or save it anew with model_state and cfg only."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0].split(". ")[0][:120] if str(error) else type(error).__name__
        raise EthoLoopError(f"{where}: damaged or no checkpoint ({reason}). {AGAIN}") from error
    if not isinstance(content, dict):
        raise EthoLoopError(f"{where}: expected a checkpoint with 'model_state', found {type(content).__name__}.")
    return content


def _dotted(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            flat |= _dotted(value, f"{key}.")
        else:
            flat[key] = value
    return flat
