"""Why a past answer cannot be made again (hub/flows/replay_answer.py)."""

from enum import StrEnum

from hub.core.errors import RefusedError


class Obstacle(StrEnum):
    """The closed list; a name is also the code of the refusal and the outcome in the audit log."""

    NOT_AN_ANSWER = "NOT_AN_ANSWER"
    DETAIL_DESTROYED = "DETAIL_DESTROYED"
    RULES_UNKNOWN = "RULES_UNKNOWN"
    DECISION_DIFFERS = "DECISION_DIFFERS"
    CONSENT_ERASED = "CONSENT_ERASED"
    ADVERSE_EXPIRED = "ADVERSE_EXPIRED"
    FOLD_RETIRED = "FOLD_RETIRED"
    RECORD_DIFFERS = "RECORD_DIFFERS"
    SCHEMA_DIFFERS = "SCHEMA_DIFFERS"


_SENTENCES = {
    Obstacle.NOT_AN_ANSWER: "the entry is not of an answer that showed a record.",
    Obstacle.DETAIL_DESTROYED: "the keys of the entry's detail were destroyed when a person concerned was erased.",
    Obstacle.RULES_UNKNOWN: "this hub never had the rules in force that the entry names.",
    Obstacle.DECISION_DIFFERS: "what the entry says was granted does not follow from the rules and the basis it names.",
    Obstacle.CONSENT_ERASED: "the consent that it rested on was erased.",
    Obstacle.ADVERSE_EXPIRED: "it showed adverse information that ended more than five years ago and is deleted by law"
    " (征信业管理条例 art. 16).",
    Obstacle.FOLD_RETIRED: "version {detail} of the fold, which made it, is retired and may give another text now.",
    Obstacle.RECORD_DIFFERS: "the record held today does not give the section {detail} that the entry names.",
    Obstacle.SCHEMA_DIFFERS: "its operation asks for other parts today than the entry says it asked for.",
}


class ReplayRefusedError(RefusedError):
    """The answer cannot be made again; ``obstacle`` says why."""

    def __init__(self, obstacle: Obstacle, detail: object = "") -> None:
        sentence = _SENTENCES[obstacle].format(detail=detail)
        super().__init__(f"the answer is not made again: {sentence}", code=obstacle.value)
        self.obstacle = obstacle
