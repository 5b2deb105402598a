"""Settings of a conversation over the general ones: what is set is in effect, the rest follows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.context import ChatOptions, Policy
from qwen_desktop.chat.settings import BY_NAME
from qwen_desktop.ui.chat_values import POLICY, own_names, with_value

GENERAL = {name: setting.default for name, setting in BY_NAME.items()}
NUMBERS = ("temperature", "top_p", "seed", "max_new_tokens")


def in_effect(options: ChatOptions, general: dict) -> dict:
    policy = {POLICY: options.policy.value} if options.policy is not None else {}
    return {**general, **options.values, **policy}


CHANGES = st.one_of(
    st.tuples(st.sampled_from(NUMBERS), st.sampled_from([None, 0, 1, 1.0, 5])),
    st.tuples(st.sampled_from(("thinking", "loop_guard")), st.booleans()),
    st.tuples(st.just(POLICY), st.sampled_from([policy.value for policy in Policy])),
)


@given(st.lists(CHANGES))
def test_the_last_change_of_each_setting_is_in_effect(changes):
    options, wanted = ChatOptions(), dict(GENERAL)
    for name, value in changes:
        options = with_value(options, name, value, GENERAL)
        wanted[name] = value
    assert in_effect(options, GENERAL) == wanted
    assert own_names(options) == {
        name
        for name, value in wanted.items()
        if value != GENERAL[name] or type(value) is not type(GENERAL[name])
    }


@given(st.lists(CHANGES))
def test_what_is_not_its_own_follows_the_general_settings(changes):
    options = ChatOptions()
    for name, value in changes:
        options = with_value(options, name, value, GENERAL)
    others = {**GENERAL, "temperature": 1.5, "thinking": False, POLICY: "ask"}
    now = in_effect(options, others)
    for name in set(others) - own_names(options):
        assert now[name] == others[name]
