"""Steps made by a fuzzer that sees which branches they take, against the whole hub with a store in memory.

Run it in `tests/`, for so many inputs or until it is stopped::

    python -m fuzz.fuzz_hub 100000

An input is a list of steps (`world.hubchaos.Step`): a byte for the step, two for its number, one for the length of its
content, and the content.
"""

from __future__ import annotations

import atheris

from fuzz.runner import main

with atheris.instrument_imports(include=["entrenous_wire", "entrenous_signaling"]):
    from fuzz.corpus import frames
    from world.hubchaos import Chaos, Step

_MOST_STEPS = 80


def check_steps(data: bytes) -> None:
    """Do the steps; look after each, and at what is left at the end."""
    chaos = Chaos()
    given = atheris.FuzzedDataProvider(data)
    for _ in range(_MOST_STEPS):
        if given.remaining_bytes() == 0:
            break
        step = Step(given.ConsumeIntInRange(0, len(Step) - 1))
        number = given.ConsumeIntInRange(0, 600)
        chaos.take(step, number, given.ConsumeBytes(given.ConsumeIntInRange(0, 40)))
        chaos.check()
    chaos.settle()


if __name__ == "__main__":
    main(check_steps, [bytes(range(0, 250, 7)) * 3, *(frame[:200] for frame in frames())])
