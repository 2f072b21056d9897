"""Writing CVAT 1.1 XML."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from etholoop.errors import EthoLoopError
from etholoop.io import atomic
from etholoop.io._cvat_records import BOX, Annotations, Meta, Shape, Track

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


def write(path: Path, annotations: Annotations) -> None:
    """Write a file of the format "CVAT for video 1.1", coordinates with two decimals as CVAT does; all or nothing.

    Raises:
        EthoLoopError: a text holds a character that XML cannot hold.
    """
    content = text(annotations)
    if found := FORBIDDEN.search(content):
        raise EthoLoopError(f"{path}: XML cannot hold the character {found[0]!r}, which is in a label or an attribute. Rename it.")
    atomic.write_text(path, content)


def text(annotations: Annotations) -> str:
    """The content of the file."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>", *_meta(annotations.meta)]
    for track in annotations.tracks:
        lines += _track(track)
    return "\n".join([*lines, "</annotations>", ""])


def _meta(meta: Meta) -> Iterator[str]:
    if not meta.level:
        return
    yield f"  <meta>\n    <{meta.level}>"
    for name in ("name", "size", "start_frame", "stop_frame"):
        value = getattr(meta, name)
        if value not in (None, ""):
            yield f"      <{name}>{_escaped(str(value))}</{name}>"
    if meta.width is not None and meta.height is not None:
        yield "      <original_size>"
        yield f"        <width>{meta.width}</width>\n        <height>{meta.height}</height>"
        yield "      </original_size>"
    if meta.source:
        yield f"      <source>{_escaped(meta.source)}</source>"
    yield f"    </{meta.level}>\n  </meta>"


def _track(track: Track) -> Iterator[str]:
    yield f'  <track id="{track.id}" label={quoteattr(track.label)} source={quoteattr(track.source)}>'
    for shape in track.shapes:
        yield f"    {_shape(shape)}"
    yield "  </track>"


def _shape(shape: Shape) -> str:
    given: list[tuple[str, int | str]] = [("frame", shape.frame)]
    given += [(name, int(getattr(shape, name))) for name in ("outside", "occluded", "keyframe")]
    values = shape.coordinates
    if shape.kind == BOX:
        given += [(name, f"{value:.2f}") for name, value in zip(("xtl", "ytl", "xbr", "ybr"), values, strict=True)]
        given += [("rotation", f"{shape.rotation:.2f}")] if shape.rotation else []
    else:
        given.append(("points", ";".join(f"{x:.2f},{y:.2f}" for x, y in zip(values[::2], values[1::2], strict=True))))
    given.append(("z_order", shape.z_order))
    head = f"<{shape.kind} " + " ".join(f'{name}="{value}"' for name, value in given)
    inside = "".join(f"<attribute name={quoteattr(name)}>{_escaped(value)}</attribute>" for name, value in shape.attributes)
    return f"{head}>{inside}</{shape.kind}>" if inside else f"{head}/>"


def _escaped(value: str) -> str:
    # a bare carriage return would be read back as a line feed
    return escape(value, {"\r": "&#13;"})
