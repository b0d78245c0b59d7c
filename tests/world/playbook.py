"""Scripts for a call: an input, then exactly what it must ask for; an unfinished script fails."""

from __future__ import annotations

from types import TracebackType

from entrenous.protocol.call import CallFact, CallMachine
from entrenous.protocol.outputs import Output, StateChanged


class Playbook:
    """Plays inputs to one call and compares what it asks for, in order.

    Used as a context manager: at its end, and before each further input, nothing may be left that the script did not
    expect. State changes are expected like any other output.

    Args:
        call: the call to begin with; `call` is always the present one.
        now: seconds at which the script begins.
    """

    def __init__(self, call: CallMachine, now: float = 1000.0) -> None:
        self.call = call
        self.now = now
        self._unseen: list[Output] = []
        self._checked = True

    def on(self, *facts: CallFact) -> Playbook:
        """Something happens; each fact but the last must ask for nothing that matters here (see `skip`)."""
        for fact in facts:
            self._finish_last_step()
            self.call, outputs = self.call.handle(fact, self.now)
            self._unseen += outputs
            self._checked = False
            if fact is not facts[-1]:
                self.skip()
        return self

    def wait(self, seconds: float) -> Playbook:
        """Time passes; the deadlines that are due are handled."""
        self._finish_last_step()
        self.now += seconds
        self.call, outputs = self.call.handle_timeout(self.now)
        self._unseen += outputs
        self._checked = False
        return self

    def expect(self, *outputs: Output) -> Playbook:
        """Exactly these were asked for, in this order."""
        assert self._unseen == list(outputs)
        return self.skip()

    def expect_nothing(self) -> Playbook:
        """Nothing was asked for, and nothing was dropped."""
        assert self._unseen == []
        return self.skip()

    def expect_end(self, *outputs: Output) -> StateChanged:
        """These were asked for, and then the call ended; returns how."""
        *before, last = self._unseen
        assert before == list(outputs)
        assert isinstance(last, StateChanged)
        assert last.new is self.call.state
        assert last.sentence
        self.skip()
        return last

    def skip(self) -> Playbook:
        """What was asked for belongs to the way here and is looked at in another script."""
        self._unseen.clear()
        self._checked = True
        return self

    def _finish_last_step(self) -> None:
        assert self._checked, f"the script says nothing about {self._unseen}"

    def __enter__(self) -> Playbook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._finish_last_step()
