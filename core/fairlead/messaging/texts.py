"""Texts of plugins, made fit to be kept: a stranger's bytes must neither stop a batch nor show an address."""

from __future__ import annotations

import hashlib
import re

from fairlead.observability.redact import redact_text

LONGEST_ID = 120
LONGEST_REASON = 120
LONGEST_DETAIL = 200
# Neither database keeps a NUL in a text, and half of a surrogate pair is no text in UTF-8.
_UNFIT = re.compile("[\0\ud800-\udfff]")


def fit_text(text: str, longest: int) -> str:
    """``text`` without addresses and secrets, at most ``longest`` characters."""
    return redact_text(_UNFIT.sub("", text))[:longest]


def fit_id(text: str) -> str:
    """A platform's id as it is kept and looked up: a digest of one that is too long, empty for one that is no text."""
    if _UNFIT.search(text):
        return ""
    return text if len(text) <= LONGEST_ID else hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
