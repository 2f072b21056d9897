"""The report as one HTML file: styles and pictures inside, no script, no network."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

TEMPLATE = "report_template.html"
PNG_WIDTH = slice(16, 20)
SHOWN_SIZE = 0.69
"""Pixels on the page for each pixel of a chart, which are drawn finer than they are shown."""


@dataclass(frozen=True)
class Picture:
    """A picture on the page; ``alt`` says in words what is to be seen, ``caption`` stands below it, ``note`` in small print."""

    source: str
    alt: str
    caption: str = ""
    note: str = ""
    badge: str = ""
    width_px: int = 0
    """How wide it is shown, 0 = as its place says."""


def data_uri(content: bytes) -> str:
    """PNG or JPEG bytes as an address that holds them."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def chart_width(png: bytes) -> int:
    """How wide a chart is shown, so that its letters have the size of those of other charts."""
    return round(int.from_bytes(png[PNG_WIDTH], "big") * SHOWN_SIZE)


def render(page: Mapping[str, Any]) -> str:
    """Fill the template; a name the template uses and the page lacks is an error, and all texts are escaped."""
    loader = jinja2.FunctionLoader(lambda name: resources.files("etholoop.io").joinpath(name).read_text(encoding="utf-8"))
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"figure": figure, "interval": interval, "count": count, "typed": typed}
    return environment.get_template(TEMPLATE).render(**page) + "\n"


def figure(value: float | None, unit: str = "") -> str:
    """Three decimals for shares, two for pixels, a dash for what does not exist."""
    if value is None:
        return "–"
    return f"{value:.2f} {unit}" if unit else f"{value:.3f}"


def interval(value: tuple[float | None, float | None] | None, unit: str = "") -> str:
    """A 95 % interval in words; empty if there is none."""
    if not value or None in value:
        return ""
    decimals = 2 if unit else 3
    return f"[{value[0]:.{decimals}f} to {value[1]:.{decimals}f}]"


def typed(text: str) -> Markup:
    """Words between backticks as something to type; everything else is escaped."""
    parts = str(text).split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(parts))


def count(n: int, one: str, many: str = "") -> str:
    """``1 frame``, ``2 frames``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}".replace(",", " ")
