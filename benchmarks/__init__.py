"""Measurements of speed and memory: `python -m benchmarks.NAME`. With --json a record for the docs is written."""
