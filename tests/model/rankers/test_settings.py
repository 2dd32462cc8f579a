"""Settings are checked when they are made, and the message names the setting, its value and what fits."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from model.cli import InputError
from model.rankers.settings import (
    DEFAULT_SPLITS,
    MODELS,
    ArticleSettings,
    RatingSettings,
    RelevanceSettings,
    SequentialEaseSettings,
    with_epochs,
)

ALL = (ArticleSettings(epochs=3), RatingSettings(), RelevanceSettings(), SequentialEaseSettings())


@pytest.mark.parametrize("settings", ALL, ids=lambda settings: type(settings).__name__)
def test_no_number_may_be_negative_or_nan(settings: Any) -> None:
    checked = 0
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, (int, float)):
            for wrong in (-1, float("nan")):
                with pytest.raises(InputError, match=rf"^{type(settings).__name__}: {field.name} is {wrong}; give "):
                    replace(settings, **{field.name: wrong})
            checked += 1
    assert checked > 4


@pytest.mark.parametrize(
    ("settings", "wrong", "message"),
    [
        (ALL[0], {"hidden_units": ()}, r"hidden_units is \(\); give at least 1"),
        (ALL[0], {"hidden_units": (8, 0)}, r"hidden_units is \(8, 0\); give at least 1"),
        (ALL[1], {"co_occurrence": ()}, r"co_occurrence is \(\); give at least 0"),
        (ALL[1], {"warm_up": 1.5}, "warm_up is 1.5; give a number from 0 to 1"),
        (ALL[2], {"sequential_ease": ()}, "sequential_ease is empty"),
        (ALL[2], {"user_dropout": 2}, "user_dropout is 2; give a number from 0 to 1"),
        (ALL[3], {"half_life": 0}, "half_life is 0; give a number above 0"),
        (ALL[3], {"l2": 0}, "l2 is 0; give a number above 0"),
    ],
)
def test_what_cannot_be_used_is_refused(settings: Any, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(settings, **wrong)


def test_zero_is_a_value_where_it_turns_something_off() -> None:
    assert RatingSettings(co_occurrence=(0,), warm_up=0).co_occurrence == (0,)
    assert SequentialEaseSettings(far_weight=0, old_weight=0).far_weight == 0
    assert ArticleSettings(epochs=1, l2=0).l2 == 0


def test_another_number_of_epochs_changes_nothing_else() -> None:
    for settings in MODELS.values():
        assert with_epochs(settings, None) == settings
        changed = with_epochs(settings, 7)
        assert changed.epochs == 7
        assert replace(changed, epochs=settings.epochs) == settings


def test_every_kind_has_a_default_split() -> None:
    assert MODELS.keys() == DEFAULT_SPLITS.keys()
