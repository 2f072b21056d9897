"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

from etholoop import runtime

runtime.prepare(None)
# tests of stages look into this process; tests of engines start workers themselves
os.environ["ETHOLOOP_ENGINE"] = "serial"


@pytest.fixture(scope="session")
def public_data() -> Path:
    """Folder with the public data sets and recorded numbers (docs/datasets.md); tests on them are skipped where it is absent."""
    configured = os.environ.get("ETHOLOOP_DATA")
    if not configured:
        pytest.skip("ETHOLOOP_DATA is not set: tests on public data sets are left out (docs/datasets.md says where they come from)")
    folder = Path(configured)
    if not (folder / "data").is_dir():
        pytest.skip(f"ETHOLOOP_DATA={configured} holds no folder 'data'")
    return folder
