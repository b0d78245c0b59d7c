"""Simulated and real surroundings that tests share."""
