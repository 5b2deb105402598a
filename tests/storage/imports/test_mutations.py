"""Every value of every fixture, exchanged for what nobody expects: no error gets out, the rest
comes in, and what comes in can be written.
"""

import copy
import json
import random
from pathlib import Path

import pytest

from qwen_desktop.chat.importing import Found, Refused
from qwen_desktop.storage import merge
from qwen_desktop.storage.imports.files import Reader
from qwen_desktop.storage.store import Store

FIXTURES = Path(__file__).parent / "fixtures"
DEEP: list = []
for _ in range(300):
    DEEP = [DEEP]
VALUES = (
    None,
    True,
    -1,
    10**400,
    float("nan"),
    1e308,
    "",
    "\x00",
    "\ud800",
    "m1",
    "n-ask",
    [],
    {},
    [None],
    {"a": 1},
    DEEP,
)
WHOLE = ("chatgpt.json", "openwebui.json", "openai.json", "sharegpt.json")
ALONE = ("1755014461974.conversation.json",)
GONE = object()


def places(value, path=()):
    """The paths of all values inside, with their own."""
    yield path
    if isinstance(value, (dict, list)):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, (*path, key))


def changed(value, path, new):
    """A copy with another value at a place, or without it."""
    value = copy.deepcopy(value)
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    if new is GONE:
        del holder[path[-1]]
    else:
        holder[path[-1]] = new
    return value


def mutations(value, seed, count):
    """`count` copies with one thing changed; every place is met as evenly as can be."""
    dice = random.Random(seed)
    spots = [path for path in places(value) if path]
    dice.shuffle(spots)
    for at in range(count):
        path = spots[at % len(spots)]
        new = dice.choice((GONE, *VALUES))
        yield path, new, changed(value, path, new)


def read(file):
    found = list(Reader((file,)))
    for one in found:
        if isinstance(one, Refused):
            assert not one.report.is_bug, one.report.details
            assert one.report.text()
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = Store.open(tmp_path_factory.mktemp("store") / "conversations.db")
    yield made
    made.close()


@pytest.mark.parametrize("name", [*WHOLE, *ALONE])
def test_one_changed_value_keeps_nobody_else_out(name, tmp_path, store):
    value = json.loads((FIXTURES / name).read_text(encoding="utf-8"))
    file = tmp_path / name
    untouched = {one.position: one.record.source for one in read(FIXTURES / name) if _good(one)}
    is_list_of_conversations = name in WHOLE and name != "openai.json"
    for path, new, mutated in mutations(value, name, 400):
        file.write_text(json.dumps(mutated), encoding="utf-8")
        found = read(file)
        sources = [one.record.source for one in found if _good(one)]
        if is_list_of_conversations:
            others = [source for at, source in untouched.items() if at != path[0] + 1]
            assert set(others) <= set(sources), (path, new)
        for one in found:
            if _good(one):
                added = merge.add(store, one.record)
                store.load(added.conversation_id)


def _good(one):
    return isinstance(one, Found)


@pytest.mark.parametrize("which", ["thread.json", "messages.jsonl"])
def test_one_changed_value_of_a_thread_of_jan(which, tmp_path, store):
    folder = FIXTURES / "jan" / "threads" / "1756000000"
    for name in ("thread.json", "messages.jsonl"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    lines = (folder / which).read_text(encoding="utf-8").splitlines()
    values = [json.loads(line) for line in lines if not line.rstrip().endswith(":")]
    for _, _, mutated in mutations(values, which, 200):
        text = "\n".join(json.dumps(one) for one in mutated)
        (tmp_path / which).write_text(text, encoding="utf-8")
        for one in read(tmp_path):
            if _good(one):
                merge.add(store, one.record)


def test_any_byte_may_be_another_one(tmp_path):
    dice = random.Random(5)
    for name in (*WHOLE, *ALONE, "openai.jsonl", "sharegpt.jsonl"):
        raw = (FIXTURES / name).read_bytes()
        file = tmp_path / name
        for _ in range(100):
            broken = bytearray(raw)
            for _ in range(dice.choice((1, 1, 5))):
                broken[dice.randrange(len(raw))] = dice.randrange(256)
            if dice.random() < 0.3:
                del broken[dice.randrange(len(raw)) :]
            file.write_bytes(broken)
            read(file)


@pytest.mark.parametrize("kind", ["chatgpt", "openwebui"])
def test_parents_in_a_ring_lose_no_message(kind, tmp_path):
    def chatgpt(key, parent):
        content = {"content_type": "text", "parts": [f"I am {key}"]}
        message = {"author": {"role": "user"}, "content": content}
        return {"id": key, "parent": parent, "children": [], "message": message}

    def openwebui(key, parent):
        return {"id": key, "parentId": parent, "role": "user", "content": f"I am {key}"}

    one = chatgpt if kind == "chatgpt" else openwebui
    ring = {key: one(key, parent) for key, parent in ("ab", "bc", "ca", ("d", "d"), ("e", "a"))}
    entry = {"title": "Ring", "mapping": ring, "current_node": "e"}
    if kind == "openwebui":
        entry = {"id": "x", "chat": {"history": {"messages": ring, "currentId": "e"}}}
    file = tmp_path / "ring.json"
    file.write_text(json.dumps([entry]))
    (found,) = read(file)
    tree = found.record.conversation.tree
    assert {m.text for m in tree.messages.values()} == {f"I am {key}" for key in "abcde"}
    assert tree.path()[-1].text == "I am e"


def test_a_long_conversation_takes_no_recursion_and_little_time(tmp_path):
    nodes = {}
    for at in range(20_000):
        content = {"content_type": "text", "parts": [f"{at}"]}
        message = {"author": {"role": ("user", "assistant")[at % 2]}, "content": content}
        nodes[str(at)] = {"parent": str(at - 1), "children": [str(at + 1)], "message": message}
    entry = {"title": "Long", "mapping": nodes, "current_node": "19999", "id": "long"}
    file = tmp_path / "long.json"
    file.write_text(json.dumps([entry]))
    (found,) = read(file)
    assert len(found.record.conversation.tree.path()) == 20_000
