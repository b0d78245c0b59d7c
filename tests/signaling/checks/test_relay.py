"""Relays that answer, refuse, or are none: a real coturn where there is one, and scripted ones."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from entrenous_signaling.checks import relay
from entrenous_signaling.checks.findings import Finding, Level
from entrenous_signaling.checks.relay import RelayPlace, check_relay
from entrenous_signaling.config import ServerConfig
from lab.certificates import Authority, write
from lab.relay import HAS_COTURN, running_relay

SECRET = "a-secret-of-the-relay-in-this-test"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "turn-secret"
    path.touch(mode=0o600)
    path.write_text(f"{SECRET}\n")
    return path


def asked(url: str, secret: Path) -> Finding:
    config = ServerConfig(turn_urls=(url,), turn_secret_file=str(secret))
    (finding,) = check_relay(config, time.time())
    assert SECRET not in finding.text + finding.next_step
    return finding


@pytest.mark.skipif(not HAS_COTURN, reason="coturn's turnserver is not installed")
def test_a_real_relay_takes_our_credentials_and_refuses_those_of_another_secret(secret: Path, tmp_path: Path) -> None:
    folder = tmp_path / "coturn"
    folder.mkdir()
    with running_relay(folder, "--use-auth-secret", f"--static-auth-secret={SECRET}") as coturn:
        for transport in ("udp", "tcp"):
            url = f"turn:127.0.0.1:{coturn.port}?transport={transport}"
            assert asked(url, secret).level is Level.OK
        secret.write_text("another-secret-than-that-of-the-relay\n")
        finding = asked(url, secret)
    assert (finding.level, "refuses the credentials" in finding.text) == (Level.ERROR, True)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def response(request: bytes, kind: int, body: bytes = b"") -> bytes:
    return struct.pack("!HH", kind, len(body)) + request[4:20] + body


def refusal(request: bytes, code: int, *more: bytes, kind: int = 0x0113) -> bytes:
    body = attribute(9, bytes((0, 0, code // 100, code % 100)) + b"no") + b"".join(more)
    return response(request, kind, body)


def challenge(request: bytes) -> bytes:
    return refusal(request, 401, attribute(0x14, b"lab"), attribute(0x15, b"nonce"))


def success(request: bytes) -> bytes:
    return response(request, 0x0103)


def refreshed(request: bytes) -> bytes:
    return response(request, 0x0104)


def unrefreshed(request: bytes, code: int) -> bytes:
    return refusal(request, code, kind=0x0114)


class Script:
    """What a relay says to one request after the other."""

    def __init__(self, *answers: Callable[[bytes], bytes]) -> None:
        self.answers = list(answers)

    def answer(self, request: bytes) -> bytes:
        return self.answers.pop(0)(request)


@contextmanager
def scripted(transport: str, script: Script, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A relay on loopback that follows a script; its HOST:PORT."""
    stream = transport == "tcp"
    place = socket.socket(socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
    place.bind(("127.0.0.1", 0))

    def talk(connection: socket.socket) -> None:
        while script.answers and (request := connection.recv(2048)):
            connection.sendall(script.answer(request))

    def serve() -> None:
        try:
            if not stream:
                while script.answers:
                    request, sender = place.recvfrom(2048)
                    place.sendto(script.answer(request), sender)
                return
            connection, _ = place.accept()
            with connection if tls is None else tls.wrap_socket(connection, server_side=True) as inner:
                talk(inner)
        except OSError:
            return

    if stream:
        place.listen()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"127.0.0.1:{place.getsockname()[1]}"
    thread.join(60.0)
    place.close()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("answers", "level", "words"),
    [
        ((challenge, success, refreshed), Level.OK, "takes credentials"),
        ((challenge, success, lambda request: unrefreshed(request, 437)), Level.OK, "takes credentials"),
        ((challenge, success, lambda request: unrefreshed(request, 500)), Level.ERROR, "REFRESH, which ends or"),
        ((challenge, success, lambda request: unrefreshed(request, 500)), Level.ERROR, "fails: error 500"),
        ((challenge, success, success), Level.ERROR, "fails: no answer of a relay"),
        ((challenge, challenge), Level.ERROR, "refuses the credentials"),
        ((challenge, lambda request: refusal(request, 486)), Level.WARNING, "no room"),
        ((lambda request: refusal(request, 508),), Level.WARNING, "no room"),
        ((challenge, lambda request: refusal(request, 442)), Level.WARNING, "error 442"),
        ((success,), Level.ERROR, "does not answer as a relay"),  # gives to everybody: no relay of ours
        ((lambda request: refusal(request, 401),), Level.ERROR, "does not answer as a relay"),
        ((lambda request: response(request, 0x0113),), Level.ERROR, "does not answer as a relay"),
    ],
)
def test_what_a_relay_says_is_told(
    transport: str, answers: tuple[Callable[[bytes], bytes], ...], level: Level, words: str, secret: Path
) -> None:
    with scripted(transport, Script(*answers)) as place:
        finding = asked(f"turn:{place}?transport={transport}", secret)
    assert (finding.level, words in finding.text) == (level, True), finding


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_garbage_is_no_relay(transport: str, secret: Path) -> None:
    garbage = b"HT\x00\x04 400 Bad Request \r\n\r\n  "
    with scripted(transport, Script(*[lambda _: garbage] * (3 if transport == "udp" else 1))) as place:
        finding = asked(f"turn:{place}?transport={transport}", secret)
    assert (finding.level, "does not answer as a relay" in finding.text) == (Level.ERROR, True)


