"""Rules over the tree that no linter knows: what may stand where, and what may never be committed."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("core", "graphql", "plugins")
BARE_LIST = Path(__file__).parent / "bare_tables.txt"
LONGEST = 400
# Pieces are joined here so that this file does not find itself.
HOSTS = tuple("".join(parts) for parts in (
    ("registry.", "npmjs"), ("registry.", "yarnpkg"), ("files.", "pythonhosted"), ("pypi.org", "/simple"),
    ("npm", "mirror.com"), ("mirrors.", "aliyun"), ("pypi.", "tuna"), ("deb.", "debian.org"), ("extra-", "index-url"),
))  # fmt: skip
MACHINE_FOLDERS = "|".join(("work", "root", r"home/\w+", r"Users/\w+", "opt/pypi"))
MACHINE_PATH = re.compile(rf"(?<![\w./~-])/(?:{MACHINE_FOLDERS})/[\w.]")
TEXT = {
    ".py", ".toml", ".txt", ".md", ".graphql", ".json", ".jinja", ".yml", ".yaml", ".ts", ".mako", ".csv", ".cfg", "",
}  # fmt: skip


@cache
def tree() -> tuple[Path, ...]:
    """Every file that is or would be committed, as paths from the root."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode != 0:
        pytest.skip("not a git work tree, so nobody can say which files belong to it")
    names = listed.stdout.decode().split("\0")
    return tuple(sorted(Path(name) for name in names if name and (ROOT / name).is_file()))


def python(*folders: str) -> list[Path]:
    return [path for path in tree() if path.suffix == ".py" and path.parts[0] in folders]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


def import_roots() -> list[Path]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [Path(root) for root in settings["tool"]["hatch"]["build"]["dev-mode-dirs"]]


def guard() -> Callable[[Path], list[Path]]:
    """The function that the test run itself is guarded by."""
    spec = importlib.util.spec_from_file_location("guard", ROOT / "tests" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[Path], list[Path]] = module.misplaced_packages
    return found


def test_import_roots_are_no_packages() -> None:
    assert guard()(ROOT) == []


@pytest.mark.parametrize("folder", ["graphql", "plugins", "plugins/channels"])
def test_the_guard_sees_an_import_root_that_became_a_package(tmp_path: Path, folder: str) -> None:
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / folder).mkdir(parents=True)
    assert guard()(tmp_path) == []
    (tmp_path / folder / "__init__.py").touch()
    assert guard()(tmp_path) == [Path(folder) / "__init__.py"]


def test_tests_are_no_packages() -> None:
    assert [path for path in python("tests") if path.name == "__init__.py"] == []


def test_every_package_says_that_it_is_typed() -> None:
    packages = {path.parent for root in import_roots() for path in tree() if path.match(f"{root}/*/__init__.py")}
    assert Path("core/fairlead") in packages
    assert sorted(str(package) for package in packages if package / "py.typed" not in tree()) == []


def test_no_file_is_too_long_to_read() -> None:
    long = {
        str(path): count
        for path in python(*CODE, "migrations")
        if path.parent.name != "versions"  # written by Alembic once, never edited and never read as a whole
        if (count := len((ROOT / path).read_text(encoding="utf-8").splitlines())) > LONGEST
    }
    assert long == {}, f"split what has more than {LONGEST} lines"


def foreign_names(text: str) -> list[str]:
    """Registry hosts and paths of one machine in a text."""
    return [host for host in HOSTS if host in text] + MACHINE_PATH.findall(text)


def test_no_registry_host_and_no_path_of_one_machine_is_committed() -> None:
    found = {
        str(path): names
        for path in tree()
        if path.suffix in TEXT and (names := foreign_names((ROOT / path).read_text(encoding="utf-8", errors="replace")))
    }
    assert found == {}


def test_foreign_names_are_seen_and_urls_are_not_taken_for_paths() -> None:
    assert foreign_names("https://registry.npm" + "js.org/x") != []
    assert foreign_names("cd /wo" + "rk/main") != []
    assert foreign_names("see /ro" + "ot/.cache") != []
    assert foreign_names("https://example.com/wo" + "rk/item, a/home/page/x and /usr/lib/postgresql") == []


def offences(path: Path, judge: Callable[[ast.AST], str]) -> list[str]:
    """``file:line what`` for each node that ``judge`` names."""
    return [f"{path}:{getattr(node, 'lineno', 0)} {what}" for node in ast.walk(parsed(path)) if (what := judge(node))]


