"""The graph of a journey: nodes with typed settings, outlets, edges. Immutable once it is a version."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fairlead.errors import InvalidInput, Refusals

MAX_NODES = 200
NODE_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Position(_Part):
    """Where an editor drew the node."""

    x: float
    y: float


class Node(_Part):
    """One node; ``settings`` are checked against the kind's model when a version is made."""

    id: str = Field(pattern=NODE_ID.pattern, max_length=40)
    kind: str = Field(max_length=40)
    title: str = Field(default="", max_length=80)
    settings: dict[str, Any] = Field(default_factory=dict)
    position: Position | None = None


class Edge(_Part):
    """Whoever leaves ``source`` by ``outlet`` goes to ``target``; of several, the lowest ``priority`` counts."""

    source: str
    outlet: str = "next"
    target: str
    priority: int = 0


class Reentry(_Part):
    """Whether somebody may enter again: once ever, at each trigger, or when ``days`` have passed."""

    policy: Literal["once", "always", "after"] = "once"
    days: int = Field(default=0, ge=0, le=3650)


class Graph(_Part):
    """A whole journey."""

    nodes: tuple[Node, ...] = Field(min_length=1, max_length=MAX_NODES)
    edges: tuple[Edge, ...] = Field(default=(), max_length=MAX_NODES * 4)
    reentry: Reentry = Reentry()
    visit_limit: int = Field(default=100, ge=1, le=10_000)

    def index(self) -> dict[str, int]:
        """Place of each node by id."""
        return {node.id: at for at, node in enumerate(self.nodes)}

    def targets(self) -> dict[tuple[int, str], int]:
        """Place of the next node by place and outlet."""
        index = self.index()
        found: dict[tuple[int, str], int] = {}
        for edge in sorted(self.edges, key=lambda edge: edge.priority):
            found.setdefault((index[edge.source], edge.outlet), index[edge.target])
        return found

    def dump(self) -> dict[str, Any]:
        """The JSON form."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """SHA-256 over the canonical JSON form: what is approved is what runs."""
        return hashlib.sha256(orjson.dumps(self.dump(), option=orjson.OPT_SORT_KEYS)).hexdigest()


def parse_graph(data: object) -> Graph:
    """A graph from its JSON form. Raises :class:`Refusals` naming each wrong part."""
    try:
        return Graph.model_validate(data)
    except ValidationError as error:
        raise Refusals(InvalidInput(part["msg"], path=("graph", *part["loc"])) for part in error.errors()) from None
