"""Runs ChannelAttribution in its own environment and reports its CPU seconds; imports nothing of Fairlead.

Started as ``python _channelattribution.py FOLDER``. The folder holds ``offsets.npy``, ``channels.npy``,
``converted.npy`` and ``value.npy``. Each line of input is a question, ``{"model": "heuristic"}`` or
``{"model": "markov", "order": 1}``; the answer has ``seconds``, ``peak_mb`` and, for a Markov model, ``effects``.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

with contextlib.redirect_stdout(sys.stderr):
    import ChannelAttribution


def resident(mark: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(mark))


def load(folder: Path) -> pd.DataFrame:
    """Write the paths in the form that the peer takes: one string per path."""
    offsets, channels, converted, value = (
        np.load(folder / f"{name}.npy") for name in ("offsets", "channels", "converted", "value")
    )
    names = [f"c{code}" for code in range(int(channels.max()) + 1)]
    touches = [names[code] for code in channels.tolist()]
    cuts = offsets.tolist()
    strings = [">".join(touches[a:b]) for a, b in itertools.pairwise(cuts)]
    return pd.DataFrame(
        {
            "path": pd.Series(strings, dtype=object),
            "conversions": converted.astype(np.int64),
            "value": value,
            "null": 1 - converted.astype(np.int64),
        }
    )


def run(paths: pd.DataFrame, model: str, order: int) -> object:
    if model == "heuristic":
        return ChannelAttribution.heuristic_models(paths, "path", "conversions", var_value="value", flg_pro=False)
    return ChannelAttribution.markov_model(
        paths, "path", "conversions", var_null="null", order=order, out_more=True, verbose=False, flg_pro=False
    )


def effects_of(result: object) -> dict[str, float]:
    table = result["removal_effects"] if isinstance(result, dict) else result[2]
    names, numbers = table.columns[:2]
    return {str(name): float(number) for name, number in zip(table[names], table[numbers], strict=True)}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    # The peer prints to standard output; answers have their own copy of it.
    os.dup2(2, 1)
    paths = load(Path(sys.argv[1]))
    for line in sys.stdin:
        question = json.loads(line)
        model, order = question["model"], question.get("order", 1)
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
        began = time.process_time()
        result = run(paths, model, order)
        answer: dict[str, object] = {"seconds": time.process_time() - began}
        answer["peak_mb"] = max(resident("VmHWM") - before, 0) / 1024
        if model == "markov":
            answer["effects"] = effects_of(result)
        print(json.dumps(answer), file=answers, flush=True)


main()
