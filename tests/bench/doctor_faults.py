"""Does the doctor name the right thing? Real faults in the laboratory, each several times; a table and a rate.

    PYTHONPATH=tests python -m bench.doctor_faults --runs 3

`FAULTS` is also what the end-to-end test of the doctor takes its cases from.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.clinic import CAROL, RELAY_URLS, SERVER, Clinic, Scene, Setup, scene
from entrenous import FindingCode
from lab.coturn import SECRET
from lab.network import Families, Link, Nat, why_unavailable

GOAL = 0.95
RUN_SECONDS = 120.0
FIRST_ZONE = 1
"""The conntrack zone in which a new router of the laboratory works; what it says itself has to be in it too."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Args:
        name: for the table.
        code: what the doctor has to name first; None when nothing is wrong.
        setup: how it is made.
    """

    name: str
    code: FindingCode | None
    setup: Setup


async def drop_everything(here: Scene) -> None:
    await here.rules("signal", "table inet cut { chain c { type filter hook input priority 0; drop; }; }")


async def take_the_last_place(here: Scene) -> None:
    await here.start_script(here.lab.host("turn"), _HOLD_A_PLACE, here.clinic.authority)


async def pull_the_cable(here: Scene) -> None:
    await here.lab.home("patient").unplug()


async def lose_the_route(here: Scene) -> None:
    await here.patient.ip("route flush table main")


async def forget_ipv6_route(here: Scene) -> None:
    await here.patient.run("ip", "-6", "route", "del", "default")


async def forget_ipv6_route_upstream(here: Scene) -> None:
    await here.rules("patient-router", "table ip6 cut { chain c { type filter hook forward priority -1; drop; }; }")


async def silence_the_name_server(here: Scene) -> None:
    hosts_without_names(here)
    resolv_conf(here).write_text("nameserver 203.0.113.99\noptions attempts:2 timeout:5\n")


async def empty_the_name_server(here: Scene) -> None:
    hosts_without_names(here)
    resolv_conf(here).write_text("nameserver 127.0.0.1\n")
    await here.start_script(here.patient, _NAME_SERVER)


async def put_up_a_portal(here: Scene) -> None:
    """Everything that goes to a web port ends at a page of the network's own, whatever it is meant for."""
    router = here.lab.host("patient-router")
    await here.start_script(router, _PORTAL)
    rules = f"""table ip portal {{
    chain catch {{ type nat hook prerouting priority dstnat - 1; iifname "lan" tcp dport {{ 80, 443 }} redirect; }}
    chain zone {{ type filter hook output priority raw; ct zone set {FIRST_ZONE}; }}
}}
"""
    await here.rules("patient-router", rules)


async def intercept_by_tls(here: Scene) -> None:
    """A portal that also answers TLS, with a certificate of its own."""
    await put_up_a_portal(here)
    folder = here.clinic.certificates / f"{SERVER}-untrusted"
    await here.start_script(here.lab.host("patient-router"), _TLS_PORTAL, folder / "cert.pem", folder / "key.pem")


def close_at_relay(what: str) -> Any:
    async def injure(here: Scene) -> None:
        await here.rules(
            "turn", f"table inet cut {{ chain c {{ type filter hook input priority 0; iifname eth0 {what} drop; }}; }}"
        )

    return injure


async def close_relay_ports_statefully(here: Scene) -> None:
    await here.rules(
        "turn",
        "table inet cut { chain c { type filter hook input priority 0; iifname eth0 ct state established accept; "
        "iifname eth0 udp dport 49152-65535 drop; }; }",
    )


async def use_the_quota_up(here: Scene) -> None:
    await here.start_script(here.lab.host("signal"), _HOLD_AN_ALLOCATION, SECRET, here.lab.host("turn").ipv4)


async def lose_large_packets(here: Scene) -> None:
    await here.rules(
        "patient-router",
        "table inet narrow { chain c { type filter hook forward priority -1; meta l4proto udp meta length > 1000 "
        "drop; }; }",
    )


