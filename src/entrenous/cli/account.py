"""`entrenous register`, `entrenous whoami` and `entrenous account`: making an account, and what is yours to change."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from entrenous import Address, KeystoreError, Profile, delete_account, register

from .notices import moment
from .options import (
    NODE_FILE,
    address_argument,
    json_option,
    load_config,
    new_config,
    passphrase_option,
    profile_option,
    save_config,
    server_options,
)
from .output import Output
from .passphrase import open_account, read_new_passphrase, read_passphrase


@click.command("register")
@address_argument
@server_options
@click.option("--invite", metavar="CODE", help="The invite code, where the server wants one.")
@profile_option
@passphrase_option
@json_option
@click.pass_obj
def register_command(
    output: Output,
    address: Address,
    server: str | None,
    ca_file: Path | None,
    invite: str | None,
    profile: Path,
    passphrase_file: Path | None,
) -> None:
    """Create an account.

    ADDRESS is name@server, and how others reach you from then on.

    Keys are made on this machine and stay here, under a passphrase. The server learns the name and the public
    keys, nothing else. When it refuses, nothing is left on disk; after an interruption the same command goes on.

    \b
    Examples:
      entrenous register bob@calls.example.org
      entrenous register bob@calls.example.org --invite K7QF-22LM
      entrenous register bob@127.0.0.1:8440 --server ws://127.0.0.1:8440
    """
    if (profile / NODE_FILE).exists():
        raise KeystoreError(f"There is an account in {profile} already. Use another folder: --profile DIR")
    config = new_config(address, profile=profile, server=server, ca_file=ca_file, invite=invite)
    passphrase = read_passphrase(passphrase_file, confirm=True)
    output.progress(f"Registering {address} at {config.url} …")
    account = asyncio.run(register(config, address.user, passphrase=passphrase))
    save_config(config, profile)
    output.line(f"You are {account.address}. Your keys are in {profile}.")
    output.line("Give this card to people who want to call you:")
    output.line(f"  {account.card}")
    output.json(
        {
            "address": account.address,
            "device": account.device,
            "card": account.card,
            "profile": profile,
            "server": config.url,
        }
    )


@click.command("whoami")
@click.option("--qr", is_flag=True, help="Show the card as a QR code too.")
@profile_option
@passphrase_option
@json_option
@click.pass_obj
def whoami_command(output: Output, qr: bool, profile: Path, passphrase_file: Path | None) -> None:
    """Show your address, your card, and where your keys are.

    \b
    Examples:
      entrenous whoami
      entrenous whoami --qr
      entrenous whoami --json | jq -r .card
    """
    config, account = open_account(profile, passphrase_file)
    output.line(f"Address  {account.address}")
    output.line(f"Card     {account.card}")
    output.line(f"Device   {account.device}")
    output.line(f"Server   {config.url}")
    output.line(f"Profile  {profile}")
    output.line(f"Contacts {len(account.contacts)}")
    if account.deleted:
        output.line("Deleted  This account was deleted at its server: nobody can log in with it.")
    if qr:
        output.qr(str(account.card))
    output.json(
        {
            "address": account.address,
            "card": account.card,
            "device": account.device,
            "server": config.url,
            "profile": profile,
            "contacts": len(account.contacts),
            "deleted": account.deleted,
        }
    )


@click.group("account")
def account_group() -> None:
    """Show or add devices of your account, change its passphrase, or delete it.

    \b
    Examples:
      entrenous account devices
      entrenous account add-device /media/stick/phone
      entrenous account passphrase
      entrenous account delete
    """


@account_group.command("devices")
@profile_option
@passphrase_option
@json_option
@click.pass_obj
def devices_command(output: Output, profile: Path, passphrase_file: Path | None) -> None:
    """Show which devices your account has, as this one saw them last.

    While it is connected, this device is told whenever another one logs in, and whenever it connects it looks who has
    come and who has gone meanwhile; `entrenous answer` and `entrenous call` tell you. Only who has the identity key
    of your account can add a device to it.

    So if there is a device here that is not yours, or one of yours logged in when you did not use it, somebody has
    your keys and can call others in your name. Nothing can take that back: delete the account with `entrenous account
    delete`, register anew, and hand your contacts the new card by another way.

    \b
    Examples:
      entrenous account devices
      entrenous account devices --json
    """
    _, account = open_account(profile, passphrase_file)
    others = sorted(account.other_devices, key=lambda device: device.seen_at)
    rows = [(other.device, f"seen since {moment(other.seen_at)}") for other in others]
    output.table(("Device", ""), [(account.device, "this device"), *rows])
    output.json({"address": account.address, "device": account.device, "others": others})


@account_group.command("add-device")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@profile_option
@passphrase_option
@json_option
@click.pass_obj
def add_device_command(output: Output, folder: Path, profile: Path, passphrase_file: Path | None) -> None:
    """Make a profile for another device of your account in FOLDER.

    Carry the folder to the other machine by a way that nobody can look into, name it there with --profile, and leave
    no copy behind. It opens with the passphrase of this profile. Whoever calls you rings both devices from then on.

    \b
    Examples:
      entrenous account add-device /media/stick/phone
      entrenous answer --profile ~/phone          (on the other machine)
    """
    config = load_config(profile)
    passphrase = read_passphrase(passphrase_file)
    account = Profile.open(profile, passphrase)
    added = account.make_another_device(folder, passphrase)
    save_config(config, folder)
    output.line(f"The device {added.device} of {account.address} is in {folder}.")
    output.line("This device tells you when it logs in for the first time.")
    output.json({"address": account.address, "device": added.device, "profile": folder})


@account_group.command("delete")
@click.option("--confirm", metavar="ADDRESS", help="Your own address, instead of being asked for it.")
@profile_option
@passphrase_option
@json_option
@click.pass_obj
def delete_command(output: Output, confirm: str | None, profile: Path, passphrase_file: Path | None) -> None:
    """Delete the account for good.

    The server forgets the name, the public keys of all its devices, and everything that waits for them. Nobody can
    reach you by this address any more, and anybody may register the name; who has you among their contacts is warned
    that the key is another one then. The profile on this machine stays, and says that its account was deleted.

    \b
    Examples:
      entrenous account delete
      entrenous account delete --confirm bob@calls.example.org
    """
    config, account = open_account(profile, passphrase_file)
    account.ensure_usable()
    if confirm is None:
        if not output.interactive:
            raise click.UsageError("There is no terminal to ask on: repeat your address with --confirm.")
        confirm = click.prompt(f"This deletes {account.address} for good. Type the address to confirm", err=True)
    if confirm.strip() != str(account.address):
        raise click.UsageError("That is not the address of this account: nothing was deleted.")
    asyncio.run(delete_account(config, account))
    output.line(f"{account.address} is deleted. Its keys are still in {profile}; remove the folder when you like.")
    output.json({"address": account.address, "deleted": True, "profile": profile})


@account_group.command("passphrase")
@click.option(
    "--new-passphrase-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Read the new passphrase from the first line of FILE. Otherwise it is asked for.",
    metavar="FILE",
)
@profile_option
@passphrase_option
@json_option
@click.pass_obj
def passphrase_command(
    output: Output, new_passphrase_file: Path | None, profile: Path, passphrase_file: Path | None
) -> None:
    """Change the passphrase under which your keys are on this machine.

    The keys stay the same, and nobody else is told. What was copied before, into a backup for example, still opens
    with the old passphrase. An `entrenous answer` that runs meanwhile has to be started anew: it can write nothing to
    the profile any more.

    \b
    Examples:
      entrenous account passphrase
      entrenous account passphrase --passphrase-file old.txt --new-passphrase-file new.txt
    """
    _, account = open_account(profile, passphrase_file)
    account.change_passphrase(read_new_passphrase(new_passphrase_file))
    output.line(f"The keys in {profile} open with the new passphrase from now on, and with the old one no more.")
    output.line("If `entrenous answer` is running, start it anew.")
    output.json({"address": account.address, "profile": profile, "changed": True})
