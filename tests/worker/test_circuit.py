"""The circuit of a source, and the schedule: pure."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.circuit import FAILURES_TO_OPEN, LEAST_SECONDS, LONGEST_SECONDS, RETRY_SECONDS, Circuit, CircuitState
from hub.core.clock import SHANGHAI
from hub.core.errors import SettingsError
from hub.worker.schedule import Schedule, load_schedule

NOW = datetime(2026, 11, 10, 8, tzinfo=UTC)


def _failed(circuit: Circuit, now: datetime, *, may_pass: bool = True, seed: int = 1) -> Circuit:
    return circuit.failed(now, "SOURCE_BUSY", may_pass=may_pass, chance=random.Random(seed))


@given(seed=st.integers(0, 10**6), fails=st.lists(st.booleans(), min_size=1, max_size=40))
def test_every_wait_is_bounded_and_only_success_forgets(seed: int, fails: list[bool]) -> None:
    circuit, now = Circuit(NOW), NOW
    for may_pass in fails:
        circuit = _failed(circuit.on_trial(now), now, may_pass=may_pass, seed=seed)
        assert circuit.retry_at is not None
        wait = (circuit.retry_at - now).total_seconds()
        assert LEAST_SECONDS <= wait <= LEAST_SECONDS + LONGEST_SECONDS
        assert not circuit.lets_through(now)
        assert circuit.lets_through(circuit.retry_at)
        now = circuit.retry_at
    assert circuit.failures == len(fails)
    assert circuit.state is (CircuitState.CLOSED if all(fails) and len(fails) < FAILURES_TO_OPEN else CircuitState.OPEN)
    assert circuit.succeeded(now) == Circuit(circuit.since if circuit.state is CircuitState.CLOSED else now)


def test_jitter_is_full() -> None:
    """Sources that failed together do not come back together: waits fill the whole span."""
    waits = sorted((_failed(Circuit(NOW), NOW, seed=seed).retry_at or NOW) - NOW for seed in range(200))
    assert waits[0] < timedelta(seconds=LEAST_SECONDS + RETRY_SECONDS / 10)
    assert waits[-1] > timedelta(seconds=LEAST_SECONDS + RETRY_SECONDS * 0.9)


def test_an_open_circuit_is_half_open_on_trial_and_one_failure_opens_it_again() -> None:
    opened = _failed(Circuit(NOW), NOW, may_pass=False)
    assert opened.state is CircuitState.OPEN
    trial = opened.on_trial(NOW + timedelta(hours=2))
    assert trial.state is CircuitState.HALF_OPEN
    assert trial.lets_through(NOW), "a trial that was cut short by a crash is taken up again"
    assert _failed(trial, NOW + timedelta(hours=2)).state is CircuitState.OPEN
    assert trial.succeeded(NOW).state is CircuitState.CLOSED
    assert Circuit(NOW).on_trial(NOW) == Circuit(NOW)


@given(seed=st.integers(0, 10**6), minutes=st.floats(0.1, 10_000))
def test_a_source_is_due_about_its_interval_after_it_began(seed: int, minutes: float) -> None:
    schedule = Schedule(every_minutes=minutes)
    due = schedule.next_pull("tax", NOW, NOW + timedelta(days=9), random.Random(seed))
    assert 0.94 * minutes < (due - NOW).total_seconds() / 60 < 1.06 * minutes
    assert schedule.next_pull("tax", None, NOW, random.Random(seed)) == NOW


def test_a_schedule_is_read_and_its_own_times_win(tmp_path: Path) -> None:
    file = tmp_path / "worker.toml"
    file.write_text('version = 1\nevery_minutes = 30\ndaily_at = "02:15"\n[sources.clinic]\nevery_minutes = 60\n')
    schedule = load_schedule(file, ["clinic", "tax"])
    assert schedule.every("clinic") == timedelta(hours=1)
    assert schedule.every("tax") == timedelta(minutes=30)
    assert schedule.daily_time(NOW) == datetime(2026, 11, 10, 2, 15, tzinfo=SHANGHAI)
    assert load_schedule(None, ["tax"]).every("tax") == timedelta(minutes=15)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("every = 3", "every"),
        ("every_minutes = 0", "every_minutes"),
        ("version = 2", "version"),
        ('daily_at = "25:00"', "daily_at"),
        ("[sources.nobody]", "nobody"),
        ("[sources.tax]\nhours = 1", "hours"),
        ("= 1", "TOML"),
    ],
)
def test_a_schedule_that_is_wrong_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "worker.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_schedule(file, ["tax"])
    assert named in caught.value.message


def test_a_schedule_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        load_schedule(tmp_path / "worker.toml", ["tax"])
