"""An answering machine, one file a call: python examples/recorder_bot.py bot.toml messages/

Shows a bot from little more than the public API, with a time limit and a file for each caller.
"""

import asyncio
import sys
from pathlib import Path

from entrenous import Call, Node, NodeConfig, Recorder, ToneSource
from entrenous.bots import ended_by_signals

LONGEST = 60.0


async def take_message(call: Call, folder: Path) -> None:
    file = folder / f"{call.peer.user}-{call.id[:8]}.wav"
    await call.accept(send=ToneSource(880, amplitude=0.05), receive=Recorder(file))
    try:
        async with asyncio.timeout(LONGEST):
            await call.wait_ended()
    except TimeoutError:
        await call.hang_up()  # returns when the file is complete
    print(file, flush=True)


async def main(config: str, folder: Path) -> None:
    with ended_by_signals():
        async with Node(NodeConfig.load(config)) as node:
            print(node.card, flush=True)
            async for call in node.incoming():
                node.spawn(take_message(call, folder))


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
