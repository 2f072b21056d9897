"""Refiners: a second look inside each box that moves the keypoints to sub-pixel places."""
