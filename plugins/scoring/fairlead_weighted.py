"""Weighted lead score: points for what a person is and did, gathered in dimensions that each weigh a share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from fairlead.plugins import Kind, Manifest, Quality, Title, hookimpl
from fairlead.plugins.contracts.scoring import Feature, FloatArray, Scores, ScoringScheme

NAME = r"^[a-z][a-z0-9_]{0,39}$"

# Beyond this many decimals a sum of points is noise of binary fractions, which must not decide a rounding.
DECIMALS = 6


class Item(BaseModel):
    """One thing that gives or takes points."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME, description="Names the item in explanations; unique within its dimension.")
    label: str = Field(default="", max_length=80, description="The item's name for people.")
    kind: Literal["event", "attribute"] = Field(description="Count an event, or look at an attribute of the profile.")
    key: str = Field(min_length=1, max_length=80, description="The event's type or the attribute's name.")
    points: float = Field(ge=-10_000, le=10_000, description="Points for each time; may be negative.")
    within_days: int | None = Field(
        default=None, ge=1, le=3660, description="Count only events of the last so many days."
    )
    cap: int | None = Field(default=1, ge=1, description="How often it counts at most; none means every time.")

    @model_validator(mode="after")
    def _windows_are_for_events(self) -> Self:
        if self.kind == "attribute" and self.within_days is not None:
            raise ValueError(f"item {self.name!r}: an attribute has no window; leave within_days out")
        return self


class Dimension(BaseModel):
    """A group of items and its share of the score."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME, description="Names the dimension in explanations.")
    label: str = Field(default="", max_length=80, description="The dimension's name for people.")
    weight: float = Field(ge=0, le=100, description="Its share in percent; all shares make 100.")
    items: tuple[Item, ...] = Field(min_length=1, max_length=100, description="What gives points in it.")


def _default_dimensions() -> tuple[Dimension, ...]:
    return (
        Dimension(
            name="base",
            label="基础信息 / Base",
            weight=30,
            items=(
                Item(name="phone_verified", label="手机已验证", kind="attribute", key="phone_verified", points=5),
                Item(name="company_name", label="填写公司名称", kind="attribute", key="company_name", points=3),
                Item(name="phone_invalid", label="手机号无效", kind="attribute", key="phone_invalid", points=-5),
            ),
        ),
        Dimension(
            name="behaviour",
            label="行为 / Behaviour",
            weight=40,
            items=(
                Item(name="white_paper", label="下载白皮书", kind="event", key="white_paper", points=10),
                Item(name="webinar", label="参加线上研讨会", kind="event", key="webinar", points=15),
            ),
        ),
        Dimension(
            name="intent",
            label="意向 / Intent",
            weight=30,
            items=(Item(name="asked_price", label="询价", kind="event", key="asked_price", points=20),),
        ),
    )


class WeightedSettings(BaseModel):
    """The table of points."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dimensions: tuple[Dimension, ...] = Field(
        default_factory=_default_dimensions,
        min_length=1,
        max_length=20,
        title="评分维度 / Dimensions",
        description="Dimensions with their weights in percent and their items.",
    )
    rounding: Literal["none", "half_up"] = Field(
        default="none",
        title="取整 / Rounding",
        description="half_up gives whole numbers, halves away from zero; the parts stay as they are.",
    )

    @model_validator(mode="after")
    def _is_one_table(self) -> Self:
        total = sum(dimension.weight for dimension in self.dimensions)
        if abs(total - 100) > 1e-9:
            raise ValueError(f"the weights make {total:g} percent; they must make 100")
        for what, names in (
            ("dimension", [dimension.name for dimension in self.dimensions]),
            *((f"{dimension.name} item", [item.name for item in dimension.items]) for dimension in self.dimensions),
        ):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"the {what} {min(twice)!r} is there twice")
        return self


def column_of(item: Item) -> str:
    """The name of the column an item reads; items with the same source share it."""
    return f"{item.kind}:{item.key}" + (f":{item.within_days}d" if item.within_days else "")


def points_of(item: Item, column: FloatArray) -> FloatArray:
    """Points of one item per profile, ``(profiles,)``, before the dimension's weight.

    A count or number is taken from 0 to ``cap``; what is not a number counts as absent.
    """
    times = np.where(np.isfinite(column) & (column > 0), column, 0.0)
    if item.cap is not None:
        times = np.minimum(times, item.cap)
    return np.asarray(times * item.points, dtype=np.float64)


class Weighted:
    """Score = sum over dimensions of (points of its items) x weight.

    ``parts`` explain it: ``<dimension>.<item>`` holds points before the weight, ``<dimension>`` the weighted sum of its
    items; the dimensions add up to the score before rounding.
    """

    manifest = Manifest(
        name="weighted",
        kind=Kind.SCORING_SCHEME,
        version="1.0.0",
        title=Title("加权线索评分", "Weighted lead score"),
        description=Title(
            "按基础信息、行为、意向等维度打分并加权求和，每一分都可解释。",
            "Adds points in dimensions such as base, behaviour and intent, by weight; each point can be explained.",
        ),
        settings=WeightedSettings,
        quality=Quality(
            {
                "score": "done",
                "explained_parts": "done",
                "settings_described": "done",
                "manifest_titles_zh_en": "done",
                "vectorised": "done",
                "checked_against_scalar": "done",
            }
        ),
    )

    def features(self, settings: WeightedSettings) -> tuple[Feature, ...]:
        """One feature per source that the table's items read."""
        wanted: dict[str, Feature] = {}
        for item in (item for dimension in settings.dimensions for item in dimension.items):
            wanted.setdefault(column_of(item), Feature(column_of(item), item.kind, item.key, item.within_days))
        return tuple(wanted.values())

    def score(self, columns: Mapping[str, FloatArray], settings: WeightedSettings) -> Scores:
        """Score all profiles at once; ``columns[feature.name]`` and all results have shape ``(profiles,)``."""
        parts: dict[str, FloatArray] = {}
        # In hundredths, so that whole points and percents stay whole numbers: 5*30 + 10*40 + 20*30 is 1150 exactly.
        total: FloatArray = np.zeros_like(next(iter(columns.values())), dtype=np.float64)
        for dimension in settings.dimensions:
            raw = np.zeros_like(total)
            for item in dimension.items:
                points = parts[f"{dimension.name}.{item.name}"] = points_of(item, columns[column_of(item)])
                raw += points
            parts[dimension.name] = raw * dimension.weight / 100
            total += raw * dimension.weight
        if settings.rounding == "none":
            return Scores(total / 100, parts)
        return Scores(_half_up(total), parts)


def _half_up(hundredths: FloatArray) -> FloatArray:
    exact = np.round(hundredths, DECIMALS)
    # Adding zero turns the -0.0 of small negative scores into 0.0.
    return np.asarray(np.sign(exact) * np.floor((np.abs(exact) + 50) / 100) + 0.0, dtype=np.float64)


@hookimpl
def fairlead_register_scoring_schemes(register: Callable[[ScoringScheme], None]) -> None:
    """Register the weighted score."""
    register(Weighted())
