"""The date of a run, which names the partition that the run writes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timezone

from model.cli import InputError


def today(now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)) -> str:
    """Today's date in UTC as YYYY-MM-DD."""
    return now().date().isoformat()


def parse_run_date(text: str | None, today: Callable[[], str] = today) -> str:
    """Check the text of `--run_date`; None stands for today.

    Raises:
      InputError: the text is not a date written as YYYY-MM-DD.
    """
    if text is None:
        return today()
    try:
        parsed = date.fromisoformat(text)
    except ValueError:
        parsed = None
    # Python 3.11 and later accept other ISO forms too, and a reader would not find a partition of such a name.
    if parsed is None or parsed.isoformat() != text:
        raise InputError(f"--run_date {text}: not a date; write it as YYYY-MM-DD, such as {today()}")
    return text
