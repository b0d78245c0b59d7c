"""What the facts about this machine mean: its account, its network, its sound. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, assert_never

from .facts import AccountFacts, AccountProblem, NetworkFacts, SoundFacts
from .findings import Finding, FindingCode, FindingLevel

SILENCE_DBFS: Final = -75.0
"""A room with nobody in it is louder than that through any microphone that is switched on."""


def judge_account(facts: AccountFacts) -> Iterator[Finding]:
    """Whether there is an account to call with."""
    match facts.problem:
        case None:
            yield Finding(
                FindingCode.ACCOUNT_OPEN,
                FindingLevel.OK,
                f"The account opens; it has {counted(facts.contacts, 'contact')}.",
                {"contacts": facts.contacts},
            )
        case AccountProblem.ABSENT:
            yield Finding(
                FindingCode.NO_ACCOUNT,
                FindingLevel.FAULT,
                "There is no account in the profile folder; create one: entrenous register you@calls.example.org",
            )
        case AccountProblem.WRONG_PASSPHRASE:
            yield Finding(
                FindingCode.WRONG_PASSPHRASE,
                FindingLevel.FAULT,
                "The passphrase does not open the account; type it again, or look which profile folder is named.",
            )
        case AccountProblem.UNUSABLE:
            yield Finding(FindingCode.KEYSTORE_UNUSABLE, FindingLevel.FAULT, facts.sentence)
        case AccountProblem.UNREGISTERED:
            yield Finding(
                FindingCode.NOT_REGISTERED,
                FindingLevel.FAULT,
                "The account was made here, but its registration never ended; run entrenous register again.",
            )
        case _:
            assert_never(facts.problem)


def judge_network(facts: NetworkFacts) -> Iterator[Finding]:
    """Whether there is a way out of this machine."""
    ipv4, ipv6 = facts.ipv4_address and facts.ipv4_route, facts.ipv6_address and facts.ipv6_route
    details = {"ipv4": ipv4, "ipv6": ipv6}
    if not ipv4 and not ipv6:
        what = "has addresses but no way out" if facts.ipv4_address or facts.ipv6_address else "has no network address"
        yield Finding(
            FindingCode.NO_NETWORK,
            FindingLevel.FAULT,
            f"This machine {what}; plug the cable in, join a Wi-Fi, or ask for an address again.",
            details,
        )
        return
    if facts.ipv6_address and not facts.ipv6_route:
        yield ipv6_broken("there is an IPv6 address but no way out with it", details)
        return
    families = " and ".join(name for name, there in (("IPv4", ipv4), ("IPv6", ipv6)) if there)
    yield Finding(FindingCode.NETWORK_UP, FindingLevel.OK, f"There is a network, with {families}.", details)


def ipv6_broken(what: str, details: Mapping[str, object]) -> Finding:
    """What a family that is announced and leads nowhere costs."""
    return Finding(
        FindingCode.IPV6_BROKEN,
        FindingLevel.WARNING,
        f"IPv6 does not work here ({what}); calls use IPv4, after waiting for the other in vain: repair it in "
        "the router, or switch it off.",
        details,
    )


def judge_sound(facts: SoundFacts) -> Iterator[Finding]:
    """Whether somebody can be heard, and hear."""
    details: dict[str, object] = {"microphones": facts.microphones, "speakers": facts.speakers}
    instead = "or send and record files: entrenous call --help"
    if facts.system_problem is not None:
        yield Finding(FindingCode.NO_SOUND_SYSTEM, FindingLevel.FAULT, one_sentence(facts.system_problem), details)
        return
    if not facts.microphones and not facts.speakers:
        yield Finding(
            FindingCode.NO_SOUND_DEVICE,
            FindingLevel.FAULT,
            f"There is no sound device on this machine; plug a headset in, {instead}",
            details,
        )
        return
    before = True
    if not facts.microphones:
        before = False
        yield Finding(
            FindingCode.NO_MICROPHONE, FindingLevel.FAULT, f"There is no microphone; plug one in, {instead}", details
        )
    elif facts.microphone_problem is not None:
        before = False
        yield Finding(
            FindingCode.MICROPHONE_FAILS,
            FindingLevel.FAULT,
            f"The microphone does not work: {one_sentence(facts.microphone_problem)}",
            details,
        )
    elif facts.level_dbfs is None or facts.level_dbfs < SILENCE_DBFS:
        before = False
        yield Finding(
            FindingCode.MICROPHONE_SILENT,
            FindingLevel.WARNING,
            "The microphone gives silence; look whether it is muted by a key, a switch or in the sound settings, or "
            "whether another one is meant: entrenous devices",
            {**details, "level_dbfs": facts.level_dbfs},
        )
    if not facts.speakers:
        before = False
        yield Finding(
            FindingCode.NO_SPEAKER, FindingLevel.FAULT, f"There is no speaker; plug one in, {instead}", details
        )
    elif facts.speaker_problem is not None:
        before = False
        yield Finding(
            FindingCode.SPEAKER_FAILS,
            FindingLevel.FAULT,
            f"The speaker does not work: {one_sentence(facts.speaker_problem)}",
            details,
        )
    if before and facts.level_dbfs is not None:
        yield Finding(
            FindingCode.SOUND_WORKS,
            FindingLevel.OK,
            f"Microphone and speaker open; the loudest heard was {facts.level_dbfs:.0f} dB below full scale.".replace(
                "-", ""
            ),
            {**details, "level_dbfs": round(facts.level_dbfs, 1)},
        )


def counted(number: int, what: str) -> str:
    """`1 contact`, `2 contacts`, `no contacts`."""
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def one_sentence(text: str) -> str:
    """One line with a capital first letter and a full stop."""
    line = " ".join(text.split())
    return line[:1].upper() + line[1:] + ("" if line.endswith((".", "!", "?")) else ".")
