"""Thinking on tables and arrays; knows no files."""
