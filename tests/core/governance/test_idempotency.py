"""The same request twice has one effect."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import threading
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.errors import Conflict, InvalidInput
from fairlead.governance import jobs
from fairlead.governance.idempotency import forget_expired, once, remember
from fairlead.governance.model import IdempotencyRecord, Job
from fairlead.governance.permissions import Actor, Principal, System
from fairlead.runtime import Fairlead
from fairlead.storage.crypto import Keyring, Vault
from fairlead.testing.fakes import FakeClock


def do(runtime: Fairlead, client: int, key: str, given: Any, actor: Actor = System("test")) -> dict[str, Any]:  # noqa: B008
    """A mutation with one effect: a job."""
    with runtime.work(client, actor=actor) as work:
        kept = once(work, "makeJob", key, given)
        if kept is not None:
            return kept
        answer = {"job": str(jobs.create_job(work, "test").id)}
        remember(work, key, answer)
        return answer


def effects(runtime: Fairlead, client: int) -> int:
    with runtime.reading(client) as work:
        return work.session.scalar(sa.select(sa.func.count()).select_from(Job)) or 0


def test_the_second_request_gets_the_first_answer(runtime: Fairlead, agency: Any) -> None:
    first = do(runtime, agency.acme, "k", {"a": 1, "b": [1]})
    assert do(runtime, agency.acme, "k", {"b": [1], "a": 1}) == first
    assert effects(runtime, agency.acme) == 1


def test_other_input_under_the_same_key_is_refused(runtime: Fairlead, agency: Any) -> None:
    do(runtime, agency.acme, "k", {"a": 1})
    with pytest.raises(Conflict, match="another request"):
        do(runtime, agency.acme, "k", {"a": 2})
    with pytest.raises(Conflict, match="another request"):
        do(runtime, agency.bolt, "k", {"a": 1})
    assert effects(runtime, agency.acme) == 1


def test_keys_belong_to_their_caller(runtime: Fairlead, agency: Any) -> None:
    one, two = (Principal(member_id=1, token_id=token, agency_id=agency.id, name="m") for token in (1, 2))
    assert do(runtime, agency.acme, "k", {}, one) != do(runtime, agency.acme, "k", {}, two)


def test_the_digest_of_an_input_cannot_be_guessed_at_without_a_key(runtime: Fairlead, agency: Any) -> None:
    given = {"kind": "phone", "value": "+8613800000000"}
    for client in (agency.acme, agency.bolt):
        do(runtime, client, f"k-{client}", given)
    with runtime.agency_work("test") as work:
        assert once(work, "makeJob", "k-agency", given) is None
    with runtime.agency_reading("test") as work:
        kept = {bytes(found) for found in work.session.scalars(sa.select(IdempotencyRecord.input_digest))}
    assert len(kept) == 3
    for scope in (None, "agency", str(agency.acme), agency.acme):
        for parts in (["makeJob", scope, given], ["makeJob", given], [given], given):
            text = json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()
            assert not any(hashlib.sha256(text).digest().startswith(digest) for digest in kept)


def test_a_repeated_request_is_known_after_the_keys_were_rotated(
    runtime: Fairlead, agency: Any, keyring: Keyring
) -> None:
    first = do(runtime, agency.acme, "k", {"a": 1})
    runtime.vault = Vault(Keyring("k2", Keyring.generate("k2").masters | keyring.masters, keyring.index))
    assert do(runtime, agency.acme, "k", {"a": 1}) == first
    runtime.vault = Vault(Keyring.generate("k1"))
    with pytest.raises(Conflict, match="another request"):
        do(runtime, agency.acme, "k", {"a": 1})


def test_a_key_is_free_again_after_a_day(runtime: Fairlead, agency: Any, clock: FakeClock) -> None:
    first = do(runtime, agency.acme, "k", {})
    clock.advance(hours=23, minutes=59)
    assert do(runtime, agency.acme, "k", {}) == first
    clock.advance(minutes=1)
    assert do(runtime, agency.acme, "k", {"other": True}) != first
    clock.advance(hours=25)
    with runtime.agency_work("test") as work:
        assert forget_expired(work.session, work.now) == 1


def test_a_failed_request_leaves_the_key_free(runtime: Fairlead, agency: Any) -> None:
    def fail() -> None:
        with runtime.work(agency.acme, actor=System("test")) as work:
            assert once(work, "makeJob", "k", {}) is None
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    do(runtime, agency.acme, "k", {})
    assert effects(runtime, agency.acme) == 1


def test_work_over_several_transactions_is_not_begun_twice(runtime: Fairlead, agency: Any) -> None:
    with runtime.work(agency.acme) as work:
        assert once(work, "long", "k", {}) is None
    with runtime.work(agency.acme) as work, pytest.raises(Conflict, match="still going on"):
        once(work, "long", "k", {})


@pytest.mark.parametrize("key", ["", "x" * 81, "a\nb", "a\0b"])
def test_bad_keys_are_refused(runtime: Fairlead, agency: Any, key: str) -> None:
    with runtime.work(agency.acme) as work, pytest.raises(InvalidInput):
        once(work, "op", key, {})


def test_twenty_at_once_have_one_effect(runtime: Fairlead, agency: Any) -> None:
    answers: list[dict[str, Any]] = []
    start = threading.Barrier(20)

    def request() -> None:
        start.wait()
        answers.append(do(runtime, agency.acme, "k", {"n": 1}))

    threads = [threading.Thread(target=request) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert len({answer["job"] for answer in answers}) == 1
    assert effects(runtime, agency.acme) == 1


def test_the_record_ends_a_day_after_it_was_made(runtime: Fairlead, agency: Any, clock: FakeClock) -> None:
    from fairlead.governance.model import IdempotencyRecord

    do(runtime, agency.acme, "k", {})
    with runtime.agency_reading("test") as work:
        ends = work.session.scalars(sa.select(IdempotencyRecord.expires_at)).one()
    assert ends == clock() + dt.timedelta(hours=24)
