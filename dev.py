#!/usr/bin/env python3
"""Every developer's command, from a bare Python: ``python3 dev.py WORD [arguments]``.

The first call makes ``.venv`` and installs the project into it, later calls start at once. Only the standard library
is used. Everything about the set-up is said on stderr, so that stdout belongs to the command that was asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "fairlead-stamp.json"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
SUFFIX = ".exe" if os.name == "nt" else ""
PYTHON = BIN / f"python{SUFFIX}"
OLDEST = (3, 11)


class SetupError(Exception):
    """The environment cannot be made; the message says what to do about it."""


def say(message: str) -> None:
    """Print one line about the set-up, never on stdout."""
    print(f"dev.py: {message}", file=sys.stderr, flush=True)


def find_newer_python() -> str | None:
    """Path of an interpreter on PATH that is new enough, ``None`` if there is none."""
    for minor in range(16, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return found
    return None


def require_python(arguments: Sequence[str]) -> None:
    """Go on only under a Python that is new enough: hand over to a newer one on PATH, else explain."""
    if sys.version_info[:2] >= OLDEST:
        return
    newer = find_newer_python()
    if newer:
        say(f"Python {sys.version.split()[0]} is too old, going on with {newer}")
        raise SystemExit(subprocess.run([newer, str(ROOT / "dev.py"), *arguments], check=False).returncode)
    raise SetupError(
        f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, this is {sys.version.split()[0]}. "
        f"Install one (Debian 12, Ubuntu 24.04 and Homebrew ship it) and call it by its name: python3.11 dev.py"
    )


def fingerprint() -> dict[str, str]:
    """What an environment depends on; it is rebuilt or refreshed when any of these values moves."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes() + b"\0")
    return {"python": sys.version, "root": str(ROOT), "requirements": digest.hexdigest()}


def read_stamp() -> dict[str, str]:
    """The fingerprint of the last complete installation, empty when there is none or it cannot be read."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def environment_runs() -> bool:
    """Whether ``.venv`` holds a working interpreter of the version that runs this script."""
    question = [str(PYTHON), "-c", "import sys; print(sys.version)"]
    try:
        asked = subprocess.run(question, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return asked.stdout.strip() == sys.version.strip()


def make_environment(with_pip: bool) -> None:
    """Create ``.venv`` afresh, without pip where the distribution left ensurepip out."""
    if with_pip:
        try:
            import ensurepip  # noqa: F401

            venv.create(VENV, with_pip=True, clear=True)
            return
        except (ImportError, subprocess.CalledProcessError):
            say("this Python has no ensurepip, so its own pip installs into .venv")
    venv.create(VENV, with_pip=False, clear=True)


def has_pip(python: Path | str) -> bool:
    """Whether that interpreter can run pip."""
    return subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def installers(uv: str | None) -> Iterator[list[str]]:
    """Command lines that can install into ``.venv``, the preferred one first.

    uv is the fastest but ignores pip's configuration (indexes, certificates), so pip always stands behind it.
    """
    if uv:
        yield [uv, "pip", "install", "--quiet", "--python", str(PYTHON)]
    if has_pip(PYTHON):
        yield [str(PYTHON), "-m", "pip", "install", "-qq", "--no-input", "--disable-pip-version-check"]
    elif has_pip(sys.executable):
        pip = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
        yield [*pip, "install", "-qq", "--no-input", "--disable-pip-version-check"]


def install(uv: str | None) -> None:
    """Install the project, editable, with all developer extras at the versions of ``constraints.txt``."""
    what = ["-c", str(ROOT / "constraints.txt"), "-e", f"{ROOT}[dev]"]
    # A user-wide `user = true` in pip's configuration cannot work inside an environment.
    surroundings = {**os.environ, "PIP_USER": "0"}
    tried = False
    for command in installers(uv):
        tried = True
        code = subprocess.run(
            [*command, *what], stdin=subprocess.DEVNULL, stdout=2, cwd=ROOT, env=surroundings, check=False
        ).returncode
        if code == 0:
            return
        say(f"{command[0]} could not install the requirements (exit {code})")
    if tried:
        raise SetupError("the requirements could not be installed, see the messages above")
    raise SetupError("neither uv nor pip is there. On Debian and Ubuntu: apt-get install python3-venv python3-pip")


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keep two first calls, such as ``serve`` and ``worker`` in two terminals, out of each other's way."""
    try:
        import fcntl
    except ImportError:  # Windows has no flock; there the second call may have to be repeated.
        yield
        return
    with (ROOT / "pyproject.toml").open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure_environment() -> None:
    """Make ``.venv`` equal to ``pyproject.toml`` and ``constraints.txt``; does nothing when it already is."""
    wanted = fingerprint()
    if PYTHON.exists() and read_stamp() == wanted:
        return
    with one_at_a_time():
        stamp = read_stamp()
        if PYTHON.exists() and stamp == wanted:
            return
        started = time.monotonic()
        uv = None if os.environ.get("FAIRLEAD_NO_UV") else shutil.which("uv")
        # Scripts carry the absolute path of their interpreter, so a moved environment is made anew.
        moved = stamp.get("root", str(ROOT)) != str(ROOT)
        if moved or not environment_runs():
            say("making .venv, this takes a minute")
            make_environment(with_pip=uv is None)
        else:
            say("the requirements changed, bringing .venv up to date")
        STAMP.unlink(missing_ok=True)
        install(uv)
        STAMP.write_text(json.dumps(wanted, indent=1), encoding="utf-8")
        say(f"ready after {time.monotonic() - started:.0f} s")


