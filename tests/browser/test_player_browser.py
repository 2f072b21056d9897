"""The player in a real browser: what stands on the screen is the frame whose number stands beside it."""

import base64
from fractions import Fraction

import cv2
import numpy as np
import pytest
from studio_live import chromium

from etholoop.core.behaviour_looks import look_of
from etholoop.io import tables, video
from etholoop.project import Project
from etholoop.schema.annotations import Bouts
from etholoop.simulation.numbered import numbered_frame, read_number

pytestmark = pytest.mark.slow

N = 90
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install -e '.[dev]'")
    from etholoop.commands._project_show import ProjectShow
    from etholoop.services.player import Player
    from etholoop.stages import manifest

    project = Project(tmp_path_factory.mktemp("player"))
    # B-frames and few keyframes, where players usually go wrong
    video.write_video(project.raw_videos / "cage.mp4", (numbered_frame(k) for k in range(N)), Fraction(25), crf=10)
    project.skeleton.parent.mkdir(parents=True)
    project.skeleton.write_text("species: [mouse]\nkeypoints: []\n")
    project.ethogram.write_text("behaviours:\n" + "".join(f"  - {{name: {name}, definition: d}}\n" for name in "abcdefgh"))
    bout = {"video_id": "cage", "subject": "m1", "confidence": None, "source": "kim"}
    times = [{**bout, "behaviour": name, "start_frame": start, "stop_frame": start + 30} for name, start in (("b", 0), ("h", 60))]
    tables.write(tables.from_rows(times, Bouts), Bouts, project.annotations / "bouts.parquet")
    manifest.run(project, manifest.Params())
    show = ProjectShow(project)
    player = Player(show)
    player.start()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        page.faults = []
        page.on("pageerror", lambda fault: page.faults.append(str(fault)))
        page.goto(player.url)
        yield page
        browser.close()
    player.stop()


def shown(page) -> int:
    """Number that the picture on the screen shows."""
    content = base64.b64decode(page.evaluate("document.getElementById('picture').toDataURL('image/png')").split(",")[1])
    image = cv2.cvtColor(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    columns, rows = (np.flatnonzero(image.max(axis=(2, axis)) > 20) for axis in (0, 1))
    return read_number(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def wait_for(page, frame: int) -> None:
    page.wait_for_function(f"window.etholoop.shown === {frame} && !window.etholoop.playing", timeout=60_000)
    assert shown(page) == frame
    assert f"frame {frame} of {N}" in page.inner_text("#where")


def colours_of_timeline(page, start: float, stop: float) -> list[tuple[str, int]]:
    """Colours and their pixels in a part of the recording's time, most pixels first."""
    content = base64.b64decode(page.evaluate("document.getElementById('timeline').toDataURL('image/png')").split(",")[1])
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    left, right = (round(70 + (image.shape[1] - 80) * share) for share in (start, stop))
    found, n = np.unique(image[20:, left:right].reshape(-1, 3), axis=0, return_counts=True)
    return [("#" + "".join(f"{value:02x}" for value in found[k]), int(n[k])) for k in n.argsort()[::-1]]


def test_bouts_have_the_looks_of_the_report(page):
    page.wait_for_function("window.etholoop.shown >= 0", timeout=60_000)
    plain, hatched = dict(colours_of_timeline(page, 0.1, 0.3)), dict(colours_of_timeline(page, 0.7, 0.9))
    assert plain[look_of(1).colour] > 500 and "#1d2733" not in plain
    assert look_of(7) == (look_of(0).colour, 1)
    assert hatched[look_of(0).colour] > 300 and hatched["#1d2733"] > 30
    assert page.inner_text("#behaviours").split() == ["b", "h"]
    assert page.faults == []


def test_single_frames_seconds_and_ends_are_exact(page):
    wait_for(page, 0)
    for keys, frame in ((["."] * 3, 3), (["ArrowRight"], 28), ([","], 27), (["End"], N - 1), (["ArrowLeft"], N - 26), (["Home"], 0)):
        for key in keys:
            page.keyboard.press(key)
        wait_for(page, frame)
    assert page.faults == []


def test_playing_ends_at_the_last_frame_and_shows_it(page):
    page.keyboard.press("Home")
    wait_for(page, 0)
    for _ in range(3):
        page.keyboard.press("+")
    page.keyboard.press(" ")
    wait_for(page, N - 1)
    for _ in range(3):
        page.keyboard.press("-")
    page.wait_for_function("document.getElementById('speed').textContent === '× 1'", timeout=60_000)


def test_an_animal_that_is_not_there_is_said(page):
    page.keyboard.press("7")
    assert page.inner_text("#message") == "there is no animal 7"
