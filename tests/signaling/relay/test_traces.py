"""How the relay runs, and that it leaves no trace of who used it."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

import pytest

from entrenous_signaling.turn import TTL_SECONDS
from lab.coturn import Coturn, credentials, lab_settings, needs_coturn, running_coturn
from lab.network import Host, needs_network
from lab.relay_place import Place, answers_dtls
from lab.traces import HARMLESS, left_behind
from lab.turn_client import TurnRefused

pytestmark = [needs_network, needs_coturn, pytest.mark.asyncio(loop_scope="module")]


async def test_it_needs_no_more_rights_than_its_unit_gives_it(place: Place) -> None:
    """systemd waits for the word that it listens; so does `running_coturn`."""
    limited = (
        *("setpriv", "--reuid=turnserver", "--regid=turnserver", "--clear-groups", "--no-new-privs"),
        *("--inh-caps=-all,+net_bind_service", "--ambient-caps=-all,+net_bind_service"),
        *("--bounding-set=-all,+net_bind_service",),
    )
    async with running_coturn(place.spare, lab_settings(place.spare, place.folder), through=limited) as running:
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        assert re.search(r"^CapEff:\s+0*400$", status, re.MULTILINE)  # bit 10: CAP_NET_BIND_SERVICE
        with place.client("tls", relay=place.spare) as client:
            client.allocate()


async def test_it_listens_where_it_was_told_to_and_nowhere_else(coturn: Coturn, place: Place) -> None:
    listening = set()
    for line in (await place.relay.run("ss", "-Hlntu")).splitlines():
        kind, _, _, _, at, *_ = line.split()
        address, _, port = at.rpartition(":")
        if not coturn.settings.min_port <= int(port) <= coturn.settings.max_port:
            listening.add((kind, address.strip("[]"), int(port)))
    addresses = (place.relay.ipv4, place.relay.ipv6)
    assert listening == {
        *(("udp", address, 3478) for address in addresses),
        *(("tcp", address, port) for address in addresses for port in (3478, 443)),
    }


def make_traffic(place: Place, relay: Host) -> list[str]:
    """Do all that could be worth a line in a log; returns the addresses and names that must not be in one."""
    users = [credentials(), credentials(age=TTL_SECONDS + 5), credentials(secret="the-secret-of-quite-another-relay")]
    peer = "192.168.77.7"
    for over in ("udp", "tcp", "tls"):
        for user in users:
            with place.client(over, user, relay=relay) as client, suppress(TurnRefused):
                client.allocate()
                client.permit(place.other.ipv4)
                client.send(b"data", (place.other.ipv4, 9))
                with pytest.raises(TurnRefused):
                    client.permit(peer)
    with place.client(who=users[0], relay=relay) as old, place.client(who=users[0], relay=relay) as new:
        _, ticket = old.allocate_mobile()
        for user, shown in ((users[2], ticket), (users[0], b"AAAAAAAAAAA=")):
            with place.client(who=user, relay=relay) as stranger, pytest.raises(TurnRefused):
                stranger.take_over(shown)
        new.take_over(ticket)
    return [place.caller.ipv4, place.other.ipv4, peer, *(user.username for user in users)]


async def test_nothing_is_written_down_anywhere(place: Place) -> None:
    started = time.time()
    async with running_coturn(place.spare, lab_settings(place.spare, place.folder)) as running:
        secrets = make_traffic(place, place.spare)
        process = Path(f"/proc/{running.process.pid}")
        files = set()
        for entry in (process / "fd").iterdir():
            with suppress(FileNotFoundError):  # a connection that was just closed
                files.add(str(entry.readlink()))
        assert {name for name in files if name.startswith("/")} <= {"/dev/null", str(running.said)}
        # No way to the journal or to syslog either: both are Unix sockets.
        unix = [line.split()[6] for line in (process / "net" / "unix").read_text().splitlines()[1:]]
        assert not {f"socket:[{inode}]" for inode in unix} & files
        running.process.terminate()
        await running.process.wait()
        found = left_behind(running.folder, started)
    assert {line for text in found.values() for line in text.splitlines()} <= HARMLESS
    assert not [secret for secret in secrets for text in found.values() if secret.encode() in text]


async def test_the_same_search_finds_clients_once_the_log_is_turned_on(place: Place) -> None:
    def talkative(text: str) -> str:
        quiet = {"log-file=/dev/null": "log-file=stdout", "no-stdout-log": "verbose", "no-dtls": ""}
        return "\n".join(quiet.get(line, line) for line in text.splitlines()) + "\n"

    started = time.time()
    settings = lab_settings(place.spare, place.folder)
    async with running_coturn(place.spare, settings, change=talkative) as running:
        secrets = make_traffic(place, place.spare)
        assert answers_dtls(place, place.spare, 443, within=60.0)
        running.process.terminate()
        await running.process.wait()
        found = b"".join(left_behind(running.folder, started).values())
    assert not [secret for secret in secrets if secret.encode() not in found]
