import numpy as np
import pytest
from coco_reference import SIGMAS, coco_evaluation, random_scene

from etholoop.core.metrics.oks import BOX_TO_SEGMENT_AREA, oks, outline_areas

BOX = np.array([[0, 0, 10, 10.0]])
AREA = np.array([100.0])


def one(predicted, true, sigmas=(0.5,)):
    return oks(np.array([predicted], float), np.array([true], float), BOX, AREA, np.array(sigmas))[0, 0]


def test_exact_points_have_oks_one():
    assert one([[3, 4]], [[3, 4, 2]]) == 1


def test_known_distance():
    # kappa = 1, s² = 100: at 10 px exp(-100 / (2 · 100)) = exp(-1/2)
    assert one([[10, 0]], [[0, 0, 2]]) == pytest.approx(np.exp(-0.5))


def test_unlabelled_points_are_left_out_of_the_mean():
    assert one([[0, 0], [99, 99]], [[0, 0, 1], [np.nan, np.nan, 0]], (0.5, 0.5)) == 1


def test_point_not_given_adds_nothing_but_counts():
    assert one([[0, 0], [np.nan, np.nan]], [[0, 0, 2], [5, 5, 2]], (0.5, 0.5)) == 0.5


def test_animal_without_labelled_points_is_compared_by_its_doubled_box():
    nothing = [[np.nan, np.nan, 0]]
    assert one([[19, -9]], nothing) == 1  # inside [-10, 20]
    assert one([[30, 5]], nothing) == pytest.approx(np.exp(-0.5))  # 10 px outside


def test_area_of_a_box_stands_for_the_outline():
    assert outline_areas(BOX) == pytest.approx([100 * BOX_TO_SEGMENT_AREA])


@pytest.mark.parametrize("seed", range(20))
def test_equals_pycocotools(seed):
    true, predicted = random_scene(seed)
    if seed % 2:
        for label in true[::3]:
            label["keypoints"][:] = 0
    boxes = np.array([label["box"] for label in true])
    areas = np.random.default_rng(seed).uniform(0.2, 1, len(true)) * outline_areas(boxes)
    evaluation = coco_evaluation(true, predicted, areas, "keypoints", 20)
    compared = 0
    for (image, class_), expected in evaluation.ious.items():
        rows = [p for p in predicted if (p["image"] + 1, p["class"] + 1) == (image, class_)]
        rows = sorted(rows, key=lambda p: -p["confidence"])
        columns = [i for i, label in enumerate(true) if (label["image"] + 1, label["class"] + 1) == (image, class_)]
        if not rows or not columns:
            continue
        ours = oks(
            np.stack([p["keypoints"] for p in rows]),
            np.stack([true[i]["keypoints"] for i in columns]),
            boxes[columns],
            areas[columns],
            SIGMAS,
        )
        np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-15)
        compared += ours.size
    assert compared > 10
