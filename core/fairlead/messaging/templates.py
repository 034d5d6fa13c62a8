"""Templates in Liquid: versions, variables, rendering with hard limits.

A template sees only what :func:`variables` gives it, can neither reach Python objects nor loop without end, and an
unknown variable is an error when it is saved, not an empty place in somebody's mail.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from liquid.exceptions import LiquidError

from fairlead.errors import InvalidInput, NotFound
from fairlead.governance.audit import record
from fairlead.messaging.content import refuse_forbidden
from fairlead.messaging.liquid_limits import LIMITS, Limited
from fairlead.messaging.model import Template
from fairlead.work import Work

FIELDS = ("subject", "text", "html")
LONGEST_NAME = 80
MAX_SOURCE = 100_000
VARIABLES: dict[str, tuple[str, ...]] = {
    "attributes": (),
    "client": ("name", "slug"),
    "profile": ("name", "gender", "region", "language"),
    "unsubscribe_url": (),
}
"""What a template may name, and the fields of it; ``attributes`` has the client's own."""


class _Anything(dict[str, str]):
    """Attributes of which each has a value."""

    def __missing__(self, _key: str) -> str:
        return "1"


_SAMPLE: Mapping[str, Any] = {
    "attributes": _Anything(),
    "client": dict.fromkeys(VARIABLES["client"], "sample"),
    "profile": dict.fromkeys(VARIABLES["profile"], "sample"),
    "unsubscribe_url": "https://example.com/u/sample",
}

TEXT = Limited(autoescape=False)
HTML = Limited(autoescape=True)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A template filled in for one person."""

    subject: str
    text: str
    html: str


def save_template(work: Work, name: str, *, subject: str = "", text: str = "", html: str = "") -> Template:
    """Keep a new version of a template.

    Raises :class:`InvalidInput` for bad Liquid, an unknown variable or one that takes more than a message may, and
    :class:`~fairlead.errors.Refusals` for what the client's content rules call an error.
    """
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"a template's name has 1 to {LONGEST_NAME} printable characters", path=("name",))
    for field, source in zip(FIELDS, (subject, text, html), strict=True):
        if len(source) > MAX_SOURCE:
            raise InvalidInput(f"a template has at most {MAX_SOURCE} characters", path=(field,), next_step="shorten it")
    if not (text or html):
        raise InvalidInput("a template needs text or HTML", path=("text",))
    for field, source in zip(FIELDS, (subject, text, html), strict=True):
        _check(field, source)
        _try(field, source)
    refuse_forbidden(work, {"subject": subject, "text": text, "html": html})
    number = work.session.scalar(
        sa.select(sa.func.coalesce(sa.func.max(Template.number), 0)).where(Template.name == name)
    )
    template = Template(name=name, number=(number or 0) + 1, subject=subject, text=text, html=html, created_at=work.now)
    work.session.add(template)
    work.session.flush()
    record(work, "template.save", "template", str(template.id), after={"name": name, "number": template.number})
    return template


def find_template(work: Work, name: str) -> Template:
    """The newest version of a template."""
    found = work.session.scalars(
        sa.select(Template).where(Template.name == name).order_by(Template.number.desc()).limit(1)
    ).first()
    if found is None:
        raise NotFound(f"there is no template {name!r}", path=("template",), next_step="save it first")
    return found


def render(template: Template, values: Mapping[str, Any]) -> Rendered:
    """Fill in a template. Raises :class:`InvalidInput` when it cannot be, which the caller records as a refusal."""
    try:
        return Rendered(
            _compiled(False, template.subject).render(**values).replace("\n", " ").replace("\r", " "),
            _compiled(False, template.text).render(**values),
            _compiled(True, template.html).render(**values),
        )
    except Exception as error:  # noqa: BLE001 - filters of a library, on whatever a client's data holds
        raise InvalidInput(f"template {template.name!r} does not render: {type(error).__name__}") from None


@functools.lru_cache(maxsize=512)
def _compiled(html: bool, source: str) -> Any:
    return (HTML if html else TEXT).from_string(source)


def _check(field: str, source: str) -> None:
    try:
        template = _compiled(field == "html", source)
        used = template.analyze()
        for strange in sorted(set(used.filters) - set(template.env.filters)):
            raise InvalidInput(f"the template uses the filter {strange!r}, which does not exist", path=(field,))
        found = (variable for places in used.globals.values() for variable in places)
        for name in sorted({tuple(variable.segments[:2]) for variable in found}, key=repr):
            if not _exists(*name):
                raise InvalidInput(
                    f"the template uses {'.'.join(map(str, name))!r}, which does not exist",
                    path=(field,),
                    next_step=f"use one of {', '.join(_existing())}",
                )
    except LiquidError as error:
        raise InvalidInput(f"the template is no valid Liquid: {error}", path=(field,)) from None


def _try(field: str, source: str) -> None:
    """Fill the template in for nobody in particular, only to see what it takes: people's data may make it fail."""
    try:
        _compiled(field == "html", source).render(**_SAMPLE)
    except LIMITS as error:
        raise InvalidInput(
            f"the template takes more than a message may: {error}", path=(field,), next_step="make it simpler"
        ) from None
    except Exception:  # noqa: BLE001, S110 - filters of a library, on what is no person's data
        pass


def _exists(name: str, field: object = None) -> bool:
    if name not in VARIABLES:
        return False
    return not isinstance(field, str) or name == "attributes" or field in VARIABLES[name]


def _existing() -> list[str]:
    known = [f"{name}.{field}" for name, fields in VARIABLES.items() for field in fields]
    return [*known, "attributes.…", "unsubscribe_url"]
