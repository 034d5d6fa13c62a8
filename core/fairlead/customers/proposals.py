"""Mappings that importers of plugins propose for the header of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from fairlead.customers import mapping as maps
from fairlead.errors import InvalidInput
from fairlead.plugins.contracts.importer import Importer
from fairlead.plugins.errors import Abort, PluginError
from fairlead.work import Work

_MODELS: dict[str, type[Any]] = {
    model.model_fields["fact"].default: model for model in get_args(get_args(maps.Mapping)[0])
}


def propose_mapping(work: Work, header: Sequence[str]) -> tuple[str, maps.Mapping]:
    """The name of the first importer that recognises ``header``, and its mapping.

    Asked are those that are on for the client, by name. Raises :class:`InvalidInput` when none recognises it and
    :class:`~fairlead.plugins.errors.Abort` when an importer fails or proposes what is no mapping.
    """
    asked = sorted(work.plugins.importers)
    for name in asked:
        importer = work.plugins.importer(name).thing
        proposal = _propose(name, importer, header)
        if proposal is not None:
            return name, mapping_of(name, importer.fact, proposal)
    told = f"none of {', '.join(asked)}" if asked else "no importer is on for the client, so none"
    raise InvalidInput(
        f"{told} recognises the columns of the file",
        path=("mapping",),
        next_step="give a mapping (a saved one's name or a JSON file), or switch on the plugin of an importer",
    )


def mapping_of(name: str, fact: str, proposal: Mapping[str, str]) -> maps.Mapping:
    """The mapping that the importer ``name`` means by ``proposal`` (field by column).

    What a proposal cannot say is the importer's name (source and channel) or as the mapping has it by default. Raises
    :class:`~fairlead.plugins.errors.Abort` when that is no mapping of the ``fact``.
    """
    model = _MODELS.get(fact)
    if model is None:
        raise Abort(f"the importer {name!r} is for {fact!r}, which is none of {', '.join(sorted(_MODELS))}")
    data: dict[str, Any] = {"fact": fact, "source": name, "channel": {"constant": name}}
    for column, field in proposal.items():
        data[field] = {"column": column} if _takes_source(model, field) else column
    try:
        return maps.ANY_MAPPING.validate_python(data)
    except ValidationError as error:
        fields = sorted({".".join(map(str, part["loc"][1:])) for part in error.errors()})
        raise Abort(f"what the importer {name!r} proposes is no mapping of {fact}: see {', '.join(fields)}") from error


def _propose(name: str, importer: Importer, header: Sequence[str]) -> Mapping[str, str] | None:
    try:
        proposal = importer.propose(header)
    except PluginError:
        raise
    except Exception as error:
        raise Abort(f"the importer {name!r} failed with {type(error).__name__}") from error
    if proposal is not None and not isinstance(proposal, Mapping):
        raise Abort(f"the importer {name!r} proposed no mapping but a {type(proposal).__name__}")
    return proposal


def _takes_source(model: type[Any], field: str) -> bool:
    known = model.model_fields.get(field)
    return known is not None and maps.Source in (known.annotation, *get_args(known.annotation))
