"""Random messages and statistics for the tests of this folder."""

from hypothesis import strategies as st

from qwen_desktop.chat.messages import AnswerStats, Message, Part, PartKind, Role, Status

TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", " \n\t", "你好，世界", "a\x00b", "𝄞🙂", "x" * 200, '{"kind": "text"}', "'; DROP TABLE"]
)
PARTS = st.lists(st.builds(Part, st.sampled_from(PartKind), TEXTS), max_size=3).map(tuple)
SECONDS = st.floats(0, 1e6)
COUNTS = st.integers(0, 2**40)
STATS = st.none() | st.builds(
    AnswerStats, TEXTS, COUNTS, COUNTS, COUNTS, COUNTS, SECONDS, SECONDS, SECONDS
)
TIMES = st.floats(0, 4e9)


def messages_below(parent_id):
    """Any message that hangs below `parent_id`."""
    return st.builds(
        Message,
        role=st.sampled_from(Role),
        parts=PARTS,
        parent_id=st.just(parent_id),
        created_at=TIMES,
        status=st.sampled_from(Status),
        stats=STATS,
        error=TEXTS,
    )
