"""Templates say what they may, in bounds: unknown names are told at once, markup is escaped, headers stay one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fairlead.errors import InvalidInput, NotFound
from fairlead.messaging.liquid_limits import MAX_OUTPUT
from fairlead.messaging.model import Template
from fairlead.messaging.templates import find_template, render, save_template
from fairlead.testing.hostile import HostileChannel

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what is the same on every engine."""
VALUES = {
    "profile": {"name": "<b>王\r\nBcc: x@example.com</b>", "gender": "", "region": "", "language": ""},
    "attributes": {"city": "上海", "n": 7},
    "unsubscribe_url": "https://example.com/u/x?a=1&b=2",
    "client": {"name": "Acme", "slug": "acme"},
}


def made_of(**fields: str) -> Template:
    return Template(name="t", number=1, **{"subject": "", "text": "", "html": "", **fields})


@pytest.fixture
def work(post: Callable[..., Any]) -> Any:
    """A unit of work in a client."""
    with post(HostileChannel(), 1).work() as found:
        yield found


@ON_SQLITE
@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("{{ nme }}", "nme"),
        ("{{ profile.nmae }}", "profile.nmae"),
        ("{{ profile['phone'] }}", "profile.phone"),
        ("{% if client.secrets %}x{% endif %}", "client.secrets"),
        ("{% for x in orders %}{{ x }}{% endfor %}", "orders"),
        ("{{ unsubscribe_url.host }}", "unsubscribe_url.host"),
    ],
)
@pytest.mark.parametrize("field", ["subject", "text", "html"])
def test_an_unknown_name_is_told_with_its_field(work: Any, source: str, name: str, field: str) -> None:
    with pytest.raises(InvalidInput, match=name) as refused:
        save_template(work, "t", **{"text": "x", field: source})
    assert refused.value.path == (field,)
    assert "unsubscribe_url" in refused.value.next_step


@ON_SQLITE
@pytest.mark.parametrize("source", ["{{ profile.name", "{% if %}", "{% nope %}", "{% include 'x' %}", "{{ 1 | no }}"])
def test_bad_liquid_is_told_with_its_field(work: Any, source: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        save_template(work, "t", text=source)
    assert refused.value.path == ("text",)


def test_good_names_pass_and_versions_count_up(work: Any) -> None:
    text = (
        "{{ profile.name | default: 'x' }}{{ profile['region'] }}{{ attributes.city }}{{ attributes['n'] }}"
        "{{ client.name }}{% assign y = 1 %}{{ y }}{{ unsubscribe_url }}"
        "{% for c in attributes.city %}{{ c }}{{ forloop.index }}{% endfor %}"
    )
    assert [save_template(work, "t", text=text).number for _ in range(3)] == [1, 2, 3]
    assert find_template(work, "t").number == 3
    with pytest.raises(NotFound):
        find_template(work, "other")
    with pytest.raises(InvalidInput):
        save_template(work, "empty", subject="only")


def test_markup_is_escaped_in_html_only_and_headers_stay_one_line() -> None:
    source = "{{ profile.name }} {{ unsubscribe_url }}"
    done = render(made_of(subject=source, text=source, html=source), VALUES)
    assert "\n" not in done.subject
    assert "\r" not in done.subject
    assert done.text.startswith("<b>王\n")
    assert "&lt;b&gt;" in done.html
    assert "a=1&amp;b=2" in done.html


HOSTILE = [
    "{% for i in (1..1000000) %}x{% endfor %}",
    "{% for i in (1..900) %}{% for j in (1..900) %}xxxx{% endfor %}{% endfor %}",
    "{% assign a = 'aaaaaaaaaa' %}{% for i in (1..40) %}{% assign a = a | append: a %}{% endfor %}{{ a }}",
    "{{ attributes.nothing }}",
    "{{ 1 | divided_by: 0 }}",
    "{{ '9999999999999999' | date: '%Y' }}",
    "{{ profile.__class__ }}",
    "{{ attributes.city.__class__.__mro__ }}",
]


@pytest.mark.parametrize("source", HOSTILE)
def test_what_cannot_be_rendered_is_refused_and_bounded(source: str) -> None:
    with pytest.raises(InvalidInput, match="does not render") as refused:
        render(made_of(text=source), VALUES)
    assert "王" not in str(refused.value)


def test_a_long_value_is_bounded() -> None:
    with pytest.raises(InvalidInput):
        render(made_of(text="{{ attributes.city }}"), {**VALUES, "attributes": {"city": "x" * (MAX_OUTPUT + 1)}})
