"""A small internet inside one Linux machine, to test calls honestly: NATs, bad lines, addresses that change.

    [alice]--[alice-router]==line==[ core ]==line==[bob-router]--[bob]      and more homes
                                    |    |
                              [signal]  [turn]

Each [box] is a network namespace. A home has one or more access lines, each with a router whose NAT and firewall are
of a chosen kind (`Nat`); IPv6 has firewalls, but no NAT. The core routes public addresses only. The lines are carried
in user space between TUN devices (`Link`: delay, jitter, bursts of loss, rate, outages; each way), so no netem is
needed and the machine's own network is left alone. Names of the servers resolve in there: `signal.lab`, `turn.lab`.

An example, whole:

    from lab.network import Access, Families, Link, Nat, Network, needs_network

    pytestmark = needs_network            # skips with one line of reason: no root, no nftables, no TUN

    async def test_a_call_outlives_a_new_address():
        async with Network(alice=Nat.SYMMETRIC, bob=Nat.PORT_RESTRICTED, link=Link(delay=0.025)) as lab:
            print(await lab.host("alice").run("ip", "address"))    # a program's output
            process = await lab.host("alice").start("sleep", "60") # an asyncio process, ended with the lab
            command = lab.host("alice").command("sleep", "60")     # to start it by other means
            await lab.home("alice").shape(loss=0.2, burst=0.1)     # both ways, from now on
            await lab.home("alice").shape(up=False)                # a silent outage, until up=True
            await lab.home("alice").handoff()                      # new public and new private address
            await lab.home("alice").handoff(lan=False)             # new public address only
            await lab.home("alice").rebind()                       # NAT mappings forgotten, other ports
            await lab.home("alice").set_nat(Nat.UDP_BLOCKED)       # the router's rules change
            await lab.home("alice").unplug()                       # interface gone; plug_in() brings it back

A home with cable, wireless and a VPN that is off, in both internets:

    Network(alice=(
        Access(Nat.PORT_RESTRICTED, Families.DUAL),                                    # eth0
        Access(Nat.SYMMETRIC, interface="wlan0", metric=600),
        Access(Nat.PORT_RESTRICTED, interface="vpn0", metric=50, plugged=False),       # home["vpn0"].plug_in()
    ))

What runs in there: `programs` has the real servers and nodes, `town` all of it at once; `sound` tells what was heard
while the network changed, `wire` whom a host exchanged packets with, and `probes` how the network itself behaves.

As on any Linux machine, packets leave by the default route with the lowest metric, whatever address they are sent
from, unless a socket is bound to a device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .homes import Access, Families, Home, Uplink, Way
from .links import Counts, Link
from .namespaces import Host, Unavailable, why_unavailable
from .nat import Nat
from .network import Network

__all__ = (
    "Access",
    "Counts",
    "Families",
    "Home",
    "Host",
    "Link",
    "Nat",
    "Network",
    "Unavailable",
    "Uplink",
    "Way",
    "needs_network",
    "why_unavailable",
)

if TYPE_CHECKING:
    needs_network: pytest.MarkDecorator
    """Marks tests that need a lab; they are skipped with one line of reason where there can be none."""


def __getattr__(name: str) -> object:
    """`needs_network` is made when it is asked for: finding out takes a moment, and programs in a lab need not know."""
    if name != "needs_network":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    reason = why_unavailable()
    return pytest.mark.skipif(reason is not None, reason=str(reason))
