"""Look-ahead: which fields an operation asks for below a field, read from the document once per document."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode

KEPT = 4096


class Selection(Mapping[str, "Selection"]):
    """The selected fields by name, each with what is selected below it; aliases and fragments are folded together.

    ``@skip`` and ``@include`` are not evaluated: a field that may be asked for counts as asked for.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, Selection]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> Selection:
        return self._fields[name]

    def __iter__(self) -> Any:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def below(self, *names: str) -> Selection:
        """What is selected below a path of fields; empty when the path is not."""
        here = self
        for name in names:
            here = here.get(name, EMPTY)
        return here

    def __or__(self, other: Selection) -> Selection:
        merged = dict(self._fields)
        for name, inner in other._fields.items():
            merged[name] = merged[name] | inner if name in merged else inner
        return Selection(merged)


EMPTY = Selection({})
_kept: OrderedDict[tuple[int, ...], tuple[Any, Selection]] = OrderedDict()
_lock = Lock()


def selection_of(info: Any) -> Selection:
    """What is selected below the field that is being resolved. ``info`` is strawberry's."""
    raw = info._raw_info
    nodes = raw.field_nodes
    # Parsed documents are kept by the door, so their nodes are the same objects for every request.
    key = tuple(id(node) for node in nodes)
    with _lock:
        hit = _kept.get(key)
        if hit is not None and all(mine is theirs for mine, theirs in zip(hit[0], nodes, strict=True)):
            _kept.move_to_end(key)
            return hit[1]
    found = _read((node.selection_set for node in nodes), raw.fragments)
    with _lock:
        _kept[key] = (tuple(nodes), found)
        if len(_kept) > KEPT:
            _kept.popitem(last=False)
    return found


def _read(sets: Iterable[SelectionSetNode | None], fragments: Mapping[str, Any]) -> Selection:
    groups: dict[str, list[SelectionSetNode | None]] = {}
    todo = [item for item in sets if item is not None]
    seen: set[str] = set()
    while todo:
        for node in todo.pop().selections:
            if isinstance(node, FieldNode):
                groups.setdefault(node.name.value, []).append(node.selection_set)
            elif isinstance(node, InlineFragmentNode):
                todo.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                todo.append(fragments[node.name.value].selection_set)
    return Selection({name: _read(inner, fragments) if any(inner) else EMPTY for name, inner in groups.items()})
