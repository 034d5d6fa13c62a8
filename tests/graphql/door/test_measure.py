"""Depth, cost, aliases and root fields of documents, and the time it takes to know them."""

from __future__ import annotations

import pytest

from fairlead_graphql.door import measure as measuring
from fairlead_graphql.door.costs import CostTable, Weight
from fairlead_graphql.door.limits import Limits
from fairlead_graphql.door.measure import measure
from fairlead_graphql.door.shape import Shape
from graphql import build_schema, parse

SCHEMA = build_schema(
    """
    type Query { people(first: Int, last: Int): PersonConnection! everybody: [Person!]! me: Person name: String
                 paged(first: Int = 50): [Person!]! tags: [String!]! any: Any }
    type Mutation { write(text: String): Person }
    type PersonConnection { edges: [PersonEdge!]! nodes: [Person!]! pageInfo: PageInfo! totalCount: Int! }
    type PersonEdge { cursor: String! node: Person! }
    type PageInfo { hasNextPage: Boolean! }
    type Person { id: ID! name: String friends(first: Int, last: Int): PersonConnection! best: Person
                  tags: [Tag!]! dear: Int }
    type Tag { name: String person: Person }
    union Any = Person | Tag
    """
)
LIMITS = Limits()
TABLE = CostTable(SCHEMA, LIMITS, {("Person", "dear"): 50, ("Person", "tags"): Weight(weight=2, size=3)})


def of(query: str, variables=None, name=None):
    shape = Shape(parse(query))
    operation = shape.operation(name)
    assert operation is not None
    return measure(shape, operation, variables, TABLE, LIMITS)


@pytest.mark.parametrize(
    ("query", "cost"),
    [
        ("{ name }", 1),  # 0.1, rounded up
        ("{ me { id } }", 2),  # 1 + 0.1
        ("{ me { best { best { id } } } }", 4),
        ("{ people { nodes { id } } }", 23),  # 1 + 20 x 1.1
        ("{ people(first: 1) { nodes { id } } }", 3),
        ("{ people(last: 100) { nodes { id } } }", 111),
        ("{ people(first: 5, last: 50) { nodes { id } } }", 56),
        ("{ people(first: 10) { edges { cursor node { id } } } }", 13),  # 1 + 10 x (0.1 + 1 + 0.1)
        ("{ people(first: 10) { totalCount pageInfo { hasNextPage } } }", 2),  # these come once
        ("{ people(first: 10) { nodes { friends(first: 10) { nodes { id } } } } }", 131),  # 1 + 10 x (1 + 1 + 10 x 1.1)
        ("{ people { nodes { friends { nodes { friends { nodes { friends { nodes { id } } } } } } } } }", 192841),
        ("{ everybody { id } }", 11),  # a list without pages counts as ten
        ("{ paged { id } }", 22),  # its default is the page size of the limits
        ("{ paged(first: 2) { id } }", 3),
        ("{ tags }", 1),
        ("{ me { dear } }", 51),
        ("{ me { tags { name } } }", 8),  # 1 + 3 x (2 + 0.1), rounded up
        ("{ __typename }", 1),
        ("{ __schema { types { name fields { name } } } }", 500),
        ("{ any { ... on Person { id } ... on Tag { name } } }", 2),
        ("mutation { write { id } }", 2),
    ],
)
def test_cost(query, cost):
    assert of(query).cost == cost


@pytest.mark.parametrize(
    ("query", "variables", "cost"),
    [
        ("query($n: Int) { people(first: $n) { nodes { id } } }", {"n": 100}, 111),
        ("query($n: Int = 100) { people(first: $n) { nodes { id } } }", {}, 111),
        ("query($n: Int = 100) { people(first: $n) { nodes { id } } }", {"n": 1}, 3),
        ("query($n: Int = 100) { people(first: $n) { nodes { id } } }", {"n": None}, 23),
        ("query($n: Int) { people(first: $n) { nodes { id } } }", {"n": "100"}, 23),
        ("query($n: Int) { people(first: $n) { nodes { id } } }", {"n": True}, 23),
        ("query($n: Int) { ...F } fragment F on Query { people(first: $n) { nodes { id } } }", {"n": 100}, 111),
        ("{ people(first: $undefined) { nodes { id } } }", {"undefined": 100}, 23),
    ],
)
def test_a_page_size_by_variable_counts(query, variables, cost):
    assert of(query, variables).cost == cost


