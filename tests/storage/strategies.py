"""Random messages and all that hangs on them, for the tests of this folder."""

from hypothesis import strategies as st

from qwen_desktop.chat.context import ChatOptions, Policy
from qwen_desktop.chat.messages import (
    AnswerStats,
    AnswerTrace,
    Message,
    Part,
    PartKind,
    Provenance,
    Role,
    Status,
    TokenScore,
)
from qwen_desktop.chat.settings import SETTINGS

TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", " \n\t", "你好，世界", "a\x00b", "𝄞🙂", "x" * 200, '{"kind": "text"}', "'; DROP TABLE"]
)
PARTS = st.lists(
    st.builds(Part, st.sampled_from([PartKind.TEXT, PartKind.REASONING]), TEXTS)
    | st.builds(Part, st.just(PartKind.FILE), TEXTS, TEXTS),
    max_size=3,
).map(tuple)
SECONDS = st.floats(0, 1e6)
COUNTS = st.integers(0, 2**40)
TOKENS = st.integers(0, 2**31 - 1)
STATS = st.none() | st.builds(
    AnswerStats, TEXTS, TOKENS, TOKENS, TOKENS, TOKENS, SECONDS, SECONDS, SECONDS
)
TIMES = st.floats(0, 4e9)
TOKEN = st.integers(0, 2**32 - 1) | st.integers(0, 151935)
IDS = st.lists(TOKEN, max_size=6).map(tuple)
# Long ones repeat: what is kept in pieces shows only beyond a piece.
PROMPTS = IDS | st.builds(
    lambda ids, times, rest: ids * times + rest, IDS, st.integers(0, 700), IDS
)
LOGPROBS = st.floats(-1e6, 0) | st.just(float("-inf"))
ALTERNATIVES = st.lists(st.tuples(TOKEN, TEXTS, LOGPROBS), max_size=2).map(tuple)
SCORES = st.lists(st.builds(TokenScore, TOKEN, TEXTS, LOGPROBS, ALTERNATIVES), max_size=3)
TRACES = st.builds(AnswerTrace, PROMPTS, SCORES.map(tuple))


def accepted_values(setting):
    """All values that a setting accepts and that UTF-8 can hold."""
    if setting.choices:
        values = st.sampled_from([key for key, _ in setting.choices])
    elif setting.kind is bool:
        values = st.booleans()
    elif setting.kind is str:
        values = TEXTS
    elif setting.kind is int:
        values = st.integers(int(setting.minimum), int(setting.maximum))
    else:
        values = st.floats(setting.minimum, setting.maximum)
    return st.none() | values if setting.optional else values


VALUES = st.lists(
    st.sampled_from(SETTINGS).flatmap(
        lambda setting: st.tuples(st.just(setting.name), accepted_values(setting))
    ),
    max_size=4,
).map(dict)
OPTIONS = st.builds(ChatOptions, st.none() | st.sampled_from(Policy), VALUES)


def provenances(ids):
    """Where an answer came from, with any of the messages `ids` unseen: some or whole runs."""
    ids = list(ids)
    some = st.lists(st.sampled_from([*ids, "of another conversation"]), max_size=4).map(tuple)
    runs = st.tuples(st.integers(0, len(ids)), st.integers(0, len(ids))).map(
        lambda ends: tuple(ids[min(ends) : max(ends)])
    )
    return st.none() | st.builds(
        Provenance,
        fingerprint=TEXTS,
        template=TEXTS,
        family=TEXTS,
        precision=TEXTS,
        kv_format=st.sampled_from(["model", "int8"]),
        device=TEXTS,
        engine=TEXTS,
        thinking=st.booleans(),
        sampling=st.lists(st.tuples(TEXTS, st.floats(-2, 1000)), max_size=3).map(tuple),
        seed=st.integers(0, 2**63),
        thinking_budget=st.none() | COUNTS,
        stop_strings=st.lists(TEXTS, max_size=2).map(tuple),
        context_limit=COUNTS,
        unseen=some | runs,
        stop_reason=TEXTS,
        peak_bytes=COUNTS,
        held_bytes=COUNTS,
        others_bytes=COUNTS,
        planned_bytes=COUNTS,
        used_bytes=COUNTS,
        device_bytes=COUNTS,
    )


def messages_below(parent_id, ids=()):
    """Any message that hangs below `parent_id`; its answer may not have seen some of `ids`."""
    return st.builds(
        Message,
        role=st.sampled_from(Role),
        parts=PARTS,
        parent_id=st.just(parent_id),
        created_at=TIMES,
        status=st.sampled_from(Status),
        stats=STATS,
        error=TEXTS,
        pinned=st.booleans(),
        token_ids=IDS,
        provenance=provenances(ids),
    )
