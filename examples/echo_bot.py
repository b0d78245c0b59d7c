"""Calls you back with your own voice: python examples/echo_bot.py bot.toml

Shows the whole of a bot: go online, take each call as it comes, send and receive.
"""

import asyncio
import sys

from entrenous import Call, Node, NodeConfig
from entrenous.bots import EchoLine, ended_by_signals


async def echo(call: Call) -> None:
    line = EchoLine()  # a place to send from and to receive into, at once
    await call.accept(send=line, receive=line)
    async for event in call:  # Connecting, WordsKnown, Active … Ended
        print(call.peer, event, flush=True)


async def main(config: str) -> None:
    with ended_by_signals():  # Ctrl-C, or a service manager: the node hangs up
        async with Node(NodeConfig.load(config)) as node:
            print(node.card, flush=True)  # what others add to their contacts to call this bot
            async for call in node.incoming():
                node.spawn(echo(call))  # a failing one never takes the others down


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
