"""Files of each program, as it writes them, come in as the conversations they hold."""

import json
import shutil
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from qwen_desktop.chat.importing import Found, Refused
from qwen_desktop.chat.messages import Message, PartKind, Role, Status
from qwen_desktop.chat.record import Record
from qwen_desktop.paths import Profile
from qwen_desktop.storage import conversation_json, merge, profile_archive
from qwen_desktop.storage.imports import values
from qwen_desktop.storage.imports.files import Reader
from qwen_desktop.storage.store import Store

FIXTURES = Path(__file__).parent / "fixtures"


def read(*paths, **more):
    return list(Reader(paths, **more))


def records(*paths) -> list[Record]:
    found = read(*paths)
    assert all(isinstance(one, Found) for one in found), found
    return [one.record for one in found]


def notes(found: Found) -> list[str]:
    return [report.text() for report in found.notes]


@dataclass
class Said:
    """A message without its ids: by what it says, and the messages below it."""

    role: str
    text: str
    reasoning: str = ""
    model: str = ""
    at: float | None = None
    status: Status = Status.COMPLETE
    below: tuple = ()


def as_said(record: Record, *, times: bool = True) -> list[Said]:
    tree = record.conversation.tree

    def one(message: Message) -> Said:
        return Said(
            message.role.value,
            message.text,
            message.reasoning,
            message.stats.model if message.stats else "",
            message.created_at if times else None,
            message.status,
            tuple(one(child) for child in tree.children(message.id)),
        )

    return [one(message) for message in tree.children(None)]


def head_text(record: Record) -> str:
    return record.conversation.tree.path()[-1].text


def user(text, at=None, *below):
    return Said("user", text, at=at, below=below)


def model(text, at=None, *below, **more):
    return Said("assistant", text, at=at, below=below, **more)


def test_chatgpt():
    bread, cut = records(FIXTURES / "chatgpt.json")
    talk = bread.conversation
    assert (talk.title, talk.created_at, talk.updated_at) == (
        "Sourdough schedule",
        1718000000.5,
        1718000300.25,
    )
    assert bread.source == "chatgpt:c-bread"
    assert (bread.archived, bread.pinned, bread.folder, bread.tags) == (True, True, "", ())
    assert talk.options.values == {"system_prompt": "I bake on Saturdays.\n\nBe brief."}
    assert as_said(bread) == [
        user(
            "[image: starter.jpg]\n\nWhen do I feed the starter?",
            1718000010.0,
            model("Friday night.", 1718000020.0, model="gpt-4o"),
            model(
                "[tool python]\n\n```python\nprint(21 - 12)\n```\n\n"
                "[tool python]\n\n```\n9\n```\n\nAt nine on Friday evening.",
                1718000030.0,
                user("谢谢！", 1718000300.0),
                model="o3",
                reasoning="Counting back\nBaking at nine, so twelve hours before."
                "\n\nThought for 4 seconds",
            ),
        )
    ]
    assert head_text(bread) == "谢谢！"
    answer = cut.conversation.tree.path()[-1]
    assert (answer.text, answer.status) == ("1, 2, 3", Status.LENGTH)


def test_of_chatgpt_it_is_told_what_is_left_out():
    bread, _ = read(FIXTURES / "chatgpt.json")
    assert notes(bread) == [
        "Steps of tools kept as text: 2.",
        "Attachments left out (1): starter.jpg.",
    ]


@pytest.mark.parametrize("member", ["conversations.json", "export/conversations-003.json"])
def test_chatgpts_download_is_read_as_it_is(tmp_path, member):
    file = tmp_path / "export.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("chat.html", "<html>")
        archive.writestr("user.json", '{"conversations": []}')
        archive.write(FIXTURES / "chatgpt.json", member)
    assert records(file) == records(FIXTURES / "chatgpt.json")


def test_open_webui():
    birds, old = records(FIXTURES / "openwebui.json")
    talk = birds.conversation
    assert (talk.title, talk.created_at, talk.updated_at) == (
        "🐦 Birds of the marsh",
        1730000000.0,
        1730000111.0,
    )
    assert birds.source == "openwebui:1f0c2a52-0000-4000-8000-000000000001"
    assert (birds.pinned, birds.archived, birds.tags) == (True, False, ("birds", "marsh"))
    assert talk.options.values == {"system_prompt": "Answer as an ornithologist."}
    assert as_said(birds) == [
        user(
            "Which bird booms at dusk?",
            1730000000.0,
            model("The bittern.", 1730000005.0, model="llama3.2:3b"),
            model(
                "It is the **bittern**, *Botaurus stellaris*.",
                1730000010.0,
                user(
                    "[image: reeds.png]\n\nIs it in this picture?",
                    1730000100.0,
                    model(
                        "I cannot tell",
                        1730000110.0,
                        model="qwen3:8b",
                        status=Status.INTERRUPTED,
                    ),
                ),
                reasoning="A low boom & reeds:\nthe bittern.",
                model="qwen3:8b",
            ),
        )
    ]
    assert (old.archived, old.folder, old.conversation.created_at) == (
        True,
        "Greetings",
        1700000000.0,
    )
    assert as_said(old) == [
        user("Hello", 1700000000.0, model("Hello!", 1700000002.0, model="mistral"))
    ]


