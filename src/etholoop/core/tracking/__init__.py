"""Tracking: detections of one video to tracks, as functions on arrays."""
