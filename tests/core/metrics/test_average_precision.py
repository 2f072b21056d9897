import numpy as np
import pytest
from coco_reference import SIGMAS, coco_evaluation, random_scene

from etholoop.core.metrics.average_precision import THRESHOLDS, average_precision, join, judge_frame, precision_at_recalls
from etholoop.core.metrics.matching import box_iou
from etholoop.core.metrics.oks import oks, outline_areas


def judged(similarity, confidence, video=0, n_videos=1, max_predictions=100):
    similarity = np.array(similarity, float)
    return judge_frame(
        similarity, np.array(confidence, float), np.zeros(similarity.shape[1], bool), max_predictions, video=video, n_videos=n_videos
    )


def test_all_found_exactly():
    assert average_precision([join([judged(np.eye(3), [0.9, 0.8, 0.7])], 1)]) == (1, 1)


def test_thresholds_reached_count():
    # IoU .72 passes .50 .55 .60 .65 .70: five of ten thresholds
    ap50, ap = average_precision([join([judged([[0.72]], [0.9])], 1)])
    assert (ap50, ap) == pytest.approx((1, 0.5))


def test_false_animal_before_the_true_one_halves_precision():
    assert average_precision([join([judged([[0], [1]], [0.9, 0.8])], 1)])[0] == pytest.approx(0.5)
    assert average_precision([join([judged([[0], [1]], [0.8, 0.9])], 1)])[0] == pytest.approx(1)


def test_half_of_the_animals_found():
    # precision 1 up to recall .5: 51 of 101 recalls
    assert average_precision([join([judged([[1, 0]], [0.9])], 1)])[0] == pytest.approx(51 / 101)


def test_nothing_to_find_is_nan_and_nothing_found_is_zero():
    assert np.isnan(average_precision([join([judged(np.zeros((1, 0)), [0.9])], 1)])[0])
    assert np.isnan(average_precision([])[0])
    assert np.isnan(average_precision([join([], 2)])[0])
    assert average_precision([join([judged(np.zeros((0, 2)), [])], 1)]) == (0, 0)


def test_only_the_most_confident_count():
    assert average_precision([join([judged([[0], [1]], [0.9, 0.8], max_predictions=1)], 1)])[0] == 0


def test_a_class_without_animals_does_not_enter_the_mean():
    false_only = join([judged(np.zeros((1, 0)), [0.9])], 1)
    assert average_precision([join([judged([[1]], [0.9])], 1), false_only])[0] == pytest.approx(1)


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("kind", ["bbox", "keypoints"])
@pytest.mark.parametrize("seed", range(8))
def test_equals_pycocotools(seed, kind, coarse):
    true, predicted = random_scene(seed, coarse=coarse)
    boxes = np.array([label["box"] for label in true])
    areas = outline_areas(boxes)
    limit = [100, 2][seed % 2]
    evaluation = coco_evaluation(true, predicted, areas, kind, limit)
    classes = [_scored(true, predicted, kind, limit, class_) for class_ in (0, 1)]
    for number, scored in enumerate(classes):
        np.testing.assert_allclose(precision_at_recalls(scored), evaluation.eval["precision"][:, :, number, 0, 0], rtol=0, atol=1e-12)
    expected = evaluation.eval["precision"]
    ap50, ap = average_precision(classes)
    assert 0 < ap < ap50 < 1
    assert ap == pytest.approx(expected[expected > -1].mean(), abs=1e-12)
    assert ap50 == pytest.approx(expected[0][expected[0] > -1].mean(), abs=1e-12)


def _scored(true, predicted, kind, limit, class_):
    parts = []
    for image in range(12):
        labels = [label for label in true if (label["image"], label["class"]) == (image, class_)]
        found = [p for p in predicted if (p["image"], p["class"]) == (image, class_)]
        boxes = np.array([label["box"] for label in labels]).reshape(-1, 4)
        points = np.array([label["keypoints"] for label in labels]).reshape(-1, 3, 3)
        if kind == "bbox":
            similarity, ignored = box_iou(np.array([p["box"] for p in found]), boxes), np.zeros(len(labels), bool)
        else:
            predicted_points = np.array([p["keypoints"] for p in found]).reshape(-1, 3, 3)
            similarity, ignored = oks(predicted_points, points, boxes, outline_areas(boxes), SIGMAS), ~(points[:, :, 2] > 0).any(axis=1)
        parts.append(judge_frame(similarity, np.array([p["confidence"] for p in found]), ignored, limit))
    return join(parts, 1)


@pytest.mark.parametrize("seed", range(10))
def test_weights_equal_videos_repeated(seed):
    rng = np.random.default_rng(seed)
    frames = [(rng.random((rng.integers(0, 4), rng.integers(0, 4))), video) for video in range(4) for _ in range(3)]
    frames = [(similarity, rng.random(len(similarity)), video) for similarity, video in frames]
    scored = join([judged(similarity, confidence, video, 4) for similarity, confidence, video in frames], 4)
    counts = rng.multinomial(4, [0.25] * 4)
    repeated = [(s, c) for s, c, video in frames for _ in range(counts[video])]
    plain = join([judged(s, c) for s, c in repeated], 1)
    np.testing.assert_allclose(precision_at_recalls(scored, counts), precision_at_recalls(plain), atol=1e-12)


def test_thresholds_are_cocos():
    assert np.allclose(THRESHOLDS, [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])
