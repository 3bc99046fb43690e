"""Resolver of the sources' scorecards."""

from hub.core.clock import iso
from hub.core.errors import InputError, RefusedError
from hub.flows.consent.consent_change import Operation
from hub.flows.readings.read_scorecards import check_days, scorecards_for_official
from hub.records.intake.scorecard import Trend
from hub.schema.borrower import not_allowed
from hub.schema.context import Info
from hub.schema.types.problems import InvalidInput, NotAllowed, invalid
from hub.schema.types.scalars import DateTime
from hub.schema.types.scorecards import PhaseScore, RowCount, ScorecardTrend, SourceScorecard, SourceScorecards


async def resolve_source_scorecards(info: Info, days: int = 30) -> SourceScorecards | InvalidInput | NotAllowed:
    """The cards of all sources; the reading is recorded before it is shown."""
    context = info.context
    try:
        check_days(days)
    except InputError as error:
        return invalid(context.language, (("days",), error.code))
    ports, operation = context.ports, Operation(context.operation.text, context.variables)
    try:
        found, context.receipt = await scorecards_for_official(
            ports.consents, ports.auditor, context.bearer.asker(), operation, days
        )
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    return SourceScorecards(days=days, sources=[_card(trend) for trend in found])


def _card(trend: Trend) -> SourceScorecard:
    card = trend.now
    return SourceScorecard(
        source=card.source,
        kind=card.kind,
        status=card.status,
        circuit=card.circuit,
        last_ok_at=None if card.last_ok_at is None else DateTime(iso(card.last_ok_at)),
        pulls=card.pulls,
        failed_pulls=card.failed_pulls,
        success=card.success,
        fetched=card.fetched,
        new_rows=card.new_rows,
        mandatory=card.mandatory,
        filled=card.filled,
        expected_days=card.expected_days,
        arrived_days=card.arrived_days,
        validity=card.validity,
        quarantined=_counts(card.quarantined),
        open_quarantine=card.open_quarantine,
        ages=_counts(card.ages),
        files=card.files,
        refused_files=card.refused_files,
        days_late=card.days_late,
        conflicts_lost=card.conflicts_lost,
        phases=[
            PhaseScore(
                phase=each.phase, times=each.times, failed=each.failed, success=each.success,
                seconds=each.seconds, longest=each.longest,
            )
            for each in card.phases
        ],
        trend=ScorecardTrend(
            success=trend.change("success"),
            mandatory=trend.change("mandatory"),
            filled=trend.change("filled"),
            validity=trend.change("validity"),
        ),
    )  # fmt: skip


def _counts(counts: dict[str, int]) -> list[RowCount]:
    return [RowCount(name=name, rows=number) for name, number in counts.items()]
