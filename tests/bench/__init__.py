"""Benchmarks: ratios in one run against a named baseline; run them with `make bench`."""
