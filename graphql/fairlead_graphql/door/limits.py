"""Every limit of the GraphQL door, as settings.

Sizes are bytes, times are seconds, everything else is a count. Each value can be set by the environment, for instance
``FAIRLEAD_LIMIT_DEPTH=15`` or ``FAIRLEAD_LIMIT_PRINCIPAL_COST=20000``.
"""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

KIB = 1024
MIB = 1024 * KIB


class Limits(BaseSettings):
    """What one request, one socket and one caller may use. Immutable; the defaults are safe for the public network."""

    model_config = SettingsConfigDict(env_prefix="FAIRLEAD_LIMIT_", frozen=True, extra="forbid")

    # -- bytes ------------------------------------------------------------------------------------------------------
    body_bytes: PositiveInt = Field(default=MIB, description="Largest request body.")
    answer_bytes: PositiveInt = Field(default=5 * MIB, description="Largest answer; beyond, ANSWER_TOO_LARGE.")
    query_bytes: PositiveInt = Field(default=50_000, description="Longest document, as UTF-8.")
    json_depth: PositiveInt = Field(default=20, description="Deepest nesting of arrays and objects in a body.")

    # -- documents --------------------------------------------------------------------------------------------------
    anonymous_tokens: PositiveInt = Field(default=1_000, description="Tokens of a document from nobody in particular.")
    principal_tokens: PositiveInt = Field(default=2_000, description="Tokens of a document from a known caller.")
    depth: PositiveInt = Field(default=12, description="Deepest field, fragments unfolded, introspection apart.")
    anonymous_cost: PositiveInt = Field(default=1_000, description="Cost of an operation from nobody in particular.")
    principal_cost: PositiveInt = Field(default=10_000, description="Cost of an operation from a known caller.")
    aliases: PositiveInt = Field(default=30, description="Aliases of an operation, fragments unfolded.")
    root_fields: PositiveInt = Field(default=20, description="Root fields of an operation.")
    mutations: PositiveInt = Field(default=5, description="Root fields of a mutation.")
    directives: PositiveInt = Field(default=20, description="Directives written in a document.")
    operations: PositiveInt = Field(default=10, description="Operations written in a document.")
    conflict_budget: PositiveInt = Field(default=20_000, description="Work spent on comparing fields of the same name.")

    # -- pages and inputs -------------------------------------------------------------------------------------------
    page_default: PositiveInt = Field(default=20, description="Page size counted without `first` and `last`.")
    page_max: PositiveInt = Field(default=100, description="Largest `first` or `last`.")
    list_size: PositiveInt = Field(default=10, description="Length counted for a list that has no page size.")
    input_items: PositiveInt = Field(default=250, description="Longest list in an argument or variable.")
    input_text: PositiveInt = Field(default=100_000, description="Longest text in a variable, in characters.")
    input_depth: PositiveInt = Field(default=10, description="Deepest nesting of objects in an argument or variable.")

    # -- answers ----------------------------------------------------------------------------------------------------
    errors: PositiveInt = Field(default=20, description="Errors in one answer.")
    request_seconds: PositiveFloat = Field(
        default=10.0, description="Time to read a body, and time to run an operation."
    )

    # -- worker threads ---------------------------------------------------------------------------------------------
    threads: PositiveInt = Field(default=8, description="Operations that run at the same time in this process.")
    threads_per_caller: PositiveInt = Field(default=6, description="Of these, how many one caller may hold.")
    waiting: PositiveInt = Field(default=64, description="Operations that may wait for a thread; beyond, 503.")

    # -- documents kept ---------------------------------------------------------------------------------------------
    documents_kept: PositiveInt = Field(default=1_000, description="Parsed and validated documents kept.")
    documents_kept_tokens: PositiveInt = Field(default=200_000, description="Tokens of all documents kept.")

    # -- sockets and event streams ----------------------------------------------------------------------------------
    socket_subscriptions: PositiveInt = Field(default=20, description="Operations open at once on one socket.")
    socket_messages_per_second: PositiveInt = Field(default=200, description="Messages of one socket in one second.")
    socket_frame_bytes: PositiveInt = Field(default=100_000, description="Largest message on a socket.")
    socket_init_seconds: PositiveFloat = Field(default=5.0, description="Time to send connection_init.")
    sockets_per_address: PositiveInt = Field(default=50, description="Sockets open at once from one address.")
    streams_per_caller: PositiveInt = Field(default=20, description="Event streams (SSE) open at once for one caller.")
    recheck_seconds: PositiveFloat = Field(default=5.0, description="How often a socket's right to be open is checked.")
