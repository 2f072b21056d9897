"""Acquisition functions, one file each, found by name: predictions → priority, higher = annotate sooner."""
