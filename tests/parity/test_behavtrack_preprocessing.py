"""The preset `behavtrack` gives the pictures that BehavTrack's own filter chain gives, where a command-line ffmpeg is there to ask."""

import shutil
import subprocess
from fractions import Fraction

import numpy as np
import pytest
from av.video.frame import VideoFrame

from etholoop.core.picture_layout import layout
from etholoop.io import video
from etholoop.io.transcode import Pictures
from etholoop.io.transcode_filters import Recipe, filtered
from etholoop.stages._normalise_plan import BEHAVTRACK

WIDTH, HEIGHT, N = 320, 240, 12
TO = (200, 160)

ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the program ffmpeg with the filter eq")


def picture(frame: int) -> np.ndarray:
    """Smooth colours with a sharp moving bar."""
    x, y = np.meshgrid(np.linspace(0, 1, WIDTH), np.linspace(0, 1, HEIGHT))
    image = np.stack([255 * x, 255 * y, 128 + 100 * np.sin(6 * x + frame)], axis=2).astype(np.uint8)
    image[60:180, 20 * frame : 20 * frame + 15] = 250
    return image


@ffmpeg
def test_the_pictures_are_those_of_the_original_filters(tmp_path):
    path = tmp_path / "a.mp4"
    video.write_video(path, map(picture, range(N)), Fraction(15), crf=5)
    gamma, brightness, contrast = (BEHAVTRACK[name] for name in ("gamma", "brightness", "contrast"))
    chain = f"format=gray,eq=gamma={gamma}:brightness={brightness}:contrast={contrast},scale={TO[0]}:{TO[1]}:flags=lanczos"
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", chain, "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    theirs = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8).reshape(N, TO[1], TO[0])

    recipe = Recipe(layout((WIDTH, HEIGHT), None, *TO, "stretch"), grey=True, gamma=gamma, brightness=brightness, contrast=contrast)
    pictures = Pictures(path, video.probe(path)[1], keep=1)
    pictures.want(range(N))
    ours = np.stack([shown(frame) for frame in filtered(map(pictures.frame, range(N)), recipe)])
    pictures.close()
    difference = np.abs(ours - theirs)
    assert difference.mean() < 0.6 and np.percentile(difference, 99.9) <= 2 and difference.max() <= 6


def shown(frame: VideoFrame) -> np.ndarray:
    """Grey levels 0 to 255 as a screen shows them."""
    return np.clip((frame.to_ndarray()[: TO[1]].astype(float) - 16) * 255 / 219, 0, 255)


def test_the_preset_says_what_the_original_does():
    # BehavTrack's pre_process_video and the notebook that calls it: see docs/architecture.md, normalise
    assert BEHAVTRACK["seconds"] == 900 and BEHAVTRACK["fit"] == "stretch" and BEHAVTRACK["fps"] == "min_whole"
    assert (BEHAVTRACK["gamma"], BEHAVTRACK["brightness"], BEHAVTRACK["contrast"]) == (1.8, 0.17, 1.3)
