"""The sample through the import: every faulty line refused, every fact kept, people found as well as promised."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.clients import service
from fairlead.customers.blocking import block_identity
from fairlead.customers.imports import ImportSummary, import_file, parse_mapping
from fairlead.customers.model import ConsentRecord, Identity, Import, ImportReject, Profile
from fairlead.demo.generator.dirt import REFUSED
from fairlead.demo.sample import SampleSummary, write_sample
from fairlead.demo.sample_shop import MAPPINGS
from fairlead.facts.model import Event, Order, OrderLine, Touch
from fairlead.plugins.manager import Plugins
from fairlead.runtime import Fairlead
from fairlead.settings import Settings
from fairlead.storage import migrate
from fairlead.storage.crypto import Keyring, Vault
from fairlead.storage.database import Database
from support.invariants import broken

KINDS = {
    "phone": "phone",
    "second_phone": "phone",
    "email": "email",
    "tmall_nick": "tmall_user",
    "openid": "wechat_openid",
    "card_no": "member",
    "user_id": "app_user",
    "device_id": "device",
}
COUNTED = {"events": Event, "orders": Order, "touches": Touch, "lines": OrderLine, "proofs": ConsentRecord}
WORKER = """
import sys
from pathlib import Path
from fairlead.customers import imports
from fairlead.storage.crypto import Keyring, Vault
from fairlead.storage.database import Database
from fairlead.plugins.manager import Plugins
from fairlead.runtime import Fairlead
from fairlead.settings import Settings
from fairlead.demo.sample_shop import MAPPINGS
url, keys, file = sys.argv[1:]
imports.CHUNK = 300
runtime = Fairlead(Settings(database_url=url), Database(url), Vault(Keyring.parse(keys)), Plugins.for_tests())
path = Path(file)
print("ready", flush=True)
mapping = imports.parse_mapping(MAPPINGS[path.name])
imports.import_file(runtime, "acme", path, mapping, lambda done, _: print(done, flush=True))
"""


@dataclass
class Shop:
    """The sample in a client, imported once."""

    runtime: Fairlead
    folder: Path
    sample: SampleSummary
    summaries: dict[str, ImportSummary]

    def counts(self) -> dict[str, Any]:
        """Rows by table, and money."""
        with self.runtime.reading("acme") as work:
            found: dict[str, Any] = {
                name: work.session.scalar(sa.select(sa.func.count()).select_from(entity))
                for name, entity in COUNTED.items()
            }
            money = sa.select(
                sa.func.sum(Order.amount), sa.func.sum(Order.paid_amount), sa.func.sum(Order.refund_amount)
            )
            found["money"] = [int(value) for value in work.session.execute(money).one()]
            found["people"] = sorted(
                work.session.execute(sa.select(Profile.state, sa.func.count()).group_by(Profile.state)).all()
            )
            found["identities"] = work.session.scalar(sa.select(sa.func.count()).select_from(Identity))
        return found


def open_shop(folder: Path, keys: Keyring, url: str | None = None) -> Fairlead:
    url = url or f"sqlite:///{folder / 'shop.db'}"
    database = Database(url)
    migrate.upgrade(database)
    runtime = Fairlead(Settings(database_url=url), database, Vault(keys), Plugins.for_tests())
    with runtime.agency_work("test") as work:
        service.create_client(work, service.create_agency(work, "main", "Agency").id, "acme", "Acme")
    return runtime


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The sample's eight files in the order of the mappings."""
    folder = tmp_path_factory.mktemp("sample")
    sample = write_sample(folder / "files")
    runtime = open_shop(folder, Keyring.generate())
    with runtime.work("acme") as work:
        block_identity(work, "phone", sample.shop_phone, "the shop's own")
    summaries = {
        name: import_file(runtime, "acme", folder / "files" / name, parse_mapping(mapping))
        for name, mapping in MAPPINGS.items()
    }
    return Shop(runtime, folder / "files", sample, summaries)


def truth(folder: Path) -> dict[tuple[str, int], str]:
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        return {(row["file"], int(row["line"])): row["fault"] for row in csv.DictReader(file)}


def test_every_faulty_line_is_refused_and_no_other(shop: Shop) -> None:
    assert {name: summary.rejected for name, summary in shop.summaries.items()} == {
        name: file.refused for name, file in shop.sample.files.items()
    }
    with shop.runtime.reading("acme") as work:
        rows = work.session.execute(
            sa.select(Import.file_name, ImportReject.row_number, ImportReject.reason).join(
                ImportReject, ImportReject.import_id == Import.id
            )
        ).all()
    faults = truth(shop.folder)
    assert {(file, line) for file, line, _ in rows} == {at for at, fault in faults.items() if fault in REFUSED}
    assert all(reason for _, _, reason in rows)
    assert all(sum(summary.reasons.values()) == summary.rejected for summary in shop.summaries.values())
    assert all(summary.read == summary.accepted + summary.rejected for summary in shop.summaries.values())


