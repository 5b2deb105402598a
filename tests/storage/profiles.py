"""A small database with something in every table, as it lies after a run that ended well or not."""

import random
from dataclasses import dataclass, replace
from pathlib import Path

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
    user_message,
)
from qwen_desktop.chat.summary import ListFilter, Place
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage.store import Store

STREAMED = "an answer that streams "


def words(draw, count):
    """Text that no compression makes much smaller."""
    return "".join(chr(draw.randrange(0x4E00, 0x9FFF)) for _ in range(count))


def conversation_of(draw, number, turns):
    """A conversation, branches and all; ids tell what it is."""
    tree, last = Tree(), None
    for turn in range(turns):
        made = 1000.0 * number + turn
        question = replace(
            user_message(
                f"question {number}.{turn} " + words(draw, draw.choice((5, 60, 700))), last
            ),
            id=f"q-{number}-{turn}",
            created_at=made,
            pinned=turn == 1,
        )
        tree = tree.added(question)
        answer = Message(
            role=Role.ASSISTANT,
            parts=(
                Part(PartKind.REASONING, "thinking " + words(draw, 20)),
                Part(PartKind.TEXT, "answer " + words(draw, draw.choice((10, 200, 2500)))),
            ),
            id=f"a-{number}-{turn}",
            parent_id=question.id,
            created_at=made + 0.5,
            stats=AnswerStats("Qwen3-4B", 5, 1, 2, 3),
            token_ids=tuple(draw.randrange(150_000) for _ in range(20)),
            provenance=Provenance(fingerprint="f", seed=number),
        )
        tree = tree.added(answer)
        last = answer.id
    return Conversation(
        id=f"c-{number}",
        title=f"Title {number}" if number % 3 == 0 else "",
        created_at=1000.0 * number,
        updated_at=1000.0 * number + turns,
        tree=tree,
        options=ChatOptions(Policy.KEEP_FIRST, {"temperature": 0.5})
        if number % 2
        else ChatOptions(),
    )


def fill(store: Store, draw: random.Random, numbers):
    """Write the conversations of these numbers with all that can hang on them."""
    for number in numbers:
        conversation = conversation_of(draw, number, draw.randrange(1, 5))
        store.create(conversation)
        answer = list(conversation.tree.messages.values())[-1]
        trace = AnswerTrace(
            tuple(range(700)), (TokenScore(5, "x", -0.5, ((5, "x", -0.5), (6, "y", -1.5))),)
        )
        store.finish(conversation.id, answer, trace)
        store.save_draft(conversation.id, f"draft {number} " + words(draw, 30))
        store.listing.add_tag([conversation.id], f"tag {number % 4}")
        if number % 5 == 0:
            store.listing.set_pinned([conversation.id], True)
    ids = [f"c-{number}" for number in numbers]
    folder = store.listing.make_folder(f"Folder {ids[0]}")
    store.listing.set_folder(ids[::2], folder.id)
    store.listing.set_archived(ids[3:4], True)
    store.listing.delete(ids[4:5])
    first = store.load(ids[0])
    asked = replace(user_message("more?", first.tree.head), id=f"q-{numbers[0]}-more")
    streaming = Message(
        role=Role.ASSISTANT,
        parts=(),
        id=f"s-{numbers[0]}",
        parent_id=asked.id,
        status=Status.STREAMING,
    )
    store.add_message(first.id, asked)
    store.add_message(first.id, streaming)
    for number in range(5):
        store.journal(streaming.id, PartKind.TEXT, STREAMED + str(number), (number,))
    store.index.add_some(1000)


def everything(store: Store):
    """All that a store has, by ids: conversations, rows of the list, drafts."""
    found, listed = {}, {}
    for place in Place:
        for conversation_id in store.listing.ids(ListFilter(place)):
            found[conversation_id] = store.load(conversation_id)
            for message_id in found[conversation_id].tree.messages:
                store.trace(message_id)
            (listed[conversation_id],) = store.listing.rows([conversation_id])
    return Everything(found, listed, dict(store.drafts()))


@dataclass(frozen=True)
class Everything:
    conversations: dict
    rows: dict
    drafts: dict

    @property
    def messages(self):
        """Every message with the id of its conversation, by id."""
        return {
            message.id: (conversation.id, message)
            for conversation in self.conversations.values()
            for message in conversation.tree.messages.values()
        }


def beside(file: Path):
    """The files of a database that are there."""
    return [
        one
        for one in (file, *(file.with_name(f"{file.name}{end}") for end in ("-wal", "-shm")))
        if one.exists()
    ]
