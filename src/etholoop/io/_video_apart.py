"""Probing in a process of its own, which can be stopped when a library call never returns and whose end takes nobody along."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from etholoop.io._video_index import VideoIndex, VideoInfo
from etholoop.io._video_open import LIMITS, VideoFault, VideoLimits
from etholoop.io._video_probe import probe

GRACE = 1.2
"""By so much the process may outlive the time that the probe itself keeps to."""

START_S = 10.0
"""For starting Python."""

CHILD = (sys.executable, "-m", __name__)


def probe_apart(path: Path, decode: bool | None = None, limits: VideoLimits = LIMITS) -> tuple[VideoInfo, VideoIndex]:
    """As :func:`probe`, at the price of starting a process (some tenths of a second).

    Raises:
        VideoFault: as :func:`probe`; too_slow also where the decoder hangs, crashed where the file ends the process.
    """
    path = Path(path)
    if not path.is_file():
        return probe(path, decode, limits)  # which says why
    patience_s = START_S + GRACE * max(0.0, limits.deadline(path).allowed_s)
    with tempfile.TemporaryDirectory(prefix="etholoop-probe-") as folder:
        request = json.dumps({"path": str(path.absolute()), "decode": decode, "limits": asdict(limits), "folder": folder})
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            done = subprocess.run(CHILD, input=request, capture_output=True, text=True, timeout=patience_s, env=environment, check=False)
        except subprocess.TimeoutExpired:
            sentence = f"The decoder did not come back within {patience_s:.0f} s and was stopped."
            raise VideoFault("too_slow", sentence, path) from None
        fault, index = Path(folder) / "fault.json", Path(folder) / "index.npz"
        if fault.is_file():
            found = json.loads(fault.read_text(encoding="utf-8"))
            raise VideoFault(found["reason"], found["detail"], path)
        if not index.is_file():
            last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
            raise VideoFault("crashed", f"The file ended the process that looked at it (exit code {done.returncode}: {last}).", path)
        loaded = VideoIndex.load(index)
        return loaded.info, loaded


def main() -> None:
    """Probe as standard input says; leave the index, or the fault, in the folder."""
    request = json.load(sys.stdin)
    folder = Path(request["folder"])
    try:
        probe(Path(request["path"]), request["decode"], VideoLimits(**request["limits"]))[1].save(folder / "index.npz")
    except VideoFault as fault:
        (folder / "fault.json").write_text(json.dumps({"reason": fault.reason, "detail": fault.detail}), encoding="utf-8")


if __name__ == "__main__":
    main()
