"""Ages, buckets and comparisons on the cases that people get wrong."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from fairlead.audiences.buckets import PRIME, bucket_of, bucket_sql, constants
from fairlead.audiences.conditions import RegionTest
from fairlead.audiences.values import Op, Type, age_on, holds, youngest_birth_date


@given(
    born=st.dates(dt.date(1900, 1, 1), dt.date(2030, 12, 31)), today=st.dates(dt.date(2020, 1, 1), dt.date(2032, 1, 1))
)
def test_the_youngest_birth_date_is_the_edge_of_an_age(born: dt.date, today: dt.date) -> None:
    for years in range(age_on(today, born) - 1, age_on(today, born) + 3):
        edge = youngest_birth_date(today, years)
        assert edge is not None
        assert (born <= edge) is (age_on(today, born) >= years)


def test_a_leap_day_child_grows_older_in_march() -> None:
    born = dt.date(2000, 2, 29)
    assert age_on(dt.date(2021, 2, 28), born) == 20
    assert age_on(dt.date(2021, 3, 1), born) == 21
    assert youngest_birth_date(dt.date(2024, 2, 29), 3) == dt.date(2021, 2, 28)


@given(id_=st.integers(0, 2**63 - 1), salt=st.text(max_size=20))
def test_buckets_in_sql_equal_those_in_memory_for_every_id(id_: int, salt: str) -> None:
    with sa.create_engine("sqlite://", poolclass=sa.StaticPool).connect() as connection:
        found = connection.execute(sa.select(bucket_sql(sa.literal(id_, sa.BigInteger), salt))).scalar_one()
    assert found == bucket_of(id_, salt)
    assert 0 <= found < 10_000


def test_buckets_are_even_and_independent_of_each_other() -> None:
    """Chi-square of neighbouring ids over 100 cells, for one salt and for pairs; the 99.99 % point of 99 df is 161."""
    ids = range(1, 50_001)
    salts = ("", "a", "b", "rollout/7", "盐")
    columns = [np.array([bucket_of(id_, salt) for id_ in ids]) for salt in salts]
    cells = [column // 100 for column in columns]
    cells += [10 * (one // 1000) + two // 1000 for one, two in pairwise(columns)]
    for cell in cells:
        counts = np.bincount(cell, minlength=100)
        expected = len(ids) / 100
        assert len(counts) == 100
        assert float(((counts - expected) ** 2 / expected).sum()) < 161


def test_the_permutation_loses_nothing() -> None:
    assert all(factor % PRIME for factor in constants("x")[1:3])
    assert (PRIME - 1) % 5 != 0
    assert Counter(bucket_of(id_, "x") for id_ in (7, 7 + PRIME)).most_common(1)[0][1] == 2


@pytest.mark.parametrize(
    ("op", "seen", "value", "expected"),
    [
        (Op.EQ, True, 1, False),
        (Op.EQ, 1, True, False),
        (Op.EQ, 1, 1.0, True),
        (Op.EQ, "1", 1, False),
        (Op.NE, None, "a", True),
        (Op.NOT_IN, None, ("a",), True),
        (Op.IN, True, (1, "true"), False),
        (Op.GT, True, 0, False),
        (Op.GT, "b", "B", True),
        (Op.GT, "10", 9, False),
        (Op.LT, 10**400, 1, False),
        (Op.EXISTS, 10**400, None, True),
        (Op.EXISTS, [], None, True),
        (Op.MISSING, None, None, True),
        (Op.CONTAINS, ["城", 1], "城", True),
        (Op.CONTAINS, ["城市"], "城", False),
        (Op.CONTAINS, "城市", "市", True),
        (Op.CONTAINS, {"a": 1}, "a", False),
        (Op.STARTS_WITH, "😀b", "😀", True),
    ],
)
def test_values_of_json_are_compared_by_type(op: Op, seen: object, value: object, expected: bool) -> None:
    assert holds(Type.JSON, op, seen, value) is expected


@pytest.mark.parametrize(
    ("code", "prefix"),
    [("44", "44"), ("440000", "44"), ("440100", "4401"), ("440103", "440103"), ("440103001000", "440103001")],
)
def test_a_region_is_its_code_without_filling_zeros(code: str, prefix: str) -> None:
    assert RegionTest(within=code).prefix == prefix
