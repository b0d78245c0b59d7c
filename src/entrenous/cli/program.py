"""The command `entrenous`: its groups, and how everything that can go wrong becomes a sentence and an exit code."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Final, NamedTuple

import click

from entrenous import EntrenousError

from .exits import MEANINGS, ExitCode, exit_code_of
from .output import Output, debugging

_Handler = signal.Handlers | Callable[[int, FrameType | None], object]


class _Command(NamedTuple):
    """Where a command is, and what the list of all says of it."""

    module: str
    name: str
    about: str


_COMMANDS: Final = {
    "account": _Command(
        "account", "account_group", "Show or add devices of your account, change its passphrase, or delete it."
    ),
    "answer": _Command("calling", "answer_command", "Wait for calls and answer them."),
    "call": _Command("calling", "call_command", "Call somebody."),
    "contacts": _Command("contacts", "contacts_group", "Add, list, show, verify and remove the people you call."),
    "demo": _Command("demo", "demo_command", "Show one whole call on this machine."),
    "devices": _Command("devices", "devices_command", "List microphones, speakers and cameras, or test the sound."),
    "doctor": _Command(
        "doctor", "doctor_command", "Look at everything a call needs, and say what is wrong and what to do."
    ),
    "register": _Command("account", "register_command", "Create an account."),
    "stats": _Command(
        "stats", "stats_command", "Sum up a call from the FILE that `call` or `answer` wrote with --stats."
    ),
    "whoami": _Command("account", "whoami_command", "Show your address, your card, and where your keys are."),
}


class _Program(click.Group):
    """Loads a command when it is asked for: few need what plays sound and picture."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name. While it is loaded, Ctrl-C ends the process at once, as `cli.main` explains."""
        found = _COMMANDS.get(cmd_name)
        if found is None:
            return None
        with _ctrl_c(signal.SIG_DFL, instead_of=signal.default_int_handler):
            command: click.Command = getattr(import_module(f".{found.module}", __package__), found.name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What `--help` lists."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.about) for name, command in _COMMANDS.items()])


def _exit_codes() -> str:
    """The exit codes as a block of the help text; the line with \\b keeps click from joining its lines."""
    return "\b\nExit codes:\n" + "\n".join(f"  {int(code):>3}  {meaning}" for code, meaning in MEANINGS.items())


@click.group("entrenous", cls=_Program, epilog=_exit_codes(), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="entrenous", prog_name="entrenous")
def group() -> None:
    """Voice and video calls from device to device, encrypted end to end.

    The signaling server helps two devices to find each other and sees neither sound nor picture, nor keeps more
    of a call than when it began and how long it was.

    \b
    Try it on this machine alone:
      entrenous demo

    \b
    For real:
      entrenous register bob@calls.example.org
      entrenous contacts add 'entrenous:alice@calls.example.org#MFRGG…'
      entrenous call alice
      entrenous answer

    Every command has --help with examples, and --json for scripts.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code; never a traceback unless ENTRENOUS_DEBUG is set.

    Args:
        arguments: instead of those of the process.
    """
    # What libraries log below this is about packets, not for the person who calls.
    logging.basicConfig(level=logging.INFO if debugging() else logging.CRITICAL, format="%(name)s: %(message)s")
    output = Output()
    sys.exit(_run(output, arguments))


def _run(output: Output, arguments: Sequence[str] | None) -> ExitCode | int:
    try:
        with _ctrl_c(signal.default_int_handler, instead_of=signal.SIG_DFL):
            group.main(args=arguments, standalone_mode=False, obj=output, prog_name="entrenous")
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        return _usage(output, error)
    except (click.Abort, KeyboardInterrupt):
        output.error("Interrupted.", ExitCode.INTERRUPTED)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        return ExitCode.OK
    except EntrenousError as error:
        if debugging():
            raise
        code = exit_code_of(error)
        output.error(str(error), code)
        return code
    except Exception as error:
        if debugging():
            raise
        output.error(
            f"Something unforeseen happened: {type(error).__name__}: {error} (ENTRENOUS_DEBUG=1 shows where)",
            ExitCode.UNEXPECTED,
        )
        return ExitCode.UNEXPECTED
    return ExitCode.OK


@contextmanager
def _ctrl_c(handler: _Handler, *, instead_of: _Handler) -> Iterator[None]:
    """Let `handler` answer Ctrl-C in this block where `instead_of` would.

    SIG_DFL ends the process at once, and `default_int_handler` raises KeyboardInterrupt.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is instead_of:
        signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _usage(output: Output, error: click.ClickException) -> ExitCode:
    """Show what click found wrong with the arguments and which help says more, or the help where nothing was asked."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return ExitCode.USAGE
    hint = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f" (see: {error.ctx.command_path} --help)"
    output.error(error.format_message() + hint, ExitCode.USAGE)
    return ExitCode.USAGE
