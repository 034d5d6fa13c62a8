"""What holds for every mutation: one audit entry when it is done and none when it is refused, one effect for a key used
twice or by ten at once, and no hold on the rows of another client."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fairlead_graphql.ids import split_global, to_global
from fairlead_graphql.policy import MUTATIONS
from support.mutations import CASES, Desk, Given, ids_in, with_one

SHOWN_ONCE = frozenset({"issueToken", "rotateToken"})
"""Their secret is in the first answer only, so the second says CONFLICT beside what was made."""
EACH_TIME = frozenset({"revealProfile"})
"""Every look at a person is logged, also one that repeats an earlier one."""
ENTRIES = {"addMember": 2, "setMemberRole": 2}
"""Adding somebody is logged in the agency's chain and their role in the place's; of roles each change is an entry."""
PASSED_OVER = "profileIds"
"""Lists of people pass over whoever is not there, since people come and go; their payloads say how many it was."""
OTHERWISE = {
    "revealProfile": {"purpose": "another"},
    "recordConsent": {"source": "another"},
    "setPluginSettings": {"settings": {}},
    "runScoring": {"settings": {"rounding": "half_up"}},
    "runAttribution": {"question": {"lookbackDays": 7}},
    "setPlugin": {"plugin": "linear"},
}
"""What makes another request of those whose input is not about a thing of its own."""
NOBODY = 10**15
AT_ONCE = 10


@pytest.fixture
def desk(world: Any) -> Desk:
    """The client ``acme``."""
    return Desk(world)


def made_up(id_: str) -> str:
    """The same kind of id, of a row that does not exist."""
    return str(to_global(split_global(id_)[0], NOBODY))


def codes(payload: Given) -> set[str]:
    return {error["code"] for error in payload["errors"]}


def test_there_is_a_case_for_every_mutation() -> None:
    assert set(CASES) == set(MUTATIONS)


def test_what_is_done_is_logged_once_and_what_is_refused_is_not(desk: Desk) -> None:
    desk.world.add_token("spectator", "client:read")
    wrong = {}
    for name, case in CASES.items():
        given = case(desk)
        before = desk.entries()
        refused = [desk.ask(name, given, "spectator")]
        refused += [desk.ask(name, given | {one: made_up(given[one])}) for one in ids_in(given) if one != PASSED_OVER]
        if not all(codes(payload) <= {"FORBIDDEN", "NOT_FOUND"} and payload["errors"] for payload in refused):
            wrong[name] = f"not refused: {refused}"
        elif desk.entries() != before:
            wrong[name] = "a refusal is logged"
        payload = desk.ask(name, given)
        if payload["errors"]:
            wrong[name] = str(payload["errors"])
        elif (found := desk.entries() - before) != ENTRIES.get(name, 1):
            wrong[name] = f"{found} entries"
    assert not wrong, "\n".join(f"{name}: {text}" for name, text in wrong.items())


def test_a_key_used_twice_has_one_effect_and_one_answer(desk: Desk) -> None:
    wrong = {}
    for name in CASES:
        key = {"idempotencyKey": f"twice/{name}"}
        given = CASES[name](desk) | key
        before = desk.entries()
        first = desk.ask(name, given)
        once = desk.entries() - before
        second = desk.ask(name, given)
        if name in SHOWN_ONCE:
            assert codes(second) == {"CONFLICT"}
            assert second["secret"] is None
            first, second = first["token"], second["token"]
        if first != second or desk.entries() - before != once * (1 + (name in EACH_TIME)):
            wrong[name] = (first, second, desk.entries() - before)
        other = desk.ask(name, given | OTHERWISE[name] if name in OTHERWISE else CASES[name](desk) | key)
        if codes(other) != {"CONFLICT"}:
            wrong[name] = ("another input under the same key", other)
    assert not wrong, "\n".join(f"{name}: {text}" for name, text in wrong.items())


def test_ten_at_once_with_one_key_have_one_effect(desk: Desk) -> None:
    wrong = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name in CASES:
            given = CASES[name](desk) | {"idempotencyKey": f"at once/{name}"}
            before = desk.entries()
            payloads = list(pool.map(lambda _: desk.ask(name, given), range(AT_ONCE)))  # noqa: B023
            # Who meets the first one in the middle of work in several transactions is told to try again.
            done = [payload for payload in payloads if not codes(payload)]
            told = [payload for payload in payloads if codes(payload) and codes(payload) != {"CONFLICT"}]
            if told or not done or any(payload != done[0] for payload in done):
                wrong[name] = f"{payloads}"
            elif name in SHOWN_ONCE and len(done) != 1:
                wrong[name] = "the secret was shown more than once"
            elif desk.entries() - before != (AT_ONCE if name in EACH_TIME else ENTRIES.get(name, 1)):
                wrong[name] = f"{desk.entries() - before} entries"
    assert not wrong, "\n".join(f"{name}: {text}" for name, text in wrong.items())


def test_no_id_of_another_client_is_taken(desk: Desk) -> None:
    other = Desk(desk.world, "bolt")
    reached, tried = {}, []
    for name, case in CASES.items():
        given = case(desk)
        names = ids_in(given)
        if not names:
            continue
        # Members and tokens belong to the agency: who manages one client may not touch them but at that client.
        expected = {"NOT_FOUND"} if "client" in given else {"NOT_FOUND", "FORBIDDEN"}
        foreign = case(other)
        for one in names:
            tried.append((name, one))
            before = desk.entries()
            payload = desk.ask(name, with_one(given, one, foreign), "admin@acme")
            if one == PASSED_OVER:
                touched = any(payload[part] for part in ("added", "removed", "enrolled") if part in payload)
            else:
                nothing = all(value is None for part, value in payload.items() if part != "errors")
                touched = not (codes(payload) and codes(payload) <= expected and nothing) or desk.entries() != before
            if touched:
                reached[name, one] = payload
        control = desk.ask(name, given, "admin@acme" if "client" in given else "admin")
        if control["errors"]:
            reached[name, "control"] = control
    assert {"revealProfile", "recordConsent", "splitProfile", "enrolProfiles", "tagProfiles", "grantRole"} <= {
        name for name, _ in tried
    }
    assert not reached, "\n".join(f"{where}: {text}" for where, text in reached.items())
