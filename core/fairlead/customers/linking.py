"""From identities to people: which profile each row of a batch belongs to.

Rows that share a strong identity are one person (connected components over identity codes). A component that meets no
known profile becomes a new one; one that meets several merges them into the oldest. Blocked values never link, and a
value seen with more than :data:`SHARED_LIMIT` values of one strong kind, those its profile holds already included, is a
shared one (a shop's own phone, a test account): it is blocked and reported instead of gluing strangers together. People
whom somebody has parted are not joined again. Weak identities follow the person they are seen with and never join two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from fairlead.customers.identifiers import is_strong
from fairlead.customers.locking import lock_identities
from fairlead.customers.merging import merge_profiles, parted
from fairlead.customers.model import BlockedIdentity, Identity, Profile
from fairlead.governance.audit import record
from fairlead.storage import bulk, ids
from fairlead.storage.types import to_millis
from fairlead.work import Work

SHARED_LIMIT = 8
SHARED = "shared by too many people"
LOOKUP = 5000
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ClaimColumn:
    """One identity per row, or ``None``; values are normalised already. ``scope`` is the app or shop it is valid in."""

    kind: str
    values: Sequence[str | None]
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Linked:
    """Profile and identity per row, shape ``(rows,)``, 0 where there is none; and what became of the profiles."""

    profile_ids: IntArray
    identity_ids: IntArray
    created: int = 0
    merged: int = 0
    blocked: int = 0


@dataclass(frozen=True, slots=True)
class _Claims:
    """The distinct identities of a batch by code, and which row claims which, rows rising, by preference within."""

    keys: list[tuple[str, str, str]]
    blinds: list[bytes]
    strong: BoolArray
    row: IntArray
    code: IntArray


def link(work: Work, columns: Sequence[ClaimColumn], source: str) -> Linked:
    """Find or make the profile of each row, remember new identities, merge what turns out to be one person.

    All columns have one length. Columns stand in order of preference: the first identity a row claims is the one its
    fact will follow. Costs a constant number of statements per :data:`LOOKUP` distinct values.
    """
    rows = len(columns[0].values) if columns else 0
    claims = _collect(work, columns)
    if not claims.keys:
        return Linked(np.zeros(rows, np.int64), np.zeros(rows, np.int64))
    lock_identities(work)
    identity, holder = _look_up(work, claims)
    usable = _not_blocked(work, claims)
    shared = _shared(work, claims, usable, holder)
    blocked = _block(work, claims, shared)
    usable &= ~shared

    labels, profiles = _components(claims, usable, holder)
    _keep_apart(work, claims, usable, holder, labels, profiles)
    row_label = _label_rows(rows, claims, usable, labels, holder)
    owner, merged = _merge_owners(work, claims, usable, labels, profiles, source)
    created = _create_profiles(work, owner, row_label)
    identity = _remember(work, claims, usable & (identity == 0), identity, owner[labels[: len(claims.keys)]], source)

    profile_ids = np.where(row_label >= 0, owner[row_label], 0)
    identity_ids = np.zeros(rows, np.int64)
    # A fact goes where its identity goes, so the identity must be one of the row's own person.
    ok = usable[claims.code] & (labels[claims.code] == row_label[claims.row])
    # Claims stand by preference, so writing them backwards leaves each row its first.
    identity_ids[claims.row[ok][::-1]] = identity[claims.code[ok]][::-1]
    return Linked(profile_ids, identity_ids, created, merged, blocked)


def _collect(work: Work, columns: Sequence[ClaimColumn]) -> _Claims:
    keys: list[tuple[str, str, str]] = []
    blinds: list[bytes] = []
    rows, codes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for column in columns:
        distinct = {value: at for at, value in enumerate(dict.fromkeys(filter(None, column.values)))}
        if not distinct:
            continue
        of_row = np.fromiter((distinct.get(value or "", -1) for value in column.values), np.int64, len(column.values))
        claimed = np.flatnonzero(of_row >= 0)
        rows.append(claimed)
        codes.append(of_row[claimed] + len(keys))
        keys += ((column.kind, column.scope, value) for value in distinct)
        blinds += work.vault.blind_many(work.client_id, column.kind, distinct)
    row, code = np.concatenate(rows), np.concatenate(codes)
    row, code = _same_value_once(keys, row, code)
    order = np.argsort(row, kind="stable")
    strong = np.fromiter((is_strong(kind) for kind, _, _ in keys), bool, len(keys))
    return _Claims(keys, blinds, strong, row[order], code[order])


def _same_value_once(keys: list[tuple[str, str, str]], row: IntArray, code: IntArray) -> tuple[IntArray, IntArray]:
    """Two columns may hold the same kind (two phones of one order); equal values then get one code."""
    first: dict[tuple[str, str, str], int] = {}
    canonical = np.fromiter((first.setdefault(key, at) for at, key in enumerate(keys)), np.int64, len(keys))
    return row, canonical[code] if len(keys) else code


def _runs(keys: list[tuple[str, str, str]]) -> Iterator[tuple[int, int]]:
    """Stretches of one kind and scope."""
    start = 0
    for at in range(1, len(keys) + 1):
        if at == len(keys) or keys[at][:2] != keys[start][:2]:
            yield start, at
            start = at


def _look_up(work: Work, claims: _Claims) -> tuple[IntArray, IntArray]:
    """Known identity and profile per code, 0 for unknown."""
    identity, holder = np.zeros(len(claims.keys), np.int64), np.zeros(len(claims.keys), np.int64)
    for start, end in _runs(claims.keys):
        kind, scope, _ = claims.keys[start]
        at = {claims.blinds[code]: code for code in reversed(range(start, end))}
        wanted = list(at)
        for chunk in range(0, len(wanted), LOOKUP):
            found = work.session.execute(
                sa.select(Identity.blind, Identity.id, Identity.profile_id).where(
                    Identity.kind == kind, Identity.scope == scope, Identity.blind.in_(wanted[chunk : chunk + LOOKUP])
                )
            )
            for blind, identity_id, profile_id in found:
                code = at[bytes(blind)]
                identity[code], holder[code] = identity_id, profile_id
    return identity, holder


def _not_blocked(work: Work, claims: _Claims) -> BoolArray:
    free = np.ones(len(claims.keys), bool)
    for start, end in _runs(claims.keys):
        kind, scope, _ = claims.keys[start]
        for chunk in range(start, end, LOOKUP):
            wanted = claims.blinds[chunk : min(chunk + LOOKUP, end)]
            query = sa.select(BlockedIdentity.blind).where(
                BlockedIdentity.kind == kind, BlockedIdentity.scope == scope, BlockedIdentity.blind.in_(wanted)
            )
            blocked = {bytes(blind) for blind in work.session.scalars(query)}
            if blocked:
                free[chunk : chunk + len(wanted)] = [blind not in blocked for blind in wanted]
    return free


def _shared(work: Work, claims: _Claims, usable: BoolArray, holder: IntArray) -> BoolArray:
    """Codes that stand beside more than SHARED_LIMIT distinct values of one strong kind, now or before."""
    out = np.zeros(len(claims.keys), bool)
    groups = {name: number for number, name in enumerate(dict.fromkeys(key[:2] for key in claims.keys))}
    group = np.fromiter((groups[key[:2]] for key in claims.keys), np.int64, len(claims.keys))
    left, right = _neighbours(claims, usable)
    out[_crowded(left, group[right], len(groups), SHARED_LIMIT)] = True
    # What the holder of a value has already counts as seen beside it, or one order at a time would glue a whole shop.
    news = (holder[left] > 0) & (holder[left] != holder[right]) & ~out[left]
    left, right = left[news], right[news]
    known = _held_by_kind(work, np.unique(holder[left]).tolist(), groups)
    kinds = group[right]
    before = (known.get((who, kind), 0) for who, kind in zip(holder[left].tolist(), kinds.tolist(), strict=True))
    # A value is not seen beside itself.
    room = SHARED_LIMIT + (group[left] == kinds) - np.fromiter(before, np.int64, len(left))
    pairs, place, fresh = np.unique(left * len(groups) + kinds, return_index=True, return_counts=True)
    out[(pairs // max(len(groups), 1))[fresh > room[place]]] = True
    return out


def _neighbours(claims: _Claims, usable: BoolArray) -> tuple[IntArray, IntArray]:
    """Distinct pairs of two strong codes that stand in one row, each both ways round."""
    ok = (claims.strong & usable)[claims.code]
    row, code = claims.row[ok], claims.code[ok]
    size = max(len(claims.keys), 1)
    found = [np.empty(0, np.int64)]
    step = 1
    while (same := row[step:] == row[:-step]).any():
        one, other = code[:-step][same], code[step:][same]
        found += [one * size + other, other * size + one]
        step += 1
    pairs = np.unique(np.concatenate(found))
    left, right = pairs // size, pairs % size
    # Two columns of one row may hold the same value.
    return left[left != right], right[left != right]


def _crowded(left: IntArray, kind: IntArray, kinds: int, limit: int) -> IntArray:
    """The codes that have more than ``limit`` neighbours of one kind."""
    seen, counts = np.unique(left * kinds + kind, return_counts=True)
    crowded: IntArray = seen[counts > limit] // max(kinds, 1)
    return crowded


def _held_by_kind(work: Work, profile_ids: list[int], groups: dict[tuple[str, str], int]) -> dict[tuple[int, int], int]:
    """How many identities of each group of kind and scope these profiles hold."""
    out: dict[tuple[int, int], int] = {}
    for start in range(0, len(profile_ids), LOOKUP):
        rows = work.session.execute(
            sa.select(Identity.profile_id, Identity.kind, Identity.scope, sa.func.count())
            .where(Identity.profile_id.in_(profile_ids[start : start + LOOKUP]))
            .group_by(Identity.profile_id, Identity.kind, Identity.scope)
        )
        out.update(((who, groups[kind, scope]), n) for who, kind, scope, n in rows if (kind, scope) in groups)
    return out


def _block(work: Work, claims: _Claims, shared: BoolArray) -> int:
    codes = np.flatnonzero(shared).tolist()
    columns: bulk.Columns = {
        "kind": [claims.keys[code][0] for code in codes],
        "scope": [claims.keys[code][1] for code in codes],
        "blind": [claims.blinds[code] for code in codes],
        "reason": [SHARED] * len(codes),
        "created_at": [to_millis(work.now)] * len(codes),
    }
    for code in codes:
        after = {"kind": claims.keys[code][0], "reason": SHARED}
        record(work, "identity.block", "identity", claims.keys[code][0], after=after)
    return bulk.insert(work.session, BlockedIdentity, columns, ignore_known=True)


def _components(claims: _Claims, usable: BoolArray, holder: IntArray) -> tuple[IntArray, IntArray]:
    """Labels of all codes and then of the known profiles (the second answer, rising)."""
    count = len(claims.keys)
    ok = (claims.strong & usable)[claims.code]
    row, code = claims.row[ok], claims.code[ok]
    together = row[1:] == row[:-1]
    held = np.flatnonzero(usable & (holder > 0))
    profiles, place = np.unique(holder[held], return_inverse=True)
    one = np.concatenate([code[:-1][together], held])
    other = np.concatenate([code[1:][together], place + count])
    size = count + len(profiles)
    _, labels = connected_components(
        coo_matrix((np.ones(len(one), np.int8), (one, other)), (size, size)), directed=False
    )
    return labels.astype(np.int64), profiles


def _label_rows(rows: int, claims: _Claims, usable: BoolArray, labels: IntArray, holder: IntArray) -> IntArray:
    """Component per row, -1 for none: that of its first strong identity, else of its first weak one.

    A weak identity that nobody holds yet joins the component it is first seen with (``labels`` is changed).
    """
    row_label = np.full(rows, -1, np.int64)
    strong = (claims.strong & usable)[claims.code]
    row_label[claims.row[strong][::-1]] = labels[claims.code[strong]][::-1]
    weak = (~claims.strong & usable)[claims.code]
    row, code = claims.row[weak], claims.code[weak]
    follows = (row_label[row] >= 0) & (holder[code] == 0)
    labels[code[follows][::-1]] = row_label[row[follows]][::-1]
    alone = row_label[row] < 0
    row_label[row[alone][::-1]] = labels[code[alone]][::-1]
    return row_label


def _keep_apart(
    work: Work, claims: _Claims, usable: BoolArray, holder: IntArray, labels: IntArray, profiles: IntArray
) -> None:
    """Take components apart (``labels`` is changed) that would join two people whom somebody has parted.

    Each known profile of such a component keeps what it holds. A new value goes to the first holder it stands in a row
    with, and what stands with nobody known is somebody new.
    """
    codes = len(claims.keys)
    if not len(profiles) or np.bincount(labels[codes:]).max() < 2:
        return
    label_of = dict(zip(profiles.tolist(), labels[codes:].tolist(), strict=True))
    torn = {label_of[one] for one, other in parted(work) if one in label_of and label_of[one] == label_of.get(other)}
    if not torn:
        return
    within = np.isin(labels, list(torn))
    alone = np.flatnonzero(within[codes:])
    labels[codes + alone] = labels.max() + 1 + np.arange(len(alone))
    held = np.flatnonzero(within[:codes] & usable & (holder > 0))
    labels[held] = labels[codes + np.searchsorted(profiles, holder[held])]
    known = np.zeros(codes, bool)
    known[held] = True
    anchor = np.full(int(claims.row.max()) + 1, -1, np.int64)
    beside = (claims.strong & known)[claims.code]
    anchor[claims.row[beside][::-1]] = labels[claims.code[beside]][::-1]
    loose = (within[:codes] & usable & ~known)[claims.code] & (anchor[claims.row] >= 0)
    labels[claims.code[loose][::-1]] = anchor[claims.row[loose]][::-1]


def _merge_owners(
    work: Work, claims: _Claims, usable: BoolArray, labels: IntArray, profiles: IntArray, source: str
) -> tuple[IntArray, int]:
    """Profile per component (0 for none yet): the oldest it meets, which absorbs the others."""
    codes = len(claims.keys)
    label_of_profile = labels[codes:]
    owner = np.zeros(int(labels.max()) + 1, np.int64)
    owner[label_of_profile[::-1]] = profiles[::-1]
    survivor = owner[label_of_profile]
    absorbed = survivor != profiles
    if absorbed.any():
        pairs = list(zip(survivor[absorbed].tolist(), profiles[absorbed].tolist(), strict=True))
        kinds: dict[int, set[str]] = {label: set() for label in label_of_profile[absorbed].tolist()}
        for code in np.flatnonzero(claims.strong & usable & np.isin(labels[:codes], list(kinds))).tolist():
            kinds[int(labels[code])].add(claims.keys[code][0])
        evidence = [{"source": source, "kinds": sorted(kinds[label])} for label in label_of_profile[absorbed].tolist()]
        merge_profiles(work, pairs, rule="shared_identity", evidence=evidence)
    return owner, int(absorbed.sum())


def _create_profiles(work: Work, owner: IntArray, row_label: IntArray) -> int:
    needed = np.unique(row_label[row_label >= 0])
    needed = needed[owner[needed] == 0]
    fresh = ids.reserve(work.session.connection(), len(needed))
    owner[needed] = fresh
    now = to_millis(work.now)
    columns: bulk.Columns = {
        "id": fresh,
        "state": ["active"] * len(fresh),
        "attributes": ["{}"] * len(fresh),
        "created_at": [now] * len(fresh),
        "changed_at": [now] * len(fresh),
    }
    return bulk.insert(work.session, Profile, columns)


def _remember(
    work: Work, claims: _Claims, fresh: BoolArray, identity: IntArray, owner: IntArray, source: str
) -> IntArray:
    """Store the identities nobody held; the answer is the identity id per code."""
    used = np.zeros(len(claims.keys), bool)
    used[claims.code] = True
    codes = np.flatnonzero(fresh & used & (owner > 0))
    identity = identity.copy()
    identity[codes] = ids.reserve(work.session.connection(), len(codes))
    at = codes.tolist()
    columns: bulk.Columns = {
        "id": identity[codes],
        "profile_id": owner[codes],
        "kind": [claims.keys[code][0] for code in at],
        "scope": [claims.keys[code][1] for code in at],
        "blind": [claims.blinds[code] for code in at],
        "value": work.vault.seal_many(work.client_id, "identity.value", (claims.keys[code][2] for code in at)),
        "strong": claims.strong[codes],
        "state": ["active"] * len(at),
        "source": [source] * len(at),
        "created_at": [to_millis(work.now)] * len(at),
    }
    bulk.insert(work.session, Identity, columns)
    return identity
