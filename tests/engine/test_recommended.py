"""Sampling follows the switch for thinking."""

from __future__ import annotations

import pytest

from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.recommended import DIRECT, THINKING, recommended, thinks_unasked
from qwen_desktop.engine.sampling import settle
from tests.engine.checkpoints import PLAIN, THINKING_OPEN
from tests.engine.checkpoints import THINKING as SWITCHED

FILE = {"do_sample": True, "temperature": 0.9, "top_k": 30, "top_p": 0.97, "eos_token_id": 1}
GREEDY = {"do_sample": False}
ONLY_THINKS = "<think>"  # without a switch
ONLY_IF_ASKED = """\
{%- if enable_thinking is defined and enable_thinking is true %}<think>
{%- else %}<think></think>{% endif %}"""

NUMBERS = ("temperature", "top_p", "top_k", "min_p")


def numbers(values):
    return {name: values.get(name) for name in NUMBERS}


def found(generation, template, *, thinking, can_think=True, family="qwen3"):
    return recommended(generation, template, family=family, can_think=can_think, thinking=thinking)


@pytest.mark.parametrize("template", [SWITCHED, THINKING_OPEN])
def test_the_file_is_for_thinking_and_qwens_values_for_the_rest(template):
    assert found(FILE, template, thinking=True) == FILE
    direct = found(FILE, template, thinking=False)
    assert numbers(direct) == numbers(DIRECT)
    assert direct["eos_token_id"] == 1
    assert numbers(found({}, template, thinking=True)) == numbers(THINKING)
    assert numbers(found({}, template, thinking=False)) == numbers(DIRECT)


def test_where_thinking_has_to_be_asked_for_it_is_the_other_way_round():
    assert found(FILE, ONLY_IF_ASKED, thinking=False) == FILE
    assert numbers(found(FILE, ONLY_IF_ASKED, thinking=True)) == numbers(THINKING)


@pytest.mark.parametrize("family", ["qwen3_5_text", "qwen3_5_moe_text"])
def test_newer_models_are_kept_from_repeating_themselves(family):
    assert found(FILE, SWITCHED, thinking=True, family=family) == FILE
    direct = settle(GenerationSettings(), found(FILE, SWITCHED, thinking=False, family=family))
    assert (direct.temperature, direct.top_p, direct.presence_penalty) == (0.7, 0.8, 1.5)
    asked = settle(GenerationSettings(), found(FILE, ONLY_IF_ASKED, thinking=True, family=family))
    assert (asked.temperature, asked.top_p, asked.presence_penalty) == (1.0, 0.95, 1.5)
    own = GenerationSettings(presence_penalty=0.0)
    mode = found(FILE, SWITCHED, thinking=False, family=family)
    assert settle(own, mode).presence_penalty == 0.0


@pytest.mark.parametrize("thinking", [True, False])
def test_models_with_one_mode_have_their_file(thinking):
    assert found(FILE, PLAIN, can_think=False, thinking=thinking) == FILE
    assert found(GREEDY, PLAIN, can_think=False, thinking=thinking) == GREEDY
    assert found(FILE, None, can_think=False, thinking=thinking) == FILE
    assert found(FILE, ONLY_THINKS, thinking=thinking) == FILE


@pytest.mark.parametrize("template", [SWITCHED, ONLY_IF_ASKED, ONLY_THINKS])
@pytest.mark.parametrize("cold", [GREEDY, {"temperature": 0.0}, {"top_k": 1}, {"temperature": 0}])
def test_thinking_is_never_greedy_unless_the_user_says_so(template, cold):
    mode = found(cold, template, thinking=True)
    settled = settle(GenerationSettings(), mode)
    assert (settled.temperature, settled.top_p, settled.top_k) == (0.6, 0.95, 20)
    assert settle(GenerationSettings(temperature=0.0), mode).temperature == 0.0


@pytest.mark.parametrize("template", [SWITCHED, ONLY_IF_ASKED])
def test_greedy_files_stay_greedy_without_thinking(template):
    mode = found(GREEDY, template, thinking=False)
    assert settle(GenerationSettings(), mode).temperature == 0.0


SWITCHES = [
    ("{%- if enable_thinking is defined and enable_thinking is false %}", True),
    ("{%- if enable_thinking is defined and not enable_thinking %}", True),
    ("{%- if enable_thinking is undefined or enable_thinking is true %}", True),
    ("{%- if enable_thinking is defined and enable_thinking is true %}", False),
    ("{% if enable_thinking is defined and enable_thinking %}", False),
    ("{%- if enable_thinking %}", False),
    ("no switch at all", True),
]


@pytest.mark.parametrize(("template", "expected"), SWITCHES)
def test_the_template_says_what_happens_unasked(template, expected):
    assert thinks_unasked(template) is expected
