"""What was seen: plain values, gathered by the `look_*` modules and judged by the `judge_*` modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from entrenous_wire.messages import RegistrationPolicy


class NameProblem(StrEnum):
    """Why a host name has no address."""

    SILENT = "silent"
    """No name server answers."""
    UNKNOWN = "unknown"
    """A name server says that there is no such name."""


class ReachProblem(StrEnum):
    """Why nobody answers at an address."""

    TIMEOUT = "timeout"
    """Nothing comes back."""
    REFUSED = "refused"
    """The machine answers that nothing listens there."""
    NO_ROUTE = "no-route"
    """This machine, or a router, knows no way there."""


class TlsProblem(StrEnum):
    """Why TLS did not come about."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_NAME = "wrong-name"
    UNTRUSTED = "untrusted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """How this machine is connected.

    Args:
        ipv4_address, ipv6_address: whether it has an address that is not only valid on the link or the machine.
        ipv4_route, ipv6_route: whether it knows a way out.
    """

    ipv4_address: bool
    ipv4_route: bool
    ipv6_address: bool
    ipv6_route: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to connect.

    Args:
        address: the IP address of the other end.
        problem: why it failed, None when it did not.
    """

    address: str
    problem: ReachProblem | None = None

    @property
    def is_ipv6(self) -> bool:
        """Over which family."""
        return ":" in self.address


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """How far a connection to the signaling server came; what was not reached any more is left out.

    Args:
        host: its name or address, for people.
        name_problem: why its name has no address.
        attempts: to connect by TCP, to each of its addresses.
        tls_problem: why TLS failed.
        clock_ahead: seconds by which the clock of this machine is ahead of the `Date` of the server's answer; with a
            TLS problem it is what a server said that nobody believes yet.
        certificate_holds_by_its_date: whether a certificate that has run out, or does not hold yet, by this machine's
            clock holds by that date.
        portal: a page of somebody else stands between: an answer on port 80 leads to another host, or asks for a login.
        status: of the HTTP answer to the upgrade.
        says_full: the answer is that of a server that takes no more connections.
        answered: something was said, and it was HTTP.
        server_name: what it calls itself in its greeting.
        speaks_our_version: whether it offers the version of the protocol that is spoken here.
        registration: who may register there.
    """

    host: str
    name_problem: NameProblem | None = None
    attempts: Sequence[Attempt] = ()
    tls_problem: TlsProblem | None = None
    clock_ahead: float | None = None
    certificate_holds_by_its_date: bool = False
    portal: bool = False
    status: int | None = None
    says_full: bool = False
    server_name: str | None = None
    speaks_our_version: bool = False
    registration: RegistrationPolicy | None = None


class AccountProblem(StrEnum):
    """Why there is no account to log in with."""

    ABSENT = "absent"
    WRONG_PASSPHRASE = "wrong-passphrase"  # noqa: S105 - the name of a problem
    UNUSABLE = "unusable"
    UNREGISTERED = "unregistered"


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the profile on this machine holds.

    Args:
        problem: why it cannot be used.
        sentence: the sentence of the keystore about it.
        contacts: how many.
    """

    problem: AccountProblem | None = None
    sentence: str = ""
    contacts: int = 0


@dataclass(frozen=True, slots=True)
class LoginFacts:
    """How the login went.

    Args:
        refusal: the code with which the server refused; None when it did not.
        failed: it neither let us in nor refused.
        sentence: what it said about either.
    """

    refusal: str | None = None
    failed: bool = False
    sentence: str = ""


class Way(StrEnum):
    """How a relay is spoken to."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"


