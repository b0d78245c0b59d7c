"""Starts a fuzzer with a corpus of its own making."""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import atheris


def main(target: Callable[[bytes], None], corpus: Iterable[bytes]) -> None:
    """Fuzz `target`; never returns: the fuzzer ends the process, with 0 when nothing was found.

    Args:
        target: raises when something is wrong.
        corpus: inputs to begin with.
    """
    parser = argparse.ArgumentParser(description="Fuzz for so many inputs.")
    parser.add_argument("runs", type=int, nargs="?", default=-1, help="inputs; without end unless given")
    parser.add_argument("--seed", type=int, default=0, help="of the fuzzer; 0 draws one")
    parser.add_argument("--corpus", type=Path, help="where inputs are kept; a new folder unless given")
    options = parser.parse_args()
    folder = options.corpus or Path(tempfile.mkdtemp(prefix="entrenous-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    for data in corpus:
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    print(f"The corpus is in {folder}.", flush=True)
    arguments = [f"-runs={options.runs}", f"-seed={options.seed}", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *arguments, "-max_len=8192", "-print_final_stats=1", str(folder)], target)
    atheris.Fuzz()
