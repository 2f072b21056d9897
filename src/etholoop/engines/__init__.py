"""Where work is done: in this process, in processes of this computer, or on a cluster. An engine decides where, never what.

A plug-in is a file with ``open_engine(settings, scratch) -> Engine``.
"""

from pathlib import Path

from etholoop import registry
from etholoop.engines._settings import Settings
from etholoop.engines._shared import Engine


def open_engine(settings: Settings, scratch: Path) -> Engine:
    """Start an engine; use it in a ``with`` statement, which leaves no process behind.

    Args:
        settings: from :func:`etholoop.engines._settings.read_settings`.
        scratch: folder for what workers say and leave lying about; for a cluster it must be on a disk that all computers see.
    """
    return registry.load("etholoop.engines", settings.plugin).open_engine(settings, scratch)
