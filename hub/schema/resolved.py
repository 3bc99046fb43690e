"""From granted sections to resolved values: what is not among them takes no part, whatever the record holds."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import orjson

from hub.core.clock import day_of
from hub.core.disclosure import Part, Section
from hub.core.names import Attribute
from hub.records.folding.resolution import Lost, Statement, age_days, resolve, told_apart
from hub.records.folding.statements import read_statements

PREFIX = "resolved."
"""Where resolved values stand in an answer; behind it comes the attribute."""


def resolved_values(
    places: Iterable[tuple[str, Part]], held: Mapping[Part, Sequence[Section]], as_of: datetime
) -> dict[str, Any]:
    """Attribute -> value with its rule and what lost, for each one asked for about which a granted section tells.

    ``places``: the places asked for, each with one of its parts; ``held``: the granted sections of one person.
    """
    parts: defaultdict[str, list[Part]] = defaultdict(list)
    for place, part in places:
        if place.startswith(PREFIX):
            parts[place.removeprefix(PREFIX)].append(part)
    day = day_of(as_of)
    values = {name: _value(Attribute(name), own, held, day) for name, own in parts.items()}
    return {name: value for name, value in values.items() if value is not None}


def _value(
    attribute: Attribute, parts: Iterable[Part], held: Mapping[Part, Sequence[Section]], day: date
) -> dict[str, Any] | None:
    statements: list[Statement] = []
    origins: list[dict[str, Any]] = []
    for part in parts:
        for section in held.get(part, ()):
            for statement, origin in read_statements(attribute, orjson.loads(section.body)):
                statements.append(replace(statement, place=len(origins)))
                origins.append(origin)
    resolution = resolve(statements, day)
    if resolution is None:
        return None
    return _told(resolution.chosen, origins, day, resolution.is_stale) | {
        "confidence": resolution.confidence,
        "precedence": {
            "id": resolution.rule.attribute.value,
            "version": resolution.rule.version,
            "reason": resolution.reason,
        },
        "others": [_lost(other, origins, day) for other in told_apart(resolution.others)],
    }


def _told(statement: Statement, origins: Sequence[dict[str, Any]], day: date, is_stale: bool) -> dict[str, Any]:
    return {
        "value": statement.value,
        "provenance": origins[statement.place],
        "ageDays": age_days(statement, day),
        "isStale": is_stale,
    }


def _lost(other: Lost, origins: Sequence[dict[str, Any]], day: date) -> dict[str, Any]:
    return _told(other.statement, origins, day, other.is_stale) | {
        "reason": other.reason,
        "contradicts": other.contradicts,
    }
