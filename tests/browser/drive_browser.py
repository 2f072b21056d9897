"""What a person does in Label Studio, done by Chromium. Run by an interpreter that has Playwright; prints what was done as JSON.

Usage: python drive_browser.py '{"url": …, "email": …, "password": …, "frames": 1, "behaviour": 2, "pictures": "folder" or ""}'
"""

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

FRAME_PX = 16
"""Width of one frame on the timeline."""


class Studio:
    """A logged-in browser."""

    def __init__(self, page: Page, order: dict[str, Any]):
        self.page, self.order, self.origin = page, order, (0.0, 0.0)

    def log_in(self) -> None:
        self.page.goto(f"{self.order['url']}/user/login/")
        self.page.fill("input[name=email]", self.order["email"])
        self.page.fill("input[name=password]", self.order["password"])
        self.page.click("button[type=submit]")
        self.page.wait_for_load_state("networkidle")

    def open_frame(self, task: int) -> None:
        """Open a task and check that one pixel of the screen is one pixel of the picture."""
        self.page.goto(f"{self.order['url']}/projects/{self.order['frames']}/data?task={task}")
        self.page.wait_for_selector(".konvajs-content canvas", timeout=60000)
        self.page.wait_for_timeout(3000)
        zoom = self.page.evaluate("Htx.annotationStore.selected.objects[0].stageZoom")
        assert zoom == 1, f"the picture is shown at {zoom}, so places would be approximate"
        box = self.page.locator(".konvajs-content").first.bounding_box()
        assert box
        self.origin = box["x"], box["y"]

    def key(self, name: str) -> None:
        self.page.keyboard.press(name)
        self.page.wait_for_timeout(300)

    def drag(self, x: float, y: float, to_x: float, to_y: float) -> None:
        """Drag from one pixel of the picture to another one."""
        mouse = self.page.mouse
        mouse.move(self.origin[0] + x, self.origin[1] + y)
        mouse.down()
        mouse.move(self.origin[0] + (x + to_x) / 2, self.origin[1] + (y + to_y) / 2, steps=5)
        mouse.move(self.origin[0] + to_x, self.origin[1] + to_y, steps=5)
        mouse.up()
        self.page.wait_for_timeout(400)

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(self.origin[0] + x, self.origin[1] + y)
        self.page.wait_for_timeout(400)

    def point_inside_a_box(self, key: str, x: float, y: float) -> None:
        self.key("u")
        self.key(key)
        self.page.keyboard.down("Control")
        self.click(x, y)
        self.page.keyboard.up("Control")

    def select_in_list(self, word: str) -> None:
        """Points drawn after their box lie below it, so they are chosen in the list of regions."""
        self.page.locator(".lsf-tree__node", has_text=word).first.click()
        self.page.wait_for_timeout(400)

    def picture(self, name: str) -> None:
        if self.order["pictures"]:
            self.page.screenshot(path=str(Path(self.order["pictures"]) / f"{name}.png"))

    def submit(self) -> None:
        # the page shows what is drawn before the server has it
        with self.page.expect_response(lambda reply: "/annotations" in reply.url and reply.request.method in ("POST", "PATCH")) as waiting:
            self.page.get_by_role("button", name="Submit").click()
        assert waiting.value.ok, waiting.value.status
        self.page.wait_for_timeout(500)

    def regions(self) -> list[dict[str, Any]]:
        return self.page.evaluate("Htx.annotationStore.selected.serializeAnnotation()")


def draw_from_nothing(studio: Studio, task: int) -> dict[str, Any]:
    """A box, two keypoints in it, one of them hidden; undo takes a slip back."""
    studio.open_frame(task)
    studio.key("b")
    studio.drag(100, 120, 300, 260)
    studio.point_inside_a_box("1", 150, 150)
    studio.point_inside_a_box("2", 251, 221)
    before = len(studio.regions())
    studio.point_inside_a_box("1", 290, 250)  # a slip
    assert len(studio.regions()) == before + 1
    studio.key("Control+z")
    undone = len(studio.regions()) == before
    studio.key("u")
    studio.select_in_list("tail")
    studio.key("-")
    studio.picture("annotating_frame")
    studio.submit()
    return {"undone": undone}


def correct_prediction(studio: Studio, task: int, order: dict[str, Any]) -> dict[str, Any]:
    """Move one predicted keypoint, leave everything else as it was drawn in."""
    studio.open_frame(task)
    drawn = len(studio.regions())
    studio.key("u")
    studio.key("v")
    (x, y), (to_x, to_y) = order["from"], order["to"]
    studio.drag(x, y, to_x, to_y)
    studio.picture("annotating_correction")
    studio.submit()
    return {"drawn_in": drawn}


def tick_no_animal(studio: Studio, task: int) -> dict[str, Any]:
    studio.open_frame(task)
    studio.key("n")
    studio.submit()
    return {}


def label_a_bout(studio: Studio, task: int, order: dict[str, Any]) -> dict[str, Any]:
    """Draw a bout on the timeline with a behaviour's key; the predicted ones stay."""
    page = studio.page
    page.goto(f"{order['url']}/projects/{order['behaviour']}/data?task={task}")
    page.wait_for_selector("video", timeout=60000, state="attached")
    page.wait_for_selector(".lsf-timeline-frames__background", timeout=60000)
    page.wait_for_timeout(4000)
    shown = page.evaluate("Htx.annotationStore.selected.objects[0].length")
    ground = page.locator(".lsf-timeline-frames__background").first.bounding_box()
    assert ground
    first, last = order["bout"]
    y = ground["y"] + 22
    studio.key(order["key"])
    page.mouse.move(ground["x"] + (first - 0.5) * FRAME_PX, y)
    page.mouse.down()
    page.mouse.move(ground["x"] + (last - 0.5) * FRAME_PX, y, steps=12)
    page.mouse.up()
    page.wait_for_timeout(500)
    studio.picture("annotating_behaviour")
    studio.submit()
    return {"frames_shown": shown}


def main() -> None:
    order = json.loads(sys.argv[1])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=order["chromium"], args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        studio = Studio(page, order)
        studio.log_in()
        done = {"drawn": draw_from_nothing(studio, order["draw"])}
        done["corrected"] = correct_prediction(studio, order["correct"]["task"], order["correct"])
        done["no_animal"] = tick_no_animal(studio, order["no_animal"])
        done["bout"] = label_a_bout(studio, order["bout_task"], order)
        browser.close()
    print(json.dumps(done))


if __name__ == "__main__":
    main()
