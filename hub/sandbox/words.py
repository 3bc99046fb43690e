"""Word lists for names of people, villages and shops; each people of the prefecture has naming habits of its own."""

import json
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any


@cache
def word_lists() -> dict[str, Any]:
    """The lists of ``data/words.json``."""
    loaded: dict[str, Any] = json.loads(files("hub.sandbox").joinpath("data", "words.json").read_text("utf-8"))
    return loaded


@cache
def _peoples() -> tuple[tuple[str, ...], tuple[float, ...]]:
    peoples = word_lists()["peoples"]
    return tuple(peoples), tuple(people["weight"] for people in peoples.values())


@cache
def _surnames(people: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    surnames = word_lists()[people]["surnames"]
    return tuple(surnames), tuple(surnames.values())


def draw_people(rng: Random) -> str:
    """A people by its share of the prefecture; it decides names only and is never sent except as a forbidden field."""
    names, weights = _peoples()
    return rng.choices(names, weights)[0]


def ethnic_code(people: str) -> str:
    """GB/T 3304 code of a people, for the forbidden fields that some offices still send."""
    code: str = word_lists()["peoples"][people]["code"]
    return code


def draw_surname(rng: Random, people: str) -> str:
    """A surname usual among a people."""
    names, weights = _surnames(people)
    return rng.choices(names, weights)[0]


def draw_given_name(rng: Random, people: str, *, male: bool) -> str:
    """A given name usual among a people; the short lists make namesakes in one village, as in life."""
    lists = word_lists()
    sex = "male" if male else "female"
    if rng.random() < 0.74:
        pair: str = rng.choice(lists["combined"][f"{sex}_first"]) + rng.choice(lists["combined"][f"{sex}_second"])
        return pair
    given: str = rng.choice(lists[people][sex])
    return given
