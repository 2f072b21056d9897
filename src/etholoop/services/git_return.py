"""Going to an old commit and back again, through Git's command line."""

from etholoop.errors import EthoLoopError
from etholoop.project import Project
from etholoop.services import process

REMEMBERED = "etholoop.branch"
"""Key in the repository's own configuration: the branch that was left."""


def branch(project: Project) -> str | None:
    """The branch that is checked out; None on an old commit."""
    return process.run(["git", "symbolic-ref", "--quiet", "--short", "HEAD"], project.root, ok=(0, 1)).strip() or None


def remembered(project: Project) -> str | None:
    """The branch from which an old commit was visited; the only branch there is, where none was remembered."""
    said = process.run(["git", "config", "--local", REMEMBERED], project.root, ok=(0, 1)).strip()
    names = process.run(["git", "branch", "--format=%(refname:short)"], project.root).split()
    names = [name for name in names if not name.startswith("(")]
    return said if said in names else names[0] if len(names) == 1 else None


def visit(project: Project, name: str) -> None:
    """Check out a tag; the branch that is left is remembered."""
    left = branch(project)
    if left:
        process.run(["git", "config", "--local", REMEMBERED, left], project.root)
    process.run(["git", "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", name], project.root)


def switch(project: Project, name: str) -> None:
    process.run(["git", "switch", "--quiet", name], project.root)


def new_branch(project: Project, name: str) -> None:
    """A branch at the present commit, checked out.

    Raises:
        EthoLoopError: there is one of that name.
    """
    if process.run(["git", "branch", "--list", name], project.root).strip():
        raise EthoLoopError(f"there is a branch '{name}' already. Give another name.")
    process.run(["git", "switch", "--quiet", "--create", name], project.root)


def show(project: Project, commit: str, path: str) -> str | None:
    """A file as it was at a commit; None where it was not there."""
    known = process.run(["git", "ls-tree", "--name-only", commit, "--", path], project.root, ok=(0, 128)).strip()
    return process.run(["git", "show", f"{commit}:{path}"], project.root) if known else None


def tags(project: Project, pattern: str) -> list[str]:
    return process.run(["git", "tag", "--list", pattern], project.root).split()
