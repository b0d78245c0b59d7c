"""entrenous: peer-to-peer encrypted voice and video calls.

`__all__` is the public API, and the whole of it; everything else may change at any time. A bot in a few lines::

    async with Node(NodeConfig.load("bot.toml")) as node:
        async for call in node.incoming():
            node.spawn(greet(call))

The names are loaded when the first of them is taken, not before: media libraries take half a second, and the command
must be able to answer Ctrl-C from its first moment.
"""

from __future__ import annotations

from importlib import import_module

# Type checkers take it for true. Importing the one of `typing` would take longer than all the rest here.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from .exports import *  # noqa: F403 - all of them, which are listed there and nowhere else
    from .exports import __all__ as __all__
else:

    def __getattr__(name: str) -> object:
        """A public name, when it is taken for the first time."""
        exports = import_module(".exports", __name__)
        if name != "__all__" and name not in exports.__all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals().setdefault(name, getattr(exports, name))

    def __dir__() -> list[str]:
        """Whatever is here, and the public names that have not been taken yet."""
        return sorted({*globals(), *import_module(".exports", __name__).__all__})
