"""Says the same to everybody who calls, and hangs up: python examples/announcement_bot.py bot.toml hello.opus

Shows how to change a ready bot: here it also counts its callers.
"""

import asyncio
import sys

from entrenous import Call, Node, NodeConfig
from entrenous.bots import AnnouncementBot


class CountingBot(AnnouncementBot):
    callers = 0

    async def ready(self, node: Node) -> None:
        print(node.card, flush=True)

    async def answer(self, call: Call) -> None:
        self.callers += 1
        print(f"{call.peer} is caller number {self.callers}", flush=True)
        await super().answer(call)


if __name__ == "__main__":
    asyncio.run(CountingBot(NodeConfig.load(sys.argv[1]), sys.argv[2]).run())
