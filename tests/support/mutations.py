"""A valid request for every mutation, each about things made for it: what is tested of all mutations is written once.

``CASES[name](desk)`` makes what the mutation needs, through the API where the API can, and answers its input. The input
has no idempotency key.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sqlalchemy as sa

from fairlead.customers.linking import ClaimColumn, link
from fairlead.customers.model import ProfileMerge
from fairlead.governance.jobs import create_job
from fairlead.governance.model import AuditEntry
from fairlead.messaging.history import set_state
from fairlead.messaging.model import FAILED, UNKNOWN, Message
from fairlead.messaging.outbox import queue_messages
from fairlead.messaging.templates import save_template
from fairlead_graphql.ids import split_global
from graphql import get_named_type, is_leaf_type

Given = dict[str, Any]
EVERYBODY = {"identity": {"kind": "email"}}


@dataclass
class Desk:
    """Where requests are made: a client of the ``world`` of the GraphQL tests, asked by the agency's admin."""

    world: Any
    client: str = "acme"
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def fresh(self, word: str) -> str:
        """A name that was not used here before."""
        return f"{word}-{self.client}-{next(self._numbers)}"

    def query(self, name: str) -> str:
        """The mutation as a document; of everything with an id its payload asks for it."""
        schema = self.world.app.state.schema._schema
        part = schema.type_map["Mutation"].fields[name]
        below = " ".join(
            one + _below(get_named_type(inner.type))
            for one, inner in get_named_type(part.type).fields.items()
            if one != "errors"
        )
        kind = part.args["input"].type
        return f"mutation($input: {kind}) {{ {name}(input: $input) {{ {below} errors {{ code message path }} }} }}"

    def ask(self, name: str, given: Given, token: str = "admin", /) -> Given:
        """The payload."""
        payload: Given = self.world.data(token, self.query(name), input=given)[name]
        return payload

    def do(self, name: str, /, **given: Any) -> Given:
        """The payload of a mutation at the client that must be done."""
        payload = self.ask(name, given)
        assert payload["errors"] == [], (name, given, payload["errors"])
        return payload

    def at(self, **given: Any) -> Given:
        """An input for the client."""
        return {"client": self.client, **given}

    def person(self, number: int = 0) -> str:
        """Global id of one of the client's three people."""
        return str(self.world.gid("Profile", self.world.profiles[self.client][number]))

    def entries(self) -> int:
        """Audit entries of all chains together."""
        with self.world.runtime.agency_reading("test") as work:
            return int(work.session.scalar(sa.select(sa.func.count()).select_from(AuditEntry)) or 0)


def _below(kind: Any) -> str:
    if is_leaf_type(kind):
        return ""
    return " { id }" if "id" in kind.fields else " { __typename }"


# -- what the mutations are about -----------------------------------------------------------------------------------


def merge(desk: Desk) -> str:
    """Two people who turned out to be one."""
    email, member = desk.fresh("mail") + "@people.test", desk.fresh("card")
    with desk.world.client_work(desk.client) as work:
        link(work, [ClaimColumn("email", [email])], "test")
        link(work, [ClaimColumn("member", [member])], "test")
        link(work, [ClaimColumn("email", [email]), ClaimColumn("member", [member])], "test")
        number = work.session.scalars(sa.select(ProfileMerge.id).order_by(ProfileMerge.id.desc()).limit(1)).one()
    return str(desk.world.gid("ProfileMerge", number))


def message(desk: Desk, state: str = "queued") -> str:
    """A message to the first person."""
    key = desk.fresh("message")
    with desk.world.client_work(desk.client) as work:
        save_template(work, "case", subject="Hi", text="Hi")
        people = np.array(desk.world.profiles[desk.client][:1], np.int64)
        queue_messages(work, "out", "case", "service", people, [key])
        number = work.session.scalars(sa.select(Message.id).where(Message.key == key)).one()
        if state != "queued":
            set_state(work, {number: (state, "test")})
    return str(desk.world.gid("Message", number))


def job(desk: Desk) -> str:
    """Work that has not begun."""
    with desk.world.client_work(desk.client) as work:
        number = create_job(work, "test.job", {}).id
    return str(desk.world.gid("Job", number))


