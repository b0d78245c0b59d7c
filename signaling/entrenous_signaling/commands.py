"""What the operator's commands do to the running server."""

from __future__ import annotations

from typing import Protocol, assert_never

from .certificates import CertificateError
from .control_messages import (
    AccountRemoved,
    BeginDrain,
    CertificateReloaded,
    ControlAnswer,
    ControlRequest,
    DrainBegun,
    GetStatus,
    RefusalCode,
    ReloadCertificate,
    RemoveAccountNow,
    Status,
)
from .control_server import CommandError
from .store.requests import Failed, Removed


class Commanded(Protocol):
    """What is used of the server."""

    async def status(self) -> Status:
        """Its numbers."""

    def begin_drain(self) -> DrainBegun:
        """Go down, when it is not at it already."""

    async def reload_certificate(self) -> int | None:
        """Read the certificate again; when it ends, or None without TLS. Raises CertificateError."""

    async def remove_account(self, username: str) -> tuple[Removed | Failed | None, int]:
        """Delete an account; what went with it (None: there is none), and how many sessions were ended."""


class Commands:
    """Carries out commands; what `ControlServer` calls.

    Args:
        server: what they are about.
    """

    def __init__(self, server: Commanded) -> None:
        self._server = server

    async def carry_out(self, request: ControlRequest) -> ControlAnswer:
        """Do it.

        Raises:
            CommandError: it cannot be done.
        """
        match request:
            case GetStatus():
                return await self._server.status()
            case RemoveAccountNow(username=username):
                return await self._remove(username)
            case BeginDrain():
                return self._server.begin_drain()
            case ReloadCertificate():
                return await self._reload()
            case _:
                assert_never(request)

    async def _remove(self, username: str) -> AccountRemoved:
        removed, sessions = await self._server.remove_account(username)
        match removed:
            case Removed(devices=devices, prekeys=prekeys, messages=messages):
                return AccountRemoved(devices, prekeys, messages, sessions)
            case None if sessions:  # an earlier attempt has deleted it and could not say so
                return AccountRemoved(0, 0, 0, sessions)
            case None:
                raise CommandError(RefusalCode.UNKNOWN_ACCOUNT, "There is no such account.")
            case Failed():
                raise CommandError(
                    RefusalCode.UNAVAILABLE,
                    "The database cannot be written now, and may not have said what it did: try again.",
                )
            case _:
                assert_never(removed)

    async def _reload(self) -> CertificateReloaded:
        try:
            expires = await self._server.reload_certificate()
        except CertificateError as error:
            raise CommandError(
                RefusalCode.CERTIFICATE_UNUSABLE, f"{error} The server goes on with the one it has."
            ) from None
        if expires is None:
            raise CommandError(
                RefusalCode.NO_CERTIFICATE, "The server does no TLS by itself: the proxy in front has the certificate."
            )
        return CertificateReloaded(expires)