def test_a_bad_phone_costs_the_phone_and_not_the_line(shop: Shop) -> None:
    faults = Counter(file for (file, _), fault in truth(shop.folder).items() if fault == "bad_phone")
    assert {
        name: sum(summary.dropped.values()) for name, summary in shop.summaries.items() if summary.dropped
    } == faults


def test_the_facts_are_what_is_left(shop: Shop) -> None:
    facts, found = shop.sample.facts, shop.counts()
    with shop.runtime.reading("acme") as work:
        paid = work.session.scalar(sa.select(sa.func.count()).where(Order.paid_at.is_not(None)))
        refunded = work.session.scalar(sa.select(sa.func.count()).where(Order.refund_amount > 0))
    assert found["orders"] == found["lines"] == facts["orders"]
    assert paid == facts["orders_paid"]
    assert found["money"] == [facts["total_fen"], facts["paid_fen"], facts["refund_fen"]]
    assert found["touches"] == facts["touches"]
    assert found["proofs"] == facts["consents"]
    assert found["events"] == facts["events"] + shop.summaries["refunds.csv"].accepted
    assert refunded == facts["refunds"]


def test_people_are_found_as_well_as_the_sample_promises(shop: Shop) -> None:
    owner: dict[tuple[str, str], set[str]] = defaultdict(set)
    with (shop.folder / "truth_people.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for column, kind in KINDS.items():
                if row[column]:
                    owner[kind, row[column]].add(row["person"])
    clusters: dict[int, Counter[str]] = defaultdict(Counter)
    people: Counter[str] = Counter()
    with shop.runtime.reading("acme") as work:
        for identity in work.session.scalars(sa.select(Identity)):
            value = work.vault.open(work.client_id, "identity.value", identity.value).removeprefix("+86")
            for person in owner.get((identity.kind, value), set()):
                clusters[identity.profile_id][person] += 1
                people[person] += 1
    together = sum(seen.total() * (seen.total() - 1) // 2 for seen in clusters.values())
    right = sum(count * (count - 1) // 2 for seen in clusters.values() for count in seen.values())
    same = sum(count * (count - 1) // 2 for count in people.values())
    assert right / together >= 0.985
    assert right / same >= 0.915


def test_again_changes_nothing(shop: Shop) -> None:
    before = shop.counts()
    for name, mapping in MAPPINGS.items():
        summary = import_file(shop.runtime, "acme", shop.folder / name, parse_mapping(mapping))
        assert summary.profiles_created == summary.profiles_merged == summary.identities_blocked == 0
        if mapping["fact"] != "profiles":
            assert summary.known == summary.accepted
    assert shop.counts() == before
    assert broken(shop.runtime.database.engine) == {}


def test_killed_half_way_and_run_again_gives_the_same_rows(shop: Shop, own_database_url: str, tmp_path: Path) -> None:
    keys = Keyring.generate()
    runtime = open_shop(tmp_path, keys, own_database_url)
    with runtime.work("acme") as work:
        block_identity(work, "phone", shop.sample.shop_phone, "the shop's own")
    names = ("members.csv", "wechat_orders.csv", "consents.csv")
    url = str(runtime.settings.database_url)
    for turn, name in enumerate(names):
        command = [sys.executable, "-c", WORKER, url, keys.dump(), str(shop.folder / name)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(turn + 1):
            assert process.stdout.readline(), "the import ended before the kill"
        time.sleep(0.01 * turn)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with runtime.reading("acme") as work:
            found = work.session.execute(sa.select(Import.state, Import.file_name).order_by(Import.id.desc())).first()
        assert found is not None
        assert (*found,) == ("running", name), "the kill did not come half way"
    for name in names:
        import_file(runtime, "acme", shop.folder / name, parse_mapping(MAPPINGS[name]))
    clean = Shop(open_shop_in(tmp_path / "clean"), shop.folder, shop.sample, {})
    with clean.runtime.work("acme") as work:
        block_identity(work, "phone", shop.sample.shop_phone, "the shop's own")
    for name in names:
        import_file(clean.runtime, "acme", shop.folder / name, parse_mapping(MAPPINGS[name]))
    killed = Shop(runtime, shop.folder, shop.sample, {}).counts()
    assert {name: killed[name] for name in (*COUNTED, "money", "identities")} == {
        name: clean.counts()[name] for name in (*COUNTED, "money", "identities")
    }
    active = [dict(found["people"])["active"] for found in (killed, clean.counts())]
    assert active[0] == active[1]
    assert broken(runtime.database.engine) == {}


def open_shop_in(folder: Path) -> Fairlead:
    folder.mkdir()
    return open_shop(folder, Keyring.generate())
