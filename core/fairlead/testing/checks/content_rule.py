"""What a content rule promises."""

from __future__ import annotations

from fairlead.plugins.contracts.importer import Finding
from fairlead.plugins.manifest import Manifest
from fairlead.testing.harness import ContentHarness
from fairlead.testing.samples import sample_settings
from fairlead.testing.subject import CheckList, Subject, broken, require

CHECKS = CheckList()

SEVERITIES = ("info", "warning", "error")
TEXTS = (
    "",
    " ",
    "Hello",
    "您好，夏季新品已上架。拒收请回复R",
    "国家级最佳第一👍🏽全网最低价",
    "\r\n\t\u0000\ufeff",
    "e\u0301" * 30,
    "𠮷野家" * 400,
)


def _none(manifest: Manifest) -> ContentHarness:
    return ContentHarness(dict.fromkeys(TEXTS, 0), settings=sample_settings(manifest.settings))


@CHECKS.add()
def findings_lie_inside_the_text(subject: Subject) -> None:
    """check() returns findings whose offsets count characters of the text, with a severity and a message."""
    settings = sample_settings(subject.manifest.settings)
    for text in TEXTS:
        for channel in ("sms", "email", ""):
            findings = _check(subject, text, channel, settings)
            for finding in findings:
                inside = 0 <= finding.start <= finding.end <= len(text)
                require(inside, f"a finding at {finding.start}..{finding.end} lies outside a text of {len(text)}")
                require(finding.severity in SEVERITIES, f"severity {finding.severity!r}; write one of {SEVERITIES}")
                require(finding.message.strip(), "a finding has no message")
            again = _check(subject, text, channel, settings)
            require(list(findings) == list(again), "check() of the same text gave other findings the second time")


@CHECKS.add(twin=True)
def bad_texts_are_found(subject: Subject) -> None:
    """check() finds at least what the harness says is wrong, and nothing where it says nothing is."""
    with subject.open(ContentHarness, _none) as harness:
        settings = harness.settings or sample_settings(subject.manifest.settings)
        for text, least in harness.texts.items() if subject.harness else ():
            found = len(_check(subject, text, harness.channel, settings))
            wanted = "none" if least == 0 else f"at least {least}"
            require(found >= least and (least or not found), f"check({text[:20]!r}) found {found}, not {wanted}")


def _check(subject: Subject, text: str, channel: str, settings: object) -> list[Finding]:
    try:
        findings = list(subject.thing.check(text, channel, settings))
    except Exception as error:  # noqa: BLE001 - a stranger's code; the sentence names what came
        broken(f"check({text[:20]!r}) raised {type(error).__name__}; a rule only looks")
    require(all(isinstance(finding, Finding) for finding in findings), "check() must return Finding objects")
    return findings