class RelayProblem(StrEnum):
    """Why an allocation was not made, apart from TLS and from refusals with a code."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    NO_ROUTE = "no-route"
    NOT_TURN = "not-turn"


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """One relay URL at one address.

    Args:
        url: of the relay.
        host: in the URL.
        way: UDP, TCP or TLS.
        port: where.
        address: the IP address that was tried.
        problem: why nothing came of it.
        tls_problem: why TLS failed.
        refusal: the STUN error code with which the relay refused an allocation.
        relayed: the address that others would send to.
    """

    url: str
    host: str
    way: Way
    port: int
    address: str
    problem: RelayProblem | None = None
    tls_problem: TlsProblem | None = None
    refusal: int | None = None
    relayed: str | None = None

    @property
    def works(self) -> bool:
        """Whether it relays."""
        return self.relayed is not None

    @property
    def answers(self) -> bool:
        """Whether a relay is there, willing or not."""
        return self.works or self.refusal is not None

    @property
    def is_ipv6(self) -> bool:
        """Over which family."""
        return ":" in self.address


@dataclass(frozen=True, slots=True)
class LoopFacts:
    """What went through two allocations of our own, and between one of them and a socket of this machine.

    Args:
        way: how the relay was spoken to.
        refusal: the code with which the relay refused to let us reach our own addresses.
        relayed_is_the_relays: whether the relayed address is one of those that the relay's name has.
        sent: packets of voice size and cadence into one allocation, toward the other.
        received: those that came out there.
        milliseconds: median time they took, to the relay and back.
        large_sent, large_received: the same with packets as large as those of a picture.
        inward: a datagram of ours reached the relayed address before the relay had sent anything to us; None when it
            could not be tried.
        outward: after that, a datagram from the relayed address reached us; None when nobody knew where to send it.
    """

    way: Way
    refusal: int | None = None
    relayed_is_the_relays: bool = True
    sent: int = 0
    received: int = 0
    milliseconds: float | None = None
    large_sent: int = 0
    large_received: int = 0
    inward: bool | None = None
    outward: bool | None = None


@dataclass(frozen=True, slots=True)
class NatFacts:
    """What the relay saw of a UDP socket of this machine.

    Args:
        translated: the address it saw is not the socket's own.
        same_toward_others: it saw the same one from another port of its own; None when the second look failed.
        lets_strangers_in: a datagram from a port that we never sent to came in; None when that was not tried.
        local, mapped: the addresses, for those who ask to see them.
    """

    translated: bool
    same_toward_others: bool | None = None
    lets_strangers_in: bool | None = None
    local: str = ""
    mapped: str = ""


@dataclass(frozen=True, slots=True)
class RelayFacts:
    """Everything about the relays.

    Args:
        absent: the server says that its operator runs none.
        credentials_problem: why there are no credentials, in a sentence.
        seconds_left: how long the credentials hold by the clock of this machine.
        unusable_urls: URLs that are none.
        nameless: hosts of URLs that have no address, and why.
        endpoints: each URL at each of its addresses.
        loop: what went round; None when nothing could be allocated.
        nat: what the relay saw; None when no UDP came back.
    """

    absent: bool = False
    credentials_problem: str | None = None
    seconds_left: float | None = None
    unusable_urls: Sequence[str] = ()
    nameless: Sequence[tuple[str, NameProblem]] = ()
    endpoints: Sequence[EndpointFacts] = ()
    loop: LoopFacts | None = None
    nat: NatFacts | None = None


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """What the sound devices do.

    Args:
        system_problem: why there is no sound system, in a sentence.
        microphones, speakers: how many there are.
        microphone_problem, speaker_problem: why one does not open, in a sentence.
        level_dbfs: the loudest 20 ms heard, in dB below full scale; None for digital silence.
    """

    system_problem: str | None = None
    microphones: int = 0
    speakers: int = 0
    microphone_problem: str | None = None
    speaker_problem: str | None = None
    level_dbfs: float | None = None


class PeerProblem(StrEnum):
    """Why somebody cannot be called."""

    IS_SELF = "is-self"
    ELSEWHERE = "elsewhere"
    UNKNOWN = "unknown"
    KEY_CHANGED = "key-changed"
    UNVERIFIABLE = "unverifiable"
    NO_DEVICE = "no-device"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class PeerFacts:
    """What the server and the contact list say of somebody.

    Args:
        address: theirs.
        problem: why they cannot be called.
        is_contact: whether they are among the contacts.
        is_verified: whether their key came by card or was compared.
        devices: of theirs that verify.
        sentence: of the server, where it did not answer.
    """

    address: str
    problem: PeerProblem | None = None
    is_contact: bool = False
    is_verified: bool = False
    devices: int = 0
    sentence: str = ""
