"""How users of the simulation behave, and what happens to them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Habits:
    """How users behave, and how often what breaks; times in seconds, shares from 0 to 1."""

    idle: float = 60.0
    pick_up: float = 4.0
    talk: float = 30.0
    accept: float = 0.7
    decline: float = 0.15
    patience: float = 40.0
    leg_fails: float = 0.08
    stalls: float = 0.15
    flows_again: float = 0.4
    improves: float = 0.1
    cut_every: float = 240.0
    kill_every: float = 900.0
    down: float = 8.0
    crash_every: float = 0.0
    outlasts_patience: bool = False
    """Whether a device may be away for longer than a message is held, as kills renew the server's patience with it."""
