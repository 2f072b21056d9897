"""Rendered animals with known truth, and the oracle annotator. Everything made here is synthetic and says so."""
