"""What the operator's commands ask over the control socket, and what the running server answers.

One JSON object a line each way; a request names its `command`, an answer is the object alone::

    {"command": "status"}                                 Status
    {"command": "remove-account", "username": "alice"}    AccountRemoved
    {"command": "drain"}                                  DrainBegun
    {"command": "reload"}                                 CertificateReloaded
    anything that cannot be done                          ControlRefusal
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class GetStatus(Struct, frozen=True, tag="status", tag_field="command", forbid_unknown_fields=True):
    """Ask for the numbers of the server; the answer is `Status`."""


class RemoveAccountNow(Struct, frozen=True, tag="remove-account", tag_field="command", forbid_unknown_fields=True):
    """Delete an account with all that is its own, and end its sessions; the answer is `AccountRemoved`.

    Args:
        username: whose.
    """

    username: str


class BeginDrain(Struct, frozen=True, tag="drain", tag_field="command", forbid_unknown_fields=True):
    """Send the nodes away and end the server, as SIGTERM does; the answer, `DrainBegun`, does not wait for it."""


class ReloadCertificate(Struct, frozen=True, tag="reload", tag_field="command", forbid_unknown_fields=True):
    """Read the certificate and its key again, as SIGHUP does; the answer is `CertificateReloaded`."""


ControlRequest = GetStatus | RemoveAccountNow | BeginDrain | ReloadCertificate


class Status(Struct, frozen=True):
    """The numbers of the server.

    Args:
        sessions: connected or expected back.
        connections: logged in or not.
        open_calls: call records that are open.
        accounts, devices, stored_messages: what the database holds, as counted within the last minute; None before the
            first count.
        uptime: seconds since the start.
        degraded: the store does not store.
        draining: nodes are being sent away.
        nodes: other servers of the cluster that are heard; None when this one is alone.
        cut_off: the bus to them is not reached.
        clock_ahead: seconds by which its clock was ahead of the database's at the last look, negative when it was
            behind; None when this one is alone, or has not looked yet.
        clock_differs: that is more than the servers of a cluster may differ by.
        clock_set_by: seconds by which the machine's clock was set since the start, negative when it was set back; 0
            when it was not, or by less than half a minute.
        certificate_expires: Unix seconds at which the certificate in use ends; None without TLS.
    """

    sessions: int
    connections: int
    open_calls: int
    accounts: int | None
    devices: int | None
    stored_messages: int | None
    uptime: int
    degraded: bool
    draining: bool
    nodes: int | None
    cut_off: bool
    clock_ahead: float | None
    clock_differs: bool
    clock_set_by: int
    certificate_expires: int | None


class AccountRemoved(Struct, frozen=True):
    """What went with an account.

    Args:
        devices, prekeys, messages: what was deleted from the database; nothing when an earlier attempt did it.
        sessions: how many were ended.
    """

    devices: int
    prekeys: int
    messages: int
    sessions: int


class DrainBegun(Struct, frozen=True):
    """The server goes down.

    Args:
        connections: nodes that are being sent away.
        seconds: how long that takes.
    """

    connections: int
    seconds: float


class CertificateReloaded(Struct, frozen=True):
    """New connections get the certificate that the files hold now.

    Args:
        certificate_expires: Unix seconds at which it ends.
    """

    certificate_expires: int


class RefusalCode(Enum):
    """Why a command was not carried out."""

    MALFORMED = "malformed"
    """The line is no JSON object of the fields that the command has."""
    UNKNOWN_COMMAND = "unknown-command"
    TOO_LONG = "too-long"
    UNKNOWN_ACCOUNT = "unknown-account"
    UNAVAILABLE = "unavailable"
    """The database refuses now, or it took too long."""
    NO_CERTIFICATE = "no-certificate"
    """The server does no TLS by itself."""
    CERTIFICATE_UNUSABLE = "certificate-unusable"
    """The files hold no matching pair; the old one stays in use."""
    INTERNAL = "internal"
    """A mistake in the server; its log says where."""


class ControlRefusal(Struct, frozen=True):
    """A command was not carried out.

    Args:
        error: a sentence for the operator.
        code: the same for programs.
    """

    error: str
    code: RefusalCode


ControlAnswer = Status | AccountRemoved | DrainBegun | CertificateReloaded
