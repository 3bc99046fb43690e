"""Resolver of the coverage, for officials within their area."""

from hub.core.errors import InputError, RefusedError
from hub.flows.consent.consent_change import Operation
from hub.flows.readings.read_coverage import coverage_for_official
from hub.records.folding.coverage import AreaCoverage as Line
from hub.records.folding.coverage import AreaLevel, Counts, check_area
from hub.schema.borrower import not_allowed
from hub.schema.context import Info
from hub.schema.types.coverage import AreaCoverage, CoverageCount, CoverageReport
from hub.schema.types.problems import InvalidInput, NotAllowed, invalid


async def resolve_coverage(
    info: Info, area: str | None = None, level: AreaLevel | None = None
) -> CoverageReport | InvalidInput | NotAllowed:
    """The coverage below an area; the reading is recorded before it is shown."""
    context = info.context
    try:
        code, wanted = check_area(area, level)
    except InputError as error:
        return invalid(context.language, (("level" if error.code == "AREA_LEVEL" else "area",), error.code))
    operation = Operation(context.operation.text, context.variables)
    try:
        lines, context.receipt = await coverage_for_official(
            context.ports.consents, context.bearer.asker(), operation, code, wanted
        )
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    return CoverageReport(area=code, level=wanted, areas=[_line(line) for line in lines])


def _line(line: Line) -> AreaCoverage:
    return AreaCoverage(
        area=line.area,
        name=line.name,
        households=line.households,
        complete=line.complete,
        fresh=line.fresh,
        verified=line.verified,
        covered=line.covered,
        adults=line.adults,
        adults_missing=line.adults_missing,
        missing=_counts(line.missing),
        stale=_counts(line.stale),
        unverified=_counts(line.unverified),
        reported=_counts(line.reported),
    )


def _counts(counts: Counts) -> list[CoverageCount]:
    return [CoverageCount(name=name, households=number) for name, number in sorted(counts.items())]
