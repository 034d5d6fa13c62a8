"""The demonstration from the command to its numbers: recomputed from the files by plain Python, on both engines."""

from __future__ import annotations

import csv
import fcntl
import gzip
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.clients.model import Agency
from fairlead.demo.stage import fresh_database
from fairlead.errors import Conflict
from fairlead.settings import Settings
from fairlead.storage import migrate
from fairlead.storage.crypto import Keyring
from fairlead.storage.database import Database
from fairlead.storage.scope import AgencyScope

DATA = Path(os.environ.get("FAIRLEAD_DATA") or Path(__file__).parents[4] / "shared" / "data")
BEHAVIOUR = DATA / "taobao_user_behavior" / "user_behavior_814_users.csv.gz"
ORDERS = DATA / "tmall_orders" / "tmall_order_report.csv.gz"
TOUCHES = DATA / "attribution_touchpoints" / "touchpoints.csv.gz"
PLAY = """
import sys
from pathlib import Path
from fairlead.demo.run import main
data, url = sys.argv[1:]
raise SystemExit(main(serve=False, as_json=True, data=Path(data) if data else None, database_url=url or None))
"""
# Plays with the server replaced by one question to the API that it would serve, asked while it would.
PLAY_AND_ASK = """
import json, sys
from pathlib import Path
import uvicorn
from starlette.testclient import TestClient
from fairlead.demo import run
from fairlead_graphql.app import create_app

def ask(_app, **_options):
    with TestClient(create_app(), "http://127.0.0.1", headers={"Authorization": "Bearer " + TOKENS[0]}) as http:
        def gql(query):
            return http.post("/graphql", json={"query": query}).json()["data"]
        shop = 'client(slug: "mingqian-tea")'
        (account,) = gql("{ %s { channelAccounts(channel: \\"email\\") { nodes { id } } } }" % shop)["client"][
            "channelAccounts"]["nodes"]
        found = gql('mutation { checkChannelAccount(input: {client: "mingqian-tea", accountId: "%s"}) '
                    '{ account { health } errors { message } } }' % account["id"])
        Path("checked.json").write_text(json.dumps(found["checkChannelAccount"]))

TOKENS, serve = [], run._serve
run._serve = lambda settings, token, port, console: (TOKENS.append(token), serve(settings, token, port, console))
uvicorn.run = ask
raise SystemExit(run.main(serve=True, as_json=True, database_url=sys.argv[2] or None))
"""
RULE_BASED = ("first_touch", "last_touch", "linear", "time_decay", "position")
MODELS = (*RULE_BASED, "markov", "shapley")


def play(folder: Path, data: str = "", url: str = "", code: str = PLAY) -> dict[str, Any]:
    """Run the demonstration in a process of its own; only its JSON may stand on standard output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAIRLEAD_")}
    done = subprocess.run(
        [sys.executable, "-c", code, data, url], cwd=folder, env=kept, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def once(folders: pytest.TempPathFactory, name: str, play_in: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """The result of a run that all workers of this test run share; whoever comes second waits for it."""
    base = folders.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"demonstration-{name}"
    folder.mkdir(exist_ok=True)
    result = folder / "result.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            result.write_text(json.dumps({"folder": str(folder), "said": play_in(folder)}))
    found: dict[str, Any] = json.loads(result.read_text())
    return found


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result on the public data sets, on SQLite."""
    missing = [file for file in (BEHAVIOUR, ORDERS, TOUCHES) if not file.exists()]
    if missing:
        pytest.skip(f"{missing[0]} is absent; set FAIRLEAD_DATA to the folder of the data sets")
    found: dict[str, Any] = once(tmp_path_factory, "public", lambda folder: play(folder, str(DATA)))["said"]
    return found


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The run on the generated sample, on SQLite: what it said, and in which folder."""
    return once(tmp_path_factory, "sample", lambda folder: play(folder, code=PLAY_AND_ASK))


@pytest.fixture(scope="module")
def sample(sample_run: dict[str, Any]) -> dict[str, Any]:
    """The result on the generated sample, on SQLite."""
    found: dict[str, Any] = sample_run["said"]
    return found


def rows(file: Path) -> Iterator[dict[str, str]]:
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
        for row in csv.DictReader(text):
            yield {name.strip(): value for name, value in row.items()}


# -- one customer, a segment, a journey ----


def test_people_and_their_segments(public: dict[str, Any]) -> None:
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    total = 0
    for row in rows(BEHAVIOUR):
        seen[row["user_id"]][row["behavior_type"]] += 1
        total += 1
    assert (public["events"], public["profiles"]) == (84_287, 814) == (total, len(seen))
    assert public["buyers"] == 558 == sum(kinds["buy"] > 0 for kinds in seen.values())
    waiting = {user: kinds["cart"] for user, kinds in seen.items() if kinds["cart"] and not kinds["buy"]}
    assert public["cart_not_bought"] == len(waiting) > 0
    assert public["journey"] == {"enrolled": len(waiting), "finished": len(waiting), "goal_reached": 0}
    keen = [int(user) for user, carts in waiting.items() if carts >= 2]
    refused = sum(user % 5 in (0, 1) for user in keen)
    assert public["messages_sent"] == len(keen) - refused > 0
    assert public["messages_refused"] == {"no_consent": refused}
    assert public["messages_other"] == {}


def test_orders_and_money(public: dict[str, Any]) -> None:
    found = list(rows(ORDERS))
    paid = [row for row in found if row["订单付款时间"]]
    amount = sum(Decimal(row["买家实际支付金额"]) for row in found)
    refunds = sum(Decimal(row["退款金额"]) for row in found)
    assert (public["orders"], public["paid"]) == (28_010, 24_087) == (len(found), len(paid))
    assert public["paid_amount"] == 1_902_487.15 == float(amount)
    assert public["refund_amount"] == float(refunds)


def test_the_clients_see_their_own_only(public: dict[str, Any]) -> None:
    shop, brand = public["clients"]["taobao-shop"], public["clients"]["northwind"]
    assert (shop["touches"], brand["orders"]) == (0, 0)
    assert brand["touches"] == public["touches"] == 62_483
    assert brand["profiles"] == len({row["customer_id"] for row in rows(TOUCHES)})
    assert shop["plugins"] != brand["plugins"]


# -- which channel earned it ----


@dataclass(frozen=True)
class Path_:
    """One person's touches up to a conversion, or to the end of the file without one."""

    channels: tuple[str, ...]
    days_before: tuple[float, ...]
    conversions: int


