"""The settings table: what each row accepts, and the settings of one request."""

import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.settings import BY_NAME, GROUPS, SETTINGS, GenerationSettings

ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
BY_ROW = pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)


@BY_ROW
def test_a_row_accepts_its_own_default_and_stands_in_a_group(setting):
    assert setting.accepts(setting.default)
    assert setting.group in dict(GROUPS)
    assert setting.label
    assert setting.help


def test_names_are_unique():
    assert len(BY_NAME) == len(SETTINGS)


@BY_ROW
@given(value=ANYTHING)
def test_what_is_accepted_has_the_type_and_lies_in_the_range(setting, value):
    if not setting.accepts(value):
        return
    if value is None:
        assert setting.optional
        return
    assert isinstance(value, bool) == (setting.kind is bool)
    if setting.choices:
        assert value in dict(setting.choices)
    elif setting.kind is float:
        assert isinstance(value, (int, float))
    else:
        assert isinstance(value, setting.kind)
    if setting.minimum is not None:
        assert value >= setting.minimum
    if setting.maximum is not None:
        assert value <= setting.maximum


@BY_ROW
def test_the_ends_of_a_range_are_inside_and_beyond_is_not(setting):
    for end, away in ((setting.minimum, -1), (setting.maximum, 1)):
        if end is None:
            continue
        end = setting.kind(end)
        assert setting.accepts(end)
        assert not setting.accepts(end + away)
    for key, _ in setting.choices:
        assert setting.accepts(key)


@BY_ROW
@pytest.mark.parametrize("value", [[], {}, b"x", math.nan, math.inf, -math.inf, object()])
def test_nonsense_is_refused(setting, value):
    assert not setting.accepts(value)


def test_truth_is_no_number_and_a_number_is_no_truth():
    assert not BY_NAME["thinking"].accepts(1)
    assert not BY_NAME["max_new_tokens"].accepts(True)
    assert not BY_NAME["temperature"].accepts(True)
    assert BY_NAME["temperature"].accepts(1)  # a whole number is a good float
    assert not BY_NAME["max_new_tokens"].accepts(2.0)
    assert not BY_NAME["theme"].accepts("sepia")


ASKED_APART = {"exact_stops"}  # of a request to the local server: no line of a field can hold them
ROWS = [f for f in fields(GenerationSettings) if f.name not in ASKED_APART]


def test_every_field_of_a_request_is_a_row_with_the_same_default():
    settings = GenerationSettings()
    for f in ROWS:
        assert getattr(settings, f.name) == BY_NAME[f.name].default


@given(st.dictionaries(st.sampled_from([*BY_NAME, "unheard_of"]), ANYTHING))
def test_a_request_takes_good_values_and_falls_back_for_the_rest(values):
    settings = GenerationSettings.from_values(values)
    for f in ROWS:
        setting = BY_NAME[f.name]
        good = f.name in values and setting.accepts(values[f.name])
        assert getattr(settings, f.name) == (values[f.name] if good else setting.default)


@BY_ROW
def test_a_number_of_hundreds_of_digits_is_refused_not_a_crash(setting):
    assert not setting.accepts(10**400)
    assert not setting.accepts(-(10**400))