def run(*command: str | Path, cwd: Path | None = ROOT) -> int:
    """Run one command to its end and return its exit code."""
    return subprocess.run([str(part) for part in command], cwd=cwd, check=False).returncode


def hand_over(*command: str | Path, cwd: Path | None = ROOT) -> int:
    """Become the command, so that Ctrl-C, signals and the exit code are its own."""
    if os.name == "nt":
        return run(*command, cwd=cwd)
    if cwd:
        os.chdir(cwd)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(str(command[0]), [str(part) for part in command])  # the last statement of this process


def fairlead(*words: str) -> Callable[[list[str]], int]:
    """A word that is answered by the ``fairlead`` command, in the caller's own folder."""
    return lambda arguments: hand_over(BIN / f"fairlead{SUFFIX}", *words, *arguments, cwd=None)


def generated(*words: str) -> Callable[[list[str]], int]:
    """A word that rewrites committed files through the ``fairlead`` command, in the project's folder."""
    return lambda arguments: hand_over(BIN / f"fairlead{SUFFIX}", *words, *arguments)


def test(arguments: list[str]) -> int:
    """Run pytest on all cores, without the tests marked ``long`` unless ``--long`` is given."""
    long = "--long" in arguments
    chosen = [] if long else ["-m", "not long"]
    if not any(word == "-n" or word.startswith(("-n", "--numprocesses", "--pdb")) for word in arguments):
        # One more than there are cores: tests that kill processes mostly wait.
        chosen += ["-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal"]
    return hand_over(PYTHON, "-m", "pytest", *chosen, *(word for word in arguments if word != "--long"))


def typed_modules() -> list[str]:
    """``mypy`` arguments that name every package and module in the import roots of ``pyproject.toml``."""
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    arguments: list[str] = []
    for root in settings["tool"]["hatch"]["build"]["dev-mode-dirs"]:
        for path in sorted((ROOT / root).iterdir()) if (ROOT / root).is_dir() else []:
            if (path / "__init__.py").is_file():
                arguments += ["-p", path.name]
            elif path.suffix == ".py":
                arguments += ["-m", path.stem]
    return arguments


def check(arguments: list[str]) -> int:
    """Run every check that needs no test run; all of them, so that one call shows all that is wrong."""
    if arguments:
        say("check takes no arguments")
        return 2
    steps: dict[str, list[str | Path]] = {
        "ruff check": [PYTHON, "-m", "ruff", "check", "."],
        "ruff format": [PYTHON, "-m", "ruff", "format", "--check", "."],
        "mypy": [PYTHON, "-m", "mypy", *typed_modules()],
        "mypy dev.py": [PYTHON, "-m", "mypy", "dev.py"],
        "import contracts": [BIN / f"lint-imports{SUFFIX}"],
        "schema.graphql is current": [BIN / f"fairlead{SUFFIX}", "schema", "--check"],
        "migrations": [BIN / f"fairlead{SUFFIX}", "migrate", "--check"],
    }
    failed = []
    for name, command in steps.items():
        print(f"== {name}", flush=True)
        if run(*command) != 0:
            failed.append(name)
    print("check: " + (f"failed: {', '.join(failed)}" if failed else "all passed"), flush=True)
    return 1 if failed else 0


def bench(arguments: list[str]) -> int:
    """Run one benchmark by name, or list them with ``--list``."""
    return hand_over(PYTHON, "-m", "benchmarks", *arguments)


WORDS: dict[str, tuple[str, Callable[[list[str]], int]]] = {
    "demo": ("run the main job on sample data and serve it (--no-serve, --json, --data DIR)", fairlead("demo")),
    "serve": ("serve the GraphQL API with its background work", fairlead("serve")),
    "worker": ("run background work alone, beside any number of others", fairlead("worker")),
    "test": ("run the tests; --long runs the long forms too, the rest goes to pytest", test),
    "check": ("lint, formatting, types, import contracts, committed schema, migrations", check),
    "bench": ("run one benchmark by NAME, or --list them with their goals", bench),
    "schema": ("write schema.graphql from the code", generated("schema", "--write")),
    "docs": ("write the generated documents: reference pages and cookbook answers", generated("docs", "--write")),
}


def help_text() -> str:
    """The words and what they do, one per line."""
    width = max(map(len, WORDS))
    lines = [f"  {word:<{width}}  {summary}" for word, (summary, _) in WORDS.items()]
    return "\n".join(["usage: python3 dev.py WORD [arguments]", "", *lines, "", "WORD --help explains its arguments."])


def main(arguments: list[str]) -> int:
    """Answer one word; returns the exit code, 2 for a word that does not exist."""
    if not arguments or arguments[0] in ("help", "-h", "--help"):
        print(help_text())
        return 0
    word, *rest = arguments
    if word not in WORDS:
        say(f"there is no word {word!r}")
        print(help_text(), file=sys.stderr)
        return 2
    try:
        require_python(arguments)
        ensure_environment()
    except SetupError as error:
        say(str(error))
        return 1
    return WORDS[word][1](rest)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
