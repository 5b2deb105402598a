"""Conversations for the tests of documents."""

from qwen_desktop.chat.messages import (
    AnswerStats,
    Message,
    Part,
    PartKind,
    Provenance,
    Role,
    Status,
)
from qwen_desktop.chat.record import Record
from qwen_desktop.chat.tree import Conversation, Tree

T0 = 1767225600.0


def said(*texts, title="", roles=None, key="s"):
    """A conversation of question, answer, question … with these texts."""
    tree = Tree()
    for number, text in enumerate(texts):
        role = roles[number] if roles else (Role.USER, Role.ASSISTANT)[number % 2]
        stats = AnswerStats(model="Qwen3-8B") if role is Role.ASSISTANT else None
        tree = tree.added(
            Message(
                role,
                (Part(PartKind.TEXT, text),),
                f"{key}{number}",
                tree.head,
                T0 + 60 * number,
                stats=stats,
            )
        )
    return Record(Conversation(key, title, T0, T0, tree))


def branched():
    """Two versions of an answer, the first one thought about and gone on from."""
    think = (Part(PartKind.REASONING, "5-7-5"), Part(PartKind.TEXT, "Soft *rain*"))
    provenance = Provenance(precision="BF16", seed=42, sampling=(("temperature", 0.7),))
    stats = AnswerStats("Qwen3-8B", 5, 0, 2, 3, 0.5, 0.1, 1.0)
    messages = [
        Message(Role.USER, (Part(PartKind.TEXT, "A haiku"),), "q", None, T0),
        Message(Role.ASSISTANT, think, "a1", "q", T0 + 60, stats=stats, provenance=provenance),
        Message(Role.USER, (Part(PartKind.TEXT, "More"),), "q2", "a1", T0 + 120),
        Message(
            Role.ASSISTANT,
            (Part(PartKind.TEXT, "Wind"),),
            "a2",
            "q",
            T0 + 180,
            Status.STOPPED,
            stats=stats,
        ),
    ]
    return Record(Conversation("c", "Rain", T0, T0, Tree.of(messages, "a2")))
