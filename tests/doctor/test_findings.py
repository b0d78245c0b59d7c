"""Which finding to begin with."""

from __future__ import annotations

from entrenous import Finding, FindingCode, FindingLevel, main_finding


def finding(code: FindingCode, level: FindingLevel) -> Finding:
    return Finding(code, level, "It is so.")


FINE = finding(FindingCode.NETWORK_UP, FindingLevel.OK)
NOTE = finding(FindingCode.SKIPPED, FindingLevel.NOTE)
EARLY_WARNING = finding(FindingCode.IPV6_BROKEN, FindingLevel.WARNING)
LATE_WARNING = finding(FindingCode.NAT_SYMMETRIC, FindingLevel.WARNING)
EARLY_FAULT = finding(FindingCode.RELAY_DOWN, FindingLevel.FAULT)
LATE_FAULT = finding(FindingCode.NO_SOUND_DEVICE, FindingLevel.FAULT)


def test_the_first_fault_in_order_of_cause_comes_first() -> None:
    assert main_finding([LATE_FAULT, EARLY_WARNING, EARLY_FAULT]) is EARLY_FAULT


def test_warnings_come_after_faults() -> None:
    assert main_finding([EARLY_WARNING, LATE_FAULT]) is LATE_FAULT
    assert main_finding([LATE_WARNING, FINE, EARLY_WARNING]) is EARLY_WARNING


def test_there_may_be_nothing_to_begin_with() -> None:
    assert main_finding([FINE, NOTE]) is None
    assert main_finding([]) is None


def test_codes_are_their_own_names() -> None:
    assert all(code.value == code.name.lower().replace("_", "-") for code in FindingCode)
