"""Commands and answers as JSON."""

from __future__ import annotations

import msgspec
import pytest

from entrenous_signaling.control_messages import (
    AccountRemoved,
    BeginDrain,
    CertificateReloaded,
    ControlRefusal,
    ControlRequest,
    DrainBegun,
    GetStatus,
    RefusalCode,
    ReloadCertificate,
    RemoveAccountNow,
    Status,
)


def test_each_command_has_its_name() -> None:
    for text, request in (
        (b'{"command": "status"}', GetStatus()),
        (b'{"command": "remove-account", "username": "alice"}', RemoveAccountNow("alice")),
        (b'{"command": "drain"}', BeginDrain()),
        (b'{"command": "reload"}', ReloadCertificate()),
    ):
        assert msgspec.json.decode(text, type=ControlRequest) == request


@pytest.mark.parametrize(
    "text",
    [
        b'{"command": "remove-account"}',
        b'{"command": "remove-account", "username": 7}',
        b'{"command": "status", "all": true}',
        b'{"command": "halt"}',
        b"{}",
    ],
)
def test_what_is_no_command_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=ControlRequest)


def test_answers_are_plain_objects() -> None:
    for answer, text in (
        (AccountRemoved(1, 2, 3, 4), b'{"devices":1,"prekeys":2,"messages":3,"sessions":4}'),
        (DrainBegun(7, 2.5), b'{"connections":7,"seconds":2.5}'),
        (CertificateReloaded(1_800_000_000), b'{"certificate_expires":1800000000}'),
        (ControlRefusal("No.", RefusalCode.NO_CERTIFICATE), b'{"error":"No.","code":"no-certificate"}'),
    ):
        assert msgspec.json.encode(answer) == text
    status = Status(
        sessions=3,
        connections=4,
        open_calls=1,
        accounts=9,
        devices=10,
        stored_messages=None,
        uptime=60,
        degraded=False,
        draining=False,
        nodes=2,
        cut_off=False,
        clock_ahead=-1.5,
        clock_differs=False,
        clock_set_by=0,
        certificate_expires=None,
    )
    assert msgspec.json.decode(msgspec.json.encode(status)) == msgspec.structs.asdict(status)
