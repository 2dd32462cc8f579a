"""The run date: checked text, or today in UTC."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from beam_jobs.pipeline import run_date
from beam_jobs.pipeline.run_date import parse_run_date
from model.cli import InputError


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "20260131", "2026-1-31", "", "2026-W05-6"])
def test_a_run_date_is_year_month_day(text: str) -> None:
    with pytest.raises(InputError, match=r"--run_date .*YYYY-MM-DD"):
        parse_run_date(text)


def test_the_run_date_is_todays_in_utc_by_default() -> None:
    late_in_new_york = datetime(2026, 1, 30, 22, tzinfo=timezone(timedelta(hours=-5)))
    today = run_date.today(lambda: late_in_new_york.astimezone(timezone.utc))
    assert today == "2026-01-31"
    assert parse_run_date(None, lambda: today) == today
    assert parse_run_date("2026-02-01", lambda: today) == "2026-02-01"