def account(desk: Desk) -> str:
    """A connected account of the shop's channel."""
    settings = {"shop": "s1", "token": "t0-s3cr3t"}
    given = desk.at(channel="shop", name=desk.fresh("account"), settings=settings)
    return str(desk.do("connectChannelAccount", **given)["account"]["id"])


def account_with_a_failure(desk: Desk) -> str:
    """An account through which a message was tried in vain."""
    made, number = account(desk), split_global(message(desk, FAILED))[1]
    with desk.world.client_work(desk.client) as work:
        work.session.get_one(Message, number).account_id = split_global(made)[1]
    return made


def segment(desk: Desk) -> str:
    """Everybody with an address."""
    made = desk.do("createSegment", **desk.at(name=desk.fresh("segment"), rule=EVERYBODY))
    return str(made["segment"]["id"])


def tag(desk: Desk, **more: Any) -> str:
    """A tag that nobody has."""
    return str(desk.do("createTag", **desk.at(name=desk.fresh("tag"), **more))["tag"]["id"])


def graph(title: str = "") -> Given:
    """The smallest journey."""
    nodes = [{"id": "start", "kind": "trigger_manual", "title": title}, {"id": "end", "kind": "exit"}]
    return {"nodes": nodes, "edges": [{"source": "start", "target": "end"}]}


def journey(desk: Desk, *, active: bool = False) -> str:
    """A journey that people enter by hand."""
    made = desk.do("createJourney", **desk.at(name=desk.fresh("journey"), graph=graph()))["journey"]["id"]
    if active:
        desk.do("activateJourney", **desk.at(journeyId=made))
    return str(made)


def member(desk: Desk) -> str:
    """An analyst of the client."""
    email = desk.fresh("member") + "@agency.test"
    return str(desk.do("addMember", **desk.at(name="Member", email=email, role="analyst"))["member"]["id"])


def token(desk: Desk) -> str:
    """A token of such a member."""
    return str(desk.do("issueToken", memberId=member(desk), name="case")["token"]["id"])


def client(desk: Desk, *, archived: bool = False) -> str:
    """A client of its own."""
    slug = desk.fresh("client")
    desk.do("createClient", slug=slug, name="Client")
    if archived:
        desk.do("archiveClient", client=slug)
    return slug


# -- the requests ---------------------------------------------------------------------------------------------------


def after(desk: Desk, name: str, given: Given) -> Given:
    """``given``, once the mutation ``name`` was done with it."""
    desk.do(name, **given)
    return given


def switched(desk: Desk) -> Given:
    on = desk.world.runtime.enabled(desk.world.clients[desk.client])
    return desk.at(plugin="last_touch", enabled="last_touch" not in on)


def blocked(desk: Desk) -> Given:
    return desk.at(kind="member", value=desk.fresh("blocked"))


def unblocked(desk: Desk) -> Given:
    given = blocked(desk)
    desk.do("blockIdentity", **given, reason="test")
    return given


def role(desk: Desk) -> Given:
    return {"name": desk.fresh("role").replace("-", "_"), "permissions": ["client:read"]}


