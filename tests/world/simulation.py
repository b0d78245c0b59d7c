"""Many calls between a few users over bad links, in simulated time, with everything real that is pure.

Real are the session, the desk and the call machines of every device, and the server's hub. Simulated are time,
links, the store, legs (they come up, fail and stall at random) and the users (they dial, accept, decline, wait and
hang up at random). Bodies are padding: what they would say, the witness keeps by message id. One seed makes one run.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from entrenous.protocol.deadlines import Timeouts
from entrenous.protocol.inputs import Device, Dialled
from entrenous.protocol.session import Phase

from .clock import Clock
from .habits import Habits
from .links import Weather
from .simdevice import SimDevice, Surroundings
from .simlegs import SimLegs
from .simserver import SERVER, SimServer
from .simwitness import Witness
from .wirenode import Account

START = 1_000_000.0


class Simulation:
    """One run.

    Args:
        seed: makes it what it is.
        users: devices of each user.
        habits: behaviour and misfortunes.
        weather: of all links.
        make_server: makes the server, or what looks like one to devices.
    """

    def __init__(
        self,
        seed: int,
        users: tuple[int, ...] = (1, 1, 1, 1, 2, 2),
        habits: Habits | None = None,
        weather: Weather | None = None,
        make_server: Callable[[Clock, random.Random], SimServer] = SimServer,
    ) -> None:
        self.draw = random.Random(seed)
        self.clock = Clock(START)
        self.habits = habits or Habits()
        self.server = make_server(self.clock, self.draw)
        self.witness = Witness(self.server)
        self.dials = 0
        self._active = True
        self.devices: dict[Device, SimDevice] = {}
        legs = SimLegs(self.clock, self.draw, self.habits)
        surroundings = Surroundings(
            self.clock, self.draw, Timeouts(), self.habits, weather or Weather(), self.server, legs, self.witness
        )
        for user, count in enumerate(users):
            for number in range(count):
                device = SimDevice(surroundings, Account(f"user{user}", SERVER, f"{user:08x}{number:08x}"))
                self.devices[device.me] = device
                legs.join(device)
        for device in self.devices.values():
            self._plan_dial(device)
            self._plan_cut(device)
            self.repeat(self.habits.crash_every, device.crash)
        self.repeat(self.habits.kill_every, self._kill)

    def run(self, calls: int) -> None:
        """Dial so many times, then let everything come to rest: nobody dials, nothing breaks any more."""
        while self.dials < calls:
            self.clock.run(self.clock.now + 10.0)
        self._active = False
        self.clock.run(self.clock.now + max(600.0, 10.0 * self.habits.talk))  # who was called last talks to the end

    # --- users and misfortunes ---

    def _plan_dial(self, device: SimDevice) -> None:
        self.clock.after(self.draw.expovariate(1 / self.habits.idle), lambda: self._dial(device))

    def _dial(self, device: SimDevice) -> None:
        if not self._active:
            return
        if device.desk.live is None and device.session.phase is Phase.UP:
            others = sorted({other.address for other in self.devices} - {device.me.address})
            self.dials += 1
            device.hear(Dialled(self.draw.randbytes(16), self.draw.choice(others)))
        self._plan_dial(device)

    def repeat(self, every: float, action: Callable[[], None]) -> None:
        """Do something again and again, about so often, as long as there are misfortunes; never when it is 0."""
        if every:

            def act() -> None:
                if self._active:
                    action()
                    self.repeat(every, action)

            self.clock.after(self.draw.expovariate(1 / every), act)

    def _plan_cut(self, device: SimDevice) -> None:
        self.repeat(self.habits.cut_every, lambda: device.link.cut() if device.link is not None else None)

    def _kill(self) -> None:
        if self.server.up:
            self.server.kill()
            self.clock.after(self.draw.uniform(0.5, 2 * self.habits.down), self.server.start)

    # --- what must hold ---

    def check_rest(self) -> None:
        """What must hold when everything has come to rest."""
        for device in self.devices.values():
            assert device.desk.live is None, f"half-open: {device.desk.live}"
            assert not device.legs
            assert not device.media
            assert not device.unsettled, "a message was neither delivered nor given up"
            assert device.session.phase is Phase.UP
            assert device.known - set(device.ended) == set()

    def check_records(self) -> None:
        """One record for each answered call whose accept was heard of, with a duration that is about right."""
        self.witness.check_records()