def test_a_single_chat_of_open_webui_without_its_entry(tmp_path):
    entry = json.loads((FIXTURES / "openwebui.json").read_text(encoding="utf-8"))[0]
    file = tmp_path / "chat.json"
    file.write_text(json.dumps(entry["chat"]))
    (record,) = records(file)
    assert record.conversation.tree.path()[0].text == "Which bird booms at dusk?"
    assert record.source.startswith("openwebui:")


def test_lm_studio():
    (tides,) = records(FIXTURES / "1755014461974.conversation.json")
    talk = tides.conversation
    assert (talk.title, talk.created_at, talk.updated_at) == (
        "Tides",
        1755014461.974,
        1755014480.0,
    )
    assert tides.source == "lmstudio:1755014461974"
    assert talk.options.values == {"system_prompt": "You know the sea."}
    assert as_said(tides, times=False) == [
        user(
            "Why two tides a day?",
            None,
            model("Because of the Moon.", model="qwen/qwen3-4b", status=Status.STOPPED),
            model(
                '[tool tide_table]\n```json\n{"port": "Brest"}\n```\n\n'
                '[tool]\n```\n[{"type":"text","text":"05:10, 17:35"}]\n```\n\n'
                "The Earth turns under two bulges of water.",
                None,
                user("And here?\n\n[image: harbour.png]"),
                reasoning="Two bulges.",
                model="qwen/qwen3-4b",
            ),
        )
    ]


def test_lm_studios_folders_become_folders(tmp_path):
    inner = tmp_path / "conversations" / "Sea" / "Tides"
    inner.mkdir(parents=True)
    shutil.copy(FIXTURES / "1755014461974.conversation.json", inner)
    (tides,) = records(tmp_path / "conversations")
    assert tides.folder == "Sea / Tides"


def test_jan():
    knots, hi = records(FIXTURES / "jan" / "threads")
    talk = knots.conversation
    assert (talk.title, talk.created_at, talk.updated_at) == ("Knots", 1756000000.0, 1756000060.0)
    assert (knots.source, knots.pinned) == ("jan:1756000000", True)
    assert talk.options.values == {"system_prompt": "You sail."}
    assert as_said(knots) == [
        user(
            "How do I tie a bowline?",
            1756000001.0,
            model(
                "Make a hole, up goes the rabbit.",
                1756000010.0,
                user("[image]\n\nLike this?", 1756000060.0),
                reasoning="The rabbit and the tree.",
                model="qwen3-4b-it",
            ),
        )
    ]
    answer = hi.conversation.tree.path()[-1]
    assert (answer.reasoning, answer.text, answer.status) == (
        "A greeting.",
        "Hello!",
        Status.STOPPED,
    )
    assert answer.stats.model == "jan-nano"


def test_of_jan_a_broken_line_is_told():
    found = read(FIXTURES / "jan" / "threads")[0]
    assert "Messages that cannot be read, left out: 1." in notes(found)


@pytest.mark.parametrize("name", ["thread.json", "messages.jsonl"])
def test_either_file_of_a_thread_of_jan_may_be_chosen(name):
    folder = FIXTURES / "jan" / "threads" / "1756000000"
    assert records(folder / name) == records(folder)


def test_openai_messages():
    terse, tools = records(FIXTURES / "openai.jsonl")
    assert terse.conversation.options.values == {"system_prompt": "You are terse."}
    assert as_said(terse, times=False) == [user("2+2?", None, model("4", reasoning="Two and two."))]
    assert tools.conversation.options.values == {"system_prompt": "Use tools."}
    assert as_said(tools, times=False) == [
        user(
            "Weather?\n\n[image]",
            None,
            model(
                '[tool weather]\n```json\n{"city": "Oslo"}\n```\n\n'
                "[tool c1]\n```\n-3 °C\n```\n\nCold.",
                model="qwen-plus",
            ),
        )
    ]


