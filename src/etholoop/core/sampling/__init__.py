"""Frame-sampling strategies, one file each, found by name."""
