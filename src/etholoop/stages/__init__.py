"""One file per DVC stage: read, think, write."""
