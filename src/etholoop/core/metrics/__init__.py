"""Figures of merit: how well predictions agree with labels. Plain arrays and tables in, numbers out; no files."""
