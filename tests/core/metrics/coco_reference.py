"""Random scenes for comparing with pycocotools, the reference implementation."""

import contextlib
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SIGMAS = np.array([0.025, 0.05, 0.107])


def random_scene(seed, n_images=12, n_classes=2, coarse=False):
    """Labelled animals and predictions near them, with misses, false ones, unlabelled keypoints and equal confidences.

    Returns (true, predicted): lists of dictionaries with image, class, box xyxy, keypoints (K, 3) and, if predicted, confidence.
    """
    rng = np.random.default_rng(seed)
    true, predicted = [], []
    for image in range(n_images):
        for _ in range(rng.integers(0, 5)):
            low, size = rng.uniform(0, 100, 2), rng.uniform(10, 60, 2)
            box = np.concatenate([low, low + size])
            points = np.column_stack([low + size * rng.uniform(0, 1, (3, 2)), rng.integers(0, 3, 3)])
            points[points[:, 2] == 0] = 0
            label = {"image": image, "class": int(rng.integers(n_classes)), "box": box, "keypoints": points}
            true.append(label)
            for _ in range(rng.choice([0, 1, 1, 1, 2])):
                shift = rng.normal(0, rng.choice([0.5, 3, 10]), 4)
                moved = points + np.column_stack([rng.normal(0, rng.choice([0.5, 3]), (3, 2)), np.zeros(3)])
                predicted.append(
                    _prediction(
                        rng, image, label["class"], np.maximum.accumulate((box + shift).reshape(2, 2)).ravel(), moved, coarse=coarse
                    )
                )
        if rng.random() < 0.4:
            low = rng.uniform(0, 100, 2)
            points = np.column_stack([rng.uniform(0, 100, (3, 2)), np.ones(3)])
            predicted.append(_prediction(rng, image, int(rng.integers(n_classes)), np.concatenate([low, low + 20]), points, coarse=coarse))
    return true, predicted


def _prediction(rng, image, class_, box, points, *, coarse):
    confidence = float(rng.integers(1, 5) / 5) if coarse else float(rng.random())
    return {"image": image, "class": class_, "box": box, "keypoints": points, "confidence": confidence}


def coco_evaluation(true, predicted, areas, kind, max_detections, *, n_images=12, n_classes=2):
    """A finished COCOeval; ``kind`` is bbox or keypoints."""
    images = [{"id": number + 1, "width": 200, "height": 200} for number in range(n_images)]
    annotations = [
        {
            "id": number + 1,
            "image_id": label["image"] + 1,
            "category_id": label["class"] + 1,
            "bbox": _xywh(label["box"]),
            "area": float(area),
            "iscrowd": 0,
            "keypoints": label["keypoints"].ravel().tolist(),
            "num_keypoints": int((label["keypoints"][:, 2] > 0).sum()),
        }
        for number, (label, area) in enumerate(zip(true, areas, strict=True))
    ]
    results = [
        {"image_id": p["image"] + 1, "category_id": p["class"] + 1, "score": p["confidence"]}
        | ({"bbox": _xywh(p["box"])} if kind == "bbox" else {"keypoints": p["keypoints"].ravel().tolist()})
        for p in predicted
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        labels = COCO()
        labels.dataset = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": c + 1, "name": str(c)} for c in range(n_classes)],
        }
        labels.createIndex()
        evaluation = COCOeval(labels, labels.loadRes(results), kind)
        evaluation.params.maxDets = [max_detections]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.kpt_oks_sigmas = SIGMAS
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _xywh(box):
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]
