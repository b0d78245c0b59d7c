"""The rendered configuration, shown to a real coturn on public-looking addresses."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio
from OpenSSL import SSL

from entrenous_signaling.turn import TTL_SECONDS, RelayCredentials
from entrenous_signaling.turn_config import render_firewall
from lab.coturn import Coturn, credentials, lab_settings, make_certificate, needs_coturn, running_coturn
from lab.network import Host, Network, needs_network
from lab.turn_client import TCP, TurnClient, TurnRefused, inside, turn_client

pytestmark = [needs_network, needs_coturn, pytest.mark.asyncio(loop_scope="module")]

TOO_MANY = 486
QUOTAS = {"user_quota": 2, "total_quota": 3, "min_port": 50000, "max_port": 50009}


@dataclass(frozen=True)
class Place:
    """Two relays and two callers, each with a public address, and the folder with the relays' certificate.

    `coturn` runs on the first relay during all tests; on the second one, `spare`, a test runs what it needs.
    """

    relay: Host
    spare: Host
    caller: Host
    other: Host
    folder: Path

    def client(
        self, over: str = "udp", who: RelayCredentials | None = None, *, relay: Host | None = None, v6: bool = False
    ) -> TurnClient:
        """The caller's connection to a relay."""
        relay = relay or self.relay
        address = (relay.ipv6 if v6 else relay.ipv4, 443 if over == "tls" else 3478)
        return turn_client(self.caller, address, who or credentials(), over, self.folder / "cert.pem")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place() -> AsyncIterator[Place]:
    # Not in a folder of pytest's: the relay's user has to get at its certificate.
    with TemporaryDirectory(prefix="entrenous-relay-") as name:
        async with Network(servers=("turn", "spare", "caller", "other")) as lab:
            folder = Path(name)
            relay, spare, caller, other = (lab.host(name) for name in ("turn", "spare", "caller", "other"))
            make_certificate(folder, "turn.lab", relay.ipv4, relay.ipv6, spare.ipv4)
            yield Place(relay, spare, caller, other, folder)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def coturn(place: Place) -> AsyncIterator[Coturn]:
    async with running_coturn(place.relay, lab_settings(place.relay, place.folder)) as running:
        yield running


@pytest.fixture(scope="module")
def asking(coturn: Coturn, place: Place) -> Iterator[dict[int, TurnClient]]:
    """Callers with an allocation, by version of IP."""
    with ExitStack() as stack:
        clients = {version: stack.enter_context(place.client()) for version in (4, 6)}
        for version, client in clients.items():
            client.allocate(version)
        yield clients


# --- who gets in ---


