"""A client with many people: a database, a runtime on it, and who asks. Made anew for each run, in a scratch folder."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fairlead.audiences.model import ProfileTag, Tag
from fairlead.clients import service
from fairlead.customers.model import Identity, Profile
from fairlead.governance.permissions import PERMISSIONS, Principal
from fairlead.plugins.manager import Plugins
from fairlead.runtime import Fairlead
from fairlead.settings import Settings
from fairlead.storage import bulk, ids, migrate
from fairlead.storage.crypto import Keyring, Vault
from fairlead.storage.database import Database
from fairlead.storage.types import to_millis
from fairlead.work import Work

SLUG = "acme"
TAGS = 40
TAGS_EACH = 3
BATCH = 20_000
SURNAMES = "王李张刘陈杨黄赵周吴徐孙马朱胡郭何林高罗"
GIVEN = (
    "伟",
    "芳",
    "秀英",
    "敏",
    "静",
    "丽",
    "强",
    "磊",
    "洋",
    "艳",
    "勇",
    "军",
    "杰",
    "娟",
    "涛",
    "明",
    "欣怡",
    "子涵",
)
REGIONS = ("110000", "310000", "330100", "440100", "440300", "510100", None)
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class People:
    """The client with its people; ``profile_ids`` rise. Names, phones, addresses are sealed as in production."""

    runtime: Fairlead
    principal: Principal
    client_id: int
    profile_ids: list[int]


@contextmanager
def people(count: int) -> Iterator[People]:
    """A client with ``count`` people on SQLite: phone and e-mail address, every second also a WeChat id; 3 tags."""
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-") as folder:
        url = f"sqlite:///{Path(folder) / 'bench.db'}"
        database = Database(url)
        migrate.upgrade(database)
        with Fairlead(Settings(database_url=url), database, Vault(Keyring.generate()), Plugins.for_tests()) as runtime:
            with runtime.agency_work("benchmark") as work:
                agency = service.create_agency(work, "bench", "Benchmark").id
                client = service.create_client(work, agency, SLUG, "Acme").id
            profile_ids = _fill(runtime, client, count)
            asking = Principal(1, 1, agency, "Benchmark", everywhere=PERMISSIONS)
            yield People(runtime, asking, client, profile_ids)


def _fill(runtime: Fairlead, client: int, count: int) -> list[int]:
    with runtime.work(client) as work:
        rows = [Tag(name=f"tag-{number:02}", level=1 + number % 2, created_at=work.now) for number in range(TAGS)]
        work.session.add_all(rows)
        work.session.flush()
        tags = np.array([row.id for row in rows], np.int64)
    made: list[int] = []
    for start in range(0, count, BATCH):
        with runtime.work(client) as work:
            made += _add(work, np.arange(start, min(start + BATCH, count)), tags)
    return made


def _add(work: Work, numbers: np.ndarray, tags: np.ndarray) -> list[int]:
    size = len(numbers)
    fresh = ids.reserve(work.session.connection(), size)
    at = (to_millis(START) + numbers * 1000).tolist()
    names = [SURNAMES[number % len(SURNAMES)] + GIVEN[number * 7 % len(GIVEN)] for number in numbers.tolist()]
    columns = {
        "id": fresh,
        "state": ["active"] * size,
        "name": work.vault.seal_many(work.client_id, "profile.name", names),
        "gender": [("female", "male", None)[number % 3] for number in numbers.tolist()],
        "region": [REGIONS[number % len(REGIONS)] for number in numbers.tolist()],
        "attributes": ["{}"] * size,
        "created_at": at,
        "changed_at": at,
    }
    bulk.insert(work.session, Profile, columns)
    every, half = np.ones(size, bool), numbers % 2 == 0
    _identities(work, fresh, at, "phone", "", [f"+86138{number:08}" for number in numbers.tolist()], every)
    _identities(work, fresh, at, "email", "", [f"person{number}@example.com" for number in numbers.tolist()], every)
    _identities(work, fresh, at, "wechat_openid", "wx1", [f"oGZUI0{number:022}" for number in numbers.tolist()], half)
    holds = tags[(numbers[:, None] * 7 + np.array([0, 11, 23])) % TAGS]
    bulk.insert(
        work.session,
        ProfileTag,
        {
            "profile_id": np.repeat(fresh, TAGS_EACH),
            "tag_id": holds.ravel(),
            "at": np.repeat(np.array(at, np.int64), TAGS_EACH),
            "source": ["import"] * (size * TAGS_EACH),
        },
    )
    made: list[int] = fresh.tolist()
    return made


def _identities(
    work: Work, profiles: np.ndarray, at: list[int], kind: str, scope: str, values: list[str], which: np.ndarray
) -> None:
    chosen = [value for value, wanted in zip(values, which.tolist(), strict=True) if wanted]
    size = len(chosen)
    bulk.insert(
        work.session,
        Identity,
        {
            "id": ids.reserve(work.session.connection(), size),
            "profile_id": profiles[which],
            "kind": [kind] * size,
            "scope": [scope] * size,
            "blind": work.vault.blind_many(work.client_id, kind, chosen),
            "value": work.vault.seal_many(work.client_id, "identity.value", chosen),
            "strong": [True] * size,
            "state": ["active"] * size,
            "source": ["import"] * size,
            "created_at": np.array(at, np.int64)[which],
        },
    )
