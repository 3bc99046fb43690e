"""Loading of the rules: Cedar text, checked in every way that Cedar itself would pass over.

Cedar skips a policy that fails while it is evaluated, so a broken ``forbid`` would let data out. Therefore nothing is
used before it validates against the schema, every rule names itself, its reason and its law, permits say *who, what
for, which part* and nothing else, and any error met later counts as a refusal.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cedarpy

from hub.access.legal_mode import LegalMode, bases_of
from hub.access.parts import PART_FACTS, ROLE_GROUPS, part_key
from hub.core.errors import SettingsError
from hub.core.names import Purpose, Role

POLICY_FOLDER = Path(__file__).parent / "policies"
MODE_FOLDER = "modes/"
"""Beginning of the names of files that hold the rules of one legal mode."""

ANNOTATIONS = ("id", "reason", "law")
"""What every rule must say of itself."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as written: its own words."""

    rule_id: str
    effect: str
    reason: str
    law: str
    file: str


class RuleSet:
    """The checked rules, ready to be asked.

    ``digest`` names exactly these rules, schema, groups and kinds of basis; it is recorded with every disclosure.
    ``bases``: the kinds of basis that may be relied on; ``None`` for rules of a time when they were not part of them.
    """

    def __init__(
        self,
        schema: str,
        policies: dict[str, str],
        entities: str | None = None,
        bases: tuple[str, ...] | None = None,
    ) -> None:
        """``policies`` maps file names to Cedar text; ``entities``: roles, parts and their groups as JSON, today's by
        default. Raises :class:`SettingsError` for anything not in order.
        """
        self.bases = bases
        self.rules = tuple(rule for name in sorted(policies) for rule in _read_rules(name, policies[name]))
        names = [rule.rule_id for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise _broken(f"rule id `{twice[0]}` is used twice")
        text = "\n".join(policies[name] for name in sorted(policies))
        entities = json.dumps(_entities(), sort_keys=True) if entities is None else entities
        try:
            parsed_schema = cedarpy.Schema.from_str(schema)
            result = cedarpy.validate_policies(text, parsed_schema)
            if not result.validation_passed:
                raise _broken(f"a rule does not fit the schema: {'; '.join(str(error) for error in result.errors)}")
            self._policies = cedarpy.PolicySet.from_str(text)
            self._entities = cedarpy.Entities.from_json_str(entities, parsed_schema)
        except ValueError as error:
            raise _broken(f"the rules cannot be read: {error}") from None
        self._schema = parsed_schema
        held: dict[str, Any] = {"entities": entities, "policies": policies, "schema": schema}
        words = [schema, text, entities]
        if bases is not None:
            held["bases"] = list(bases)
            words.append(" ".join(bases))
        self.source = json.dumps(held, sort_keys=True)
        self.digest = hashlib.sha256("\0".join(words).encode()).digest()

    @classmethod
    def load(cls, folder: Path = POLICY_FOLDER, mode: LegalMode = LegalMode.LICENSED_BUREAU) -> "RuleSet":
        """The rules of a folder: ``hub.cedarschema``, every ``*.cedar``, and ``modes/<mode>.cedar`` if there is one."""
        policies = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.cedar"))}
        of_mode = folder / MODE_FOLDER / f"{mode}.cedar"
        if of_mode.exists():
            policies[f"{MODE_FOLDER}{of_mode.name}"] = of_mode.read_text(encoding="utf-8")
        return cls((folder / "hub.cedarschema").read_text(encoding="utf-8"), policies, bases=bases_of(mode))

    @classmethod
    def of_source(cls, source: str) -> "RuleSet":
        """The rules that once were written down as :attr:`source`, with the roles and parts of that time."""
        held = json.loads(source)
        bases = tuple(held["bases"]) if "bases" in held else None
        return cls(held["schema"], held["policies"], held["entities"], bases)

    def ask(self, questions: list["Question"]) -> list["Answer"]:
        """Cedar's own answers, in order. Raises :class:`SettingsError` on any error inside: no rule may be skipped."""
        results = cedarpy.is_authorized_batch(
            [question.as_cedar() for question in questions], self._policies, self._entities, self._schema
        )
        return [_answer(result) for result in results]


@dataclass(frozen=True, slots=True)
class Question:
    """One cell in one set of circumstances; ``circumstances`` is JSON text with every attribute of the schema."""

    role: Role
    purpose: Purpose
    part: str
    circumstances: str

    def as_cedar(self) -> dict[str, Any]:
        """The request in Cedar's words."""
        return {
            "principal": {"type": "Role", "id": self.role.value},
            "action": {"type": "Action", "id": self.purpose.value},
            "resource": {"type": "Part", "id": self.part},
            "context": self.circumstances,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What Cedar decided and by which rules (permits if allowed, else forbids; none where no permit fits)."""

    allowed: bool
    rule_ids: tuple[str, ...]


def _answer(result: cedarpy.AuthzResult) -> Answer:
    if result.diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
        raise _broken(f"Cedar met an error: {'; '.join(result.diagnostics.errors) or 'no decision'}")
    return Answer(result.allowed, tuple(sorted(result.diagnostics.id_annotations_by_reason.values())))


def _read_rules(file: str, text: str) -> list[Rule]:
    """The rules of one file; refuses rules without name, reason or law, and permits with conditions."""
    try:
        document = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise _broken(f"`{file}` cannot be read: {error}") from None
    rules = []
    for policy in document["staticPolicies"].values():
        annotations = policy.get("annotations", {})
        for name in ANNOTATIONS:
            if not annotations.get(name):
                raise _broken(f"a rule in `{file}` has no @{name}")
        rule_id = annotations["id"]
        if policy["effect"] == "permit" and policy["conditions"]:
            raise _broken(f"permit `{rule_id}` has a condition; conditions belong into a forbid with `unless`")
        if policy["effect"] == "forbid" and [item["kind"] for item in policy["conditions"]] not in ([], ["unless"]):
            raise _broken(f"forbid `{rule_id}` must have one `unless` or no condition")
        rules.append(Rule(rule_id, policy["effect"], annotations["reason"], annotations["law"], file))
    return rules


def _entities() -> list[dict[str, Any]]:
    """Roles with their groups, parts with their category and classes."""
    found: list[dict[str, Any]] = [
        {
            "uid": {"type": "Role", "id": role.value},
            "attrs": {},
            "parents": [{"type": "RoleGroup", "id": group} for group in sorted(ROLE_GROUPS.get(role, frozenset()))],
        }
        for role in Role
    ]
    found.extend(
        {
            "uid": {"type": "Part", "id": part_key(facts.part)},
            "attrs": {},
            "parents": [{"type": "Category", "id": facts.part.category.value}]
            + [{"type": "DataClass", "id": name} for name in sorted(facts.classes)],
        }
        for facts in PART_FACTS
    )
    return found


def _broken(what: str) -> SettingsError:
    return SettingsError(
        f"The access rules are not in order: {what}.",
        remedy="Mend the files in hub/access/policies; nothing is disclosed before they load.",
        code="RULES",
    )
