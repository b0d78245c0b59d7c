"""`entrenous call` and `entrenous answer`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

import click

from entrenous import Call, CallOutcome, Node, Strangers

from .accounts import Account, AccountChoice, account_options
from .contacts import find
from .conversation import Conversation, Pictures
from .exits import ExitCode, exit_code_of_outcome
from .interrupt import Interrupt, run
from .keys import Keys
from .media_options import MediaChoice, media_options
from .options import json_option
from .output import Output


def gathered(command: Callable[..., None]) -> Callable[..., None]:
    """Hand the many options to `command` as one AccountChoice and one MediaChoice."""

    @functools.wraps(command)
    def gather(*args: Any, **options: Any) -> None:
        account = AccountChoice(**{field.name: options.pop(field.name) for field in fields(AccountChoice)})
        names = [field.name for field in fields(MediaChoice) if field.name != "defaults"]  # which the account has
        media = MediaChoice(**{name: options.pop(name) for name in names})
        command(*args, account_choice=account, media=media, **options)

    return gather


@click.command("call")
@click.argument("whom", metavar="CONTACT")
@media_options
@account_options
@json_option
@click.pass_obj
@gathered
def call_command(
    output: Output, whom: str, seconds: float | None, account_choice: AccountChoice, media: MediaChoice
) -> None:
    """Call somebody.

    CONTACT is an address, or a name that only one of your contacts has.

    In a terminal a line shows the state, the three words, the path, duration, bitrate, loss and round trip;
    m mutes, c switches the camera, s shares the screen, o puts the call on hold, h hangs up, and so does Ctrl-C.
    Elsewhere each change is a line, and with --json an object; the last object (event "result") has the outcome,
    the stage times and the statistics.

    \b
    Examples:
      entrenous call bob
      entrenous call bob@calls.example.org --for 60
      entrenous call bob --send-audio hello.opus --record-audio answer.ogg
      entrenous call bob --send-video film.mp4 --record-video bob.mkv --no-audio-device
    """
    account = account_choice.open()
    media = replace(media, defaults=account.config.media)
    if account.profile is not None:
        find(account.profile.contacts, whom)  # a typo is told before anything goes over the network

    async def work(interrupt: Interrupt) -> ExitCode:
        await media.check()
        async with account.online(output) as node:
            address = str(find(node.contacts, whom).address)
            with person(output) as keys:
                output.line(f"Calling {address} …")
                ends = media.ends()
                call = await node.call(address, send=ends.source, receive=ends.sink)
                outcome = await Conversation(
                    call,
                    output,
                    interrupt,
                    keys=keys,
                    limit=seconds,
                    figures=media.stats_file(),
                    pictures=pictures_of(media),
                ).hold()
                return interrupt.code or exit_code(outcome, address, node)

    raise SystemExit(run(work))


def exit_code(outcome: CallOutcome, address: str, node: Node) -> ExitCode:
    """As `exit_code_of_outcome`, and tells a contact whose identity key has changed apart from other failures."""
    code = exit_code_of_outcome(outcome)
    if code is ExitCode.CALL_FAILED and node.contacts.get(address).changed:
        return ExitCode.KEY_CHANGED
    return code


@click.command("answer")
@click.option("--auto", is_flag=True, help="Accept every call without asking.")
@click.option(
    "--ring",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="With --auto: let it ring this long first.",
)
@click.option("--once", is_flag=True, help="End after one call.")
@click.option(
    "--strangers",
    type=click.Choice([choice.value for choice in Strangers]),
    help="What a call of somebody who is not a contact does. By default it is refused unseen.",
)
@media_options
@account_options
@json_option
@click.pass_obj
@gathered
def answer_command(
    output: Output,
    auto: bool,
    ring: float,
    once: bool,
    strangers: str | None,
    seconds: float | None,
    account_choice: AccountChoice,
    media: MediaChoice,
) -> None:
    """Wait for calls and answer them.

    In a terminal a accepts and d declines; then the keys are those of `call`; Ctrl-C hangs up and ends. With --auto
    nobody is asked, which also works without a terminal. Without --once the next call is waited for; recordings of
    later calls get a number (answer-2.ogg).

    \b
    Examples:
      entrenous answer
      entrenous answer --auto --send-audio greeting.opus --record-audio message.ogg --for 60
      entrenous answer --auto --once --json | jq 'select(.event == "result").outcome'
      entrenous answer --auto --in-memory --server ws://127.0.0.1:8440 --username echo --strangers ring
    """
    if not auto and not output.interactive:
        raise click.UsageError("There is no terminal to ask on whether to accept: use --auto.")
    account = account_choice.open()
    media = replace(media, defaults=account.config.media)
    if strangers is not None:
        account = account.toward_strangers(Strangers(strangers))
    reception = Reception(account, media, output, ring=ring if auto else None, once=once, limit=seconds)
    raise SystemExit(run(reception.work))


@dataclass(frozen=True, slots=True)
class Reception:
    """Answers one call after the other.

    Args:
        account: that is called.
        media: what every call gets.
        output: where to show it.
        ring: seconds to let it ring before accepting without asking; None: the person decides.
        once: end after one call.
        limit: seconds after which to hang up; None: no limit.
    """

    account: Account
    media: MediaChoice
    output: Output
    ring: float | None
    once: bool
    limit: float | None

    async def work(self, interrupt: Interrupt) -> ExitCode:
        """Go online and answer until a signal comes, or with `once` until a call has ended."""
        await self.media.check()
        async with self.account.online(self.output) as node:
            self.output.line(f"Waiting for calls as {node.address}. Ctrl-C ends.")
            self.output.event("ready", address=node.address, card=node.card, device=node.device)
            number = 0
            async for call in node.incoming():
                number += 1
                outcome = await self._answer(call, number, interrupt)
                if interrupt.code is not None:
                    return interrupt.code
                if self.once:
                    return exit_code_of_outcome(outcome)
        return ExitCode.OK

    async def _answer(self, call: Call, number: int, interrupt: Interrupt) -> CallOutcome:
        known = call.contact is not None
        stranger = "" if known else " (not among your contacts)"
        self.output.line(f"{call.peer}{stranger} calls{' with picture' if call.has_video else ''}.")
        self.output.bell()
        self.output.event("incoming", call=call.id, peer=call.peer, known=known, video=call.has_video)

        async def pick_up() -> None:
            # Not before: this looks at files and devices, while the caller waits to hear that it rings.
            ends = self.media.ends(number)
            await call.accept(send=ends.source, receive=ends.sink)

        with person(self.output) as keys:
            return await Conversation(
                call,
                self.output,
                interrupt,
                keys=keys,
                limit=self.limit,
                pick_up=pick_up,
                ring=self.ring,
                figures=self.media.stats_file(number),
                pictures=pictures_of(self.media),
            ).hold()


def pictures_of(media: MediaChoice) -> Pictures:
    """What can be switched on and off in a call."""
    share = media.screen() if media.share_screen else None
    return Pictures(media.picture, media.screen, media.starts_with_picture, share)


@contextmanager
def person(output: Output) -> Iterator[Keys | None]:
    """The keys that somebody at the terminal presses; None when nobody sits there."""
    if not output.interactive:
        yield None
        return
    with Keys() as keys:
        yield keys
