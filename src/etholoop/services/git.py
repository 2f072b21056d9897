"""Git through its command line."""

from pathlib import Path

from etholoop.errors import EthoLoopError
from etholoop.project import Project
from etholoop.services import process


def init(project: Project) -> None:
    """Make a repository of its own; does nothing when the folder is already the top of one."""
    if not (project / ".git").exists():
        process.run(["git", "init", "--quiet", "--initial-branch", "main"], project.root)


def commit(project: Project, message: str, paths: list[Path] | None = None) -> bool:
    """Commit the given paths (default: everything not ignored); False when there was nothing new.

    A committer is named only where the user has none, so that a fresh machine does not stop here.
    """
    names = [str(path.relative_to(project.root)) for path in paths] if paths else ["--all"]
    process.run(["git", "add", *names], project.root)
    if not process.run(["git", "diff", "--cached", "--name-only"], project.root).strip():
        return False
    process.run(["git", *_identity(project), "commit", "--quiet", "--message", message], project.root)
    return True


def head(project: Project) -> str | None:
    """Commit id of HEAD, None before the first commit."""
    return process.run(["git", "rev-parse", "--verify", "--quiet", "HEAD"], project.root, ok=(0, 1)).strip() or None


def dirty(project: Project) -> list[str]:
    """Tracked files that differ from HEAD, and new files that are not ignored."""
    return process.run(["git", "status", "--porcelain"], project.root).splitlines()


def tag(project: Project, name: str, message: str) -> None:
    """Set an annotated tag on HEAD.

    Raises:
        EthoLoopError: the tag exists; a closed cycle is never moved.
    """
    if has_tag(project, name):
        raise EthoLoopError(f"tag {name} exists already: that cycle is closed. Set a new cycle.id in params.yaml.")
    process.run(["git", *_identity(project), "tag", "--annotate", name, "--message", message], project.root)


def has_tag(project: Project, name: str) -> bool:
    return bool(process.run(["git", "tag", "--list", name], project.root).strip())


def _identity(project: Project) -> list[str]:
    if process.run(["git", "config", "user.email"], project.root, ok=(0, 1)).strip():
        return []
    return ["-c", "user.name=EthoLoop", "-c", "user.email=etholoop@localhost"]
