"""Imports on both engines: what a mapping may say, what a row may hold, and what the same rows do again."""

from __future__ import annotations

import datetime as dt
import re
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from fairlead.customers.blocking import block_identity
from fairlead.customers.consent import withdraw
from fairlead.customers.imports import STORE, parse_mapping
from fairlead.customers.mapping import Conversion, IdentityColumn, OrderMapping, Source
from fairlead.customers.model import Consent, ConsentRecord, Import, ImportReject, Profile
from fairlead.errors import InvalidInput, Refusals
from fairlead.facts.model import Event, Order, OrderLine
from support.invariants import broken

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what is the same on every engine."""
ORDERS = {
    "fact": "orders",
    "source": "shop",
    "channel": {"constant": "pos"},
    "order_id": "no",
    "placed_at": "at",
    "paid_at": "at",
    "changed_at": "changed",
    "amount": "total",
    "identities": [{"kind": "member", "column": "member"}],
}
REFUNDS = {
    "fact": "refunds",
    "source": "refunds",
    "channel": {"constant": "pos"},
    "order_id": "no",
    "at": "at",
    "amount": "amount",
    "source_id": ["refund"],
}
CONSENTS = {
    "fact": "consents",
    "source": "form",
    "channel": {"constant": "shop"},
    "at": "at",
    "purpose": {"constant": "marketing"},
    "consent_channel": {"column": "channel"},
    "state": {"column": "state"},
    "identities": [{"kind": "member", "column": "member"}],
}
PEOPLE = {
    "fact": "profiles",
    "source": "people",
    "channel": {"constant": "shop"},
    "name": "name",
    "gender": {"column": "gender"},
    "birth_date": "born",
    "dates": {"since": "since"},
    "properties": {"city": "city"},
    "identities": [{"kind": "phone", "column": "phone"}],
    "source_id": ["no"],
}
ORDER_ROWS = (
    "no,at,changed,total,member\nA1,2026-01-02 10:00,2026-01-02 10:00,100.50,m1\nA2,2026-01-02,2026-01-02,20,m2\n"
)


def orders(desk: Any) -> dict[str, tuple[Any, ...]]:
    with desk.runtime.reading(desk.client) as work:
        rows = work.session.execute(
            sa.select(Order.source_id, Order.amount, Order.paid_amount, Order.refund_amount, Order.status)
        )
        return {row[0]: tuple(row[1:]) for row in rows}


def reasons(desk: Any, name: str) -> list[tuple[int, str, str]]:
    with desk.runtime.reading(desk.client) as work:
        rows = work.session.execute(
            sa.select(ImportReject.row_number, ImportReject.column, ImportReject.reason)
            .join(Import, Import.id == ImportReject.import_id)
            .where(Import.file_name == name)
            .order_by(ImportReject.row_number)
        )
        return [tuple(row) for row in rows]


WRONG: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "no object": ([], ("mapping",)),
    "no fact": ({"source": "x"}, ("mapping", "fact")),
    "unknown fact": ({"fact": "dreams"}, ("mapping", "fact")),
    "missing field": ({key: value for key, value in ORDERS.items() if key != "amount"}, ("mapping", "amount")),
    "unknown field": ({**ORDERS, "colour": "x"}, ("mapping", "colour")),
    "wrong kind": ({**ORDERS, "identities": [{"kind": "Phone!", "column": "x"}]}, ("mapping", "identities", 0, "kind")),
    "both": ({**ORDERS, "channel": {"constant": "a", "column": "b"}}, ("mapping", "channel")),
    "zone": ({**ORDERS, "zone": "Mars/Olympus"}, ("mapping", "zone")),
    "status": ({**ORDERS, "status": {"constant": "lost"}}, ("mapping", "status")),
    "translated status": ({**ORDERS, "status": {"column": "s", "values": {"a": "lost"}}}, ("mapping", "status")),
    "currency": ({**ORDERS, "currency": {"constant": "yuan"}}, ("mapping", "currency")),
    "region": ({**ORDERS, "region": "cn"}, ("mapping", "region")),
    "time format": ({**ORDERS, "time_format": "%Q"}, ("mapping", "time_format")),
    "time format without fields": ({**ORDERS, "time_format": "ISO"}, ("mapping", "time_format")),
    "purpose": ({**CONSENTS, "purpose": {"constant": "spam"}}, ("mapping", "purpose")),
    "state": ({**CONSENTS, "state": {"constant": "maybe"}}, ("mapping", "state")),
    "long channel": ({**CONSENTS, "consent_channel": {"constant": "x" * 41}}, ("mapping", "consent_channel")),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_mapping_is_told_by_its_path(name: str) -> None:
    mapping, path = WRONG[name]
    with pytest.raises(Refusals) as refused:
        parse_mapping(mapping)
    assert path in [error.path for error in refused.value.errors]


def test_a_column_that_is_not_there_is_told_by_its_field(desk: Any) -> None:
    with pytest.raises(Refusals) as refused:
        desk.bring("no,at\n1,2\n", ORDERS)
    assert {error.path for error in refused.value.errors} == {
        ("mapping", "changed_at"),
        ("mapping", "amount"),
        ("mapping", "identities"),
    }
    with desk.runtime.reading(desk.client) as work:
        assert work.session.scalar(sa.select(sa.func.count()).select_from(Import)) == 0


def test_a_broken_file_changes_nothing(desk: Any) -> None:
    with pytest.raises(InvalidInput):
        desk.bring(ORDER_ROWS + 'A3,"' + "x" * 2_000_000, ORDERS)
    assert orders(desk) == {}


BAD_CELLS = {
    "1_000": "total is no amount of money",
    "1e99": "total is no amount of money",
    "9e999999999": "total is no amount of money",
    "99999999999999999999": "total is no amount of money",
    "0.001": "total is no amount of money",
    "NaN": "total is no amount of money",
    "Infinity": "total is no amount of money",
    "十元": "total is no amount of money",
    "#REF!": "total is no amount of money",
    "": "total is empty",
}


def test_bad_cells_cost_their_row_only(desk: Any) -> None:
    rows = [f"B{at},2026-01-02,2026-01-02,{cell},m{at}" for at, cell in enumerate(BAD_CELLS)]
    rows += [f"{'L' * 65},2026-01-02,2026-01-02,1,m", "T,2026-02-30,2026-01-02,1,m", "N,2026-01-02,2026-01-02,1,\0"]
    summary = desk.bring(ORDER_ROWS + "\n".join(rows) + "\n", ORDERS)
    assert [f"{column} {reason}".strip() for _, column, reason in reasons(desk, "file.csv")] == [
        *BAD_CELLS.values(),
        "no is longer than 64 characters",
        "at is no date and time",
        "holds bytes that are no text in the file's encoding",
    ]
    assert (summary.accepted, summary.rejected) == (2, len(rows))
    assert [number for number, _, _ in reasons(desk, "file.csv")] == list(range(4, 4 + len(rows)))
    assert orders(desk) == {"A1": (10050, 10050, 0, "paid"), "A2": (2000, 2000, 0, "paid")}


@ON_SQLITE
@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("¥1,234.50", 123450),
        ("１２．５０", 1250),
        ("-3", -300),
        ("1.5E+2", 15000),
        (" 7 元", 700),
        (".5", 50),
        ("5.", 500),
    ],
)
def test_amounts_as_people_write_them(desk: Any, text: str, minor: int) -> None:
    desk.bring(f'no,at,changed,total,member\nA1,2026-01-02,2026-01-02,"{text}",m1\n', ORDERS)
    assert orders(desk)["A1"][0] == minor


def test_people_with_birthdays_and_formulas_on_both_engines(desk: Any) -> None:
    rows = "no,name,gender,born,since,city,phone\n"
    rows += "1,=cmd|' /C calc'!A0,女,1990-02-28,2026/1/5,上海,138 1234 5678\n"
    rows += "2,李四,x,1990-02-28,2026-01-05,,13900000000\n3,王五,男,,昨天,,13700000000\n"
    rows += "4,赵六,男,1850-01-01,,,13600000000\n"
    summary = desk.bring(rows, PEOPLE)
    assert summary.rejected == 3
    with desk.runtime.reading(desk.client) as work:
        person = work.session.scalars(sa.select(Profile)).one()
        assert work.vault.open(work.client_id, "profile.name", person.name) == "=cmd|' /C calc'!A0"
        assert (person.gender, person.birth_date.isoformat()) == ("female", "1990-02-28")
        assert person.attributes == {"since": "2026-01-05", "city": "上海"}
    desk.bring(rows.replace("上海", "").replace("1990-02-28,2026/1/5", ",2026-01-06"), PEOPLE, "again.csv")
    with desk.runtime.reading(desk.client) as work:
        person = work.session.scalars(sa.select(Profile)).one()
        assert person.birth_date.isoformat() == "1990-02-28"
        assert person.attributes == {"since": "2026-01-06", "city": "上海"}


def test_refunds_add_up_once_and_never_beyond_what_was_paid(desk: Any) -> None:
    desk.bring(ORDER_ROWS, ORDERS)
    head = "refund,no,at,amount\n"
    first = desk.bring(
        head + "R1,A1,2026-01-03,40\nR2,A1,2026-01-03,10.5\nR3,XX,2026-01-03,1\nR4,A1,2026-01-03,-5\n", REFUNDS
    )
    assert (first.accepted, first.rejected) == (2, 2)
    assert orders(desk)["A1"] == (10050, 10050, 5050, "paid")
    again = desk.bring(head + "R1,A1,2026-01-03,40\nR5,A2,2026-01-04,99\nR5,A2,2026-01-04,99\n", REFUNDS)
    assert (again.accepted, again.known) == (3, 2)
    assert orders(desk) == {"A1": (10050, 10050, 5050, "paid"), "A2": (2000, 2000, 2000, "refunded")}
    # The order's own file knows nothing of refunds: a newer state of it does not undo them.
    newer = ORDER_ROWS.replace("2026-01-02,20,m2", "2026-01-09,21,m2")
    desk.bring(newer, ORDERS)
    assert orders(desk)["A2"][:3] == (2100, 2100, 2000)
    with desk.runtime.reading(desk.client) as work:
        assert work.session.scalars(sa.select(Event.amount).order_by(Event.amount)).all() == [1050, 4000, 9900]
    assert broken(desk.runtime.database.engine) == {}


def test_an_older_state_never_replaces_a_newer_one(desk: Any) -> None:
    newer = ORDER_ROWS.replace("2026-01-02 10:00,100.50", "2026-01-03 10:00,90")
    for content in (newer, ORDER_ROWS, newer, ORDER_ROWS):
        summary = desk.bring(content, ORDERS)
    assert orders(desk)["A1"][0] == 9000
    assert summary.known == 2


def test_the_newest_consent_holds_in_any_order(desk: Any, clock: Any) -> None:
    rows = [
        "2025-12-01 10:00,email,granted,m1",
        "2025-12-03 10:00,email,withdrawn,m1",
        "2025-12-02 10:00,email,granted,m1",
        "2025-12-04 10:00,,granted,m2",
        "2025-12-05 10:00,sms,granted,m2",
        "2025-12-05 10:00,sms,withdrawn,m2",
        "2025-12-06 10:00,wechat,granted,m2",
        "2199-01-01 10:00,wechat,granted,m2",
    ]
    for at, part in enumerate((rows[4:], rows[:4], rows[::-1])):
        summary = desk.bring("at,channel,state,member\n" + "\n".join(part) + "\n", CONSENTS, f"{at}.csv")
    assert summary.rejected == 1
    with desk.runtime.reading(desk.client) as work:
        found = work.session.execute(sa.select(Consent.channel, Consent.state)).all()
    assert sorted(found) == [("*", "granted"), ("email", "withdrawn"), ("sms", "withdrawn"), ("wechat", "granted")]


def test_a_consent_brings_its_end_along_and_a_newer_one_without_takes_it_away(desk: Any) -> None:
    rows = [
        "2025-12-01 10:00,email,granted,m1,2026-06-01 00:00",
        "2025-12-01 10:00,sms,granted,m1,2026-06-01 00:00",
        "2025-12-02 10:00,sms,granted,m1,",
        "2025-12-03 10:00,wechat,withdrawn,m1,2026-06-01 00:00",
        "2025-12-04 10:00,email,granted,m2,soon",
    ]
    mapping = {**CONSENTS, "expires_at": "until", "source_id": ["member", "channel", "at"]}
    for part in (rows, rows[::-1]):
        summary = desk.bring("at,channel,state,member,until\n" + "\n".join(part) + "\n", mapping)
        assert summary.reasons == {"until is no date and time": 1}
    with desk.runtime.reading(desk.client) as work:
        held = work.session.execute(sa.select(Consent.channel, Consent.state, Consent.expires_at)).all()
        proofs = work.session.scalars(sa.select(ConsentRecord.expires_at).order_by(ConsentRecord.at)).all()
    ends = dt.datetime(2026, 5, 31, 16, tzinfo=dt.UTC)
    assert sorted(held) == [("email", "granted", ends), ("sms", "granted", None), ("wechat", "withdrawn", None)]
    assert proofs == [ends, ends, None, None]


def test_a_channel_of_consent_is_translated(desk: Any) -> None:
    mapping = {**CONSENTS, "consent_channel": {"column": "channel", "values": {"短信": "sms"}}}
    desk.bring("at,channel,state,member\n2025-12-01,短信,withdrawn,m1\n2025-12-01,,granted,m1\n", mapping)
    with desk.runtime.reading(desk.client) as work:
        held = work.session.execute(sa.select(Consent.channel, Consent.state)).all()
    assert sorted(held) == [("*", "granted"), ("sms", "withdrawn")]


def test_two_words_of_one_source_id_have_a_proof_each(desk: Any) -> None:
    mapping = {**CONSENTS, "source_id": ["member"]}
    desk.bring("at,channel,state,member\n2025-12-01,sms,withdrawn,m1\n", mapping)
    for _ in range(2):
        desk.bring("at,channel,state,member\n2025-12-02,sms,granted,m1\n", mapping, "second.csv")
    with desk.runtime.reading(desk.client) as work:
        assert sorted(work.session.scalars(sa.select(ConsentRecord.state))) == ["granted", "withdrawn"]
    assert broken(desk.runtime.database.engine) == {}


def test_a_consent_of_a_clock_ahead_does_not_come_back_over_a_withdrawal(desk: Any, clock: Any) -> None:
    ahead = (clock.now + dt.timedelta(hours=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = f"at,channel,state,member\n{ahead},sms,granted,m1\n"
    desk.bring(rows, CONSENTS)
    clock.advance(hours=1)
    with desk.runtime.work(desk.client) as work:
        person = work.session.scalars(sa.select(Profile.id)).one()
        withdraw(work, person, "marketing", "sms", source="desk", evidence={})
    clock.advance(hours=1)
    assert desk.bring(rows, CONSENTS).known == 1
    with desk.runtime.reading(desk.client) as work:
        assert work.session.scalars(sa.select(Consent.state)).all() == ["withdrawn"]


TOUCHES = {
    "fact": "touches",
    "source": "ads",
    "channel": {"constant": "ads"},
    "at": "at",
    "identities": [{"kind": "phone", "column": "phone"}],
}


@pytest.mark.parametrize("kind", ["touches", "consents", "people"])
def test_rows_of_nobody_but_a_blocked_value_are_rejected(desk: Any, kind: str) -> None:
    with desk.runtime.work(desk.client) as work:
        block_identity(work, "phone", "13800138000", "the shop's own")
    phone = [{"kind": "phone", "column": "phone"}]
    mapping = {"touches": TOUCHES, "consents": {**CONSENTS, "identities": phone}, "people": PEOPLE}[kind]
    rows = "at,channel,state,phone,no,name,gender,born,since,city\n"
    for number, tail in ((13800138000, 8000), (13800138001, 8001)):
        rows += f"2025-12-01,sms,withdrawn,{number},{tail},王,女,1990-01-01,2020-01-01,x\n"
    summary = desk.bring(rows, mapping)
    assert (summary.accepted, summary.rejected) == (1, 1)
    assert summary.reasons == {"phone is blocked and names nobody": 1}


def test_money_has_the_digits_of_the_rows_currency(desk: Any) -> None:
    mapping = {**ORDERS, "currency": {"column": "money", "values": {"元": "CNY"}}}
    rows = "no,at,changed,total,member,money\n"
    rows += "J,2026-01-02,2026-01-02,1000,m1,JPY\nC,2026-01-02,2026-01-02,10.5,m2,元\n"
    rows += "X,2026-01-02,2026-01-02,10.5,m2,RMB yuan\nY,2026-01-02,2026-01-02,10.5,m2,JPY\n"
    summary = desk.bring(rows, mapping)
    assert summary.reasons == {"money is no ISO 4217 code": 1, "total is no amount of money": 1}
    assert {number: row[0] for number, row in orders(desk).items()} == {"J": 1000, "C": 1050}
    desk.bring("refund,no,at,amount\nR1,J,2026-01-03,300\nR2,C,2026-01-03,0.5\n", REFUNDS, "refunds.csv")
    assert {number: row[2:] for number, row in orders(desk).items()} == {"J": (300, "paid"), "C": (50, "paid")}


def test_a_refund_may_have_the_number_of_an_event(desk: Any) -> None:
    desk.bring(ORDER_ROWS, ORDERS)
    events = {"fact": "events", "source": "refunds", "channel": {"constant": "pos"}, "type": {"constant": "view"}}
    desk.bring("id,at\n1,2026-01-02\n", {**events, "at": "at", "source_id": ["id"]}, "events.csv")
    summary = desk.bring("refund,no,at,amount\n1,A1,2026-01-03,40\n", REFUNDS, "refunds.csv")
    assert summary.known == 0
    assert orders(desk)["A1"][2] == 4000


def test_a_newer_state_brings_its_lines_and_an_older_one_none(desk: Any) -> None:
    mapping = {**ORDERS, "item": "sku", "quantity": "pieces"}

    def bring(changed: str, sku: str, pieces: int, total: int) -> None:
        rows = f"no,at,changed,total,member,sku,pieces\nA1,2026-01-02,{changed},{total},m1,{sku},{pieces}\n"
        desk.bring(rows, mapping, f"{changed}{sku}.csv")

    def lines() -> list[Any]:
        with desk.runtime.reading(desk.client) as work:
            query = sa.select(OrderLine.sku, OrderLine.quantity, OrderLine.amount)
            return [tuple(row) for row in work.session.execute(query)]

    bring("2026-01-02", "tea", 1, 100)
    bring("2026-01-04", "cup", 5, 500)
    bring("2026-01-03", "pot", 2, 200)
    assert lines() == [("cup", 5, 50000)]
    bring("2026-01-04", "cup", 5, 500)
    assert lines() == [("cup", 5, 50000)]


def test_a_second_line_of_an_order_is_told(desk: Any) -> None:
    rows = "no,at,changed,total,member,sku\nA1,2026-01-02,2026-01-02,10,m1,tea\nA1,2026-01-02,2026-01-02,20,m1,cup\n"
    summary = desk.bring(rows + "A1,2026-01-02,2026-01-02,10,m1,tea\n", {**ORDERS, "item": "sku"})
    assert summary.reasons == {"sku is a second line of an order; a row is read as an order of one line": 1}
    assert orders(desk)["A1"][0] == 1000


def test_an_empty_cell_takes_nothing_away_in_one_chunk_or_two(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "no,name,gender,born,since,city,phone,zone\n"
    rows += "1,李四,女,1990-01-01,2020-01-01,杭州,13800138000,America/New_York\n2,,,,,,13800138000,\n"
    found = []
    for size in (20_000, 1):
        monkeypatch.setattr("fairlead.customers.imports.CHUNK", size)
        text = rows.replace("13800138000", f"139001380{size % 10}0")
        desk.bring(text, {**PEOPLE, "home_zone": "zone"}, f"{size}.csv")
    with desk.runtime.reading(desk.client) as work:
        for person in work.session.scalars(sa.select(Profile)):
            name = person.name and work.vault.open(work.client_id, "profile.name", person.name)
            found.append((name, person.gender, person.birth_date, person.attributes, person.zone))
    expected = ("李四", "female", dt.date(1990, 1, 1), {"city": "杭州", "since": "2020-01-01"}, "America/New_York")
    assert found == [expected, expected]


def test_a_zone_that_is_none_is_told(desk: Any) -> None:
    row = "no,name,gender,born,since,city,phone,zone\n1,李四,女,1990-01-01,2020-01-01,x,13800138000,Mars/Olympus\n"
    assert desk.bring(row, {**PEOPLE, "home_zone": "zone"}).reasons == {"zone is no IANA time zone": 1}


@pytest.mark.parametrize("text", ["12,50", "1,2345", "1,23.5", ",5", "1,,000"])
def test_a_comma_that_may_be_a_decimal_one_is_not_guessed(desk: Any, text: str) -> None:
    summary = desk.bring(f'no,at,changed,total,member\nA1,2026-01-02,2026-01-02,"{text}",m1\n', ORDERS)
    assert summary.rejected == 1


def test_two_imports_of_one_file_at_once(desk: Any, make_desk: Any) -> None:
    lines = [f"A{at},2026-01-02,2026-01-0{at % 7 + 2},{at},m{at % 40}" for at in range(300)]
    failures: list[BaseException] = []

    def run(runtime: Any, part: list[str], name: str, mapping: Any) -> None:
        try:
            type(desk)(runtime, desk.folder).bring(
                ORDER_ROWS.split("\n")[0] + "\n" + "\n".join(part) + "\n", mapping, name
            )
        except BaseException as error:
            failures.append(error)

    nobody = {**ORDERS, "identities": []}
    plans = [(desk.runtime, lines, "a.csv", ORDERS), (make_desk(), lines[::-1], "b.csv", nobody)]
    threads = [threading.Thread(target=run, args=plan) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {name: row[0] for name, row in orders(desk).items()} == {f"A{at}": at * 100 for at in range(300)}
    with desk.runtime.reading(desk.client) as work:
        assert set(work.session.scalars(sa.select(Import.state))) == {"done"}
    assert broken(desk.runtime.database.engine) == {}


def test_a_failed_import_says_so(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairlead.customers import imports, mapping

    def fail(*_: Any) -> None:
        raise RuntimeError("secret 13812345678")

    monkeypatch.setitem(imports.STORE, mapping.OrderMapping, fail)
    with pytest.raises(RuntimeError):
        desk.bring(ORDER_ROWS, ORDERS)
    with desk.runtime.reading(desk.client) as work:
        run = work.session.scalars(sa.select(Import)).one()
        assert (run.state, run.finished_at is not None) == ("failed", True)
        assert "138" not in run.error


def test_an_import_that_was_killed_ends_when_it_is_begun_again(desk: Any) -> None:
    desk.bring(ORDER_ROWS, ORDERS)
    with desk.runtime.work(desk.client) as work:
        work.session.scalars(sa.select(Import)).one().state = "running"
    desk.bring(ORDER_ROWS, ORDERS)
    desk.bring(ORDER_ROWS.replace("A1", "A9"), ORDERS, "other.csv")
    with desk.runtime.reading(desk.client) as work:
        states = work.session.execute(sa.select(Import.state, Import.finished_at.is_(None)).order_by(Import.id)).all()
    assert [tuple(row) for row in states] == [("failed", False), ("done", False), ("done", False)]


def test_rejected_rows_are_kept_sealed(desk: Any) -> None:
    desk.bring(ORDER_ROWS + "A3,bad,2026-01-02,1,secret-member\n", ORDERS)
    with desk.runtime.reading(desk.client) as work:
        row = work.session.scalars(sa.select(ImportReject)).one()
        assert b"secret-member" not in row.row
        assert orjson.loads(work.vault.open(work.client_id, "import_reject.row", row.row))[-1] == "secret-member"


def test_the_page_on_importing_names_every_field_and_its_example_works() -> None:
    page = (Path(__file__).parents[3] / "docs" / "importing.md").read_text(encoding="utf-8")
    models = [*STORE, Source, IdentityColumn, Conversion]
    fields = {name for model in models for name in model.model_fields}
    assert {name for name in fields if f"`{name}`" not in page and f'"{name}"' not in page} == set()
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert isinstance(parse_mapping(orjson.loads(example)), OrderMapping)