def hosts_without_names(here: Scene) -> None:
    (Path("/etc/netns") / here.patient.namespace / "hosts").write_text("127.0.0.1 localhost\n")


def resolv_conf(here: Scene) -> Path:
    return Path("/etc/netns") / here.patient.namespace / "resolv.conf"


def external_address(text: str) -> str:
    return text + "external-ip=198.51.100.250\n"


HEALTHY = Fault("nothing is wrong", None, Setup())

FAULTS: tuple[Fault, ...] = (
    HEALTHY,
    Fault("nothing is wrong, IPv6 too", None, Setup(families=Families.DUAL)),
    Fault("nothing is wrong, IPv6 alone", None, Setup(families=Families.V6)),
    Fault("no NAT at all", None, Setup(nat=Nat.NONE)),
    Fault("a NAT that lets everybody in", None, Setup(nat=Nat.FULL_CONE)),
    # this machine
    Fault(
        "no account",
        FindingCode.NO_ACCOUNT,
        Setup(profile="nobody", arguments=("--server", SERVER, "--ca-file", "{authority}")),
    ),
    Fault("wrong passphrase", FindingCode.WRONG_PASSPHRASE, Setup(passphrase="another one")),
    Fault("damaged keys", FindingCode.KEYSTORE_UNUSABLE, Setup(profile="damaged")),
    Fault("no sound device", FindingCode.NO_SOUND_DEVICE, Setup(sound=True)),
    Fault("cable pulled", FindingCode.NO_NETWORK, Setup(injure=pull_the_cable)),
    Fault("no way out", FindingCode.NO_NETWORK, Setup(injure=lose_the_route)),
    Fault(
        "IPv6 address without a way", FindingCode.IPV6_BROKEN, Setup(families=Families.DUAL, injure=forget_ipv6_route)
    ),
    Fault(
        "IPv6 leads nowhere",
        FindingCode.IPV6_BROKEN,
        Setup(families=Families.DUAL, injure=forget_ipv6_route_upstream),
    ),
    Fault("own clock an hour behind", FindingCode.CLOCK_OFF, Setup(patient_shift=-3600)),
    Fault("own clock an hour ahead", FindingCode.CLOCK_OFF, Setup(patient_shift=3600)),
    Fault(
        "own clock behind a fresh certificate",
        FindingCode.CLOCK_OFF,
        Setup(patient_shift=-3600, server_certificate="fresh"),
    ),
    Fault("own clock months ahead", FindingCode.CLOCK_OFF, Setup(patient_shift=100 * 86_400)),
    # the way to the server
    Fault("name server silent", FindingCode.DNS_SILENT, Setup(injure=silence_the_name_server)),
    Fault("name unknown", FindingCode.SERVER_NAME_UNKNOWN, Setup(injure=empty_the_name_server)),
    Fault("captive portal", FindingCode.CAPTIVE_PORTAL, Setup(injure=put_up_a_portal)),
    Fault("captive portal with TLS", FindingCode.CAPTIVE_PORTAL, Setup(injure=intercept_by_tls)),
    Fault("server not started", FindingCode.SERVER_DOWN, Setup(server="nothing")),
    Fault("server behind a proxy not started", FindingCode.SERVER_DOWN, Setup(server="proxy")),
    Fault("server cut off", FindingCode.SERVER_UNREACHABLE, Setup(injure=drop_everything)),
    Fault("server's certificate run out", FindingCode.SERVER_CERTIFICATE_EXPIRED, Setup(server_certificate="expired")),
    Fault(
        "server's certificate of next week",
        FindingCode.SERVER_CERTIFICATE_NOT_YET_VALID,
        Setup(server_certificate="future"),
    ),
    Fault(
        "server's certificate of another name",
        FindingCode.SERVER_CERTIFICATE_WRONG_NAME,
        Setup(server_certificate="wrong-name"),
    ),
    Fault(
        "server's certificate of a stranger",
        FindingCode.SERVER_CERTIFICATE_UNTRUSTED,
        Setup(server_certificate="untrusted"),
    ),
    Fault("something else than TLS", FindingCode.SERVER_TLS_FAILED, Setup(server="banner")),
    Fault("a plain web server", FindingCode.NOT_ENTRENOUS, Setup(server="web")),
    Fault("a server that says nothing", FindingCode.SERVER_SILENT, Setup(server="silent")),
    Fault(
        "server full",
        FindingCode.SERVER_FULL,
        Setup(server_settings={"max_connections": 1, "login_seconds": 600}, injure=take_the_last_place),
    ),
    # the login
    Fault("account unknown", FindingCode.ACCOUNT_UNKNOWN, Setup(server_data="empty")),
    Fault("name of another key", FindingCode.DEVICE_REFUSED, Setup(server_data="other")),
    Fault("server's clock an hour behind", FindingCode.SERVER_CLOCK_OFF, Setup(server_shift=-3600)),
    # the relay
    Fault("no relay configured", FindingCode.NO_RELAY, Setup(relay_urls=(), has_relay=False)),
    Fault("relay not started", FindingCode.RELAY_DOWN, Setup(has_relay=False)),
    Fault(
        "relay's name unknown",
        FindingCode.RELAY_NAME_UNKNOWN,
        Setup(relay_urls=("turn:relay.invalid:3478",), has_relay=False),
    ),
    Fault("wrong secret", FindingCode.RELAY_WRONG_SECRET, Setup(relay_secret="quite-another-secret-of-the-relay")),
    Fault(
        "relay quota used up",
        FindingCode.RELAY_QUOTA,
        Setup(relay_changes={"total_quota": 1}, injure=use_the_quota_up),
    ),
    Fault("wrong external address", FindingCode.RELAY_WRONG_ADDRESS, Setup(relay_text=external_address)),
    Fault("relay ports closed", FindingCode.RELAY_PORTS_CLOSED, Setup(injure=close_at_relay("udp dport 49152-65535"))),
    Fault(
        "relay ports closed by a stateful firewall",
        FindingCode.RELAY_PORTS_CLOSED,
        Setup(injure=close_relay_ports_statefully),
    ),
    Fault("3478/UDP closed", FindingCode.RELAY_UDP_CLOSED, Setup(injure=close_at_relay("udp dport 3478"))),
    Fault("3478/TCP closed", FindingCode.RELAY_TCP_CLOSED, Setup(injure=close_at_relay("tcp dport 3478"))),
    Fault("443/TLS closed", FindingCode.RELAY_TLS_CLOSED, Setup(injure=close_at_relay("tcp dport 443"))),
    Fault(
        "relay without IPv6",
        FindingCode.RELAY_IPV6_CLOSED,
        Setup(families=Families.DUAL, injure=close_at_relay("meta nfproto ipv6 meta l4proto { tcp, udp }")),
    ),
    Fault("relay's certificate run out", FindingCode.RELAY_CERTIFICATE_EXPIRED, Setup(relay_certificate="expired")),
    Fault(
        "relay's certificate of another name",
        FindingCode.RELAY_CERTIFICATE_WRONG_NAME,
        Setup(relay_certificate="wrong-name"),
    ),
    Fault(
        "relay's certificate of a stranger",
        FindingCode.RELAY_CERTIFICATE_UNTRUSTED,
        Setup(relay_certificate="untrusted"),
    ),
    # the network of the patient
    Fault("UDP blocked", FindingCode.UDP_BLOCKED, Setup(nat=Nat.UDP_BLOCKED)),
    Fault("only TCP 443", FindingCode.ONLY_WEB, Setup(nat=Nat.TCP_443)),
    Fault("symmetric NAT", FindingCode.NAT_SYMMETRIC, Setup(nat=Nat.SYMMETRIC)),
    Fault("large packets lost", FindingCode.LARGE_PACKETS_LOST, Setup(injure=lose_large_packets)),
    Fault("one packet in five lost", FindingCode.RELAY_LOSES_PACKETS, Setup(link=Link(loss=0.12))),
    Fault("a line by satellite", FindingCode.RELAY_SLOW, Setup(link=Link(delay=0.25))),
    # two at a time: the one that stops calls comes first
    Fault(
        "UDP blocked, and a wrong secret",
        FindingCode.RELAY_WRONG_SECRET,
        Setup(nat=Nat.UDP_BLOCKED, relay_secret="quite-another-secret-of-the-relay"),
    ),
    Fault("UDP blocked, and no relay", FindingCode.NO_RELAY, Setup(nat=Nat.UDP_BLOCKED, relay_urls=())),
    Fault(
        "UDP blocked, and a relay for UDP only",
        FindingCode.RELAY_DOWN,
        Setup(nat=Nat.UDP_BLOCKED, relay_urls=RELAY_URLS[:1]),
    ),
    Fault(
        "only TCP 443, and the relay's certificate run out",
        FindingCode.RELAY_CERTIFICATE_EXPIRED,
        Setup(nat=Nat.TCP_443, relay_certificate="expired"),
    ),
    Fault(
        "symmetric NAT, and relay ports closed",
        FindingCode.RELAY_PORTS_CLOSED,
        Setup(nat=Nat.SYMMETRIC, injure=close_at_relay("udp dport 49152-65535")),
    ),
    Fault(
        "symmetric NAT, and a wrong external address",
        FindingCode.RELAY_WRONG_ADDRESS,
        Setup(nat=Nat.SYMMETRIC, relay_text=external_address),
    ),
    Fault(
        "server's certificate run out, own clock an hour behind",
        FindingCode.SERVER_CERTIFICATE_EXPIRED,
        Setup(server_certificate="expired", patient_shift=-3600),
    ),
    # whom to call
    Fault("nobody of that name", FindingCode.PEER_UNKNOWN, Setup(arguments=(f"nobody@{SERVER}",))),
    Fault("no contact", FindingCode.PEER_NO_CONTACT, Setup(arguments=(CAROL,))),
    Fault("contact at another server", FindingCode.PEER_ELSEWHERE, Setup(arguments=("carol@calls.example.org",))),
    Fault(
        "contact's key changed",
        FindingCode.PEER_KEY_CHANGED,
        Setup(profile="bob-knowing-another-carol", arguments=(CAROL,)),
    ),
    Fault("contact in order", None, Setup(profile="bob-knowing-carol", arguments=(CAROL,))),
)

