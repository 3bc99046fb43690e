"""The linkage model: which pairs are compared, in which attributes, and how much each agreement weighs.

The weights are Fellegi and Sunter's: ``m``, how often the right pair agrees so far, over ``u``, how often two strangers
do. They are written down in ``parameters.json`` and never learned at run time, so equal input gives equal scores. What
the roster itself tells (how many live in one village or at one phone) is counted, not estimated.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import log2
from typing import Any

BANDS = ("A", "B", "C", "D")
"""From the surest on; what is below D is not proposed."""

ADULTS_AT_ONE_PHONE = 3
"""Adults of a household, who share its phone."""

_ONE_CHARACTER = (
    "length(plain_l) = length(plain_r) AND {} + (substr(plain_l, 5) <> substr(plain_r, 5))::INT = 1".format(
        " + ".join(f"(substr(plain_l, {n}, 1) <> substr(plain_r, {n}, 1))::INT" for n in range(1, 5))
    )
)
"""DuckDB's own edit distance counts bytes, of which a Chinese character has three."""

_LEVELS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "name": (
        "name_l IS NULL OR name_r IS NULL",
        (
            ("SAME", "name_l = name_r"),
            ("SAME_WITHOUT_DOT", "plain_l = plain_r"),
            ("VARIANT_CHARACTERS", "folded_l = folded_r"),
            ("SAME_SOUND", "sound_l = sound_r"),
            ("LIKE_SOUND", "loose_l = loose_r"),
            ("OTHER_ORDER", "syllables_l = syllables_r"),
            (
                "UNREADABLE_CHARACTER",
                f"has_gap_r AND {_ONE_CHARACTER}",
            ),
            (
                "PART_MISSING",
                "least(length(plain_l), length(plain_r)) > 1"
                " AND (contains(plain_l, plain_r) OR contains(plain_r, plain_l)"
                " OR (abs(length(plain_l) - length(plain_r)) = 1 AND ends_l = ends_r))",
            ),
            ("ONE_CHARACTER", _ONE_CHARACTER),
        ),
    ),
    "place": (
        "county_r IS NULL",
        (
            ("SAME_VILLAGE", "village_l = village_r"),
            ("SAME_TOWNSHIP", "village_r IS NULL AND township_l = township_r"),
            ("SAME_COUNTY", "township_r IS NULL AND county_l = county_r"),
            ("OTHER_VILLAGE", "township_l = township_r"),
            ("OTHER_TOWNSHIP", "county_l = county_r"),
        ),
    ),
    "phone": (
        "phone_l IS NULL OR phone_r IS NULL",
        (("SAME", "phone_l = phone_r AND NOT phone_is_lent_r"), ("SAME_BUT_LENT", "phone_l = phone_r")),
    ),
    "number": (
        "digits_l IS NULL OR digits_r IS NULL",
        (
            ("SAME_BUT_CHECK_DIGIT", "digits_l = digits_r"),
            ("FIRST_FIFTEEN", "length(digits_r) = 15 AND starts_with(digits_l, digits_r)"),
            ("ONE_SLIP", "damerau_levenshtein(digits_l, digits_r) = 1"),
            ("SAME_BIRTH_DATE", "birth_l = birth_r"),
        ),
    ),
}
"""Attribute -> when nothing can be said, and the levels of agreement from the best on; ``l`` is the person, ``r`` the
row."""

_REST = {"name": "DIFFERENT", "place": "OTHER_COUNTY", "phone": "OTHER", "number": "DIFFERENT"}

BLOCKING = (
    "l.village = r.village AND l.loose = r.loose",
    "l.village = r.village AND l.syllables = r.syllables",
    "l.village = r.village AND l.first_two = r.first_two",
    "l.village = r.village AND l.last_two = r.last_two",
    "l.village = r.village AND l.ends = r.ends",
    "l.township = r.township AND l.loose = r.loose",
    "l.phone = r.phone AND l.phone > 0",
    "l.unplaced_name = r.unplaced_name",
    "l.number_head = r.number_head",
    "l.number_tail = r.number_tail",
)
"""Pairs are compared if one of these holds; each can be looked up by equality."""


