"""What a revision calls to lock its tables: the application role, row-level security, append-only triggers.

Functions here are part of revisions that have run somewhere, so their effect never changes; a new need is a new
function.
"""

from __future__ import annotations

from alembic import op

APP_ROLE = "fairlead_app"


def create_app_role() -> None:
    """PostgreSQL: make the role that owns nothing, and let the login act as it."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(
        f"""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{APP_ROLE}') THEN
                CREATE ROLE {APP_ROLE} NOLOGIN NOBYPASSRLS;
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END $$
        """  # noqa: S608 - no data in it, only our own names
    )
    op.execute(
        f"""
        DO $$ BEGIN
            -- Since 16 who makes a role is a member of it, but one that may not act as it.
            IF NOT pg_has_role(current_user, '{APP_ROLE}', CASE
                WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
                EXECUTE format('GRANT {APP_ROLE} TO %I', current_user);
            END IF;
        END $$
        """
    )
    op.execute(f"GRANT USAGE ON SCHEMA public TO {APP_ROLE}")


def grant_sequence(*sequences: str) -> None:
    """Let the application role draw from sequences."""
    if op.get_bind().dialect.name == "postgresql":
        for sequence in sequences:
            op.execute(f"GRANT USAGE ON SEQUENCE {sequence} TO {APP_ROLE}")


def grant(*tables: str) -> None:
    """Let the application role read and write tables that belong to no client."""
    if op.get_bind().dialect.name == "postgresql":
        for table in tables:
            op.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON "{table}" TO {APP_ROLE}')


def grant_append_only(*tables: str) -> None:
    """Let the application role read and add rows; triggers refuse a change on both engines, whoever asks."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table in tables:
        if postgresql:
            op.execute(f'GRANT SELECT, INSERT ON "{table}" TO {APP_ROLE}')
            op.execute(
                f"""
                CREATE FUNCTION fairlead_refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN RAISE EXCEPTION '{table} is append-only'; END $$
                """
            )
            op.execute(
                f'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table}"'
                f" FOR EACH STATEMENT EXECUTE FUNCTION fairlead_refuse_{table}()"
            )
            continue
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f'CREATE TRIGGER "{table}_no_{verb.lower()}" BEFORE {verb} ON "{table}"'
                f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def drop_append_only(*tables: str) -> None:
    """Undo :func:`grant_append_only`, before the table goes."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table in tables:
        if postgresql:
            op.execute(f'DROP TRIGGER append_only ON "{table}"')
            op.execute(f"DROP FUNCTION fairlead_refuse_{table}()")
            continue
        for verb in ("update", "delete"):
            op.execute(f'DROP TRIGGER "{table}_no_{verb}"')


def agency_only(*tables: str) -> None:
    """PostgreSQL: show and take rows in agency-wide transactions only; the work of a client finds the tables empty."""
    if op.get_bind().dialect.name != "postgresql":
        return
    rule = "current_setting('fairlead.all', true) = 'on'"
    for table in tables:
        op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
        op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
        op.execute(f'CREATE POLICY agency_only ON "{table}" TO {APP_ROLE} USING ({rule}) WITH CHECK ({rule})')


def separate_clients(*tables: str, column: str = "client_id") -> None:
    """PostgreSQL: show and take only rows of the transaction's client, whatever the statement says."""
    if op.get_bind().dialect.name != "postgresql":
        return
    rule = (
        f"{column} = nullif(current_setting('fairlead.client', true), '')::bigint"
        " OR current_setting('fairlead.all', true) = 'on'"
    )
    for table in tables:
        op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
        op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
        op.execute(f'CREATE POLICY client_only ON "{table}" TO {APP_ROLE} USING ({rule}) WITH CHECK ({rule})')
