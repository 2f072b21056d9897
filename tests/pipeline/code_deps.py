"""Which source files a stage runs: followed through its imports, written into ``dvc.yaml``.

``python tests/pipeline/code_deps.py --write`` updates the file; the test beside this one fails when it is out of date.
"""

import ast
import sys
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"

# A plug-in is imported by name, which no import walk can see: the file in use is named by template, so that editing a
# plug-in that is not in use changes nothing.
PLUGINS = {
    "frames": [("etholoop.core.sampling", "${frames.strategy}")],
    "refine_train": [("etholoop.modeling.refiners", "${refine_train.refiner}")],
    "pose_train": [("etholoop.modeling.detectors", "${pose_train.detector}")],
    "pose_predict": [
        ("etholoop.modeling.detectors", "${pose_train.detector}"),
        ("etholoop.modeling.refiners", "${refine_train.refiner}"),
    ],
    "select": [("etholoop.acquisition", "${select.acquisition}"), ("etholoop.acquisition", "${select.cold_start}")],
}

# Where several plug-ins may be in use at once, or one uses another by name, all of them count.
ROOMS = {
    "pose_predict": "etholoop.modeling.backends",
    "track": "etholoop.modeling.trackers",
    "behaviour_train": "etholoop.modeling.behaviour.families",
    "behaviour_predict": "etholoop.modeling.behaviour.families",
}

# Files beside the code that a stage fills in.
TEMPLATES = {"report": ["src/etholoop/io/report_behaviour.html", "src/etholoop/io/report_template.html"]}


def module_path(module: str) -> Path | None:
    """File of one of our modules, None for modules of other packages and names that are not modules."""
    base = SOURCE / module.replace(".", "/")
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def imports(path: Path) -> set[str]:
    """Names of our modules that a file imports, at its top or inside functions; type-checking imports are left out."""
    found: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {child for node in ast.walk(tree) if _is_type_checking(node) for child in ast.walk(node)}
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.startswith("etholoop") and module_path(name)}


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def closure(start: list[str]) -> set[Path]:
    """All our files reached from some modules; empty package files are left out."""
    seen: set[str] = set()
    queue = list(start)
    while queue:
        module = queue.pop()
        if module not in seen:
            seen.add(module)
            queue += imports(module_path(module))  # type: ignore[arg-type]
    paths = {module_path(module) for module in seen}
    return {path for path in paths if path and not (path.name == "__init__.py" and len(ast.parse(path.read_text()).body) <= 1)}


def code_deps(stage: str) -> list[str]:
    """Source files of a stage as they should stand in ``dvc.yaml``."""
    paths = closure([f"etholoop.stages.{stage}"])
    if stage in ROOMS:
        folder = SOURCE / ROOMS[stage].replace(".", "/")
        paths |= closure([f"{ROOMS[stage]}.{path.stem}" for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"])
    templates = []
    for package, name in PLUGINS.get(stage, []):
        folder = SOURCE / package.replace(".", "/")
        plugins = {path for path in folder.glob("*.py") if not path.name.startswith("_")}
        shared = closure([f"{package}.{path.stem}" for path in plugins]) - plugins
        paths = (paths - plugins) | shared
        templates.append(f"{folder.relative_to(ROOT).as_posix()}/{name}.py")
    return sorted(path.relative_to(ROOT).as_posix() for path in paths) + TEMPLATES.get(stage, []) + list(dict.fromkeys(templates))


def with_code_deps(content: dict) -> dict:
    """The pipeline with every stage's code dependencies put right; its data dependencies stay in front."""
    for stage, entry in content["stages"].items():
        data = [dep for dep in entry.get("deps", []) if not dep.startswith("src/")]
        entry["deps"] = data + code_deps(stage)
    return content


def main() -> None:
    yaml = YAML()
    yaml.width = 160
    yaml.indent(mapping=2, sequence=4, offset=2)
    path = ROOT / "dvc.yaml"
    content = with_code_deps(yaml.load(path.read_text(encoding="utf-8")))
    if "--write" in sys.argv:
        with path.open("w", encoding="utf-8") as stream:
            yaml.dump(content, stream)
    else:
        yaml.dump(content, sys.stdout)


if __name__ == "__main__":
    main()
