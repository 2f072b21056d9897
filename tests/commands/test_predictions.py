"""Drawing predictions into videos: every predicted frame once, at its own pace, with the animal where the table says."""

from fractions import Fraction

import numpy as np
import pytest

from etholoop.commands import predictions
from etholoop.errors import EthoLoopError
from etholoop.io import tables
from etholoop.io.video import VideoReader, write_video
from etholoop.project import Project
from etholoop.schema.predictions import Detections, PredictedFrames, PredictedKeypoints
from etholoop.stages import manifest

BOX = {"x_min": 20.0, "y_min": 10.0, "x_max": 60.0, "y_max": 40.0}


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    project.metadata.parent.mkdir(parents=True)
    project.metadata.write_text("path,session,subject,camera,start_time\n")
    project.raw_images.mkdir()
    project.skeleton.parent.mkdir()
    project.skeleton.write_text("species: [mouse]\nkeypoints: [nose]\n")
    write_video(project.raw_videos / "cage.mp4", [np.full((64, 96, 3), 90, np.uint8)] * 6, Fraction(25))
    manifest.run(project, manifest.Params())
    return project


def predict(project, frames):
    out = project.pose_predictions
    tables.write(
        tables.from_rows([{"video_id": "cage", "frame": f, "n_detections": 1} for f in frames], PredictedFrames),
        PredictedFrames,
        out / "frames.parquet",
    )
    animal = {"video_id": "cage", "instance": 0, "species": "mouse", "confidence": 0.9, "source": "w", "p_mouse": np.float32(0.9), **BOX}
    detections = tables.from_rows([animal | {"frame": f} for f in frames], Detections)
    tables.write(detections.astype({"p_mouse": "float32"}), Detections, out / "detections.parquet")
    point = {"video_id": "cage", "instance": 0, "keypoint": "nose", "x": 40.0, "y": 25.0, "confidence": 0.9}
    tables.write(
        tables.from_rows([point | {"frame": f} for f in frames], PredictedKeypoints), PredictedKeypoints, out / "keypoints.parquet"
    )


def test_every_predicted_frame_is_drawn_at_the_pace_of_the_source(project):
    predict(project, [0, 2, 4])
    (path,) = predictions.draw(project, ["cage"])
    reader = VideoReader(path)
    images = [image for _, image in reader.stream()]
    assert reader.fps == Fraction(25, 2)
    assert len(images) == 3
    assert np.abs(images[1][25, 40].astype(int) - 90).max() > 40, "the nose is drawn"
    assert np.abs(images[1][55, 85].astype(int) - 90).max() < 10, "away from the animal the picture is the source's"


def test_sampled_frames_between_the_regular_ones_do_not_turn_a_film_into_slides():
    """`pose_predict.every: 5` looks at the sampled frames as well."""
    frames, rate = predictions.film(sorted({*range(0, 500, 5), 7, 113, 402}), Fraction(30))
    assert frames == list(range(0, 500, 5))
    assert rate == 6


@pytest.mark.parametrize(
    ("frames", "fps"),
    [([3, 8, 100, 260], Fraction(25)), ([0, 5, 10], None), ([4], Fraction(25)), (list(range(0, 2000, 100)), Fraction(25))],
)
def test_scattered_frames_images_and_rare_ones_are_slides(frames, fps):
    assert predictions.film(frames, fps) == (frames, Fraction(2))


def test_a_damaged_stretch_does_not_turn_a_film_into_slides():
    frames = [*range(60), *range(64, 100)]
    assert predictions.film(frames, Fraction(25)) == (frames, Fraction(25))


def test_an_unsure_animal_is_not_drawn(project):
    predict(project, [0, 1])
    (path,) = predictions.draw(project, ["cage"], confidence=0.95)
    _, image = next(iter(VideoReader(path).stream()))
    assert np.abs(image[25, 40].astype(int) - 90).max() < 10


def test_an_unknown_source_names_the_nearest(project):
    predict(project, [0])
    with pytest.raises(EthoLoopError, match="did you mean 'cage'"):
        predictions.draw(project, ["cag"])
    assert not list(project.root.glob("reports/videos/*.mp4"))


def test_without_a_model_it_says_what_is_missing(project):
    tables.write(tables.empty(PredictedFrames), PredictedFrames, project.pose_predictions / "frames.parquet")
    with pytest.raises(EthoLoopError, match="no model has been trained"):
        predictions.draw(project, [])