def test_a_datagram_that_belongs_to_something_else_is_passed_over(secret: Path) -> None:
    late = Script(lambda _: b"late", challenge, success, refreshed)
    with scripted("udp", late) as place:
        assert asked(f"turn:{place}", secret).level is Level.OK


def test_nobody_at_the_place_is_an_error(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "ANSWER_SECONDS", 0.1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        finding = asked(f"turn:127.0.0.1:{silent.getsockname()[1]}", secret)
        assert (finding.level, "no answer in time" in finding.text) == (Level.ERROR, True)
    assert "cannot be reached" in asked("turn:127.0.0.1:1?transport=tcp", secret).text


def test_a_relay_that_gives_and_then_says_nothing_is_no_unreachable_one(
    secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [challenge, success]

    class Connection:
        def ask(self, request: bytes) -> bytes:
            if not answers:
                raise TimeoutError
            return answers.pop(0)(request)

    monkeypatch.setattr(relay, "_connected", lambda _: nullcontext(Connection()))
    finding = asked("turn:relay.example.org", secret)
    assert (finding.level, "fails: no answer in time" in finding.text) == (Level.ERROR, True)
    assert "cannot be reached" not in finding.text


class Drip:
    """A connection on which a byte comes shortly before nobody would wait for it any longer, again and again."""

    def __init__(self) -> None:
        self.now = 0.0
        self._seconds = 0.0

    def __enter__(self) -> Drip:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def settimeout(self, seconds: float) -> None:
        self._seconds = seconds

    def sendall(self, data: bytes) -> None:
        self.now += 0.5

    def recv(self, count: int) -> bytes:
        if self._seconds < 2.9:
            self.now += self._seconds
            raise TimeoutError
        self.now += 2.9
        return b"\0"


def test_a_relay_that_answers_byte_by_byte_is_given_up(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drip = Drip()
    monkeypatch.setattr(relay, "monotonic", lambda: drip.now)
    monkeypatch.setattr(relay, "_dialled", lambda *_: drip)
    finding = asked("turn:relay.example.org?transport=tcp", secret)
    assert (finding.level, "no answer in time" in finding.text) == (Level.ERROR, True)
    assert drip.now == pytest.approx(relay.RELAY_SECONDS)


def test_a_relay_of_many_addresses_that_take_nothing_is_given_up(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drip = Drip()
    tried: list[float] = []

    def dial(address: tuple[str, int], seconds: float) -> socket.socket:
        tried.append(seconds)
        drip.now += seconds
        raise TimeoutError

    monkeypatch.setattr(relay, "monotonic", lambda: drip.now)
    monkeypatch.setattr(relay, "look_up", lambda *_: [("192.0.2.1", 1)] * 100)
    monkeypatch.setattr(socket, "create_connection", dial)
    assert "no answer in time" in asked("turn:relay.example.org?transport=tcp", secret).text
    assert tried == [3.0, 3.0, 3.0, 1.0]


@pytest.mark.usefixtures("endless_lookups")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_look_up_that_does_not_end_is_given_up(transport: str, secret: Path) -> None:
    finding = asked(f"turn:relay.example.org?transport={transport}", secret)
    assert (finding.level, "look-up" in finding.text) == (Level.ERROR, True)


def test_every_address_of_a_relay_is_tried(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = socket.getaddrinfo

    def two(host: str, port: int, *rest: object, **more: object) -> list[object]:
        if host != "relay.example.org":
            return system(host, port, *rest, **more)  # type: ignore[arg-type, return-value]  # as it was asked
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with scripted("tcp", Script(challenge, success, refreshed)) as place:
        url = f"turn:relay.example.org:{place.rpartition(':')[2]}?transport=tcp"
        assert asked(url, secret).level is Level.OK


def test_the_certificate_of_a_relay_is_looked_at(secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write(tmp_path, authority.issue("127.0.0.1")))
    with scripted("tcp", Script(challenge), context) as place:
        finding = asked(f"turns:{place}", secret)
    assert (finding.level, "no certificate that can be believed" in finding.text) == (Level.ERROR, True)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with scripted("tcp", Script(challenge, success, refreshed), context) as place:
        assert asked(f"turns:{place}", secret).level is Level.OK


def test_without_a_relay_or_its_secret_nothing_is_said(tmp_path: Path) -> None:
    assert list(check_relay(ServerConfig(), 0.0)) == []
    config = ServerConfig(turn_urls=("turn:a",), turn_secret_file=str(tmp_path / "none"))
    assert list(check_relay(config, 0.0)) == []


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("turn:relay.example.org", ("relay.example.org", 3478, "udp", False)),
        ("turn:192.0.2.1:3479?transport=tcp", ("192.0.2.1", 3479, "tcp", False)),
        ("turns:relay.example.org", ("relay.example.org", 5349, "tcp", True)),
        ("turns:[2001:db8::1]:443?transport=tcp", ("2001:db8::1", 443, "tcp", True)),
        ("turn:[2001:db8::1]", ("2001:db8::1", 3478, "udp", False)),
    ],
)
def test_urls_of_relays_are_taken_apart(url: str, place: tuple[str, int, str, bool]) -> None:
    assert RelayPlace.parse(url) == RelayPlace(*place)


@pytest.mark.parametrize("url", ["turn:", "http:a", "turn:a:b", "turn:a:70000", "turn:a:0", "turn:a?transport=pigeon"])
def test_urls_of_no_relay_are_refused(url: str, secret: Path) -> None:
    with pytest.raises(ValueError, match="no "):
        RelayPlace.parse(url)
    assert "does not answer as a relay" in asked(url, secret).text
