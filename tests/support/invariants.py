"""What must hold after every destructive test: queries that find no row, over one whole database.

``broken(engine)`` names each invariant that does not hold, with how many rows break it. Times are epoch milliseconds.
Promises about approvals, retention and prices join when their tables are written to.
"""

from __future__ import annotations

import json
from collections import Counter

import sqlalchemy as sa

from fairlead.governance.audit import chains, verify_chain
from fairlead.messaging.guards import EXEMPT
from fairlead.storage.base import Base
from fairlead.storage.scope import AgencyScope
from fairlead.storage.session import ScopedSession
from fairlead.storage.tables import metadata
from fairlead.storage.types import SealedBytes

PERSONAL = {"identity": ("value",), "profile": ("name",), "import_reject": ("row",), "channel_account": ("secrets",)}
NEEDS_CONSENT = f"m.purpose NOT IN ({', '.join(repr(purpose) for purpose in sorted(EXEMPT))})"
CALLED = "m.state IN ('sent', 'sending', 'unknown') AND m.sent_at IS NOT NULL"
# A message does not say which of the person's identities it went to; a channel not named here may reach any kind.
REACHED = "CASE m.channel WHEN 'email' THEN i.kind = 'email' WHEN 'sms' THEN i.kind = 'phone' ELSE i.id = i.id END"
SHUT = """EXISTS (SELECT 1 FROM suppression s WHERE s.client_id = i.client_id AND s.kind = i.kind AND s.blind = i.blind
            AND s.channel IN (m.channel, '*') AND s.created_at < m.sent_at)"""

INVARIANTS = {
    "a message went out without a consent that was live when it was claimed": f"""
        SELECT m.id FROM message m WHERE {CALLED} AND {NEEDS_CONSENT} AND NOT EXISTS (
            SELECT 1 FROM consent_record c WHERE c.client_id = m.client_id AND c.profile_id = m.profile_id
            AND c.purpose = m.purpose AND c.channel IN (m.channel, '*') AND c.state = 'granted' AND c.at <= m.sent_at
            AND (c.expires_at IS NULL OR c.expires_at > m.sent_at)
            AND NOT EXISTS (
                SELECT 1 FROM consent_record w WHERE w.client_id = c.client_id AND w.profile_id = c.profile_id
                AND w.purpose = c.purpose AND w.state = 'withdrawn' AND w.at < m.sent_at
                AND (w.channel IN (m.channel, '*') AND w.at >= c.at OR w.channel = m.channel AND c.channel = '*')))""",
    "a message went out although every address of the person that its channel reaches was suppressed": f"""
        SELECT m.id FROM message m WHERE {CALLED} AND EXISTS (
            SELECT 1 FROM identity i WHERE i.client_id = m.client_id AND i.profile_id = m.profile_id AND {REACHED})
        AND NOT EXISTS (
            SELECT 1 FROM identity i WHERE i.client_id = m.client_id AND i.profile_id = m.profile_id AND {REACHED}
            AND NOT {SHUT})""",
    "a message went out before it was due": f"SELECT m.id FROM message m WHERE {CALLED} AND m.due_at > m.sent_at",
    "a message's state is not the last one of its history": """
        SELECT m.id FROM message m JOIN message_history h ON h.client_id = m.client_id AND h.message_id = m.id
        WHERE h.number = (SELECT max(x.number) FROM message_history x WHERE x.client_id = m.client_id
        AND x.message_id = m.id) AND h.state <> m.state""",
    "a message moved and has no history": """
        SELECT m.id FROM message m WHERE m.state <> 'queued' AND NOT EXISTS (
        SELECT 1 FROM message_history h WHERE h.client_id = m.client_id AND h.message_id = m.id)""",
    "a message is being sent without an owner and a lease, or leased while nobody sends it": """
        SELECT id FROM message WHERE (state = 'sending') <> (lease_until IS NOT NULL)
        OR (state = 'sending' AND owner IS NULL) OR (owner IS NOT NULL AND state NOT IN ('sending', 'unknown'))""",
    "a minor is in an automated marketing send": f"""
        SELECT m.id FROM message m JOIN profile p ON p.client_id = m.client_id AND p.id = m.profile_id
        WHERE {CALLED} AND {NEEDS_CONSENT} AND m.enrolment_id IS NOT NULL AND p.birth_date > :adult_since""",
    "an enrolment is over without an end, or goes on after it": """
        SELECT id FROM enrolment WHERE (state = 'active') <> (finished_at IS NULL)""",
    "an enrolment's steps are not numbered one by one, or one is missing": """
        SELECT e.id FROM enrolment e LEFT JOIN step s ON s.client_id = e.client_id AND s.enrolment_id = e.id
        GROUP BY e.id, e.visit HAVING count(s.visit) <> e.visit OR coalesce(max(s.visit), -1) <> e.visit - 1""",
    "somebody is on one journey twice at once": """
        SELECT profile_id FROM enrolment WHERE state = 'active'
        GROUP BY client_id, journey_id, profile_id HAVING count(*) > 1""",
    "a message belongs to no enrolment's step or place": """
        SELECT m.id FROM message m WHERE m.enrolment_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM enrolment e WHERE e.client_id = m.client_id AND e.id = m.enrolment_id)""",
    "an identity points at a merged or erased profile": """
        SELECT i.id FROM identity i JOIN profile p ON p.client_id = i.client_id AND p.id = i.profile_id
        WHERE p.state IN ('merged', 'erased')""",
    "a merged profile names nobody who goes on, or one that was merged itself without going on": """
        SELECT p.id FROM profile p LEFT JOIN profile q ON q.client_id = p.client_id AND q.id = p.merged_into
        WHERE (p.state = 'merged') <> (p.merged_into IS NOT NULL) OR (p.state = 'merged' AND q.id IS NULL)""",
    "a refund is larger than what was paid": "SELECT id FROM orders WHERE refund_amount > paid_amount",
    "a person's consent has no proof": """
        SELECT c.id FROM consent c WHERE NOT EXISTS (SELECT 1 FROM consent_record r WHERE r.client_id = c.client_id
        AND r.profile_id = c.profile_id AND r.purpose = c.purpose AND r.state = c.state AND r.at = c.at)""",
} | {
    f"an {table} is not with the person its identity belongs to": f"""
        SELECT f.id FROM {table} f JOIN identity i ON i.client_id = f.client_id AND i.id = f.identity_id
        WHERE i.profile_id <> f.profile_id OR f.profile_id IS NULL"""
    for table in ("event", "orders", "touch")
}