def paths() -> list[Path_]:
    """The paths as the documents define them: touches since the last conversion, its own instant included."""
    people: dict[str, list[tuple[datetime, str, bool]]] = defaultdict(list)
    for row in rows(TOUCHES):
        when = datetime.fromisoformat(row["time"])
        people[row["customer_id"]].append((when, row["channel"], row["conversion"] == "1"))
    out = []
    for touches in people.values():
        touches.sort(key=lambda touch: touch[0])
        open_: list[tuple[datetime, str, bool]] = []
        for at, touch in enumerate(touches):
            open_.append(touch)
            if at + 1 < len(touches) and touches[at + 1][0] == touch[0]:
                continue
            won = sum(step[2] for step in open_)
            if won or at + 1 == len(touches):
                days = tuple((touch[0] - step[0]).total_seconds() / 86_400 for step in open_)
                out.append(Path_(tuple(step[1] for step in open_), days, won))
                open_ = []
    return out


@pytest.fixture(scope="module")
def walked(public: dict[str, Any]) -> list[Path_]:
    """The paths of the file, cut here."""
    assert public["conversions"] == 1_838
    return paths()


def u_shaped(path: Path_) -> list[float]:
    count = len(path.channels)
    return [1.0] * count if count < 3 else [0.4, *[0.2 / (count - 2)] * (count - 2), 0.4]


SHARES: dict[str, Callable[[Path_], list[float]]] = {
    "first_touch": lambda path: [1.0] + [0.0] * (len(path.channels) - 1),
    "last_touch": lambda path: [0.0] * (len(path.channels) - 1) + [1.0],
    "linear": lambda path: [1.0] * len(path.channels),
    "time_decay": lambda path: [0.5 ** (days / 7) for days in path.days_before],
    "position": u_shaped,
}


def test_every_model_shares_exactly_the_conversions(public: dict[str, Any], walked: list[Path_]) -> None:
    assert set(public["credits"]) == set(MODELS)
    for credits in public["credits"].values():
        assert sum(credits.values()) == pytest.approx(1_838, rel=1e-12)
    counted = public["paths"]
    assert (counted["paths"], counted["conversions"]) == (len(walked), sum(path.conversions for path in walked))
    assert counted["null"] == sum(path.conversions == 0 for path in walked)


@pytest.mark.parametrize("model", RULE_BASED)
def test_rule_based_models(public: dict[str, Any], walked: list[Path_], model: str) -> None:
    earned: dict[str, float] = defaultdict(float)
    for path in walked:
        weights = SHARES[model](path)
        for channel, weight in zip(path.channels, weights, strict=True):
            earned[channel] += path.conversions * weight / sum(weights)
    assert public["credits"][model] == pytest.approx(dict(earned), rel=1e-9)


def solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gauss with row exchanges."""
    size = len(right)
    table = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for at in range(size):
        best = max(range(at, size), key=lambda line: abs(table[line][at]))
        table[at], table[best] = table[best], table[at]
        for line in range(size):
            if line != at and table[line][at]:
                factor = table[line][at] / table[at][at]
                table[line] = [value - factor * above for value, above in zip(table[line], table[at], strict=True)]
    return [table[at][size] / table[at][at] for at in range(size)]


def test_markov_is_a_dense_solution(public: dict[str, Any], walked: list[Path_]) -> None:
    moves: dict[str, Counter[str]] = defaultdict(Counter)
    for path in walked:
        end = "(won)" if path.conversions else "(lost)"
        states = ["(start)", *path.channels, end]
        for here, there in pairwise(states):
            moves[here][there] += max(path.conversions, 1)

    def rate(without: str = "") -> float:
        states = [state for state in moves if state != without]
        chance = {here: {there: n / moves[here].total() for there, n in moves[here].items()} for here in states}
        matrix = [[float(here == there) - chance[here].get(there, 0.0) for there in states] for here in states]
        won = solve(matrix, [chance[here].get("(won)", 0.0) for here in states])
        return won[states.index("(start)")]

    channels = [state for state in moves if state != "(start)"]
    effects = {channel: 1 - rate(channel) / rate() for channel in channels}
    expected = {channel: 1_838 * effect / sum(effects.values()) for channel, effect in effects.items()}
    assert public["credits"]["markov"] == pytest.approx(expected, rel=1e-9)


def test_shapley_is_its_definition(public: dict[str, Any], walked: list[Path_]) -> None:
    worth: Counter[frozenset[str]] = Counter()
    for path in walked:
        worth[frozenset(path.channels)] += path.conversions
    channels = sorted(frozenset().union(*worth))
    value = {
        frozenset(order[:size]): sum(n for used, n in worth.items() if used <= frozenset(order[:size]))
        for order in permutations(channels)
        for size in range(len(channels) + 1)
    }
    orders = list(permutations(channels))
    earned: dict[str, float] = defaultdict(float)
    for order in orders:
        for at, channel in enumerate(order):
            gain = value[frozenset(order[: at + 1])] - value[frozenset(order[:at])]
            earned[channel] += gain / len(orders)
    assert public["credits"]["shapley"] == pytest.approx(dict(earned), rel=1e-9)


# -- the generated sample, and the other engine ----


def test_the_sample_tells_the_whole_story(sample: dict[str, Any]) -> None:
    assert sample["data"] == "generated"
    assert set(sample["credits"]) == set(MODELS)
    for credits in sample["credits"].values():
        assert sum(credits.values()) == pytest.approx(sample["conversions"])
    assert sample["rows_rejected"] == 1_129
    assert sample["messages_sent"] == sample["mails_received"] > 0
    assert set(sample["messages_refused"]) <= {"no_consent", "suppressed", "minor", "frequency_cap"}
    assert sample["messages_refused"]["no_consent"] > 0
    assert sample["journey"]["enrolled"] == sample["journey"]["finished"] == sample["cart_not_bought"] > 0
    assert sample["profiles_scored"] == sample["profiles"]


@pytest.mark.parametrize("own_database_url", ["postgresql"], indirect=True)
@pytest.mark.postgres
def test_the_sample_is_the_same_on_postgresql(sample: dict[str, Any], own_database_url: str, tmp_path: Path) -> None:
    left = tmp_path / ".fairlead" / "demo"
    left.mkdir(parents=True)
    (left / "mails.jsonl").write_text("{}\n" * 18)
    (left / "keys").write_text("kept")
    migrate.downgrade(opened := Database(own_database_url))
    opened.dispose()
    assert play(tmp_path, url=own_database_url) == sample
    assert (left / "keys").read_text() == "kept"


def test_what_is_sent_while_the_demonstration_is_served_arrives(sample_run: dict[str, Any]) -> None:
    checked = Path(sample_run["folder"]) / "checked.json"
    assert json.loads(checked.read_text()) == {"account": {"health": "ok"}, "errors": []}


def settings(url: str) -> Settings:
    return Settings(database_url=url, keys=Keyring.generate("k1").dump())


def found_agencies(database: Database) -> list[str]:
    with database.read(AgencyScope("test")) as session:
        return list(session.scalars(sa.select(Agency.name)))


def add_agency(database: Database, slug: str, name: str) -> None:
    with database.write(AgencyScope("test")) as session:
        session.add(Agency(slug=slug, name=name, created_at=datetime(2026, 1, 5, tzinfo=UTC)))


@pytest.mark.parametrize("state", ["current", "behind"])
def test_a_database_that_holds_an_agency_is_left_alone(own_database_url: str, state: str) -> None:
    """Neither the slug of the agency nor a migration that is missing makes it a demonstration's."""
    database = Database(own_database_url)
    add_agency(database, "demo", "Ours")
    if state == "behind":
        with database.owner() as connection:
            connection.execute(sa.text("DELETE FROM alembic_version_core"))
    with pytest.raises(Conflict, match="in use"):
        fresh_database(settings(own_database_url))
    assert found_agencies(database) == ["Ours"]
    database.dispose()


def test_only_what_a_demonstration_made_is_emptied_for_the_next(own_database_url: str) -> None:
    database = Database(own_database_url)
    for _ in range(3):
        fresh_database(settings(own_database_url))
        assert found_agencies(database) == []
        add_agency(database, "demo", "Demo")
    add_agency(database, "other", "Other")
    with pytest.raises(Conflict, match="in use"):
        fresh_database(settings(own_database_url))
    assert found_agencies(database) == ["Demo", "Other"]
    database.dispose()


@pytest.mark.parametrize("own_database_url", ["postgresql"], indirect=True)
@pytest.mark.postgres
def test_the_public_data_is_the_same_on_postgresql(
    public: dict[str, Any], own_database_url: str, tmp_path: Path
) -> None:
    assert play(tmp_path, str(DATA), own_database_url) == public
