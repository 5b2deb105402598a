"""Chat templates and tokenizers are programs of strangers: good ones work, bad ones end."""

from __future__ import annotations

import json
import threading

import pytest

from qwen_desktop.chat.events import FinishReason
from qwen_desktop.engine import aside as aside_module
from qwen_desktop.engine import prompting
from qwen_desktop.engine.aside import Aside, Overrun
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.tokenizer import FastTokenizer
from qwen_desktop.errors import Cancelled, Known
from tests.engine.checkpoints import edit_json, make_tokenizer
from tests.engine.helpers import NEVER, ask, load, reason_of, request, text_of

# Writes tool calls with macros and loops over mappings, as templates for programming do.
TOOLS = """\
{% macro extra(values, known) %}
    {%- for key in values %}
        {%- if key not in known %}
            {%- if values[key] is mapping or (values[key] is sequence and values[key] is not string) %}
                {{- '\\n<' ~ key ~ '>' ~ (values[key] | tojson | safe) ~ '</' ~ key ~ '>' }}
            {%- else %}
                {{- '\\n<' ~ key ~ '>' ~ (values[key] | string) ~ '</' ~ key ~ '>' }}
            {%- endif %}
        {%- endif %}
    {%- endfor %}
{%- endmacro %}
{%- if messages[0]["role"] == "system" %}
    {%- set system = messages[0]["content"] %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set rest = messages %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = [] %}{%- endif %}
{%- if system is defined %}
    {{- "<|im_start|>system\\n" + system }}
    {%- if tools is iterable and tools | length > 0 %}{{- extra(tools[0], ['name']) }}{%- endif %}
    {{- "<|im_end|>\\n" }}
{%- endif %}
{%- for message in rest %}
    {%- set body = message.content | default('', true) %}
    {{- "<|im_start|>" + message.role + "\\n" + (body.strip() | replace('\\r', '')) }}
    {{- extra({'role': 1, 'note': ['a', {'b': loop.index}]}, ['role', 'note']) }}
    {{- "<|im_end|>\\n" }}
{%- endfor %}
{%- if add_generation_prompt %}{{- "<|im_start|>assistant\\n" }}{%- endif %}
"""  # noqa: E501

# Goes through the messages backwards and keeps reasoning only after the last question.
BACKWARDS = """\
{%- set ns = namespace(last=messages | length - 1, found=false) %}
{%- for message in messages[::-1] %}
    {%- set index = messages | length - 1 - loop.index0 %}
    {%- if not ns.found and message.role == 'user' %}
        {%- set ns.found = true %}{%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- if not ns.found %}{{- raise_exception('No question was found.') }}{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'system' and not loop.first %}
        {{- raise_exception('The system message comes first.') }}
    {%- endif %}
    {%- set thought = '' %}
    {%- if message.reasoning_content is string %}
        {%- set thought = message.reasoning_content %}
    {%- elif '</think>' in message.content %}
        {%- set thought = message.content.split('</think>')[0].split('<think>')[-1] %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if loop.index0 > ns.last and thought %}
        {{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' }}
    {%- endif %}
    {{- message.content.lstrip('\\n') + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- else %}{{- '<think>\\n' }}{%- endif %}
{%- endif %}
"""

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi <|im_end|>"},
    {"role": "assistant", "content": "Yes?", "reasoning_content": "hm"},
    {"role": "user", "content": "Bye"},
]


def render(template: str, messages=TALK, **options: bool) -> str:
    """The prompt as text; special tokens that came from the messages show as text, too."""
    inner = make_tokenizer(template)
    ids = FastTokenizer(inner, template).render(
        messages, **{"answer": True, "thinking": True} | options
    )
    return inner.decode(ids.ids)


def test_macros_and_filters_of_real_templates():
    assert render(TOOLS) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nHi <|im_end|><|im_end|>\n"
        "<|im_start|>assistant\nYes?<|im_end|>\n"
        "<|im_start|>user\nBye<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_reasoning_is_kept_after_the_last_question_only():
    text = render(BACKWARDS)
    assert "hm" not in text
    assert text.endswith("<|im_start|>assistant\n<think>\n")
    assert render(BACKWARDS, thinking=False).endswith("<think>\n\n</think>\n\n")
    late = [TALK[1], TALK[2]]
    assert "<think>\nhm\n</think>\n\nYes?" in render(BACKWARDS, late, answer=False)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [(TALK[::-1], "The system message comes first"), (TALK[:1], "No question was found")],
)
def test_what_a_template_refuses_is_said(messages, reason):
    with pytest.raises(Known, match=f"chat template failed: {reason}"):
        render(BACKWARDS, messages)