_HOLD_A_PLACE = f"""
import socket, ssl, sys, time
context = ssl.create_default_context(cafile=sys.argv[1])
secured = context.wrap_socket(socket.create_connection(("{SERVER}", 443)), server_hostname="{SERVER}")
secured.sendall(b"GET /v1/signal HTTP/1.1\\r\\nHost: {SERVER}\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\nSec-WebSocket-Version: 13\\r\\n"
    b"Sec-WebSocket-Protocol: entrenous.v1\\r\\n\\r\\n")
assert b" 101 " in secured.recv(4096)
print("ready", flush=True)
time.sleep(300)
"""

_HOLD_AN_ALLOCATION = """
import asyncio, os, sys, time
from aioice.turn import create_turn_endpoint
from entrenous_signaling.turn import Relay, mint
async def main():
    made = mint(Relay((), sys.argv[1].encode()), time.time(), os.urandom)
    where = (sys.argv[2], 3478)
    held = await create_turn_endpoint(asyncio.DatagramProtocol, where, made.username, made.password)
    print("ready", flush=True)
    await asyncio.sleep(300)
asyncio.run(main())
"""

_NAME_SERVER = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("127.0.0.1", 53))
    print("ready", flush=True)
    while True:
        question, asker = server.recvfrom(512)
        server.sendto(question[:2] + b"\\x81\\x83" + question[4:], asker)
