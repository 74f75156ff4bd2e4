"""Benchmarks: `python -m benchmarks --help`. See README.md."""
