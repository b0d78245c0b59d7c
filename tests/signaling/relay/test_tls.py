"""TLS of the relay: one version, no DTLS, renewed certificates."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl

import pytest

from lab.coturn import Coturn, lab_settings, make_certificate, needs_coturn, running_coturn
from lab.network import needs_network
from lab.relay_place import Place, answers_dtls
from lab.turn_client import inside

pytestmark = [needs_network, needs_coturn, pytest.mark.asyncio(loop_scope="module")]


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
    plain = inside(place.caller, lambda: socket.create_connection((place.relay.ipv4, port)))
    plain.settimeout(0.5)  # or it does not answer at all
    with plain, pytest.raises((ssl.SSLError, ConnectionError, TimeoutError)):
        context.wrap_socket(plain)


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
            async with asyncio.timeout(60.0):
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
