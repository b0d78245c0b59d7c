"""`entrenous doctor`: what is wrong, in one sentence each, and what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.status import Status

from entrenous import (
    Address,
    Finding,
    FindingLevel,
    KeystoreError,
    NodeConfig,
    Profile,
    examine,
    main_finding,
)

from .exits import ExitCode
from .interrupt import run
from .options import json_option, load_config, passphrase_option, profile_option, server_options
from .output import Output
from .passphrase import read_passphrase

MARKS = {
    FindingLevel.OK: ("ok", "green"),
    FindingLevel.NOTE: ("note", "dim"),
    FindingLevel.WARNING: ("warning", "yellow"),
    FindingLevel.FAULT: ("FAULT", "bold red"),
}
"""How a finding begins on the screen."""

_MARK_WIDTH = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the options ask for.

    Args:
        config: how to reach the server; None where nobody knows it.
        open_profile: opens the account; None where there is none.
        peer: somebody to look at too.
        sound, login, show_addresses: as for `entrenous.examine`.
    """

    config: NodeConfig | None
    open_profile: Callable[[], Profile] | None
    peer: Address | None
    sound: bool
    login: bool
    show_addresses: bool


@click.command("doctor")
@click.argument("peer", required=False, metavar="[PEER]")
@click.option("--no-sound", is_flag=True, help="Leave microphone and speaker alone (a bot, a machine without them).")
@click.option(
    "--no-login",
    is_flag=True,
    help="Do not log in, so that an `answer` or a call of this account on this machine goes on undisturbed; relays and "
    "PEER are not looked at then.",
)
@click.option("--show-addresses", is_flag=True, help="With --json: name this machine's own addresses.")
@profile_option
@passphrase_option
@server_options
@json_option
@click.pass_obj
def doctor_command(
    output: Output,
    peer: str | None,
    no_sound: bool,
    no_login: bool,
    show_addresses: bool,
    profile: Path,
    passphrase_file: Path | None,
    server: str | None,
    ca_file: Path | None,
) -> None:
    """Look at everything a call needs, and say what is wrong and what to do.

    It opens the account, finds and greets the server, compares clocks, logs in, asks every relay over UDP, TCP and TLS,
    sends a second of sound through a relay and back to itself, finds out what kind of NAT there is, and listens to the
    microphone for half a second. With PEER it also looks whether they can be called. It takes some five seconds, never
    more than twenty, and changes nothing.

    Each line begins with what it is: `ok`; `note`; `warning`, calls work but not as well as they could; `FAULT`, calls
    fail until it is repaired. What comes first is the cause: what cannot be looked at because of it is skipped. The
    exit code is 0 when there is no fault, 15 when there is one.

    While it is logged in, the server takes this machine's `answer` for gone: use --no-login beside a running one.

    \b
    Examples:
      entrenous doctor
      entrenous doctor bob@calls.example.org
      entrenous doctor --no-sound --json | jq -r '.findings[] | select(.level == "fault").code'
      entrenous doctor --server calls.example.org         before there is an account
    """
    whom = None if peer is None else _address(peer)
    try:
        config: NodeConfig | None = load_config(profile, server=server, ca_file=ca_file)
    except KeystoreError:
        config = None
    open_profile = None
    if config is not None and (profile / KEYS_FILE).exists():
        passphrase = read_passphrase(passphrase_file)
        open_profile = lambda: Profile.open(profile, passphrase)  # noqa: E731 - one use, beside what it needs
    wanted = Wanted(
        config=config,
        open_profile=open_profile,
        peer=whom,
        sound=not no_sound,
        login=not no_login,
        show_addresses=show_addresses,
    )
    raise SystemExit(run(lambda _: _examine(output, wanted)))


KEYS_FILE = "keys.box"
"""Where a profile folder keeps the keys; without it there is no account to open."""


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="PEER") from None


async def _examine(output: Output, wanted: Wanted) -> ExitCode:
    found: list[Finding] = []
    with _progress(output) as step:
        findings = examine(
            wanted.config,
            wanted.open_profile,
            peer=wanted.peer,
            sound=wanted.sound,
            login=wanted.login,
            show_addresses=wanted.show_addresses,
            step=step,
        )
        async with aclosing(findings):
            async for finding in findings:
                found.append(finding)
                _show(output, finding)
    first = main_finding(found)
    code = exit_code(found)
    output.line("")
    output.line(verdict(first))
    output.json({"works": code is ExitCode.OK, "first": None if first is None else first.code, "findings": found})
    return code


def exit_code(findings: list[Finding]) -> ExitCode:
    """0 when calls will work, else that of a fault."""
    has_fault = any(finding.level is FindingLevel.FAULT for finding in findings)
    return ExitCode.FAULT_FOUND if has_fault else ExitCode.OK


def verdict(first: Finding | None) -> str:
    """The last line: what to begin with."""
    match first:
        case None:
            return "Everything that was looked at is as it should be: calls will work."
        case Finding(level=FindingLevel.FAULT):
            return f"Begin with this: {first.sentence}"
        case Finding():
            return "Calls will work, though not as well as they could."


def _show(output: Output, finding: Finding) -> None:
    if output.as_json:
        return
    mark, style = MARKS[finding.level]
    output.out.print(f"[{style}]{mark:<{_MARK_WIDTH}}[/]", end="")
    output.out.print(finding.sentence, markup=False)


@contextmanager
def _progress(output: Output) -> Iterator[Callable[[str], None]]:
    """Show what is being looked at: one line that changes on a terminal, none elsewhere."""
    if output.as_json or not sys.stdout.isatty():
        yield lambda text: None
        return
    with Status("", console=output.out) as status:
        yield status.update
