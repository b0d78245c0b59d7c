"""The examination: looks at everything side by side, and tells the findings in order of cause.

What cannot be looked at because something before it is broken is named once, as skipped, instead of bringing findings
of its own that would only repeat the first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from entrenous_wire.addresses import Address
from entrenous_wire.messages import Turn

from ..config import IcePolicy, MediaConfig, NodeConfig, is_loopback
from ..profile import Profile
from . import tls
from .facts import AccountFacts, AccountProblem, NatFacts, NetworkFacts, RelayFacts, ServerFacts
from .findings import Finding, FindingCode, FindingLevel
from .judge_machine import judge_account, judge_network, judge_sound
from .judge_peer import judge_peer
from .judge_relays import Situation, judge_relays, server_clock_is_off
from .judge_server import judge_clock, judge_login, judge_server
from .look_account import ask_for_relays, log_in, look_at_account, look_at_peer
from .look_network import look_at_network
from .look_relays import look_at_relays
from .look_server import look_at_server
from .look_sound import look_at_sound

TOTAL_SECONDS: Final = 18.0
"""However bad everything is, an examination ends by then."""


class Part(StrEnum):
    """What is looked at, in this order."""

    ACCOUNT = "account"
    NETWORK = "network"
    SERVER = "server"
    LOGIN = "login"
    RELAYS = "relays"
    SOUND = "sound"
    PEER = "peer"


@dataclass(frozen=True, slots=True)
class _Choices:
    """What to look at."""

    peer: Address | None
    sound: bool
    login: bool
    show_addresses: bool


async def examine(
    config: NodeConfig | None,
    open_profile: Callable[[], Profile] | None,
    *,
    peer: Address | None = None,
    sound: bool = True,
    login: bool = True,
    show_addresses: bool = False,
    step: Callable[[str], None] = lambda text: None,
) -> AsyncGenerator[Finding, None]:
    """Look at everything a call needs, and tell what is found, in order of cause and as soon as it is certain.

    Args:
        config: how the node would be set up; None where nobody knows the server yet.
        open_profile: opens the account, raises KeystoreError; called in another thread; None where there is none.
        peer: somebody to look at too, whether they can be called.
        sound: open the sound devices.
        login: log in. The server then sends another program away that uses this account on this device; but nobody
            hears of relays without it.
        show_addresses: put this machine's own addresses into the details.
        step: told in a few words what is being looked at now.

    Raises:
        ConfigError: the file of certificate authorities cannot be used.
    """
    examination = _Examination(config, _Choices(peer, sound, login, show_addresses), step)
    findings: asyncio.Queue[Finding | None] = asyncio.Queue()
    running = asyncio.ensure_future(examination.run(open_profile, findings.put_nowait))
    running.add_done_callback(lambda _: findings.put_nowait(None))
    try:
        while (finding := await findings.get()) is not None:
            yield finding
        await running
    finally:
        running.cancel()
        await asyncio.wait((running,))


class _Examination:
    """One run."""

    def __init__(self, config: NodeConfig | None, choices: _Choices, step: Callable[[str], None]) -> None:
        self._config = config
        self._choices = choices
        self._step = step
        self._tell: Callable[[Finding], None] = lambda finding: None
        self._left = [part for part in Part if self._is_wanted(part)]

    def _is_wanted(self, part: Part) -> bool:
        match part:
            case Part.SOUND:
                return self._choices.sound
            case Part.PEER:
                return self._choices.peer is not None
            case _:
                return True

    async def run(self, open_profile: Callable[[], Profile] | None, tell: Callable[[Finding], None]) -> None:
        """Look at each part that is wanted; the sound devices beside everything else."""
        self._tell = tell
        sound = None
        if self._choices.sound:
            media = MediaConfig() if self._config is None else self._config.media
            sound = asyncio.ensure_future(look_at_sound(media.microphone, media.speaker))
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                stopped_by = await self._look_outward(open_profile)
                if sound is not None:
                    self._step("Waiting for the sound devices …")
                    self._take(Part.SOUND, judge_sound(await sound))
        except TimeoutError:
            stopped_by = "the time was up"
        finally:
            if sound is not None:
                sound.cancel()
                await asyncio.wait((sound,))
        if self._left:
            self._tell(skipped(self._left, stopped_by or "the time was up"))

    async def _look_outward(self, open_profile: Callable[[], Profile] | None) -> str | None:
        """Account, network, server, login, relays, peer; returns why it ended before, if it did."""
        self._step("Opening the account …")
        account, profile = AccountFacts(AccountProblem.ABSENT), None
        if open_profile is not None:
            account, profile = await look_at_account(open_profile)
        self._take(Part.ACCOUNT, judge_account(account))
        config = self._config
        if config is None:
            return "the server is not known without an account"
        network = look_at_network()
        if is_local(config):
            self._done(Part.NETWORK)
        elif any(self._take(Part.NETWORK, judge_network(network))):
            return "there is no network"
        self._step(f"Connecting to {config.url} …")
        server = await look_at_server(config.url, tls.trusting(config.ca_file))
        host = None if profile is None else profile.address.host
        registering = account.problem in (AccountProblem.ABSENT, AccountProblem.UNREGISTERED)
        if any(self._take(Part.SERVER, judge_server(server, host, registering=registering))):
            return "the server cannot be used"
        if profile is None or not self._choices.login:
            self._tell_clock(server)
            return "no account opens to log in with" if profile is None else "the login was left out"
        return await self._look_inside(config, profile, server, network)

    async def _look_inside(
        self, config: NodeConfig, profile: Profile, server: ServerFacts, network: NetworkFacts
    ) -> str | None:
        """Log in, and look at what only those see who are in."""
        self._step("Logging in …")
        clock = judge_clock(server)
        async with log_in(config, profile) as (facts, link):
            verdict = list(judge_login(facts, clock is not None and clock.code is FindingCode.CLOCK_OFF))
            if link is None:
                self._tell_clock(server)
                self._take(Part.LOGIN, verdict)
                return "the server does not let this device in"
            relays = await self._relays(config, await ask_for_relays(link))
            if relays is None or not server_clock_is_off(relays):
                self._tell_clock(server)
            self._take(Part.LOGIN, verdict)
            if relays is not None:
                situation = _situation(config.ice_policy, server, network)
                told = judge_relays(relays, situation)
                self._take(Part.RELAYS, self._with_addresses(told, relays.nat))
            else:
                self._done(Part.RELAYS)
            if self._choices.peer is not None:
                self._step(f"Asking for {self._choices.peer} …")
                self._take(
                    Part.PEER, judge_peer(await look_at_peer(link, profile, self._choices.peer), config.ice_policy)
                )
        return None

    async def _relays(self, config: NodeConfig, answer: Turn | str | None) -> RelayFacts | None:
        if config.loopback_only:
            return None  # such calls stay on this machine
        if answer is None:
            return RelayFacts(absent=True)
        if isinstance(answer, str):
            return RelayFacts(credentials_problem=answer)
        return await look_at_relays(answer, tls.trusting(config.ca_file), time.time(), self._step)

    def _with_addresses(self, findings: Iterator[Finding], nat: NatFacts | None) -> Iterator[Finding]:
        for finding in findings:
            if nat is not None and self._choices.show_addresses and finding.code.value.startswith("nat-"):
                yield replace(finding, details={**finding.details, "local": nat.local, "mapped": nat.mapped})
            else:
                yield finding

    def _tell_clock(self, server: ServerFacts) -> None:
        if (clock := judge_clock(server)) is not None:
            self._tell(clock)

    def _done(self, part: Part) -> None:
        self._left.remove(part)

    def _take(self, part: Part, findings: Iterator[Finding] | list[Finding]) -> list[Finding]:
        """Tell the findings of a part; returns its faults."""
        self._done(part)
        told = list(findings)
        for finding in told:
            self._tell(finding)
        return [finding for finding in told if finding.level is FindingLevel.FAULT]


def is_local(config: NodeConfig) -> bool:
    """Whether the server runs on this machine, so that no network is needed to reach it."""
    return is_loopback(urlsplit(config.url).hostname or "")


def skipped(parts: list[Part], why: str) -> Finding:
    """What could not be looked at, and why."""
    names = ", ".join(parts)
    return Finding(
        FindingCode.SKIPPED,
        FindingLevel.NOTE,
        f"Not looked at, because {why}: {names}.",
        {"parts": list(parts), "why": why},
    )


def _situation(policy: IcePolicy, server: ServerFacts, network: NetworkFacts) -> Situation:
    over_ipv6 = [attempt for attempt in server.attempts if attempt.is_ipv6]
    reached = any(attempt.problem is None for attempt in over_ipv6)
    works = network.ipv6_address and network.ipv6_route and (reached or not over_ipv6)
    return Situation(policy, ipv6_works=works, server_over_ipv6=reached)