def foreign_keys() -> dict[str, str]:
    """Per foreign key between two clients' tables: rows whose client is not their parent's."""
    found = {}
    for table in metadata.sorted_tables:
        for constraint in table.foreign_key_constraints:
            parent = constraint.referred_table
            if "client_id" not in table.c or "client_id" not in parent.c:
                continue
            pairs = " AND ".join(
                f'p."{key.column.name}" = c."{key.parent.name}"'
                for key in constraint.elements
                if key.column.name != "client_id"
            )
            found[f"a row of {table.name} has a parent in {parent.name} of another client"] = (
                f'SELECT c.client_id FROM "{table.name}" c JOIN "{parent.name}" p ON {pairs}'
                " WHERE c.client_id <> p.client_id"
            )
    return found


def unsealed_columns() -> list[str]:
    """Columns that hold personal data or secrets without the type that refuses plain text."""
    tables = {table.name: table for table in Base.metadata.tables.values()}
    return [
        f"{table}.{column}"
        for table, columns in PERSONAL.items()
        for column in columns
        if not isinstance(tables[table].c[column].type, SealedBytes)
    ]


def repeated_sends(connection: sa.Connection) -> int:
    """Pairs of enrolment and node with more messages than the enrolment took steps at the node."""
    nodes = {}
    for version, graph in connection.execute(sa.text("SELECT id, graph FROM journey_version")):
        nodes[version] = [node["id"] for node in (json.loads(graph) if isinstance(graph, str) else graph)["nodes"]]
    steps: Counter[tuple[int, str]] = Counter()
    for enrolment, version, node in connection.execute(
        sa.text(
            "SELECT s.enrolment_id, e.version_id, s.node FROM step s"
            " JOIN enrolment e ON e.client_id = s.client_id AND e.id = s.enrolment_id"
        )
    ):
        steps[enrolment, nodes[version][node]] += 1
    messages = connection.execute(
        sa.text(
            "SELECT enrolment_id, node, count(*) FROM message WHERE enrolment_id IS NOT NULL"
            " GROUP BY client_id, enrolment_id, node"
        )
    )
    return sum(count > steps[enrolment, node] for enrolment, node, count in messages)


def damaged_chains(engine: sa.Engine) -> int:
    """Problems of all audit chains together: gaps, cut ends, changed and reordered entries."""
    with ScopedSession(bind=engine, scope=AgencyScope("test")) as session:
        return sum(verify_chain(session, chain).problem_count for chain in chains(session))


def broken(engine: sa.Engine, *, adult_since: str = "2008-01-01") -> dict[str, int]:
    """Every invariant that does not hold, and how many rows break it. ``engine`` is the login's own: it sees all rows.

    Whoever is born after ``adult_since`` counts as a minor.
    """
    out: dict[str, int] = dict.fromkeys(unsealed_columns(), 1)
    with engine.connect() as connection:
        for name, query in (INVARIANTS | foreign_keys()).items():
            values = {"adult_since": adult_since} if ":adult_since" in query else {}
            rows = connection.execute(sa.text(query), values).all()
            if rows:
                out[name] = len(rows)
        if repeated := repeated_sends(connection):
            out["one node sent twice to one person on one visit"] = repeated
    if damaged := damaged_chains(engine):
        out["an audit chain is not what was written"] = damaged
    return out