def test_a_bare_list_of_messages_is_one_conversation():
    (primes,) = records(FIXTURES / "openai.json")
    assert as_said(primes, times=False) == [
        user(
            "Name a prime.",
            None,
            model(
                "Seven.\n\n[narrator]\nA pause.",
                None,
                user("Another.", None, model("Eleven.")),
                reasoning="Small ones first.",
            ),
        )
    ]


def test_sharegpt():
    kind, short, empty = read(FIXTURES / "sharegpt.json")
    assert kind.record.conversation.options.values == {"system_prompt": "Be kind."}
    assert as_said(kind.record, times=False) == [user("你是谁？", None, model("我是助手。"))]
    assert short.record.conversation.options.values == {"system_prompt": "Be short."}
    assert as_said(short.record, times=False) == [
        user(
            "Hi",
            None,
            model('[tool]\n```\n{"name": "wave"}\n```\n\n[tool]\n```\nwaved\n```\n\nHello.'),
        )
    ]
    assert isinstance(empty, Refused)
    assert empty.position == 3


def test_a_broken_line_has_a_place_and_the_others_come():
    one, broken, two = read(FIXTURES / "sharegpt.jsonl")
    assert (one.position, broken.position, two.position) == (1, 2, 3)
    assert isinstance(broken, Refused)
    assert [head_text(found.record) for found in (one, two)] == ["One.", "Two."]


def test_the_same_file_gives_the_same_conversation_each_time(tmp_path):
    # Also after a while, from another place: only times that the file does not tell may differ.
    for name in ("chatgpt.json", "openwebui.json", "1755014461974.conversation.json"):
        copy = tmp_path / name
        copy.write_bytes((FIXTURES / name).read_bytes())
        assert records(copy) == records(FIXTURES / name)
    copy = tmp_path / "openai.jsonl"
    copy.write_bytes((FIXTURES / "openai.jsonl").read_bytes())
    ids = [[r.source, r.conversation.id, *r.conversation.tree.messages] for r in records(copy)]
    again = records(FIXTURES / "openai.jsonl")
    assert ids == [[r.source, r.conversation.id, *r.conversation.tree.messages] for r in again]


def test_a_conversation_that_went_on_has_the_ids_of_its_beginning(tmp_path):
    file = tmp_path / "1.conversation.json"
    value = json.loads((FIXTURES / "1755014461974.conversation.json").read_text(encoding="utf-8"))
    everything = value["messages"]
    seen = []
    for count in (1, 2, 3):
        value["messages"] = everything[:count]
        file.write_text(json.dumps(value), encoding="utf-8")
        (record,) = records(file)
        seen.append(list(record.conversation.tree.messages))
    assert seen[0] == seen[1][:1]
    assert seen[1] == seen[2][:3]


def test_our_own_files_come_in_as_they_were_written(tmp_path):
    made = records(FIXTURES / "chatgpt.json", FIXTURES / "openwebui.json")
    one = tmp_path / "one.qwenchat.json"
    one.write_bytes(conversation_json.encoded(made[0]))
    several = tmp_path / "several.qwenchat.json"
    several.write_text(
        "".join(conversation_json.several_pieces(conversation_json.pieces(r) for r in made)),
        encoding="utf-8",
    )
    assert without_traces(records(one)) == made[:1]
    assert without_traces(records(several)) == made
    assert [found.position for found in read(several)] == [1, 2, 3, 4]


def without_traces(found):
    assert not any(record.traces for record in found)
    return [replace(record, traces=Record(record.conversation).traces) for record in found]


@pytest.mark.parametrize("pretty", [False, True])
def test_our_own_files_may_have_been_written_again_by_another_program(tmp_path, pretty):
    made = records(FIXTURES / "chatgpt.json")
    value = {
        "conversations": [conversation_json.to_value(record) for record in made],
        "version": 1,
        "format": "qwen-desktop conversations",
    }
    file = tmp_path / "x.json"
    file.write_text(json.dumps(value, indent=2 if pretty else None), encoding="utf-8")
    assert without_traces(records(file)) == made


def test_a_damaged_one_of_several_of_ours_is_told_and_the_others_come(tmp_path):
    made = [conversation_json.to_value(r) for r in records(FIXTURES / "openwebui.json")]
    made[0]["messages"][1]["parent"] = "nobody"
    file = tmp_path / "several.qwenchat.json"
    head = '{"format": "qwen-desktop conversations", "version": 1, "conversations": '
    file.write_text(head + json.dumps(made) + "}", encoding="utf-8")
    refused, found = read(file)
    assert "messages[1].parent names no message" in refused.report.text()
    assert (refused.position, refused.title) == (1, "🐦 Birds of the marsh")
    assert found.record.conversation.title == "Old list"


