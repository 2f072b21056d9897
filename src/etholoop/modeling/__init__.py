"""Networks, one file per model, found by name."""
