"""Examples at the end of ``--help``, one per line, as they are typed."""


def examples(*lines: str) -> str:
    """Text for ``epilog``: lines are kept as they are, so that a command can be copied whole; '' is an empty line."""
    return "\b\n" + "\n".join(["Examples:", *(f"  {line}" if line else "\b" for line in lines)])
