"""Networks that name behaviours: one file per family, found by name."""
