"""A stable random number from 0 to 9999 per person and salt, equal in SQL and in memory.

The id is taken modulo the prime 2^31 - 1, stirred by the permutation ``x -> (b x + a)^5`` of that field and by a second
line ``c y + d``, with the four constants from BLAKE2b of the salt. 5 is coprime to 2^31 - 2, so nothing is lost, and
every product stays below 2^62. The fifth power keeps two salts independent, which lines alone would not.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import sqlalchemy as sa

from fairlead.audiences.conditions import BUCKETS

PRIME = 2**31 - 1


@lru_cache(maxsize=1024)
def constants(salt: str) -> tuple[int, int, int, int]:
    """The four constants of a salt, two factors in ``1 … PRIME - 1`` and two shifts in ``0 … PRIME - 1``."""
    digest = hashlib.blake2b(salt.encode(), digest_size=32, person=b"fairlead/bucket").digest()
    one, two, three, four = (int.from_bytes(digest[at : at + 8], "big") for at in range(0, 32, 8))
    return one % PRIME, 1 + two % (PRIME - 1), 1 + three % (PRIME - 1), four % PRIME


def bucket_of(profile_id: int, salt: str) -> int:
    """The person's bucket, 0 to 9999."""
    a, b, c, d = constants(salt)
    y = (profile_id % PRIME * b + a) % PRIME
    fourth = (y * y % PRIME) ** 2 % PRIME
    return (fourth * y % PRIME * c + d) % PRIME % BUCKETS


def bucket_sql(profile_id: sa.ColumnElement[int], salt: str) -> sa.ColumnElement[int]:
    """The same as an expression over 64-bit integers."""
    a, b, c, d = (sa.literal(number, sa.BigInteger) for number in constants(salt))
    y = (profile_id % PRIME * b + a) % PRIME
    square = y * y % PRIME
    fourth = square * square % PRIME
    return (fourth * y % PRIME * c + d) % PRIME % BUCKETS