def dangerous(node: ast.AST) -> str:
    """What runs text as code, unpickles, or hands a line to a shell."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = {alias.name.split(".")[0] for alias in node.names}
        modules = {node.module.split(".")[0]} if isinstance(node, ast.ImportFrom) and node.module else names
        return next(iter(sorted(modules & {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"})), "")
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec", "compile", "__import__"):
        return node.func.id
    called = ast.unparse(node.func)
    if called in ("yaml.load", "yaml.unsafe_load", "os.system", "os.popen", "subprocess.getoutput"):
        return called
    shell = [word.value for word in node.keywords if word.arg == "shell"]
    return "shell=True" if shell and not (isinstance(shell[0], ast.Constant) and shell[0].value is False) else ""


def test_nothing_runs_text_as_code() -> None:
    assert [offence for path in python(*CODE) for offence in offences(path, dangerous)] == []


def prints(node: ast.AST) -> str:
    return "print" if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print" else ""


def test_only_the_command_line_prints() -> None:
    silent = [path for path in python(*CODE) if not any(part.startswith("cli") for part in path.parts)]
    assert [offence for path in silent for offence in offences(path, prints)] == []


BARE_NAMES = {"exec_driver_sql", "__table__", "driver_connection", "from_select", "bare", "BARE"}
DDL_ARGUMENTS = {"sqlite_where", "postgresql_where", "server_default"}


def bare_nodes(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of everything by which a statement can slip past the criteria that keep a session in its client.

    ``text`` in the arguments of an index or a column default is no statement and is left out, and so is the connection
    that ``ids.reserve`` takes, because it touches the counter of ids alone.
    """
    lent = {
        id(argument.func)
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "ids.reserve"
        for argument in node.args
        if isinstance(argument, ast.Call)
    }
    declared = {
        id(part)
        for node in ast.walk(module)
        if isinstance(node, ast.keyword) and node.arg in DDL_ARGUMENTS
        for part in ast.walk(node)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
            yield from ((node.lineno, "text") for alias in node.names if alias.name == "text")
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name in BARE_NAMES)
        if isinstance(node, ast.keyword) and node.arg == "bare":
            yield node.value.lineno, "bare"
        if not isinstance(node, ast.Attribute):
            continue
        owner = ast.unparse(node.value)
        if node.attr in BARE_NAMES:
            yield node.lineno, node.attr
        elif node.attr == "text" and owner in ("sa", "sqlalchemy") and id(node) not in declared:
            yield node.lineno, "text"
        elif node.attr == "connection" and owner.split(".")[-1] == "session" and id(node) not in lent:
            yield node.lineno, "session.connection"
        elif node.attr in ("connect", "begin", "raw_connection") and owner.split(".")[-1].endswith("engine"):
            yield node.lineno, f"engine.{node.attr}"


@cache
def reviewed() -> dict[str, str]:
    """Reason by path: the modules in which bare statements were read by a second pair of eyes."""
    lines = BARE_LIST.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(": ") for line in lines if line and not line.startswith("#"))
    return {path: reason.strip() for path, _, reason in pairs}


def test_bare_tables_are_used_only_where_it_was_reviewed() -> None:
    found = {
        f"{path}:{line} {name}"
        for path in python(*CODE)
        if str(path) not in reviewed()
        for line, name in bare_nodes(parsed(path))
    }
    assert sorted(found) == [], f"use ORM entities, or have the module reviewed and list it in {BARE_LIST.name}"


def test_the_reviewed_list_says_why_and_holds_nothing_that_is_not_needed() -> None:
    assert [path for path, reason in reviewed().items() if len(reason.split()) < 4] == []
    unused = [path for path in reviewed() if Path(path) not in tree() or not any(bare_nodes(parsed(Path(path))))]
    assert unused == []
    assert list(reviewed()) == sorted(reviewed())


@pytest.mark.parametrize(
    "code",
    [
        "import sqlalchemy as sa\nsession.execute(sa.text('delete from order'))",
        "from sqlalchemy import text\n",
        "from sqlalchemy.sql import select, text\n",
        "rows = sa.insert(Order).from_select(['a'], query)",
        "table = Order.__table__",
        "connection.exec_driver_sql('x')",
        "raw = connection.connection.driver_connection",
        "work.session.bare(statement)",
        "work.session.connection().execute(statement)",
        "with database.engine.connect() as connection: pass",
        "from fairlead.storage.session import BARE",
        "session.execution_options(bare=True)",
    ],
)
def test_each_way_round_the_criteria_is_seen(code: str) -> None:
    assert list(bare_nodes(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "sa.Index('i', 'a', sqlite_where=sa.text('a > 0'), postgresql_where=sa.text('a > 0'))",
        "chunk.text(column, 80)",
        "ids.reserve(work.session.connection(), 5)",
        "session.execute(sa.select(Order))",
    ],
)
def test_what_stays_in_scope_is_not_taken_for_bare(code: str) -> None:
    assert not list(bare_nodes(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')", "exec(source)", "import pickle", "from pickle import loads", "import os\nos.system('ls')",
        "yaml.load(text)", "subprocess.run(line, shell=True)", "subprocess.run(line, shell=flag)", "__import__(name)",
    ],
)  # fmt: skip
def test_each_dangerous_call_is_seen(code: str) -> None:
    assert any(dangerous(node) for node in ast.walk(ast.parse(code)))


def test_harmless_calls_are_not_taken_for_dangerous() -> None:
    code = "re.compile('a')\nmodel.eval()\nsubprocess.run(['ls'], shell=False)\nyaml.safe_load(text)\nimport json"
    assert not any(dangerous(node) for node in ast.walk(ast.parse(code)))
