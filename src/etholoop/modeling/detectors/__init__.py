"""Detectors and pose models: image → boxes, class probabilities, keypoints."""
