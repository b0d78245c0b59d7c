"""What the doctor says: stable codes for scripts, one sentence each for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class FindingLevel(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    """As it should be."""
    NOTE = "note"
    """Worth knowing; nothing to do."""
    WARNING = "warning"
    """Calls work, but not as well, or not with everybody."""
    FAULT = "fault"
    """Calls will fail until it is repaired."""


class FindingCode(StrEnum):
    """What was found; the texts are stable, the order is that of cause and consequence."""

    # this machine
    ACCOUNT_OPEN = "account-open"
    NO_ACCOUNT = "no-account"
    WRONG_PASSPHRASE = "wrong-passphrase"  # noqa: S105 - the name of a finding
    KEYSTORE_UNUSABLE = "keystore-unusable"
    NOT_REGISTERED = "not-registered"
    NETWORK_UP = "network-up"
    NO_NETWORK = "no-network"
    IPV6_BROKEN = "ipv6-broken"
    # the way to the signaling server
    DNS_SILENT = "dns-silent"
    SERVER_NAME_UNKNOWN = "server-name-unknown"
    CAPTIVE_PORTAL = "captive-portal"
    SERVER_UNREACHABLE = "server-unreachable"
    SERVER_DOWN = "server-down"
    CLOCK_OFF = "clock-off"
    SERVER_CLOCK_OFF = "server-clock-off"
    CLOCK_RIGHT = "clock-right"
    SERVER_CERTIFICATE_EXPIRED = "server-certificate-expired"
    SERVER_CERTIFICATE_NOT_YET_VALID = "server-certificate-not-yet-valid"
    SERVER_CERTIFICATE_WRONG_NAME = "server-certificate-wrong-name"
    SERVER_CERTIFICATE_UNTRUSTED = "server-certificate-untrusted"
    SERVER_TLS_FAILED = "server-tls-failed"
    SERVER_SILENT = "server-silent"
    SERVER_FULL = "server-full"
    NOT_ENTRENOUS = "not-entrenous"
    SERVER_VERSION = "server-version"
    SERVER_OTHER_NAME = "server-other-name"
    REGISTRATION_CLOSED = "registration-closed"
    SERVER_REACHED = "server-reached"
    # the login
    ACCOUNT_UNKNOWN = "account-unknown"
    DEVICE_REFUSED = "device-refused"
    RATE_LIMITED = "rate-limited"
    SERVER_FAILING = "server-failing"
    LOGIN_FAILED = "login-failed"
    LOGGED_IN = "logged-in"
    # the relay
    NO_RELAY = "no-relay"
    RELAY_CREDENTIALS_MISSING = "relay-credentials-missing"
    RELAY_URL_UNUSABLE = "relay-url-unusable"
    RELAY_NAME_UNKNOWN = "relay-name-unknown"
    RELAY_DOWN = "relay-down"
    UDP_BLOCKED = "udp-blocked"
    ONLY_WEB = "only-web"
    RELAY_UDP_CLOSED = "relay-udp-closed"
    RELAY_TCP_CLOSED = "relay-tcp-closed"
    RELAY_TLS_CLOSED = "relay-tls-closed"
    RELAY_IPV6_CLOSED = "relay-ipv6-closed"
    RELAY_CERTIFICATE_EXPIRED = "relay-certificate-expired"
    RELAY_CERTIFICATE_NOT_YET_VALID = "relay-certificate-not-yet-valid"
    RELAY_CERTIFICATE_WRONG_NAME = "relay-certificate-wrong-name"
    RELAY_CERTIFICATE_UNTRUSTED = "relay-certificate-untrusted"
    RELAY_TLS_FAILED = "relay-tls-failed"
    RELAY_NOT_TURN = "relay-not-turn"
    RELAY_WRONG_SECRET = "relay-wrong-secret"  # noqa: S105 - the name of a finding
    RELAY_QUOTA = "relay-quota"
    RELAY_FULL = "relay-full"
    RELAY_REFUSED = "relay-refused"
    RELAY_WRONG_ADDRESS = "relay-wrong-address"
    RELAY_PORTS_CLOSED = "relay-ports-closed"
    RELAY_LOOP_BROKEN = "relay-loop-broken"
    RELAY_LOSES_PACKETS = "relay-loses-packets"
    RELAY_SLOW = "relay-slow"
    LARGE_PACKETS_LOST = "large-packets-lost"
    RELAY_WORKS = "relay-works"
    # the NAT
    NAT_NONE = "nat-none"
    NAT_ENDPOINT_INDEPENDENT = "nat-endpoint-independent"
    NAT_SYMMETRIC = "nat-symmetric"
    # sound
    NO_SOUND_SYSTEM = "no-sound-system"
    NO_SOUND_DEVICE = "no-sound-device"
    NO_MICROPHONE = "no-microphone"
    MICROPHONE_FAILS = "microphone-fails"
    MICROPHONE_SILENT = "microphone-silent"
    NO_SPEAKER = "no-speaker"
    SPEAKER_FAILS = "speaker-fails"
    SOUND_WORKS = "sound-works"
    # whom to call
    PEER_IS_SELF = "peer-is-self"
    PEER_ELSEWHERE = "peer-elsewhere"
    PEER_UNKNOWN = "peer-unknown"
    PEER_KEY_CHANGED = "peer-key-changed"
    PEER_UNVERIFIABLE = "peer-unverifiable"
    PEER_NO_DEVICE = "peer-no-device"
    PEER_UNCHECKED = "peer-unchecked"
    PEER_NO_CONTACT = "peer-no-contact"
    PEER_READY = "peer-ready"
    # the examination itself
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Args:
        code: which.
        level: how bad.
        sentence: what it is, and the next step where there is one to take. No secret and no client address.
        details: figures and names for scripts; addresses of this machine only where they were asked for.
    """

    code: FindingCode
    level: FindingLevel
    sentence: str
    details: Mapping[str, object] = field(default_factory=dict)


def main_finding(findings: Iterable[Finding]) -> Finding | None:
    """The one to begin with: the first fault in order of cause, else the first warning, else None."""
    order = list(FindingCode)
    found = sorted(findings, key=lambda finding: order.index(finding.code))
    for level in (FindingLevel.FAULT, FindingLevel.WARNING):
        for finding in found:
            if finding.level is level:
                return finding
    return None