@pytest.mark.parametrize("name", ["all.qwenprofile", "renamed.zip"])
def test_a_saved_profile_is_known_by_what_is_in_it(tmp_path, name):
    made = records(FIXTURES / "openwebui.json")
    profile = Profile(tmp_path / "profile")
    store = Store.open(profile.database)
    for record in made:
        merge.add(store, record)
    store.close()
    profile_archive.save(profile, tmp_path / name)
    assert without_traces(records(tmp_path / name)) == made
    # Cancelled while it is unpacked: no more than that.
    assert list(Reader([tmp_path / name], stopped=iter([False, True] + [True] * 99).__next__)) == []


# -- what is none --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "holds no chat"),
        (b"Dear diary,\nall is well.\n" * 5000, "holds no chat"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "holds no chat"),
        (b'{"name": "package", "version": "1"}', "holds no chat"),
        (b"[1, 2, 3]", "holds no chat"),
        (b'{"conversations": []}', "holds no chat"),
        (b'{"mapping": ', "This is not JSON"),
        (b"PK\x03\x04 no archive", "is a damaged archive"),
    ],
)
def test_a_file_that_is_none_gets_one_sentence(tmp_path, content, sentence):
    file = tmp_path / "file.json"
    file.write_bytes(content)
    (refused,) = read(file)
    assert sentence in refused.report.text()
    assert (refused.file, refused.position) == ("file.json", 0)
    assert not refused.report.is_bug


def test_it_says_what_it_can_read(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    (refused,) = read(file)
    assert "ChatGPT, Open WebUI, LM Studio and Jan" in refused.report.text()


def test_a_damaged_name_in_an_archive_keeps_no_other_file_out(tmp_path):
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("conversations.json", "[]")
        archive.writestr("Zoë.txt", "")
    file.write_bytes(file.read_bytes().replace("ë".encode(), b"\xff\xff"))
    refused, *found = read(file, FIXTURES / "openwebui.json")
    assert "damaged archive" in refused.report.text()
    assert found
    assert all(isinstance(one, Found) for one in found)


def test_an_archive_without_conversations(tmp_path):
    file = tmp_path / "photos.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jpg", "x")
    (refused,) = read(file)
    assert "holds no chat" in refused.report.text()


def test_what_is_not_there_and_what_holds_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    found = {
        one.file: one.report.text() for one in read(tmp_path / "gone.json", tmp_path / "empty")
    }
    assert "gone.json cannot be read" in found["gone.json"]
    assert "empty holds no chat" in found["empty"]


def test_one_bad_file_of_a_folder_keeps_nobody_out(tmp_path):
    for name in ("a.json", "c.json"):
        shutil.copy(FIXTURES / "openai.json", tmp_path / name)
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "picture.png").write_bytes(b"not looked at")
    assert [type(one) for one in read(tmp_path)] == [Found, Refused, Found]


def test_how_far_it_is_is_told(tmp_path):
    told = []
    size = (FIXTURES / "chatgpt.json").stat().st_size
    read(FIXTURES / "chatgpt.json", told=lambda *values: told.append(values))
    assert told[-1] == ("chatgpt.json", size, size)
    assert all(0 <= done <= total for _, done, total in told)


def test_no_word_of_the_system_is_put_into_the_users_mouth():
    for path in sorted(FIXTURES.rglob("*.json*")):
        for found in read(path):
            if isinstance(found, Found):
                roles = {m.role for m in found.record.conversation.tree.messages.values()}
                assert roles <= {Role.USER, Role.ASSISTANT}
                kinds = {
                    part.kind
                    for m in found.record.conversation.tree.messages.values()
                    for part in m.parts
                    if m.role is Role.USER
                }
                assert kinds <= {PartKind.TEXT}


@pytest.mark.parametrize(
    "text",
    [
        '<details type="reasoning">' * 100_000,
        '<details type="reasoning"' * 100_000,
        '<details type="reasoning">' + " " * 1_000_000 + "x",
        " " * 1_000_000 + '<details type="reasoning">' + " " * 1_000_000,
        '<details type="reasoning">&#' + "9" * 9_000 + ";</details>",
    ],
    ids=["openings", "halves", "spaces", "more spaces", "digits"],
)
def test_no_text_takes_for_ever(text):
    """Whoever wrote it: a pattern that takes long would stop the window as well."""
    said = "".join(part.text for part in values.said(text))
    assert said.strip()
