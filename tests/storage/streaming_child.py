"""Chats for ever into the database named on the command line, and tells what is saved.

Started by test_kill.py, which ends it by force. One line for each call that has returned.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from qwen_desktop.chat.messages import (
    AnswerTrace,
    PartKind,
    Provenance,
    Status,
    pending_answer,
    user_message,
)
from qwen_desktop.chat.tree import Conversation
from qwen_desktop.storage.store import Store


def main() -> None:
    store = Store.open(Path(sys.argv[1]))
    conversation = Conversation()
    store.create(conversation)
    head = None

    def saved(*what: object) -> None:
        sys.stdout.write(json.dumps([conversation.id, *what]) + "\n")
        sys.stdout.flush()

    while True:
        question = user_message("Count, please. 请数数。", head)
        store.add_message(conversation.id, question)
        saved("question", question.id)
        answer = pending_answer(question.id, "Qwen3-4B")
        store.add_message(conversation.id, answer)
        provenance = Provenance(fingerprint="f", seed=7)
        store.save_start(answer.id, provenance, tuple(range(700)))
        answer = replace(answer, provenance=provenance)
        saved("start", answer.id)
        for number in range(12):
            kind = PartKind.REASONING if number < 3 else PartKind.TEXT
            store.journal(answer.id, kind, f"{number} ", (number,))
            answer = replace(
                answer.appended(kind, f"{number} "), token_ids=(*answer.token_ids, number)
            )
            if number == 6:  # stopped, and continued
                store.finish(conversation.id, replace(answer, status=Status.STOPPED))
                store.reopen(conversation.id, answer)
            saved("piece", answer.id, number)
        done = replace(answer, status=Status.COMPLETE)
        store.finish(conversation.id, done, AnswerTrace(tuple(range(700))))
        saved("finished", answer.id)
        store.save_draft(conversation.id, answer.id)
        saved("draft", answer.id)
        head = answer.id


if __name__ == "__main__":
    main()
