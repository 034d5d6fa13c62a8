"""What a scoring scheme promises."""

from __future__ import annotations

import numpy as np

from fairlead.plugins.contracts.scoring import Feature, FloatArray, Scores
from fairlead.testing.samples import sample_settings
from fairlead.testing.subject import CheckList, Subject, broken, require, typed

CHECKS = CheckList()

Columns = dict[str, FloatArray]


@CHECKS.add()
def features_are_named(subject: Subject) -> None:
    """features() gives uniquely named features of kind event or attribute, the same each time."""
    settings = sample_settings(subject.manifest.settings)
    features = subject.thing.features(settings)
    where = subject.where(subject.thing.features)
    require(isinstance(features, tuple), f"features() gave {type(features).__name__}; return a tuple ({where})")
    require(features, f"features() asks for nothing; name at least one Feature ({where})")
    for feature in features:
        require(isinstance(feature, Feature), f"features() has {feature!r} in it; each must be a Feature ({where})")
        require(
            feature.kind in ("event", "attribute"), f"feature {feature.name!r} is of kind {feature.kind!r} ({where})"
        )
        require(feature.key, f"feature {feature.name!r} has no key ({where})")
        require(feature.within_days is None or feature.within_days > 0, f"feature {feature.name!r} has an empty window")
    names = [feature.name for feature in features]
    require(len(set(names)) == len(names), f"features() gives a name twice: {names} ({where})")
    require(features == subject.thing.features(settings), f"features() gave others the second time ({where})")


@CHECKS.add()
def scores_have_the_shape_of_the_profiles(subject: Subject) -> None:
    """score() gives one finite number per profile, and parts of the same shape; none for no profiles."""
    for people in (0, 1, 7, 200):
        _score(subject, _columns(subject, people), people)


@CHECKS.add()
def a_repeat_scores_the_same(subject: Subject) -> None:
    """The same columns give the same scores and are left as they were."""
    columns = _columns(subject, 50)
    kept = {name: column.copy() for name, column in columns.items()}
    first, second = _score(subject, columns, 50), _score(subject, columns, 50)
    require(np.array_equal(first.value, second.value), "score() of the same columns gave other scores")
    same = all(np.array_equal(columns[name], kept[name]) for name in kept)
    require(same, "score() changed the columns it was given; work on copies")


@CHECKS.add()
def a_profile_is_scored_alone(subject: Subject) -> None:
    """A profile's score does not depend on who else is in the batch or in what order."""
    columns = _columns(subject, 60)
    whole = _score(subject, columns, 60).value
    order = np.random.default_rng(1).permutation(60)
    mixed = _score(subject, {name: column[order] for name, column in columns.items()}, 60).value
    require(np.allclose(mixed, whole[order]), "score() depends on the order of the profiles")
    alone = _score(subject, {name: column[:1] for name, column in columns.items()}, 1).value
    require(np.allclose(alone, whole[:1]), "score() of one profile alone differs from its score among others")


def _columns(subject: Subject, people: int) -> Columns:
    rng = np.random.default_rng(people)
    made: Columns = {}
    for feature in subject.thing.features(sample_settings(subject.manifest.settings)):
        top = 6 if feature.kind == "event" else 2
        made[feature.name] = rng.integers(0, top, people).astype(np.float64)
    return made


def _score(subject: Subject, columns: Columns, people: int) -> Scores:
    where = subject.where(subject.thing.score)
    try:
        given = subject.thing.score(columns, sample_settings(subject.manifest.settings))
    except Exception as error:  # noqa: BLE001 - a stranger's code; the sentence names what came
        text = " ".join(str(error).split())
        broken(f"score() raised {type(error).__name__} on {people} profiles: {text} ({where})")
    scores = typed(given, Scores, f"score() gave {type(given).__name__}; return Scores ({where})")
    for name, array in {"value": scores.value, **scores.parts}.items():
        shape = np.shape(array)
        require(shape == (people,), f"score() {name} has the shape {shape} for {people} profiles ({where})")
        require(np.isfinite(array).all(), f"score() {name} has NaN or infinity in it ({where})")
    return scores
