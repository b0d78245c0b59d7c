"""What the facts about this machine mean."""

from __future__ import annotations

import itertools

import pytest

from entrenous import FindingCode, FindingLevel
from entrenous.doctor.facts import AccountFacts, AccountProblem, NetworkFacts, SoundFacts
from entrenous.doctor.judge_machine import counted, judge_account, judge_network, judge_sound, one_sentence

FAULT, WARNING, OK = FindingLevel.FAULT, FindingLevel.WARNING, FindingLevel.OK


@pytest.mark.parametrize(
    ("facts", "code", "level"),
    [
        (AccountFacts(contacts=2), FindingCode.ACCOUNT_OPEN, OK),
        (AccountFacts(AccountProblem.ABSENT), FindingCode.NO_ACCOUNT, FAULT),
        (AccountFacts(AccountProblem.WRONG_PASSPHRASE), FindingCode.WRONG_PASSPHRASE, FAULT),
        (AccountFacts(AccountProblem.UNUSABLE, "It is damaged."), FindingCode.KEYSTORE_UNUSABLE, FAULT),
        (AccountFacts(AccountProblem.UNREGISTERED), FindingCode.NOT_REGISTERED, FAULT),
    ],
)
def test_accounts(facts: AccountFacts, code: FindingCode, level: FindingLevel) -> None:
    (found,) = judge_account(facts)
    assert (found.code, found.level) == (code, level)


def test_a_keystore_speaks_for_itself() -> None:
    (found,) = judge_account(AccountFacts(AccountProblem.UNUSABLE, "It is damaged; restore it."))
    assert found.sentence == "It is damaged; restore it."


@pytest.mark.parametrize(("address4", "route4", "address6", "route6"), list(itertools.product((False, True), repeat=4)))
def test_networks(address4: bool, route4: bool, address6: bool, route6: bool) -> None:
    (found,) = judge_network(NetworkFacts(address4, route4, address6, route6))
    if not (address4 and route4) and not (address6 and route6):
        assert (found.code, found.level) == (FindingCode.NO_NETWORK, FAULT)
        assert ("no way out" in found.sentence) is (address4 or address6)
    elif address6 and not route6:
        assert (found.code, found.level) == (FindingCode.IPV6_BROKEN, WARNING)
    else:
        assert (found.code, found.level) == (FindingCode.NETWORK_UP, OK)
        assert ("IPv4" in found.sentence, "IPv6" in found.sentence) == (address4 and route4, address6 and route6)


@pytest.mark.parametrize(
    ("facts", "codes"),
    [
        (SoundFacts(system_problem="PortAudio is missing"), [FindingCode.NO_SOUND_SYSTEM]),
        (SoundFacts(), [FindingCode.NO_SOUND_DEVICE]),
        (SoundFacts(speakers=1), [FindingCode.NO_MICROPHONE]),
        (SoundFacts(microphones=1, level_dbfs=-40.0), [FindingCode.NO_SPEAKER]),
        (SoundFacts(microphones=1, speakers=1, microphone_problem="no"), [FindingCode.MICROPHONE_FAILS]),
        (SoundFacts(microphones=1, speakers=1, level_dbfs=-40.0, speaker_problem="no"), [FindingCode.SPEAKER_FAILS]),
        (
            SoundFacts(microphones=1, speakers=1, microphone_problem="no", speaker_problem="no"),
            [FindingCode.MICROPHONE_FAILS, FindingCode.SPEAKER_FAILS],
        ),
        (SoundFacts(microphones=1, speakers=1), [FindingCode.MICROPHONE_SILENT]),
        (SoundFacts(microphones=1, speakers=1, level_dbfs=-90.0), [FindingCode.MICROPHONE_SILENT]),
        (SoundFacts(microphones=1, speakers=1, level_dbfs=-40.0), [FindingCode.SOUND_WORKS]),
    ],
)
def test_sound(facts: SoundFacts, codes: list[FindingCode]) -> None:
    found = list(judge_sound(facts))
    assert [finding.code for finding in found] == codes
    for finding in found:
        match finding.code:
            case FindingCode.SOUND_WORKS:
                assert finding.level is OK
            case FindingCode.MICROPHONE_SILENT:
                assert finding.level is WARNING
            case _:
                assert finding.level is FAULT


def test_a_level_is_said_without_its_sign() -> None:
    (found,) = judge_sound(SoundFacts(microphones=1, speakers=1, level_dbfs=-40.4))
    assert "40 dB below full scale" in found.sentence
    assert "-" not in found.sentence


def test_numbers_agree_with_their_nouns() -> None:
    assert [counted(number, "device") for number in (0, 1, 2)] == ["no devices", "1 device", "2 devices"]


def test_what_others_say_becomes_a_sentence() -> None:
    assert one_sentence("no microphone opens\n  (PaErrorCode -9996)") == "No microphone opens (PaErrorCode -9996)."
    assert one_sentence("Is it plugged in?") == "Is it plugged in?"
