"""``python -m benchmarks NAME [--scale S] [--rounds N]`` measures; ``--list`` lists the names with their goals."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from types import ModuleType

import benchmarks
from benchmarks.harness import Figure
from fairlead.processor import spare_slow_sorts

# One thread for everybody: CPU seconds then mean the same on both sides. NumPy reads it when it is first imported,
# which only the modules of the benchmarks do.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def discover() -> dict[str, ModuleType]:
    """Return the modules of this folder that declare ``FIGURES``, by name."""
    modules = (
        importlib.import_module(f"benchmarks.{found.name}")
        for found in pkgutil.iter_modules(benchmarks.__path__)
        if not found.name.startswith("_")
    )
    return {module.__name__.partition(".")[2]: module for module in modules if hasattr(module, "FIGURES")}


def main() -> int:
    """Run from the command line; 0 when every goal was met."""
    parser = argparse.ArgumentParser(prog="dev.py bench", description="Measure Fairlead against what others use.")
    parser.add_argument("name", nargs="?", help="a benchmark, see --list")
    parser.add_argument("--list", action="store_true", help="list the benchmarks with their goals")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the data; goals hold at 1 (default)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the median is taken (default 5)")
    chosen = parser.parse_args()
    os.environ.update(dict.fromkeys(THREADS, "1"))
    spare_slow_sorts()  # as the program does
    known = discover()
    if chosen.list:
        for name, module in known.items():
            print(name)
            figures: tuple[Figure, ...] = module.FIGURES
            for figure in figures:
                print(f"  {figure.name:34} {figure.goal!s:22} {figure.what}")
        return 0
    if chosen.name not in known:
        parser.error(f"no benchmark {chosen.name!r}; there are {', '.join(known)}")
    met = True
    for result in known[chosen.name].run(scale=chosen.scale, rounds=chosen.rounds):
        print(result.to_json(), flush=True)
        met = met and result.met
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