@pytest.mark.parametrize("over", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("v6", [False, True], ids=["to IPv4", "to IPv6"])
async def test_an_allocation_is_made_over_every_transport(coturn: Coturn, place: Place, over: str, v6: bool) -> None:
    with place.client(over, v6=v6) as client:
        address, port = client.allocate()
        assert address == place.relay.ipv4
        assert coturn.settings.min_port <= port <= coturn.settings.max_port


async def test_an_ipv6_address_is_relayed_when_asked_for(coturn: Coturn, place: Place) -> None:
    with place.client() as client:
        assert client.allocate(6)[0] == place.relay.ipv6


async def test_expired_and_forged_credentials_are_refused(coturn: Coturn, place: Place) -> None:
    fresh = credentials()
    later = f"{int(time.time()) + 9 * TTL_SECONDS}:{fresh.username.partition(':')[2]}"
    for refused in (
        credentials(age=TTL_SECONDS + 2),
        credentials(secret="the-secret-of-quite-another-relay"),
        RelayCredentials(later, fresh.password),
        RelayCredentials(fresh.username, ""),
    ):
        with place.client(who=refused) as client, pytest.raises(TurnRefused) as refusal:
            client.allocate()
        assert refusal.value.code == 401
    with turn_client(place.caller, (place.relay.ipv4, 3478), None) as client, pytest.raises(TurnRefused) as refusal:
        client.allocate()
    assert refusal.value.code == 401


async def test_an_allocation_outlives_the_expiry_of_its_credentials(coturn: Coturn, place: Place) -> None:
    ending = credentials(age=TTL_SECONDS - 1)
    expiry = int(ending.username.partition(":")[0])
    with place.client(who=ending) as client:
        client.allocate()
        await asyncio.sleep(max(0.0, expiry + 1.1 - time.time()))  # the relay's clock decides
        with place.client(who=ending) as late, pytest.raises(TurnRefused):
            late.allocate()
        assert client.refresh() == 600
        client.bind_channel((place.other.ipv4, 9))


async def test_both_secrets_work_during_a_change_over_and_the_old_one_no_more_afterwards(place: Place) -> None:
    settings = lab_settings(place.spare, place.folder)
    old, new = "the-secret-that-goes-out-of-use", "the-secret-that-comes-into-use"
    async with running_coturn(place.spare, settings, (new, old)):
        for secret in (old, new):
            with place.client(who=credentials(secret=secret), relay=place.spare) as client:
                client.allocate()
    async with running_coturn(place.spare, settings, (new,)):
        with place.client(who=credentials(secret=new), relay=place.spare) as client:
            client.allocate()
        with place.client(who=credentials(secret=old), relay=place.spare) as client, pytest.raises(TurnRefused):
            client.allocate()


# --- where it relays to ---


@pytest.mark.parametrize(
    "peer",
    [
        *(
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.254",
            "127.0.0.1",
            "127.9.9.9",
        ),
        *("169.254.1.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1"),
        *("192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "224.0.0.1", "239.255.255.250"),
        *("240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::10.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:203.0.113.10"),
        *("::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::", "64:ff9b:1::a00:1", "100::1"),
        *("::100", "1::", "10::", "0:0:0:1::", "1fff:ffff::ffff", "2001::1", "2001:20::1", "2002:7f00:1::1"),
        *("2002:a00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fd12:3456::", "fe80::1", "fec0::1"),
        *("ff02::1", "ff0e::1"),
    ],
)
async def test_private_local_and_special_peers_are_refused(asking: dict[int, TurnClient], peer: str) -> None:
    client = asking[6 if ":" in peer else 4]
    with pytest.raises(TurnRefused) as refusal:
        client.permit(peer)
    assert refusal.value.code == 403
    with pytest.raises(TurnRefused) as refusal:
        client.bind_channel((peer, 53), 0x4001)
    assert refusal.value.code == 403


@pytest.mark.parametrize("peer", ["8.8.8.8", "100.63.255.255", "172.32.0.1", "223.255.255.255", "2606:4700::1111"])
async def test_public_peers_are_not(asking: dict[int, TurnClient], peer: str) -> None:
    asking[6 if ":" in peer else 4].permit(peer)


async def test_what_the_operator_denies_is_refused_and_the_rest_is_not(place: Place) -> None:
    denied = ("9.9.9.0/24", "2a00:1:2::/48")
    async with running_coturn(place.spare, lab_settings(place.spare, place.folder, denied_peers=denied)):
        for version, refused, taken in ((4, "9.9.9.255", "9.9.8.1"), (6, "2a00:1:2:3::4", "2a00:1:3::4")):
            with place.client(relay=place.spare) as client:
                client.allocate(version)
                client.permit(taken)
                with pytest.raises(TurnRefused):
                    client.permit(refused)


@pytest.mark.parametrize("version", [4, 6])
async def test_two_callers_meet_at_the_relays_own_address(coturn: Coturn, place: Place, version: int) -> None:
    with place.client("tls") as one, place.client() as two:
        here, there = one.allocate(version), two.allocate(version)
        one.permit(there[0])
        two.permit(here[0])
        one.send(b"from one", there)
        assert two.receive() == (b"from one", here)
        two.send(b"from two", here)
        assert one.receive() == (b"from two", there)


async def test_a_peer_without_permission_gets_nothing_through(coturn: Coturn, place: Place) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(place.client())
        relayed = client.allocate()
        client.permit(place.other.ipv4)
        for host, data in ((place.spare, b"unasked"), (place.other, b"asked for")):
            peer = stack.enter_context(inside(host, lambda: socket.socket(type=socket.SOCK_DGRAM)))
            peer.bind((host.ipv4, 0))
            peer.sendto(data, relayed)
        assert client.receive()[0] == b"asked for"


async def test_other_services_of_the_relays_machine_are_out_of_reach_with_the_firewall_rules(place: Place) -> None:
    settings = lab_settings(place.spare, place.folder)
    with inside(place.spare, lambda: socket.socket(type=socket.SOCK_DGRAM)) as service:
        service.bind((place.spare.ipv4, 5353))
        service.settimeout(2.0)
        async with running_coturn(place.spare, settings):
            with place.client(relay=place.spare) as one, place.client(relay=place.spare) as two:
                here, there = one.allocate(), two.allocate()
                one.permit(place.spare.ipv4)
                two.permit(place.spare.ipv4)
                one.send(b"reaches it", (place.spare.ipv4, 5353))
                assert service.recv(99) == b"reaches it"
                await place.spare.run("nft", "-f", "-", text=render_firewall(settings))
                await place.spare.run("nft", "-f", "-", text=render_firewall(settings))  # a second time replaces it
                one.send(b"does not", (place.spare.ipv4, 5353))
                one.send(b"nor this", (place.spare.ipv4, 3478))
                one.send(b"callers meet", there)
                assert two.receive() == (b"callers meet", here)
                one.permit(place.other.ipv4)
                with inside(place.other, lambda: socket.socket(type=socket.SOCK_DGRAM)) as peer:
                    peer.settimeout(2.0)
                    peer.bind((place.other.ipv4, 0))
                    one.send(b"so do others", peer.getsockname())
                    assert peer.recv(99) == b"so do others"
                service.setblocking(False)
                with pytest.raises(BlockingIOError):
                    service.recv(99)
        await place.spare.run("nft", "delete", "table", "inet", "entrenous_turn")


async def test_behind_a_translation_callers_are_told_the_public_address_and_meet_there(place: Place) -> None:
    inner, public = "10.9.0.5", "203.0.113.99"
    await place.spare.ip(f"addr add {inner}/24 dev eth0")
    await place.caller.ip("addr add 10.9.0.6/24 dev eth0")
    settings = lab_settings(place.spare, place.folder, addresses=(inner,), public_addresses=(public,))
    async with running_coturn(place.spare, settings):
        with (
            turn_client(place.caller, (inner, 3478), credentials()) as one,
            turn_client(place.caller, (inner, 3478), credentials(), "tcp") as two,
        ):
            here, there = one.allocate(), two.allocate()
            assert (here[0], there[0]) == (public, public)
            one.permit(public)
            two.permit(public)
            one.send(b"meet", there)
            assert two.receive() == (b"meet", here)
            with pytest.raises(TurnRefused):
                one.permit("10.9.0.6")


async def test_tcp_relays_are_refused(coturn: Coturn, place: Place) -> None:
    for over in ("tcp", "tls"):
        with place.client(over) as client, pytest.raises(TurnRefused) as refusal:
            client.allocate(transport=TCP)
        assert refusal.value.code == 442


# --- how much ---


async def until_admitted(client: TurnClient) -> None:
    """Allocate, and again while there is no room: the relay counts what it has taken down a little later."""
    async with asyncio.timeout(5.0):
        while True:
            try:
                client.allocate()
            except TurnRefused as refusal:
                assert refusal.code == TOO_MANY
                await asyncio.sleep(0.02)
            else:
                return


async def test_quotas_hold_for_one_set_of_credentials_and_for_all_together(place: Place) -> None:
    async with running_coturn(place.spare, lab_settings(place.spare, place.folder, **QUOTAS)):
        one, another = credentials(), credentials()
        with ExitStack() as stack:
            clients = [stack.enter_context(place.client(who=one, relay=place.spare)) for _ in range(3)]
            for client in clients[:2]:
                client.allocate()
            with pytest.raises(TurnRefused) as refusal:
                clients[2].allocate()
            assert refusal.value.code == TOO_MANY
            stack.enter_context(place.client(who=another, relay=place.spare)).allocate()
            late = stack.enter_context(place.client(who=credentials(), relay=place.spare))
            with pytest.raises(TurnRefused) as refusal:
                late.allocate()
            assert refusal.value.code == TOO_MANY
            clients[0].refresh(0)
            await until_admitted(late)


async def test_a_limit_of_bytes_for_all_admits_what_it_has_room_for(place: Place) -> None:
    limits = {"session_bytes_per_second": 100_000, "total_bytes_per_second": 200_000}
    async with running_coturn(place.spare, lab_settings(place.spare, place.folder, **limits)):
        with ExitStack() as stack:
            clients = [stack.enter_context(place.client(relay=place.spare)) for _ in range(4)]
            admitted = 0
            with pytest.raises(TurnRefused) as refusal:
                for client in clients:
                    client.allocate()
                    admitted += 1
            assert (admitted, refusal.value.code) == (2, TOO_MANY)


async def test_no_allocation_is_given_for_longer_than_ten_minutes(coturn: Coturn, place: Place) -> None:
    with place.client() as client:
        client.allocate()
        assert client.refresh(3600) == 600


# --- TLS ---


async def test_only_tls_1_2_with_forward_secrecy_is_spoken(coturn: Coturn, place: Place) -> None:
    with place.client("tls") as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        name, version, bits = client.socket.cipher() or ("", "", 0)
        assert (client.socket.version(), version) == ("TLSv1.2", "TLSv1.2")
        assert name.startswith("ECDHE-")
        assert bits >= 128


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.parametrize("port", [443, 3478])
async def test_older_tls_is_refused(coturn: Coturn, place: Place, version: ssl.TLSVersion, port: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    plain = inside(place.caller, lambda: socket.create_connection((place.relay.ipv4, port), timeout=0.5))
    with plain, pytest.raises((ssl.SSLError, ConnectionError, TimeoutError)):
        context.wrap_socket(plain)


def answers_dtls(place: Place, relay: Host, port: int) -> bool:
    """Whether a DTLS ClientHello gets any answer."""
    hello = SSL.Connection(SSL.Context(SSL.DTLS_METHOD))
    hello.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        hello.do_handshake()
    with inside(place.caller, lambda: socket.socket(type=socket.SOCK_DGRAM)) as plain:
        plain.settimeout(0.5)
        plain.connect((relay.ipv4, port))
        plain.send(hello.bio_read(2048))
        try:
            plain.recv(2048)
        except (TimeoutError, ConnectionRefusedError):
            return False
    return True


async def test_dtls_is_not_answered(coturn: Coturn, place: Place) -> None:
    assert not answers_dtls(place, place.relay, 3478)
    assert not answers_dtls(place, place.relay, 443)


async def test_a_renewed_certificate_is_read_on_a_signal(place: Place) -> None:
    async with running_coturn(place.spare, lab_settings(place.spare, place.folder)) as running:
        with place.client("tls", relay=place.spare) as before:
            before.allocate()
            assert isinstance(before.socket, ssl.SSLSocket)
            old = before.socket.getpeercert(binary_form=True)
            make_certificate(place.folder, "turn.lab", place.relay.ipv4, place.relay.ipv6, place.spare.ipv4)
            async with asyncio.timeout(5.0):
                while True:
                    running.process.send_signal(signal.SIGUSR2)  # again and again: coturn was seen to miss one
                    try:
                        after = place.client("tls", relay=place.spare)
                    except ssl.SSLCertVerificationError:  # it still shows the old one
                        await asyncio.sleep(0.02)
                    else:
                        break
            with after:
                assert isinstance(after.socket, ssl.SSLSocket)
                assert after.socket.getpeercert(binary_form=True) != old
                after.allocate()
            before.refresh()


# --- how it runs ---


async def test_it_needs_no_more_rights_than_the_unit_gives_it_and_tells_systemd_when_it_listens(
    place: Place,
) -> None:
    limited = [
        *("setpriv", "--reuid=turnserver", "--regid=turnserver", "--clear-groups", "--no-new-privs"),
        *("--inh-caps=-all,+net_bind_service", "--ambient-caps=-all,+net_bind_service"),
        *("--bounding-set=-all,+net_bind_service",),
    ]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, TemporaryDirectory() as folder:
        systemd.bind(f"{folder}/notify")
        systemd.settimeout(5.0)
        Path(folder).chmod(0o711)
        Path(folder, "notify").chmod(0o666)
        through = ["env", f"NOTIFY_SOCKET={folder}/notify", *limited]
        async with running_coturn(place.spare, lab_settings(place.spare, place.folder), through=through) as running:
            status = Path(f"/proc/{running.process.pid}/status").read_text()
            assert re.search(r"^CapEff:\s+0*400$", status, re.MULTILINE)  # bit 10: CAP_NET_BIND_SERVICE
            assert b"READY=1" in systemd.recv(1024)
            with place.client("tls", relay=place.spare) as client:
                client.allocate()


# --- what it leaves behind ---


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


PLACES_FOR_LOGS = ("/var/log", "/var/lib/turn", "/var/db", "/var/tmp", "/tmp", "/run", "/var/run")


def left_behind(folder: Path, since: float) -> dict[Path, bytes]:
    """The files that were written since then where coturn writes files, and what is in them."""
    found = {}
    candidates = [path for path in folder.iterdir() if path.name not in ("turnserver.conf", "cert.pem", "key.pem")]
    for place in map(Path, PLACES_FOR_LOGS):
        candidates += [path for path in place.glob("*turn*") if path != folder] if place.is_dir() else []
    for path in candidates:
        if path.is_file() and path.stat().st_mtime >= since:
            found[path] = path.read_bytes()
    return found


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
    # Three complaints about sockets of a kind that this kernel has not come before any setting is read.
    assert {line for text in found.values() for line in text.splitlines()} <= {b"socket: Protocol not supported"}
    assert not [secret for secret in secrets for text in found.values() if secret.encode() in text]


async def test_the_same_search_finds_clients_once_the_log_is_turned_on(place: Place) -> None:
    def talkative(text: str) -> str:
        quiet = {"log-file=/dev/null": "log-file=stdout", "no-stdout-log": "verbose", "no-dtls": ""}
        return "\n".join(quiet.get(line, line) for line in text.splitlines()) + "\n"

    started = time.time()
    settings = lab_settings(place.spare, place.folder)
    async with running_coturn(place.spare, settings, change=talkative) as running:
        secrets = make_traffic(place, place.spare)
        assert answers_dtls(place, place.spare, 443)
        running.process.terminate()
        await running.process.wait()
        found = b"".join(left_behind(running.folder, started).values())
    assert not [secret for secret in secrets if secret.encode() not in found]