"""

_PORTAL = """
import socket, threading
listener = socket.create_server(("", 80))
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 302 Found\\r\\nLocation: http://login.hotel.example/\\r\\n\\r\\n")
    connection.close()
"""

_TLS_PORTAL = """
import socket, ssl, sys
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("", 443))
print("ready", flush=True)
while True:
    try:
        with context.wrap_socket(listener.accept()[0], server_side=True) as secured:
            secured.recv(4096)
    except OSError:
        pass
"""


@dataclass(frozen=True)
class Run:
    """What the doctor said once."""

    fault: Fault
    first: str | None
    seconds: float
    said: dict[str, Any]

    @property
    def is_right(self) -> bool:
        """Whether it named the fault first, and nothing where nothing is wrong."""
        return self.first == (None if self.fault.code is None else self.fault.code.value)


async def examine_once(clinic: Clinic, fault: Fault) -> Run:
    """Build the scene, call the doctor, take the scene down; raises RuntimeError or TimeoutError where that fails."""
    async with asyncio.timeout(RUN_SECONDS), scene(clinic, fault.setup) as here:
        began = time.monotonic()
        said = await here.doctor()
        return Run(fault, said["first"], time.monotonic() - began, said)


async def examine_all(clinic: Clinic, faults: Sequence[Fault], *, at_a_time: int) -> list[Run]:
    """Each of the faults, several side by side; a scene that could not be built or left is a wrong answer."""
    places = asyncio.Semaphore(at_a_time)

    async def one(fault: Fault) -> Run:
        async with places:
            try:
                run = await examine_once(clinic, fault)
            except (RuntimeError, TimeoutError, OSError) as error:
                run = Run(fault, f"({type(error).__name__}: {error})", 0.0, {})
        print(".", end="", file=sys.stderr, flush=True)
        return run

    return await asyncio.gather(*(one(fault) for fault in faults))


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each fault (%(default)s)")
    parser.add_argument("--at-a-time", type=int, default=3, help="laboratories side by side (%(default)s)")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds each way, on lines that say nothing else")
    parser.add_argument("--loss", type=float, default=0.0, help="share of packets lost each way, on the same lines")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--out", type=Path, help="a file for every run as a line of JSON")
    options = parser.parse_args()
    if (reason := why_unavailable()) is not None:
        print(reason, file=sys.stderr)
        return 77
    with tempfile.TemporaryDirectory(prefix="entrenous-clinic-") as folder:
        clinic = Clinic(Path(folder))
        clinic.folder.chmod(0o755)
        await clinic.prepare()
        clinic.usual_line = Link(delay=options.delay, loss=options.loss)
        wanted = [f for f in FAULTS if options.only in f.name and (clinic.shim or not f.setup.needs_shifted_clock)]
        runs = await examine_all(clinic, wanted * options.runs, at_a_time=options.at_a_time)
    for fault in wanted:
        mine = [run for run in runs if run.fault is fault]
        named = ", ".join(sorted({run.first or "nothing" for run in mine}))
        right = sum(run.is_right for run in mine)
        seconds = max(run.seconds for run in mine)
        print(f"{right}/{len(mine)}  {seconds:5.1f} s  {fault.name:54} {fault.code or 'nothing':32} {named}")
    right = sum(run.is_right for run in runs)
    print(f"\n{right} of {len(runs)} right ({right / len(runs):.1%}; the goal is {GOAL:.0%})")
    if options.out:
        lines = [{"fault": r.fault.name, "right": r.is_right, "seconds": r.seconds, **r.said} for r in runs]
        options.out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return 0 if right >= GOAL * len(runs) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