DOUBLE = "{%% set n = namespace(x=%s) %%}{%% for i in range(60) %%}%s{%% endfor %%}"
WORD = (
    "{% set n = namespace(x='aaaa') %}{% for i in range(18) %}{% set n.x = n.x + n.x %}{% endfor %}"
)
EXPLOSIONS = {
    "times": "{{ 'a' * 10**10 }}",
    "times later": "{% set n = 10000000000 %}{{ 'a' * n }}",
    "list times": "{{ ([0] * 10**10) | length }}",
    "power": "{% set n = namespace(x=9) %}{{ 99 ** 99999999 }}",
    "square": DOUBLE % ("9", "{% set n.x = n.x * n.x %}"),
    "plus": DOUBLE % ("'aaaa'", "{% set n.x = n.x + n.x %}"),
    "tilde": DOUBLE % ("'aaaa'", "{% set n.x = n.x ~ n.x %}"),
    "block": DOUBLE % ("'aaaa'", "{% set y %}{{ n.x }}{{ n.x }}{% endset %}{% set n.x = y %}"),
    "list": DOUBLE % ("[1]", "{% set n.x = [n.x, n.x] %}") + "{{ n.x | tojson }}",
    "tuple": DOUBLE % ("1", "{% set n.x = (n.x, n.x) %}") + "{{ n.x }}",
    "mapping": DOUBLE % ("1", "{% set n.x = {'a': n.x, 'b': n.x} %}") + "{{ n.x | string }}",
    "dict": DOUBLE % ("1", "{% set n.x = dict(a=n.x, b=n.x) %}") + "{{ n.x }}",
    "arguments": "{% set n = namespace(x=1) %}{% macro m() %}{% set n.x = varargs %}{% endmacro %}"
    "{% for i in range(60) %}{{ m(n.x, n.x) }}{% endfor %}{{ n.x }}",
    "batch": DOUBLE % ("[1]", "{% set n.x = n.x | batch(2, n.x) | list %}") + "{{ n.x }}",
    "compare": "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(60) %}"
    "{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}",
    "output": "{% for i in range(99999) %}{{ 'a' * 999 }}{% endfor %}",
    "center": "{{ 'a' | center(10000000000) }}",
    "ljust": "{{ 'a'.ljust(10000000000) }}",
    "format": "{{ '%1000000000d' % 1 }}",
    "format by star": "{{ '%*d' % (1000000000, 1) }}",
    "str.format": "{{ '{:1000000000}'.format(1) }}",
    "str.format nested": "{{ '{:{w}}'.format(1, w='1000000000') }}",
    "format_map": "{{ '{a:{b}}'.format_map({'a': 1, 'b': '999999999'}) }}",
    "format filter": "{{ '%1000000000d' | format(1) }}",
    "format repeats": WORD + "{{ ('{0}' * 10000).format(n.x) }}",
    "format repeats a key": WORD + "{{ ('%(a)s' * 10000) % {'a': n.x} }}",
    "replace": WORD + "{{ n.x.replace('a', n.x) | length }}",
    "replace filter": WORD + "{{ n.x | replace('a', n.x) | length }}",
    "join": WORD + "{{ n.x.join(range(99999) | map('string')) | length }}",
    "join filter": WORD + "{{ range(99999) | join(n.x) | length }}",
    "indent": "{{ ('\n' * 1000000) | indent(999999, true) }}",
    "tojson": "{{ [[[[1]]]] | tojson(indent=999999999) }}",
    "expandtabs": "{{ ('\t' * 1000000).expandtabs(1000000) | length }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
}  # fmt: skip


@pytest.mark.parametrize("name", EXPLOSIONS)
def test_one_step_never_takes_all_memory(name):
    """Were it not refused, the machine would run out of memory, or this would never end."""
    with pytest.raises(Known, match="chat template failed"):
        render(EXPLOSIONS[name])


@pytest.mark.parametrize("name", ["urlize", "striptags", "wordwrap", "wordcount", "pprint"])
def test_filters_that_search_are_left_out(name):
    with pytest.raises(Known, match="No filter named"):
        render("{{ 'a' | " + name + " }}")


ENDLESS = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "macros": "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}"
    "{{ m(60) }}",
    "words": "{{ lipsum(n=1000000, max=100000) }}",
}  # fmt: skip


@pytest.fixture
def endless(copied) -> Engine:
    """An engine with a model whose template never ends, unless it is asked what ends."""
    folder = copied("qwen2")
    template = "{% if messages[-1].content == 'end' %}ok{% else %}LOOP{% endif %}"
    engine = Engine()
    edit_json(folder / "tokenizer_config.json", chat_template=None)
    (folder / "chat_template.jinja").write_text(template.replace("LOOP", ENDLESS["loops"]))
    load(engine, folder)
    return engine


