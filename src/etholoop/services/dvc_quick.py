"""`dvc`, quicker where a project's code is among its dependencies: ``python -m etholoop.services.dvc_quick repro``.

After each stage DVC reads and writes all of ``dvc.lock``, thousands of lines, through a YAML library that keeps comments and takes more
than a second for it. Here only the part of that stage goes through it, and those of the others stay the text they are. The bytes are
those that DVC would write, because each part that stays is *settled*: DVC's own reader and writer give it back as it is. Whatever does
not look like the plain file that DVC writes (edited by hand, left by a merge) is left to DVC.
"""

import contextlib
import hashlib
import re
import sys
from collections.abc import Iterator
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-P", "-m", "etholoop.services.dvc_quick"]
"""In place of ``dvc``. -P: the folder of the project is no place to import from."""

SCHEMA, HEAD = "schema: '2.0'\n", "schema: '2.0'\nstages:\n"
MANY = 10
"""With fewer stages the whole file is as quick."""

REACHES_OUT = re.compile(r"(^|\s)[#&*]", re.MULTILINE)
"""Comments, and marks by which one place of a file refers to another."""

SETTLED = "etholoop-settled"
"""Folder in ``.dvc/tmp`` with one list of digests, of parts known to be settled, for each version of what writes them."""

Parts = dict[str, str]
"""Text of each stage in a lock file, by its first line."""


def main() -> None:
    """Run ``dvc`` with the arguments of this program."""
    from dvc.cli import main as dvc

    write_by_parts()
    sys.exit(dvc())


def write_by_parts() -> None:
    """From now on this process writes lock files by parts."""
    from dvc import dvcfile

    # every step of DVC is kept (what it compares, says and tells Git); it only gets to see a smaller file
    dvcfile.Lockfile.dump_stages = partialmethod(_dump_stages, dvcfile, dvcfile.Lockfile.dump_stages)


def _dump_stages(lockfile: Any, dvcfile: Any, whole: Any, stages: list[Any], **options: Any) -> None:
    path, folder = Path(lockfile.path), lockfile.repo.tmp_dir
    parts = split(path.read_text(encoding="utf-8")) if len(stages) == 1 and folder and path.is_file() else None
    if parts is None:
        whole(lockfile, stages, **options)
        return
    first_line = _first_line(stages[0].name)
    if not _all_settled([text for line, text in parts.items() if line != first_line], Path(folder) / SETTLED / _writers()):
        whole(lockfile, stages, **options)
        return
    before = dvcfile.modify_yaml
    dvcfile.modify_yaml = partial(_modify_part, parts, first_line)
    try:
        whole(lockfile, stages, **options)
    finally:
        dvcfile.modify_yaml = before


def split(text: str) -> Parts | None:
    """The parts of a lock file; None = it is not as DVC writes it, or too short for it to matter."""
    if not text.startswith(HEAD) or REACHES_OUT.search(text):
        return None
    parts = re.split(r"^(?=  \S)", text.removeprefix(HEAD), flags=re.MULTILINE)[1:]
    found = {part.partition("\n")[0]: part for part in parts}
    whole = HEAD + "".join(found.values()) == text
    return found if whole and len(found) >= MANY and all(_inside(part) for part in parts) else None


def _inside(part: str) -> bool:
    """Whether nothing in a part but its first line stands as far left as a stage: no other key of the file hides in it."""
    return all(line.startswith("   ") or not line for line in part.split("\n")[1:]) and part.endswith("\n")


def _first_line(stage: str) -> str:
    from dvc.utils.serialize import dumps_yaml

    return dumps_yaml({"stages": {stage: {"cmd": ""}}}).split("\n")[1]


def _all_settled(parts: list[str], known: Path) -> bool:
    digests = {hashlib.sha256(part.encode()).hexdigest(): part for part in parts}
    settled = set(known.read_text(encoding="utf-8").split()) if known.is_file() else set()
    new = [digest for digest in digests if digest not in settled]
    if not all(_is_settled(digests[digest]) for digest in new):
        return False
    if new:
        known.parent.mkdir(exist_ok=True)
        with known.open("a", encoding="utf-8") as file:
            file.write("".join(f"{digest}\n" for digest in new))
    return True


def _is_settled(part: str) -> bool:
    from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

    content = parse_yaml_for_update(HEAD + part, "dvc.lock")
    return len(content["stages"]) == 1 and dumps_yaml(content) == HEAD + part


def _writers() -> str:
    import dvc
    import ruamel.yaml

    return f"dvc-{dvc.__version__}-ruamel-{ruamel.yaml.__version__}"


@contextlib.contextmanager
def _modify_part(parts: Parts, first_line: str, path: Any, fs: Any = None) -> Iterator[Any]:
    """As DVC's ``modify_yaml``: the content to be changed, here that of one stage; written when the body has ended."""
    from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

    content = parse_yaml_for_update(HEAD + parts[first_line] if first_line in parts else SCHEMA, path)
    yield content
    changed = parts | {first_line: dumps_yaml(content).removeprefix(HEAD)}
    Path(path).write_text(HEAD + "".join(changed.values()), encoding="utf-8")


if __name__ == "__main__":
    main()
