"""The project's own words: ``label_studio/skeleton.yaml`` and ``label_studio/ethogram.yaml``."""

from pathlib import Path

from etholoop.params import read_yaml
from etholoop.schema.ethogram import Ethogram, ethogram_from
from etholoop.schema.skeleton import Skeleton, skeleton_from


def read_skeleton(path: Path) -> Skeleton:
    """Read and check a skeleton file; all faults are named together."""
    return skeleton_from(read_yaml(path), str(path))


def read_ethogram(path: Path) -> Ethogram:
    """Read and check an ethogram file; all faults are named together."""
    return ethogram_from(read_yaml(path), str(path))