CASES: dict[str, Callable[[Desk], Given]] = {
    "revealProfile": lambda d: d.at(profileId=d.person(), purpose="test"),
    "splitProfile": lambda d: d.at(mergeId=merge(d)),
    "recordConsent": lambda d: d.at(profileId=d.person(), purpose="marketing", granted=True, source="desk"),
    "blockIdentity": lambda d: blocked(d) | {"reason": "test"},
    "unblockIdentity": unblocked,
    "createClient": lambda d: {"slug": d.fresh("client"), "name": "Client"},
    "updateClient": lambda d: d.at(name=d.fresh("Client")),
    "archiveClient": lambda d: {"client": client(d)},
    "restoreClient": lambda d: {"client": client(d, archived=True)},
    "addMember": lambda d: d.at(name="Member", email=d.fresh("member") + "@agency.test", role="analyst"),
    "grantRole": lambda d: d.at(memberId=member(d), role="operator"),
    "setMemberRole": lambda d: d.at(memberId=member(d), role="operator"),
    "revokeRole": lambda d: d.at(memberId=member(d), role="analyst"),
    "disableMember": lambda d: {"memberId": member(d)},
    "enableMember": lambda d: after(d, "disableMember", {"memberId": member(d)}),
    "removeMember": lambda d: {"memberId": member(d)},
    "defineRole": role,
    "removeRole": lambda d: {"name": after(d, "defineRole", role(d))["name"]},
    "issueToken": lambda d: {"memberId": member(d), "name": "case"},
    "rotateToken": lambda d: {"tokenId": token(d)},
    "revokeToken": lambda d: {"tokenId": token(d)},
    "setPlugin": switched,
    "setPluginSettings": lambda d: d.at(kind="SCORING_SCHEME", name="weighted", settings={"rounding": "half_up"}),
    "connectChannelAccount": lambda d: d.at(
        channel="shop", name=d.fresh("account"), settings={"shop": "s1", "token": "t0-s3cr3t"}
    ),
    "updateChannelAccount": lambda d: d.at(accountId=account(d), note=d.fresh("note")),
    "pauseChannelAccount": lambda d: d.at(accountId=account(d)),
    "resumeChannelAccount": lambda d: after(d, "pauseChannelAccount", d.at(accountId=account(d))),
    "disconnectChannelAccount": lambda d: d.at(accountId=account(d)),
    "checkChannelAccount": lambda d: d.at(accountId=account(d)),
    "syncChannelAccount": lambda d: d.at(accountId=account(d)),
    "cancelJob": lambda d: d.at(jobId=job(d)),
    "createSegment": lambda d: d.at(name=d.fresh("segment"), rule=EVERYBODY),
    "updateSegment": lambda d: d.at(segmentId=segment(d), title=d.fresh("title")),
    "archiveSegment": lambda d: d.at(segmentId=segment(d)),
    "refreshSegment": lambda d: d.at(segmentId=segment(d)),
    "createTag": lambda d: d.at(name=d.fresh("tag"), parentId=tag(d)),
    "tagProfiles": lambda d: d.at(tagId=tag(d), profileIds=[d.person(0), d.person(1)]),
    "untagProfiles": lambda d: after(d, "tagProfiles", d.at(tagId=tag(d), profileIds=[d.person(0), d.person(1)])),
    "refreshTag": lambda d: d.at(tagId=tag(d, rule=EVERYBODY)),
    "runScoring": lambda d: d.at(scheme="weighted"),
    "createJourney": lambda d: d.at(name=d.fresh("journey"), graph=graph()),
    "saveJourneyVersion": lambda d: d.at(journeyId=journey(d), graph=graph("new")),
    "activateJourney": lambda d: d.at(journeyId=journey(d)),
    "pauseJourney": lambda d: d.at(journeyId=journey(d, active=True)),
    "archiveJourney": lambda d: d.at(journeyId=journey(d)),
    "enrolProfiles": lambda d: d.at(journeyId=journey(d, active=True), profileIds=[d.person(0), d.person(1)]),
    "saveTemplate": lambda d: d.at(name=d.fresh("template"), text="Hi"),
    "setMessagingPolicy": lambda d: d.at(quietFrom=next(d._numbers), quietUntil=0, caps=[]),
    "resolveUnknownMessage": lambda d: d.at(messageId=message(d, UNKNOWN), wasSent=True),
    "cancelMessage": lambda d: d.at(messageId=message(d)),
    "retryMessages": lambda d: d.at(accountId=account_with_a_failure(d)),
    "runAttribution": lambda d: d.at(question={}, models=[{"name": "linear"}]),
}


def ids_in(given: Given) -> list[str]:
    """Names of the parts of an input that are global ids, or lists of them."""
    return [name for name in given if name.endswith(("Id", "Ids"))]


def with_one(given: Given, name: str, foreign: Given) -> Given:
    """``given`` with one foreign id in ``name``."""
    other = foreign[name]
    return given | {name: other[-1:] if isinstance(other, list) else other}
