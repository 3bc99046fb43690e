"""Why a past answer cannot be made again (hub/flows/readings/replay_answer.py)."""

from enum import StrEnum

from hub.core.errors import RefusedError
from hub.records.adverse_items.adverse import MARKS_YEARS


class Outcome(StrEnum):
    """What the log says of a replay. It stands beside the people concerned for ever, so it does not say which law or
    which age of the program stood in the way: of an adverse item that is forgotten nobody may learn there.
    """

    REPLAYED = "REPLAYED"
    NOT_REPRODUCED = "NOT_REPRODUCED"
    CONTRADICTED = "CONTRADICTED"


class Obstacle(StrEnum):
    """The closed list; a name is also the code of the refusal, which only who asked is told."""

    NOT_AN_ANSWER = "NOT_AN_ANSWER"
    DETAIL_DESTROYED = "DETAIL_DESTROYED"
    RULES_UNKNOWN = "RULES_UNKNOWN"
    DECISION_DIFFERS = "DECISION_DIFFERS"
    CONSENT_ERASED = "CONSENT_ERASED"
    ADVERSE_EXPIRED = "ADVERSE_EXPIRED"
    FOLD_RETIRED = "FOLD_RETIRED"
    TOO_OLD_TO_TELL = "TOO_OLD_TO_TELL"
    RECORD_DIFFERS = "RECORD_DIFFERS"
    SCHEMA_DIFFERS = "SCHEMA_DIFFERS"

    @property
    def outcome(self) -> Outcome:
        """What of it is recorded."""
        return Outcome.CONTRADICTED if self in _CONTRADICTIONS else Outcome.NOT_REPRODUCED


_CONTRADICTIONS = frozenset({Obstacle.RULES_UNKNOWN, Obstacle.DECISION_DIFFERS, Obstacle.RECORD_DIFFERS})
"""What neither the law nor another version of the program explains."""


_SENTENCES = {
    Obstacle.NOT_AN_ANSWER: "the entry is not of an answer that showed a record.",
    Obstacle.DETAIL_DESTROYED: "the keys of the entry's detail were destroyed when a person concerned was erased.",
    Obstacle.RULES_UNKNOWN: "this hub never had the rules in force that the entry names.",
    Obstacle.DECISION_DIFFERS: "what the entry says was granted does not follow from the rules and the basis it names.",
    Obstacle.CONSENT_ERASED: "the consent that it rested on was erased.",
    Obstacle.ADVERSE_EXPIRED: "something that it showed may not be held or shown any more ({detail}).",
    Obstacle.FOLD_RETIRED: "version {detail} of the fold, which made it, is retired and may give another text now.",
    Obstacle.TOO_OLD_TO_TELL: "the record held today does not give the section {detail}, and the answer is more than"
    f" {MARKS_YEARS} years old: what would tell the law's work from an alteration is not kept so long.",
    Obstacle.RECORD_DIFFERS: "the record held today does not give the section {detail} that the entry names.",
    Obstacle.SCHEMA_DIFFERS: "its operation asks for other parts today than the entry says it asked for.",
}


class ReplayRefusedError(RefusedError):
    """The answer cannot be made again; ``obstacle`` says why."""

    def __init__(self, obstacle: Obstacle, detail: object = "") -> None:
        sentence = _SENTENCES[obstacle].format(detail=detail)
        super().__init__(f"the answer is not made again: {sentence}", code=obstacle.value)
        self.obstacle = obstacle
