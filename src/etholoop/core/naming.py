"""Ids of sources from their paths."""

import hashlib
import re
import unicodedata

MAX_LENGTH = 120
"""Longest id; file names made from it must stay below 255 bytes."""


def source_id(path: str, is_folder: bool = False) -> str:
    """Id of a source: lower case, everything outside ``[a-z0-9_-]`` becomes ``-``, the extension of a file is dropped.

    Accents are removed first (``Käfig`` → ``kafig``). A name that loses letters or digits that way (another script), or is too long,
    ends in a digest of the whole path, so that two such names stay apart.

    Args:
        path: below ``data/raw/videos`` or ``data/raw/images``, with ``/`` between folders.
        is_folder: keep everything behind the last dot.
    """
    path = unicodedata.normalize("NFC", path)
    stem = path if is_folder else re.sub(r"(?<=[^/])\.[^./]*$", "", path)
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", stem) if not unicodedata.combining(sign)).lower()
    name = re.sub(r"-+", "-", re.sub(r"[^a-z0-9_-]", "-", plain)).strip("-").lstrip("_-")
    lost = any(sign.isalnum() and not sign.isascii() for sign in plain)
    if not name or lost or len(name) > MAX_LENGTH:
        digest = hashlib.sha256(stem.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        name = f"{name[:MAX_LENGTH].rstrip('-') or 'source'}-{digest}"
    return name