def test_fragments_on_a_page_are_multiplied_by_the_page_they_are_spread_in():
    fragment = " fragment P on PersonConnection { nodes { id } totalCount }"
    assert (
        of("{ people(first: 10) { ...P } }" + fragment).cost
        == of("{ people(first: 10) { nodes { id } totalCount } }").cost
    )
    both = "{ people(first: 10) { ...P } b: people(first: 100) { ...P } }" + fragment
    assert of(both).cost == 13 + 111  # 12.1 + 111.1


@pytest.mark.parametrize("size", ["0", "-1", "101", "9" * 5_000])
def test_page_sizes_out_of_range_are_named_not_multiplied(size):
    found = of("{ people(first: " + size + ") { nodes { id } } }")
    assert [problem.extensions["code"] for problem in found.problems] == ["BAD_USER_INPUT"]
    assert found.problems[0].message == "`first` of `people` must be 1 to 100."
    assert found.cost <= 111


@pytest.mark.parametrize(
    ("query", "depth"),
    [
        ("{ name }", 1),
        ("{ me { best { id } } }", 3),
        ("{ ... { ... on Query { me { ... on Person { id } } } } }", 2),
        ("{ me { ...A } } fragment A on Person { best { ...B } } fragment B on Person { best { id } }", 4),
        ("{ me { __typename } }", 1),
        ("{ __schema { types { fields { type { ofType { ofType { name } } } } } } }", 0),
        ("{ unknown { unknown { unknown } } }", 3),
    ],
)
def test_depth_unfolds_fragments_and_spares_introspection(query, depth):
    assert of(query).depth == depth


def test_aliases_and_root_fields_are_counted_through_fragments():
    fragments = "fragment F on Person { c: id d: id } fragment R on Query { e: name me { ...F } }"
    found = of("{ a: me { b: id ...F } ...R ...R } " + fragments)
    assert found.aliases == 2 + 2 + 2 * (1 + 2)
    assert found.root_fields == 1 + 2 + 2


def test_cycles_of_fragments_end():
    found = of("{ me { ...A } } fragment A on Person { best { ...B } } fragment B on Person { best { ...A } id }")
    assert found.depth < 10
    assert of("{ ...A } fragment A on Query { ...A }").cost == 0


def doubling(levels: int) -> str:
    fragments = [
        f"fragment F{i} on Person {{ a: best {{ ...F{i + 1} }} b: best {{ ...F{i + 1} }} }}" for i in range(levels)
    ]
    return "{ me { ...F0 } } " + " ".join(fragments) + f" fragment F{levels} on Person {{ id }}"


def steps(monkeypatch, query: str) -> int:
    taken = 0
    original = measuring._Measure.field

    def counted(self, node, parent):
        nonlocal taken
        taken += 1
        return original(self, node, parent)

    monkeypatch.setattr(measuring._Measure, "field", counted)
    of(query)
    monkeypatch.setattr(measuring._Measure, "field", original)
    return taken


def test_work_is_linear_where_unfolding_would_be_exponential(monkeypatch):
    assert of(doubling(60)).cost > 10**13
    assert of(doubling(60)).aliases >= 10**15
    ten, twenty, forty = (steps(monkeypatch, doubling(levels)) for levels in (10, 20, 40))
    assert (ten, twenty, forty) == (22, 42, 82)


def test_wide_sharing_is_walked_once_for_each_fragment(monkeypatch):
    spreads = " ".join(f"a{i}: best {{ ...F }}" for i in range(100))
    query = "{ me { ...G } } fragment G on Person { " + spreads + " } fragment F on Person { " + "id " * 100 + "}"
    assert steps(monkeypatch, query) == 1 + 100 + 100


def test_a_long_chain_of_fragments_needs_no_deep_stack():
    chain = " ".join(f"fragment F{i} on Person {{ best {{ ...F{i + 1} }} }}" for i in range(3_000))
    assert of("{ me { ...F0 } } " + chain + " fragment F3000 on Person { id }").depth == 3_002


def test_the_text_alone_tells_operations_directives_lists_and_nesting():
    shape = Shape(
        parse(
            "query A($a: X = {b: {c: [1, 2, 3]}}) @one { f(x: [[1], [1, 2, 3, 4]]) @two @three }"
            " query B { ...F @four } fragment F on T @five { ... @six { g(x: {a: 1}) } }"
        )
    )
    assert (len(shape.operations), shape.directives) == (2, 6)
    assert (shape.longest_list, shape.deepest_input) == (4, 2)


def test_a_cost_declared_for_a_field_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match=r"Person\.nothing"):
        CostTable(SCHEMA, LIMITS, {("Person", "nothing"): 1})