def test_a_template_without_end_is_left(endless, monkeypatch):
    monkeypatch.setattr(prompting, "PROMPT_SECONDS", 0.2)
    for attempt in (endless.count_prompt, lambda asked: ask(endless, asked)):
        with pytest.raises(Known, match="chat template does not end"):
            attempt(request("hello"))
    monkeypatch.undo()
    assert text_of(ask(endless, request("end")))


def test_stop_leaves_a_template_at_once(endless):
    cancel = threading.Event()
    timer = threading.Timer(0.1, cancel.set)
    timer.start()
    events = ask(endless, request("hello"), cancel)
    timer.join()
    assert reason_of(events) is FinishReason.STOPPED
    assert text_of(ask(endless, request("end")))


@pytest.mark.parametrize("name", ENDLESS)
def test_what_is_left_ends_soon(name):
    """Else the thread would be found by the fixture that looks for such."""
    tokenizer = FastTokenizer(make_tokenizer(ENDLESS[name]), ENDLESS[name])
    aside = Aside()
    with pytest.raises(Overrun):
        aside.run(lambda: tokenizer.render(TALK, answer=True, thinking=True), NEVER, 0.1)
    assert aside.run(lambda: 7, NEVER, 10) == 7


def test_a_template_that_gathers_memory_is_left(monkeypatch):
    monkeypatch.setattr(aside_module, "MAX_GROWTH", 50 * 2**20)
    template = (
        WORD + "{% for i in range(99999) %}{% set n.l = namespace(p=n.l, q=n.x ~ i) %}{% endfor %}"
    )
    tokenizer = FastTokenizer(make_tokenizer(template), template)
    with pytest.raises(Overrun) as left:
        Aside().run(lambda: tokenizer.render(TALK, answer=True, thinking=True), NEVER, 60)
    assert left.value.memory


def test_aside_gives_and_raises_what_the_function_does():
    aside = Aside()
    assert aside.run(lambda: [1], NEVER) == [1]
    with pytest.raises(ZeroDivisionError):
        aside.run(lambda: 1 // 0, NEVER)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        aside.run(lambda: threading.Event().wait(0.2), cancel)


def test_what_follows_waits_for_what_was_left():
    """Tokenizers bear only one user at a time."""
    aside, go, order = Aside(), threading.Event(), []
    cancel = threading.Event()
    cancel.set()

    def slow() -> None:
        go.wait(10)
        order.append("slow")

    with pytest.raises(Cancelled):
        aside.run(slow, cancel, interrupt=False)
    with pytest.raises(Overrun):
        aside.run(lambda: order.append("never"), NEVER, 0.05)
    go.set()
    aside.run(lambda: order.append("next"), NEVER)
    assert order == ["slow", "next"]


REPEATED = {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel", "add_prefix_space": False,
            "trim_offsets": True, "use_regex": True}] * 40}  # fmt: skip
DOUBLING = {"type": "Sequence", "normalizers": [
            {"type": "Replace", "pattern": {"Regex": "."}, "content": "xx"}] * 40}  # fmt: skip
MANY = [{"id": 300 + i, "content": f"<{i}>", "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False, "special": True} for i in range(10_001)]  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [{"pre_tokenizer": REPEATED}, {"normalizer": DOUBLING}, {"added_tokens": MANY}],
    ids=lambda changes: next(iter(changes)),
)
def test_tokenizers_that_would_not_end_are_refused(copied, engine, changes):
    folder = copied("qwen3")
    edit_json(folder / "tokenizer.json", **changes)
    with pytest.raises(Known, match=r"tokenizer.json (is damaged|cannot be loaded)"):
        load(engine, folder)


def test_endless_tables_of_special_tokens_are_refused(copied):
    folder = copied("qwen3")
    edit_json(
        folder / "tokenizer_config.json",
        additional_special_tokens=[f"<{i}>" for i in range(20_000)],
    )
    with pytest.raises(Known, match=r"tokenizer_config.json is damaged"):
        inspect(folder)


def test_an_expression_that_never_matches_ends(copied, engine):
    """The library itself gives up on patterns that try every way to match."""
    folder = copied("qwen3")
    split = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}
    value = json.loads((folder / "tokenizer.json").read_text())
    value["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [split | {"invert": False}, value["pre_tokenizer"]],
    }
    (folder / "tokenizer.json").write_text(json.dumps(value))
    load(engine, folder)
    with pytest.raises(Known, match="chat template failed"):
        ask(engine, request("a" * 60 + "b"))
