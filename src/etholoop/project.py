"""Where things are in a project: the one place that knows the folder names."""

from dataclasses import dataclass
from pathlib import Path

from etholoop.errors import EthoLoopError


@dataclass(frozen=True)
class Project:
    """Paths of one project, all below ``root``. Nothing is created by asking for a path."""

    root: Path

    def __truediv__(self, relative: str) -> Path:
        return self.root / relative

    # inputs that people or other programs make
    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def raw_videos(self) -> Path:
        return self.root / "data/raw/videos"

    @property
    def raw_images(self) -> Path:
        return self.root / "data/raw/images"

    @property
    def metadata(self) -> Path:
        """Session, subject, camera and start time of each source, one CSV row each."""
        return self.root / "data/raw/metadata.csv"

    @property
    def fixed_splits(self) -> Path:
        """Splits decided by hand or by a compatibility command; read only in ``split.mode: fixed``."""
        return self.root / "data/raw/splits.csv"

    @property
    def ethogram(self) -> Path:
        return self.root / "label_studio/ethogram.yaml"

    @property
    def skeleton(self) -> Path:
        return self.root / "label_studio/skeleton.yaml"

    @property
    def snapshot(self) -> Path:
        return self.root / "label_studio/exports/snapshot.json"

    @property
    def batches(self) -> Path:
        """What people were asked, one file per batch, kept by Git."""
        return self.root / "label_studio/batches"

    @property
    def init_weights(self) -> Path:
        return self.root / "models/init"

    # outputs of stages
    @property
    def manifest(self) -> Path:
        return self.root / "data/manifest"

    @property
    def normalised(self) -> Path:
        return self.root / "data/normalised"

    @property
    def splits(self) -> Path:
        return self.root / "data/splits/splits.parquet"

    @property
    def frames(self) -> Path:
        return self.root / "data/frames"

    @property
    def annotations(self) -> Path:
        return self.root / "data/annotations"

    @property
    def pose_dataset(self) -> Path:
        return self.root / "data/datasets/pose"

    @property
    def pose_model(self) -> Path:
        return self.root / "models/pose"

    @property
    def refiner_model(self) -> Path:
        return self.root / "models/refiner"

    @property
    def pose_predictions(self) -> Path:
        return self.root / "data/predictions/pose"

    @property
    def evaluation(self) -> Path:
        """Per-instance matches and errors, for people and for the report."""
        return self.root / "data/evaluation"

    @property
    def selection(self) -> Path:
        return self.root / "data/selection"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics"

    @property
    def gates(self) -> Path:
        return self.root / "reports/gates"

    @property
    def report(self) -> Path:
        return self.root / "reports/cycle.html"

    @property
    def cycles(self) -> Path:
        return self.root / "cycles"

    # scratch, ignored by Git and DVC
    @property
    def memo(self) -> Path:
        return self.root / ".memo"

    @property
    def proxies(self) -> Path:
        """Small videos for browsers; they can be made again at any time."""
        return self.root / "data/proxies"

    @property
    def runs(self) -> Path:
        return self.root / "runs"


def find_project(start: Path | None = None) -> Project:
    """The project that holds ``start`` (default: the current folder).

    Raises:
        EthoLoopError: no folder from ``start`` upwards holds dvc.yaml and params.yaml.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "dvc.yaml").is_file() and (folder / "params.yaml").is_file():
            return Project(folder)
    raise EthoLoopError(
        f"{start} is not inside an EthoLoop project (no dvc.yaml with params.yaml here or above). "
        "Make one with `etholoop init FOLDER`, or change into one."
    )