@dataclass(frozen=True, slots=True)
class Roster:
    """What the model must know of the roster: its living adults, and the share of them in each place."""

    people: int
    in_one_village: float
    in_one_township: float
    in_one_county: float


@cache
def parameters() -> dict[str, Any]:
    """The content of ``parameters.json``."""
    loaded: dict[str, Any] = json.loads(files(__package__).joinpath("parameters.json").read_text("utf-8"))
    return loaded


@cache
def model_name() -> str:
    """Version and digest of the parameters, which every proposal carries."""
    text = json.dumps([parameters(), list(BLOCKING)], sort_keys=True)
    return f"{parameters()['version']}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def levels(attribute: str) -> list[str]:
    """Names of the levels of agreement, the best first."""
    return [name for name, _ in _LEVELS[attribute][1]] + [_REST[attribute]]


ATTRIBUTES = tuple(_LEVELS)
"""What is compared, in the order in which it is shown."""


def settings(roster: Roster) -> dict[str, Any]:
    """The settings of Splink."""
    return {
        "link_type": "link_only",
        "unique_id_column_name": "unique_id",
        "probability_two_random_records_match": prior(roster),
        "blocking_rules_to_generate_predictions": [{"blocking_rule": rule} for rule in BLOCKING],
        "comparisons": [_comparison(attribute, roster) for attribute in ATTRIBUTES],
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": True,
    }


def prior(roster: Roster) -> float:
    """How likely it is, before anything is compared, that a row means this one person."""
    found: float = parameters()["on_roster"] / max(roster.people, 2)
    return found


def _comparison(attribute: str, roster: Roster) -> dict[str, Any]:
    nothing, conditions = _LEVELS[attribute]
    weights = parameters()[attribute]
    described: list[dict[str, Any]] = [
        {"sql_condition": nothing, "label_for_charts": "NOTHING_SAID", "is_null_level": True}
    ]
    for name, condition in (*conditions, (_REST[attribute], "ELSE")):
        level = {"sql_condition": condition, "label_for_charts": name, "m_probability": weights[name]["m"]}
        level["u_probability"] = max(_u(attribute, name, weights[name], roster), 1e-9)
        if (attribute, name) == ("name", "SAME"):
            level["tf_adjustment_column"] = "name"
            level["tf_adjustment_weight"] = 1.0
        described.append(level)
    return {"output_column_name": attribute, "comparison_levels": described}


def _u(attribute: str, level: str, weights: dict[str, float], roster: Roster) -> float:
    """Counted on the roster where it can be, else as written."""
    counted = {
        ("place", "SAME_VILLAGE"): roster.in_one_village,
        ("place", "SAME_TOWNSHIP"): roster.in_one_township,
        ("place", "SAME_COUNTY"): roster.in_one_county,
        ("place", "OTHER_VILLAGE"): roster.in_one_township - roster.in_one_village,
        ("place", "OTHER_TOWNSHIP"): roster.in_one_county - roster.in_one_township,
        ("place", "OTHER_COUNTY"): 1 - roster.in_one_county,
        ("phone", "SAME"): ADULTS_AT_ONE_PHONE / max(roster.people, ADULTS_AT_ONE_PHONE),
    }
    return counted.get((attribute, level), weights.get("u", 1.0))


def level_weights(roster: Roster) -> dict[str, list[tuple[float, str]]]:
    """The weight in bits of each level of each attribute, by which a weighed pair tells its levels."""
    return {
        attribute: [
            (log2(level["m_probability"] / level["u_probability"]), level["label_for_charts"])
            if "m_probability" in level
            else (0.0, level["label_for_charts"])
            for level in _comparison(attribute, roster)["comparison_levels"]
        ]
        for attribute in ATTRIBUTES
    }


def nothing_said(attribute: str) -> str:
    """SQL: nothing can be compared in this attribute."""
    return _LEVELS[attribute][0]


def level_sql(attribute: str) -> str:
    """SQL: the level of agreement of a pair that can be compared, by name."""
    cases = " ".join(f"WHEN {condition} THEN '{name}'" for name, condition in _LEVELS[attribute][1])
    return f"CASE {cases} ELSE '{_REST[attribute]}' END"
