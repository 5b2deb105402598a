"""Any sequence of operations on a store, with restarts between, equals the same in memory."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from qwen_desktop.chat.messages import AnswerTrace, PartKind, Provenance, Status
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage.store import Store
from tests.listed import listed

from .strategies import (
    IDS,
    OPTIONS,
    PARTS,
    PROMPTS,
    STATS,
    TEXTS,
    TIMES,
    TRACES,
    messages_below,
    provenances,
)

PICK = st.integers(0, 2**20)


class StoreAgainstMemory(RuleBasedStateMachine):
    """`conversations` is the model: what a reader must find, in the order of making."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "conversations.db"
        self.store = Store.open(self.file)
        self.conversations = {}
        self.deleted = set()
        self.drafts = {}
        self.traces = {}

    def teardown(self):
        self.store.close()
        self.folder.cleanup()

    def picked(self, pick):
        return list(self.conversations.values())[pick % len(self.conversations)]

    def replace_tree(self, conversation, tree):
        self.conversations[conversation.id] = replace(
            self.conversations[conversation.id], tree=tree
        )

    @rule(
        data=st.data(),
        title=TEXTS,
        created=TIMES,
        updated=TIMES,
        count=st.integers(0, 4),
        options=OPTIONS,
    )
    def create(self, data, title, created, updated, count, options):
        tree = Tree()
        for _ in range(count):
            parent = data.draw(st.sampled_from([None, *tree.messages]))
            tree = tree.added(data.draw(messages_below(parent, tree.messages)))
        if tree.messages:
            tree = tree.with_head(data.draw(st.sampled_from(list(tree.messages))))
        conversation = Conversation(
            title=title, created_at=created, updated_at=updated, tree=tree, options=options
        )
        self.store.create(conversation)
        self.conversations[conversation.id] = conversation

    @precondition(lambda self: self.conversations)
    @rule(data=st.data(), pick=PICK)
    def add_message(self, data, pick):
        conversation = self.picked(pick)
        parents = [None, *conversation.tree.messages]
        parent = data.draw(st.sampled_from(parents))
        message = data.draw(messages_below(parent, conversation.tree.messages))
        before = time.time()
        self.store.add_message(conversation.id, message)
        after = time.time()
        self.replace_tree(conversation, conversation.tree.added(message))
        if conversation.id not in self.deleted:
            updated = self.store.load(conversation.id).updated_at
            assert before <= updated <= after
        else:  # looked up later, when it is restored
            updated = None
        self.conversations[conversation.id] = replace(
            self.conversations[conversation.id], updated_at=updated
        )

    @precondition(lambda self: self.conversations)
    @rule(data=st.data(), pick=PICK, kind=st.sampled_from(PartKind), text=TEXTS, ids=IDS)
    def journal(self, data, pick, kind, text, ids):
        conversation = self.picked(pick)
        live = [m for m in conversation.tree.messages.values() if m.status is Status.STREAMING]
        if not live:
            return
        message = data.draw(st.sampled_from(live))
        self.store.journal(message.id, kind, text, ids)
        grown = replace(message.appended(kind, text), token_ids=message.token_ids + ids)
        self.replace_tree(conversation, conversation.tree.replaced(grown))

    @precondition(lambda self: self.conversations)
    @rule(data=st.data(), pick=PICK, prompt=PROMPTS)
    def save_start(self, data, pick, prompt):
        conversation = self.picked(pick)
        if not conversation.tree.messages:
            return
        message = data.draw(st.sampled_from(list(conversation.tree.messages.values())))
        provenance = data.draw(provenances(conversation.tree.messages)) or Provenance()
        self.store.save_start(message.id, provenance, prompt)
        started = replace(message, provenance=provenance)
        self.replace_tree(conversation, conversation.tree.replaced(started))
        self.traces[message.id] = replace(
            self.traces.get(message.id, AnswerTrace()), prompt_ids=prompt
        )

    @precondition(lambda self: self.conversations)
    @rule(data=st.data(), pick=PICK, ids=IDS)
    def reopen(self, data, pick, ids):
        conversation = self.picked(pick)
        if not conversation.tree.messages:
            return
        message = data.draw(st.sampled_from(list(conversation.tree.messages.values())))
        self.store.reopen(conversation.id, replace(message, token_ids=ids))
        reopened = replace(message, token_ids=ids, status=Status.STREAMING)
        self.replace_tree(conversation, conversation.tree.replaced(reopened))

    @precondition(lambda self: self.conversations)
    @rule(
        data=st.data(),
        pick=PICK,
        parts=PARTS,
        stats=STATS,
        error=TEXTS,
        status=st.sampled_from(Status),
        ids=IDS,
        trace=st.none() | TRACES,
    )
    def finish(self, data, pick, parts, stats, error, status, ids, trace):
        conversation = self.picked(pick)
        if not conversation.tree.messages:
            return
        message = data.draw(st.sampled_from(list(conversation.tree.messages.values())))
        message = replace(
            message,
            parts=parts,
            stats=stats,
            error=error,
            status=status,
            token_ids=ids,
            provenance=data.draw(provenances(conversation.tree.messages)),
        )
        self.store.finish(conversation.id, message, trace)
        self.replace_tree(conversation, conversation.tree.replaced(message))
        if trace is not None:
            self.traces[message.id] = trace

    @precondition(lambda self: self.conversations)
    @rule(data=st.data(), pick=PICK, pinned=st.booleans())
    def set_pinned(self, data, pick, pinned):
        conversation = self.picked(pick)
        if not conversation.tree.messages:
            return
        message = data.draw(st.sampled_from(list(conversation.tree.messages.values())))
        self.store.set_pinned(conversation.id, message.id, pinned)
        self.replace_tree(conversation, conversation.tree.replaced(replace(message, pinned=pinned)))

    @precondition(lambda self: self.conversations)
    @rule(pick=PICK, options=OPTIONS)
    def set_options(self, pick, options):
        conversation = self.picked(pick)
        self.store.set_options(conversation.id, options)
        self.conversations[conversation.id] = replace(conversation, options=options)

    @precondition(lambda self: self.conversations)
    @rule(pick=PICK, title=TEXTS)
    def rename(self, pick, title):
        conversation = self.picked(pick)
        self.store.rename(conversation.id, title)
        self.conversations[conversation.id] = replace(conversation, title=title)

    @precondition(lambda self: self.conversations)
    @rule(data=st.data(), pick=PICK)
    def set_head(self, data, pick):
        conversation = self.picked(pick)
        if not conversation.tree.messages:
            return
        head = data.draw(st.sampled_from(list(conversation.tree.messages)))
        self.store.set_head(conversation.id, head)
        self.replace_tree(conversation, conversation.tree.with_head(head))

    @precondition(lambda self: self.conversations)
    @rule(pick=PICK)
    def delete(self, pick):
        conversation = self.picked(pick)
        self.store.listing.delete([conversation.id])
        self.deleted.add(conversation.id)

    @precondition(lambda self: self.deleted)
    @rule(pick=PICK)
    def restore(self, pick):
        conversation_id = sorted(self.deleted)[pick % len(self.deleted)]
        self.store.listing.restore([conversation_id])
        self.deleted.remove(conversation_id)
        if self.conversations[conversation_id].updated_at is None:
            self.conversations[conversation_id] = replace(
                self.conversations[conversation_id],
                updated_at=self.store.load(conversation_id).updated_at,
            )

    @rule(data=st.data(), text=TEXTS)
    def save_draft(self, data, text):
        key = data.draw(st.sampled_from(["", *self.conversations]))
        self.store.save_draft(key, text)
        self.drafts[key] = text

    @rule()
    def start_again(self):
        self.store.close()
        self.store = Store.open(self.file)
        for conversation in self.conversations.values():
            tree = conversation.tree
            for message in tree.messages.values():
                if message.status is Status.STREAMING:
                    tree = tree.replaced(replace(message, status=Status.INTERRUPTED))
            self.replace_tree(conversation, tree)

    @invariant()
    def what_is_read_equals_the_model(self):
        shown = [c for c in self.conversations.values() if c.id not in self.deleted]
        for conversation in shown:
            loaded = self.store.load(conversation.id)
            assert loaded == conversation
            assert list(loaded.tree.messages) == list(conversation.tree.messages)
            for message_id in loaded.tree.messages:
                trace = self.traces.get(message_id, AnswerTrace())
                assert self.store.trace(message_id) == trace
        for conversation_id in self.deleted:
            loaded = self.store.load(conversation_id)
            assert loaded.tree == self.conversations[conversation_id].tree
        made = list(self.conversations)
        newest_first = sorted(shown, key=lambda c: (c.updated_at, made.index(c.id)), reverse=True)
        expected = {c.id: c.summary() for c in newest_first}
        found = {summary.id: summary for summary in listed(self.store)}
        assert list(found) == list(expected)
        for conversation in shown:
            # The preview of a running answer is written when it ends.
            path = conversation.tree.path()
            if not any(message.status is Status.STREAMING for message in path):
                assert found[conversation.id] == expected[conversation.id]
            else:
                assert found[conversation.id].updated_at == conversation.updated_at
        assert self.store.drafts() == {key: text for key, text in self.drafts.items() if text}


StoreAgainstMemory.TestCase.settings = settings(
    max_examples=30, stateful_step_count=20, deadline=None
)
TestStoreAgainstMemory = StoreAgainstMemory.TestCase
