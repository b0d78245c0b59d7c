"""What the operator's commands do, to a server that is a record of what was asked."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from entrenous_signaling.certificates import CertificateError
from entrenous_signaling.commands import Commands
from entrenous_signaling.control_messages import (
    AccountRemoved,
    BeginDrain,
    CertificateReloaded,
    DrainBegun,
    GetStatus,
    RefusalCode,
    ReloadCertificate,
    RemoveAccountNow,
    Status,
)
from entrenous_signaling.control_server import CommandError
from entrenous_signaling.store.requests import Failed, Removed

STATUS = Status(
    sessions=1,
    connections=2,
    open_calls=3,
    accounts=4,
    devices=5,
    stored_messages=6,
    uptime=7,
    degraded=False,
    draining=False,
    nodes=None,
    cut_off=False,
    clock_ahead=None,
    clock_differs=False,
    clock_set_by=0,
    certificate_expires=None,
)


@dataclass
class Server:
    expires: int | None = 1_800_000_000
    broken: bool = False
    drains: int = 0

    async def status(self) -> Status:
        return STATUS

    def begin_drain(self) -> DrainBegun:
        self.drains += 1
        return DrainBegun(2, 0.5)

    async def reload_certificate(self) -> int | None:
        if self.broken:
            raise CertificateError("It cannot be used.")
        return self.expires

    async def remove_account(self, username: str) -> tuple[Removed | Failed | None, int]:
        known: dict[str, tuple[Removed | Failed | None, int]] = {
            "alice": (Removed(1, 2, 3), 4),
            "locked": (Failed.FAILED, 0),
            "gone": (None, 2),
        }
        return known.get(username, (None, 0))


async def refusal(server: Server, request: ReloadCertificate | RemoveAccountNow) -> tuple[RefusalCode, str]:
    with pytest.raises(CommandError) as refused:
        await Commands(server).carry_out(request)
    return refused.value.answer.code, refused.value.answer.error


async def test_what_can_be_done_is_done_and_said() -> None:
    server = Server()
    commands = Commands(server)
    assert await commands.carry_out(GetStatus()) == STATUS
    assert await commands.carry_out(RemoveAccountNow("alice")) == AccountRemoved(1, 2, 3, 4)
    assert await commands.carry_out(RemoveAccountNow("gone")) == AccountRemoved(0, 0, 0, 2)
    assert await commands.carry_out(ReloadCertificate()) == CertificateReloaded(1_800_000_000)
    assert server.drains == 0
    assert await commands.carry_out(BeginDrain()) == DrainBegun(2, 0.5)
    assert server.drains == 1


async def test_what_cannot_is_a_refusal_with_its_reason() -> None:
    assert (await refusal(Server(), RemoveAccountNow("bob")))[0] is RefusalCode.UNKNOWN_ACCOUNT
    assert (await refusal(Server(), RemoveAccountNow("locked")))[0] is RefusalCode.UNAVAILABLE
    assert (await refusal(Server(expires=None), ReloadCertificate()))[0] is RefusalCode.NO_CERTIFICATE
    assert await refusal(Server(broken=True), ReloadCertificate()) == (
        RefusalCode.CERTIFICATE_UNUSABLE,
        "It cannot be used. The server goes on with the one it has.",
    )
