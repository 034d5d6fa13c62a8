"""The least any API can do for a list page: three statements on the driver, opening, masking, dictionaries, orjson."""

from __future__ import annotations

import base64
from typing import Any

import orjson

from benchmarks._people import People
from fairlead.customers.identifiers import mask, mask_name
from fairlead.storage.types import Sealed, from_millis
from fairlead_graphql.ids import to_global

PROFILES = """
SELECT id, name, gender, region, created_at FROM profile
WHERE client_id = ? AND state = 'active' AND id > ? ORDER BY id LIMIT ?
"""
IDENTITIES = """
SELECT profile_id, id, kind, value FROM identity
WHERE client_id = ? AND profile_id IN ({}) ORDER BY profile_id, id
"""
TAGS = """
SELECT profile_tag.profile_id, tag.id, tag.name, tag.level
FROM profile_tag JOIN tag ON tag.client_id = profile_tag.client_id AND tag.id = profile_tag.tag_id
WHERE profile_tag.client_id = ? AND profile_tag.profile_id IN ({}) ORDER BY profile_tag.profile_id, tag.name
"""


class Floor:
    """Answers the one document of the benchmark, by hand."""

    def __init__(self, of: People) -> None:
        self._of = of

    @staticmethod
    def cursor(number: int) -> str:
        """The cursor of a profile in the order of ids."""
        return base64.urlsafe_b64encode(orjson.dumps([number, number])).rstrip(b"=").decode()

    def answer(self, _document: str, variables: dict[str, Any]) -> bytes:
        """The answer as JSON."""
        vault, client = self._of.runtime.vault, self._of.client_id
        after, first = variables["after"], variables["first"]
        begin = 0 if after is None else orjson.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))[1]
        with self._of.runtime.database.engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            rows = raw.execute(PROFILES, (client, begin, first + 1)).fetchall()
            more, rows = len(rows) > first, rows[:first]
            numbers = [row[0] for row in rows]
            marks = ",".join("?" * len(numbers))
            identities: dict[int, list[Any]] = {number: [] for number in numbers}
            tags: dict[int, list[Any]] = {number: [] for number in numbers}
            for profile, number, kind, value in raw.execute(IDENTITIES.format(marks), (client, *numbers)):
                masked = mask(kind, vault.open(client, "identity.value", Sealed(value)))
                identities[profile].append({"id": to_global("Identity", number), "kind": kind, "masked": masked})
            for profile, number, name, level in raw.execute(TAGS.format(marks), (client, *numbers)):
                tags[profile].append({"id": to_global("Tag", number), "name": name, "level": level})
        edges = [
            {
                "cursor": self.cursor(number),
                "node": {
                    "id": to_global("Profile", number),
                    "name": None if name is None else mask_name(vault.open(client, "profile.name", Sealed(name))),
                    "gender": gender,
                    "region": region,
                    "createdAt": from_millis(created).isoformat(),
                    "identities": identities[number],
                    "tags": tags[number],
                },
            }
            for number, name, gender, region, created in rows
        ]
        info = {"hasNextPage": more, "endCursor": edges[-1]["cursor"] if edges else None}
        return orjson.dumps({"data": {"client": {"profiles": {"edges": edges, "pageInfo": info}}}})
