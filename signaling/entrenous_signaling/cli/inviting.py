"""`invite`: codes that let people register."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Final, assert_never

import click

from entrenous_signaling.auth import hash_invite
from entrenous_signaling.store.database import StoreError, add_invites
from entrenous_signaling.store.place import databases_of
from entrenous_wire.messages import RegistrationPolicy

from .common import acting_as_owner, configured, place_options

_CODE_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # without what looks alike
_CODE_LENGTH: Final = 20


@click.command()
@place_options
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 1000), help="How many codes.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def invite(config: Path | None, data: str | None, count: int, as_json: bool) -> None:
    """Mint codes that let one person register each, for a server with --registration invite.

    Only hashes of them are kept: hand the codes over now. The server may be running.
    """
    place = configured(config, data)
    settings = place.settings
    folder = Path(settings.data)
    if not settings.database and not folder.is_dir():
        raise StoreError(f"There is no directory {folder}: start the server once, or name its --data.")
    os.umask(0o077)
    codes = ["".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_LENGTH)) for _ in range(count)]
    with acting_as_owner(folder):
        add_invites(databases_of(settings), [hash_invite(code) for code in codes])
    for line in [json.dumps({"codes": codes})] if as_json else codes:
        click.echo(line)
    if place.file is not None:  # without one, nobody has said who may register
        _note_what_they_are_good_for(settings.registration)


def _note_what_they_are_good_for(policy: RegistrationPolicy) -> None:
    match policy:
        case RegistrationPolicy.INVITE:
            return
        case RegistrationPolicy.OPEN:
            said = "anybody may register, and nobody is asked for a code"
        case RegistrationPolicy.CLOSED:
            said = "nobody may register, with a code or without"
        case _:
            assert_never(policy)
    click.echo(f'Note: with registration = "{policy.value}" {said}.', err=True)
