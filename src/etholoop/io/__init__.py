"""One file per outside format or medium."""
