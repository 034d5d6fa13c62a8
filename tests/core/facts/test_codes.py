"""Codes of channels and event types: stable, dense, and not without end."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.errors import InvalidInput
from fairlead.facts import codes
from fairlead.runtime import Fairlead


def test_names_end_where_a_column_of_ids_was_mapped(runtime: Fairlead, agency: Any) -> None:
    names = [f"name-{number}" for number in range(codes.MOST)]
    with runtime.work(agency.acme) as work:
        codes.codes_for(work, codes.EVENT, names[:-1])
    with runtime.work(agency.acme) as work:
        with pytest.raises(InvalidInput, match="at most 10,000 names") as caught:
            codes.codes_for(work, codes.EVENT, ["one more", "and another"])
        assert caught.value.next_step
        assert len(codes.known_codes(work, codes.EVENT)) == codes.MOST - 1
    with runtime.work(agency.acme) as work:
        found = codes.codes_for(work, codes.EVENT, names)
        assert sorted(found.values()) == list(range(codes.MOST))
        with pytest.raises(InvalidInput):
            codes.codes_for(work, codes.EVENT, ["one more"])
        assert codes.codes_for(work, codes.EVENT, names[:5]) == found
        assert codes.codes_for(work, codes.CHANNEL, ["one more"]) == {"one more": 0}
    with runtime.work(agency.bolt) as work:
        assert codes.codes_for(work, codes.EVENT, ["one more"]) == {"one more": 0}
