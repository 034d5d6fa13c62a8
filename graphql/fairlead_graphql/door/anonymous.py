"""What strangers may ask: the fields of the public list, and not a word about any other.

They are refused before validation, because validation errors confirm names: with introspection and suggestions off
a schema can still be rebuilt from them with a list of words. It also spares strangers' documents the dear checks.
"""

from __future__ import annotations

from fairlead_graphql.door.errors import UNAUTHENTICATED, VALIDATION_FAILED, refusal
from fairlead_graphql.door.shape import Shape
from graphql import GraphQLError


def anonymous_refusal(shape: Shape, public_fields: frozenset[str]) -> GraphQLError | None:
    """The refusal of a stranger's document, unless every root field of every operation is public.

    ``public_fields`` holds names like ``"Query.health"``: operation type, dot, field.
    """
    for operation in shape.operations:
        root = operation.operation.value.capitalize()
        names = shape.root_fields(operation)
        if not names or any(f"{root}.{name}" not in public_fields for name in names):
            return refusal(
                UNAUTHENTICATED,
                "Nobody is signed in.",
                nextStep="Send an API token as 'Authorization: Bearer …'.",
            )
    return None


def discreet(errors: list[GraphQLError]) -> list[GraphQLError]:
    """Validation errors as a stranger sees them: that there are some, and nothing they could learn a name from."""
    return [refusal(VALIDATION_FAILED, "The document is not valid.")] if errors else []
