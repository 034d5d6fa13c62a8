"""Commands for clients, members and tokens. Who may run them on the server owns the installation."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fairlead.cli_output import OPERATOR, Failure, Json, emit, guarded, runtime, show
from fairlead.clients import members, plugin_sets, service, tokens
from fairlead.clients.model import ApiToken, Member
from fairlead.errors import NotFound
from fairlead.governance.permissions import PERMISSIONS
from fairlead.work import Work

client_app = typer.Typer(help="Clients of the agency.", no_args_is_help=True)
member_app = typer.Typer(help="Members and their roles.", no_args_is_help=True)
token_app = typer.Typer(help="API tokens.", no_args_is_help=True)

Slug = Annotated[str, typer.Argument(help="Slug: 1 to 50 of a-z, 0-9 and -.")]
OfClient = Annotated[str | None, typer.Option("--client", help="Slug of a client; without it the whole agency.")]


@client_app.command("create")
@guarded
def create_client(
    slug: Slug,
    name: Annotated[str, typer.Argument(help="Name for people.")],
    zone: Annotated[str, typer.Option("--zone", help="Time zone that its days are counted in.")] = "Asia/Shanghai",
    currency: Annotated[str, typer.Option("--currency", help="Currency of its money.")] = "CNY",
    plugins: Annotated[list[str] | None, typer.Option("--plugin", help="Plugin to switch on; repeat it.")] = None,
    agency: Annotated[str, typer.Option("--agency", help="Name of the agency, made with the first client.")] = "Agency",
    as_json: Json = False,
) -> None:
    """Make a client, and with the first one the agency."""
    with runtime() as opened:
        unknown = sorted(set(plugins or ()) - opened.plugins.names)
        if unknown:
            raise Failure(f"there is no plugin {', '.join(unknown)}", "`fairlead plugin list` shows those that are on")

        def make(work: Work) -> int:
            try:
                agency_id = service.the_agency(work.session).id
            except NotFound:
                agency_id = service.create_agency(work, "main", agency).id
            return service.create_client(work, agency_id, slug, name, zone=zone, currency=currency).id

        client_id = opened.run_agency("create a client", make, actor=OPERATOR)
        for plugin in plugins or ():

            def switch(work: Work, plugin: str = plugin) -> bool:
                return plugin_sets.set_plugin(work, opened.plugins, plugin, True)

            opened.run(client_id, switch, actor=OPERATOR)
        row = {"id": client_id, "slug": slug, "name": name, "plugins": sorted(opened.enabled(client_id))}
    emit(row) if as_json else typer.echo(f"client {slug} has the id {client_id}")


@client_app.command("list")
@guarded
def list_clients(
    archived: Annotated[bool, typer.Option("--archived", help="Show archived clients too.")] = False,
    as_json: Json = False,
) -> None:
    """List the clients with their plugins."""
    rows: list[dict[str, Any]] = []
    with runtime() as opened:
        after = ""
        while True:
            with opened.agency_reading("list clients", OPERATOR) as work:
                page = service.list_clients(work, first=100, after_slug=after, archived=archived)
            for client in page:
                rows.append(
                    {
                        "id": client.id,
                        "slug": client.slug,
                        "name": client.name,
                        "zone": client.zone,
                        "currency": client.currency,
                        "state": client.state,
                        "plugins": sorted(opened.enabled(client.id)),
                    }
                )
            if len(page) < 100:
                break
            after = page[-1].slug
    columns = ("id", "slug", "name", "zone", "currency", "state", "plugins")
    show(rows, as_json, title="clients", columns=columns)


@member_app.command("add")
@guarded
def add_member(
    name: Annotated[str, typer.Argument(help="Name of the person or machine.")],
    email: Annotated[str, typer.Argument(help="E-mail address, stored encrypted.")],
    role: Annotated[str, typer.Option("--role", help="admin, operator, analyst, approver or a custom role.")],
    client: OfClient = None,
    as_json: Json = False,
) -> None:
    """Add a member with a first role."""
    with runtime() as opened:
        client_id = None if client is None else opened.client(client).id

        def add(work: Work) -> int:
            agency_id = service.the_agency(work.session).id
            return members.add_member(work, agency_id, name, email, role=role, client_id=client_id).id

        member_id = opened.run_agency("add a member", add, actor=OPERATOR)
    row = {"id": member_id, "role": role, "client": client}
    emit(row) if as_json else typer.echo(f"member {member_id} is {role} at {client or 'the agency'}")


@member_app.command("list")
@guarded
def list_members(client: OfClient = None, as_json: Json = False) -> None:
    """List the members with their roles; addresses stay hidden."""
    with runtime() as opened, opened.agency_reading("list members", OPERATOR) as work:
        client_id = None if client is None else opened.client(client).id
        agency_id = service.the_agency(work.session).id
        found = _pages(
            lambda after: members.list_members(work, agency_id, client_id=client_id, first=100, after_id=after)
        )
        slugs: dict[int | None, str] = {None: "agency"}
        rows = []
        for member in found:
            roles = []
            for membership in members.memberships_of(work, member.id):
                if membership.client_id not in slugs:
                    slugs[membership.client_id] = opened.client(membership.client_id or 0).slug
                roles.append(f"{membership.role}@{slugs[membership.client_id]}")
            rows.append({"id": member.id, "name": member.name, "state": member.state, "roles": roles})
    show(rows, as_json, title="members", columns=("id", "name", "state", "roles"))


@member_app.command("roles")
@guarded
def list_roles(as_json: Json = False) -> None:
    """List the roles with their permissions."""
    with runtime() as opened, opened.agency_reading("list roles", OPERATOR) as work:
        roles = members.list_roles(work, service.the_agency(work.session).id)
    show([{"role": name, "permissions": sorted(held)} for name, held in roles.items()], as_json, title="roles")


@member_app.command("permissions")
@guarded
def list_permissions(as_json: Json = False) -> None:
    """List every permission there is."""
    emit(sorted(PERMISSIONS)) if as_json else typer.echo("\n".join(sorted(PERMISSIONS)))


@token_app.command("issue")
@guarded
def issue_token(
    member: Annotated[int, typer.Argument(help="Id of the member.")],
    name: Annotated[str, typer.Option("--name", help="What the token is for.")],
    clients: Annotated[list[str] | None, typer.Option("--client", help="Narrow it to a client; repeat it.")] = None,
    permissions: Annotated[list[str] | None, typer.Option("--permission", help="Narrow it; repeat it.")] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=tokens.MOST_DAYS, help="How long it lives.")
    ] = tokens.DEFAULT_DAYS,
    as_json: Json = False,
) -> None:
    """Issue a token. It is printed this once."""
    with runtime() as opened:
        client_ids = [opened.client(slug).id for slug in clients] if clients else None
        issued = opened.run_agency(
            "issue a token",
            lambda work: tokens.issue_token(
                work, member, name, client_ids=client_ids, permissions=permissions or None, days=days
            ),
            actor=OPERATOR,
        )
    if as_json:
        emit({**_token(issued.token), "token": issued.secret})
    else:
        typer.echo(issued.secret)
        typer.echo(f"token {issued.token.id} ends {issued.token.expires_at:%Y-%m-%d}; it is not shown again", err=True)


@token_app.command("revoke")
@guarded
def revoke_token(token: Annotated[int, typer.Argument(help="Id of the token.")]) -> None:
    """Revoke a token at once."""
    with runtime() as opened:
        opened.run_agency("revoke a token", lambda work: tokens.revoke_token(work, token).id, actor=OPERATOR)
    typer.echo(f"token {token} is revoked")


@token_app.command("list")
@guarded
def list_tokens(
    member: Annotated[int | None, typer.Option("--member", help="Id of a member.")] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Show expired and revoked ones too.")] = False,
    as_json: Json = False,
) -> None:
    """List the tokens; the secrets themselves are not kept."""
    with runtime() as opened, opened.agency_reading("list tokens", OPERATOR) as work:
        agency_id = service.the_agency(work.session).id
        found = _pages(
            lambda after: tokens.list_tokens(work, agency_id, member_id=member, first=100, after_id=after, ended=ended)
        )
    columns = ("id", "member", "name", "hint", "expires_at", "revoked_at", "last_used_at")
    show([_token(token) for token in found], as_json, title="tokens", columns=columns)


def _token(token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "member": token.member_id,
        "name": token.name,
        "hint": token.hint,
        "clients": token.client_ids,
        "permissions": token.permissions,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "last_used_at": token.last_used_at,
    }


def _pages(read: Any) -> list[Any]:
    found: list[Member | ApiToken] = []
    while True:
        page = read(found[-1].id if found else 0)
        found += page
        if len(page) < 100:
            return found
