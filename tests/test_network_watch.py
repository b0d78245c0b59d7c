"""NetworkWatch: told at once, told together, and by the real kernel in a network namespace of the test's own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from entrenous import network_watch
from entrenous.network_watch import NetworkWatch, addresses
from lab.calls import until

IN_A_NAMESPACE = """
import asyncio, json, subprocess
from entrenous.network_watch import NetworkWatch

async def main():
    news = asyncio.Event()
    watch = NetworkWatch(news.set)
    watch.start()
    told = {}
    for name, command in {
        "link up": "ip link set lo up",
        "address": "ip addr add 198.51.100.7/32 dev lo",
        "the same again": "ip addr change 198.51.100.7/32 dev lo preferred_lft 1000 valid_lft 2000",
        "route": "ip route add 203.0.113.0/24 dev lo",
        "address gone": "ip addr del 198.51.100.7/32 dev lo",
        "link down": "ip link set lo down",
    }.items():
        while True:  # what belongs to the last change is over when nothing more is told
            try:
                async with asyncio.timeout(0.3):
                    await news.wait()
                news.clear()
            except TimeoutError:
                break
        subprocess.run(command.split(), check=True)
        try:
            async with asyncio.timeout(0.3 if name == "the same again" else 30):
                await news.wait()
            told[name] = True
        except TimeoutError:
            told[name] = False
    watch.stop()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    news.clear()
    await asyncio.sleep(0)
    told["after stop"] = news.is_set()
    print(json.dumps(told))

asyncio.run(main())
"""


def a_namespace_can_be_made() -> bool:
    if sys.platform != "linux" or os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not a_namespace_can_be_made(), reason="needs root, to make a network namespace")
def test_the_kernel_tells_what_changes() -> None:
    command = ["unshare", "--net", sys.executable, "-c", IN_A_NAMESPACE]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout) == {
        "link up": True,
        "address": True,
        "the same again": False,
        "route": True,
        "address gone": True,
        "link down": True,
        "after stop": False,
    }


class Loop:
    """Hands out timers that the test lets pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.timers: list[tuple[float, Callable[[], None]]] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "call_later", self.call_later)

    def call_later(self, delay: float, call: Callable[[], None]) -> object:
        self.timers.append((delay, call))
        return object()

    def pass_timer(self) -> float:
        delay, call = self.timers.pop(0)
        call()
        return delay


async def test_the_first_news_are_told_at_once_and_the_rest_together(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[None] = []
    watch = NetworkWatch(lambda: told.append(None))
    loop = Loop(monkeypatch)
    watch._news()
    assert len(told) == 1
    watch._news()
    watch._news()
    assert len(told) == 1
    assert loop.pass_timer() == network_watch.SETTLE_SECONDS
    assert len(told) == 2
    loop.pass_timer()
    assert (len(told), loop.timers) == (2, [])


async def test_a_storm_of_news_is_told_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = NetworkWatch(lambda: None)
    loop = Loop(monkeypatch)
    watch._news()
    pauses = []
    for _ in range(10):
        watch._news()
        pauses.append(loop.pass_timer())
    assert pauses == sorted(pauses)
    assert pauses[-1] == network_watch.LONGEST_SETTLE
    loop.pass_timer()
    watch._news()
    assert loop.pass_timer() == network_watch.SETTLE_SECONDS, "after a quiet moment it begins afresh"


async def test_where_the_system_does_not_tell_addresses_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(watch: NetworkWatch) -> None:
        raise OSError("no netlink here")

    here = frozenset({"192.0.2.7"})
    monkeypatch.setattr(NetworkWatch, "_listen", refuse)
    monkeypatch.setattr(network_watch, "POLL_SECONDS", 0.005)
    monkeypatch.setattr(network_watch, "addresses", lambda: here)
    told: list[None] = []
    watch = NetworkWatch(lambda: told.append(None))
    watch.start()
    watch.start()
    here = frozenset({"192.0.2.8"})
    await until(lambda: bool(told))
    watch.stop()
    watch.stop()
    assert len(told) == 1


async def test_watching_starts_and_stops_here_too() -> None:
    watch = NetworkWatch(lambda: None)
    watch.start()
    watch.stop()
    watch.start()
    watch.stop()
    assert watch._socket is None


def test_this_machine_has_addresses() -> None:
    assert "127.0.0.1" in addresses()
