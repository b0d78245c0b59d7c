"""`entrenous demo`: one whole encrypted call on this machine, between real processes."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import click

from entrenous import ConfigError, MediaFileError

from .demo_run import DemoResult, End, play
from .exits import ExitCode
from .interrupt import Interrupt, run
from .options import json_option
from .output import Output

_SERVER_NEEDS = ("entrenous_signaling", "sqlalchemy", "alembic")


@click.command("demo")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=1, max=3600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the call is to be.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="The folder for the recordings of both ends.",
)
@json_option
@click.pass_obj
def demo_command(output: Output, seconds: float, out: Path) -> None:
    """Show one whole call on this machine.

    Ends with everything that the server kept about it.

    Starts a real signaling server and two real nodes as processes of their own, talking over the loopback
    interface; nothing leaves this machine. Alice calls Bob with recorded speech and a moving test card, and so does
    he answer. Both ends record what they hear and see. Keys and accounts are temporary and gone afterwards.

    With --json one object is written. Its audio and video figures are of both ends together; dial_to_ringing_ms is
    from Alice's dialling to Alice hearing that it rings, accept_to_audio_ms from Bob's accepting until both have
    heard the other's first sound.

    \b
    Examples:
      entrenous demo
      entrenous demo --for 30 --out /tmp/recordings
      entrenous demo --json | jq '{connected, words_match, path}'
    """
    if missing := [name for name in _SERVER_NEEDS if find_spec(name) is None]:
        raise ConfigError(
            f"The demo needs the signaling server, and {missing[0]} is not installed. "
            "Install it: pip install 'entrenous[server]'"
        )

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaFileError(f"{out} cannot be written: {error.strerror}") from None

    async def work(_: Interrupt) -> ExitCode:
        result = await play(seconds, out, output.progress)
        output.json(result.to_dict())
        report(output, result)
        return ExitCode.OK if result.connected and result.words_match else ExitCode.CALL_FAILED

    raise SystemExit(run(work))


_STAGES = {
    "dial_to_keys_ms": "dial → Bob's keys fetched and checked",
    "dial_to_ringing_ms": "dial → it rings at Bob's",
    "accept_to_active_ms": "accept → both may send",
    "accept_to_audio_ms": "accept → both hear each other",
    "accept_to_video_ms": "accept → both see each other",
}


def report(output: Output, result: DemoResult) -> None:
    """Show the result to a person."""
    ends = (result.caller, result.callee)
    output.heading("How long it took")
    output.table(("", "ms"), [(_STAGES[name], f"{ms:.0f}") for name, ms in result.stages().items()])
    output.heading("The three words")
    for end in ends:
        output.line(f"  {end.name:<6} {' '.join(end.words) if end.words else 'none'}")
    output.line("  They are the same: nobody sits between the two." if result.words_match else "  THEY DIFFER.")
    output.heading("The call")
    output.table(
        ("", *(end.name for end in ends)), [(label, *(figure(end) for end in ends)) for label, figure in _FIGURES]
    )
    output.heading("Recordings")
    for end in ends:
        for path in end.recordings:
            output.line(f"  {path}")
    output.heading("Everything the server kept about the call")
    for record in result.server_kept:
        output.line("  " + ", ".join(f"{name} {value}" for name, value in record.items()))


def _figures(end: End, stream: str, *names: str) -> str:
    return " / ".join(str(end.stats[stream][name]) for name in names)


def _round_trip(end: End) -> str:
    round_trip = end.stats["round_trip_ms"]
    return "unknown" if round_trip is None else f"{round_trip:.1f} ms"


_FIGURES: tuple[tuple[str, Callable[[End], str]], ...] = (
    ("path", lambda end: end.path or "none"),
    ("sound: blocks sent / played / concealed", lambda end: _figures(end, "audio", "sent", "played", "concealed")),
    ("picture: frames sent / decoded", lambda end: _figures(end, "video", "sent", "decoded")),
    ("picture: width / height", lambda end: _figures(end, "video", "width", "height")),
    ("sealed frames refused", lambda end: str(end.stats["frames_rejected"])),
    ("round trip", _round_trip),
)
