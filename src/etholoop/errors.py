"""The errors a person is meant to read.

Every message says what was expected, what came, where (file, row, frame, id) and what to do.
"""

from collections.abc import Iterable


class EthoLoopError(Exception):
    """Something is wrong that a person can put right; printed without a traceback, exit code 1."""


class FaultsError(EthoLoopError):
    """Several faults of one thing, reported together.

    Args:
        subject: what is faulty, for example a file path.
        faults: one sentence each; all of them are kept, the first ``shown`` are printed.
        remedy: what the reader should do.
    """

    def __init__(self, subject: str, faults: Iterable[str], remedy: str = "", shown: int = 20):
        self.subject = subject
        self.faults = list(faults)
        self.remedy = remedy
        lines = [f"{subject}: {len(self.faults)} fault{'s' * (len(self.faults) != 1)}"]
        lines += [f"  - {fault}" for fault in self.faults[:shown]]
        if len(self.faults) > shown:
            lines.append(f"  … and {len(self.faults) - shown} more")
        if remedy:
            lines.append(remedy)
        super().__init__("\n".join(lines))


class GateError(EthoLoopError):
    """A gate is red: the data must be put right before the stages after it may run."""
