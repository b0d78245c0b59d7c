"""The command `entrenous`: its groups, and how everything that can go wrong becomes a sentence and an exit code."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version

import click

from entrenous import EntrenousError

from .account import account_group, register_command, whoami_command
from .calling import answer_command, call_command
from .contacts import contacts_group
from .demo import demo_command
from .devices import devices_command
from .doctor import doctor_command
from .exits import MEANINGS, ExitCode, exit_code_of
from .output import Output, debugging
from .stats import stats_command


def _exit_codes() -> str:
    """The exit codes as a block of the help text; the line with \\b keeps click from joining its lines."""
    return "\b\nExit codes:\n" + "\n".join(f"  {int(code):>3}  {meaning}" for code, meaning in MEANINGS.items())


@click.group("entrenous", epilog=_exit_codes(), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("entrenous"), prog_name="entrenous")
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


for command in (
    demo_command,
    register_command,
    whoami_command,
    account_group,
    contacts_group,
    call_command,
    answer_command,
    devices_command,
    doctor_command,
    stats_command,
):
    group.add_command(command)


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
        with _interruptible():
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
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt in this block where it would end the process at once."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
