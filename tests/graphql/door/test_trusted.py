"""Documents known by their hash."""

from __future__ import annotations

import json

import pytest

from fairlead_graphql.door import TrustedDocuments
from fairlead_graphql.door.trusted import sha256

QUERY = "query Health { health }"
KEY = sha256(QUERY)
OTHER = "{ health echo }"


def hashed(key: object) -> dict:
    return {"persistedQuery": {"version": 1, "sha256Hash": key}}


def test_a_hash_runs_its_document_either_way(make_client):
    door = make_client(trusted=TrustedDocuments({KEY: QUERY}))
    assert door.ask(None, extensions=hashed(KEY))["data"] == {"health": "ok"}
    assert door.ask(None, documentId=KEY)["data"] == {"health": "ok"}
    assert door.ask(None, documentId=f"sha256:{KEY.upper()}")["data"] == {"health": "ok"}
    assert door.ask(QUERY, extensions=hashed(KEY))["data"] == {"health": "ok"}
    assert door.ask(OTHER)["data"]["health"] == "ok"


@pytest.mark.parametrize("key", ["x", "", 1, None, ["a"], {"a": 1}, "0" * 64, "../../etc/passwd"])
def test_unknown_hashes_are_answered_as_apollo_clients_expect(make_client, key):
    door = make_client(trusted=TrustedDocuments({KEY: QUERY}))
    error = door.ask(None, extensions=hashed(key))["errors"][0]
    assert error["message"] == "PersistedQueryNotFound"
    assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"


def test_odd_shapes_are_refused_not_broken(make_client):
    door = make_client(trusted=TrustedDocuments({KEY: QUERY}))
    for odd in (1, [], "x"):
        assert door.codes(None, extensions={"persistedQuery": odd}) == ["PERSISTED_QUERY_NOT_FOUND"]


def test_a_hash_of_another_query_is_refused(make_client):
    door = make_client(trusted=TrustedDocuments({KEY: QUERY}))
    assert door.codes(OTHER, extensions=hashed(KEY)) == ["PERSISTED_QUERY_HASH_MISMATCH"]


def test_a_request_never_adds_a_document(make_client):
    documents = TrustedDocuments()
    door = make_client(trusted=documents)
    assert door.codes(None, extensions=hashed(sha256(OTHER))) == ["PERSISTED_QUERY_NOT_SUPPORTED"]
    assert door.ask(OTHER, extensions=hashed(sha256(OTHER)))["data"]["health"] == "ok"
    assert door.codes(None, extensions=hashed(sha256(OTHER))) == ["PERSISTED_QUERY_NOT_SUPPORTED"]
    assert len(documents) == 0


def test_when_enforced_nothing_else_runs(make_client, world):
    door = make_client(trusted=TrustedDocuments({KEY: QUERY}, enforced=True))
    assert door.codes('mutation { write(text: "x") }') == ["PERSISTED_QUERY_ID_REQUIRED"]
    assert door.codes(None) == ["PERSISTED_QUERY_ID_REQUIRED"]
    assert door.codes(OTHER, extensions=hashed(sha256(OTHER))) == ["PERSISTED_QUERY_NOT_FOUND"]
    assert door.ask(QUERY)["data"] == {"health": "ok"}
    assert door.ask(None, documentId=KEY)["data"] == {"health": "ok"}
    assert world.written == []


def test_documents_are_read_from_a_folder_or_a_file(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "health.graphql").write_text(QUERY)
    (tmp_path / "notes.txt").write_text("nothing")
    assert len(TrustedDocuments.load(tmp_path)) == 1
    file = tmp_path / "persisted-documents.json"
    file.write_text(json.dumps({KEY: QUERY, f"sha256:{sha256(OTHER)}": OTHER}))
    found = TrustedDocuments.load(file, enforced=True)
    assert (len(found), found.enforced) == (2, True)


def test_a_key_that_is_not_the_hash_of_its_text_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="SHA-256"):
        TrustedDocuments({KEY: OTHER})
    file = tmp_path / "wrong.json"
    file.write_text("[]")
    with pytest.raises(ValueError, match="one JSON object"):
        TrustedDocuments.load(file)


def get(door, **parameters):
    return door.client.get("/graphql/", params=parameters, headers={"Authorization": "Bearer good"})


def test_get_runs_trusted_queries_where_allowed_and_nothing_else(make_client, world):
    write = 'mutation { write(text: "x") }'
    ticks = "subscription { ticks }"
    echo = "query($t: String!) { echo(text: $t) }"
    documents = TrustedDocuments({sha256(text): text for text in (QUERY, write, ticks, echo)})
    assert get(make_client(trusted=documents), documentId=KEY).status_code == 405
    door = make_client(trusted=documents, allow_get=True)
    assert get(door, documentId=KEY).json()["data"] == {"health": "ok"}
    assert get(door, documentId=sha256(echo), variables='{"t": "x"}').json()["data"] == {"echo": "x"}
    assert get(door, extensions=json.dumps(hashed(KEY))).json()["data"] == {"health": "ok"}
    for text in (write, ticks):
        assert get(door, documentId=sha256(text)).json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert get(door, query=QUERY).status_code == 400
    assert get(door, query=write).status_code == 400
    assert get(door).status_code == 400
    assert get(door, documentId=KEY, variables="{").status_code == 400
    assert get(door, documentId=KEY, variables="[1]").status_code == 400
    assert get(door, documentId=KEY, operationName="\x00").status_code == 400
    assert door.client.get(f"/graphql/?documentId={KEY}&documentId={KEY}").status_code == 400
    assert world.written == []
