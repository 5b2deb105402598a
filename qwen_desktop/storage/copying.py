"""Makes a conversation of a part of another one: a branch that goes its own way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qwen_desktop.storage import traces
from qwen_desktop.storage.statements import insert_conversation, insert_message, row_of

if TYPE_CHECKING:
    from qwen_desktop.chat.tree import Conversation
    from qwen_desktop.storage.store import Store


def copy(
    store: Store, conversation: Conversation, source_id: str, originals: Mapping[str, str]
) -> None:
    """Write `conversation`, which was made of the one called `source_id`.

    It stands in the same folder and has the same tags. `originals`: the messages there by id of
    the ones here, whose traces are copied. Whole or not at all.
    """
    messages = conversation.tree.messages
    parents = {message.id: message.parent_id for message in messages.values()}
    with store.database.writing() as connection:
        number = insert_conversation(connection, conversation)
        connection.execute(
            "UPDATE conversations SET folder = (SELECT folder FROM conversations WHERE id = ?)"
            " WHERE number = ?",
            (source_id, number),
        )
        connection.execute(
            "INSERT INTO tags (conversation, name) SELECT ?, name FROM tags"
            " JOIN conversations ON number = conversation WHERE id = ?",
            (number, source_id),
        )
        for message in messages.values():
            insert_message(connection, number, message, parents.get)
            original = connection.execute(
                "SELECT number FROM messages WHERE id = ?", (originals.get(message.id),)
            ).fetchone()
            trace = traces.packed(connection, original[0]) if original is not None else None
            if trace is not None:
                traces.write_packed(connection, row_of(connection, message.id), trace)
