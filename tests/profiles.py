"""Makes a profile as a person has it after two years: many conversations, half of them Chinese.

The same seed gives the same words, whatever the machine. Lengths are those of published chat logs:
questions of 70 tokens (LMSYS-Chat-1M: 69.5), answers of 330, between the 214.5 of LMSYS-Chat-1M
and the 441 of WildChat, spread log-normally. A token is taken as 0.75 English words or 1.5 Chinese
characters. Words are made up, and as often as Zipf's law says: the commonest is a twentieth of all.

Standard library and the product's own storage only; the texts are written by `Store`'s statements.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from qwen_desktop.chat.messages import (
    AnswerStats,
    Message,
    Part,
    PartKind,
    Provenance,
    Role,
    Status,
)
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage import statements, traces
from qwen_desktop.storage.store import Store

QUESTION_TOKENS, QUESTION_SPREAD = 70, 1.2
ANSWER_TOKENS, ANSWER_SPREAD = 330, 0.9
LONGEST_TOKENS = 8000
ENGLISH_WORDS, CHINESE_WORDS = 40_000, 30_000
WORDS_PER_TOKEN = 0.75
CHINESE_WORDS_PER_TOKEN = 0.8  # of 1.8 characters each

YEARS_S = 2 * 365 * 24 * 3600.0
DAY_S = 24 * 3600.0
LONG_MESSAGES = 500  # of one conversation, for those who measure opening it
CONTEXT = 32_768  # tokens a prompt may have

FOLDERS = ("Work", "Home", "Garden", "Reading", "旅行", "学习")
TAGS = ("code", "draft", "idea", "later", "math", "music", "recipes", "school", "健康", "翻译")

AGE_LIMIT_S = 14 * DAY_S  # of a kept profile: "today" must stay today, and the bin is emptied


@dataclass(frozen=True)
class Wanted:
    """What a profile is to hold. `as_written`: as the application writes answers, with counts,
    provenance, token ids and prompts; otherwise the text alone, as imported talks have it.
    """

    conversations: int = 10_000
    messages: int = 200_000
    as_written: bool = False
    seed: int = 5

    @property
    def long_messages(self) -> int:
        """Messages of the longest conversation: fewer in a small profile."""
        return min(LONG_MESSAGES, max(2, self.messages // 4))


@dataclass(frozen=True)
class Made:
    """One conversation, where it lies in the list, and the prompts of its answers by id."""

    conversation: Conversation
    pinned: bool = False
    archived: bool = False
    folder: int | None = None  # of FOLDERS
    tags: tuple[str, ...] = ()
    deleted_at: float | None = None
    prompts: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class About:
    """What was made: counts, UTF-8 bytes of own titles and texts, what to open and to look for."""

    conversations: int
    messages: int
    text_bytes: int
    long_id: str  # of the conversation with 500 messages
    made_at: float  # Unix seconds; all times in the profile lie before it
    common: tuple[str, ...]  # words of both languages, from the most frequent down
    rare: tuple[str, ...]  # words that stand in a handful of messages

    @classmethod
    def read(cls, file: Path) -> About:
        """As it was written beside the profile."""
        value = json.loads(file.read_text("utf-8"))
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in value.items()})


class Words:
    """Two made-up languages, and texts in them."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.english = self._english_words()
        self.chinese = self._chinese_words()
        self._english_weights = list(itertools.accumulate(_zipf(len(self.english))))
        self._chinese_weights = list(itertools.accumulate(_zipf(len(self.chinese))))

    def _english_words(self) -> list[str]:
        rng = self._rng
        onsets = (*"bcdfghlmnprstvw", "st", "tr", "pl", "ch", "sh", "th", "br")
        vowels = (*"aeiouaeio", "ea", "ou")
        codas = ("", "", "", *"nrstl", "nd")
        found: dict[str, None] = {}
        while len(found) < ENGLISH_WORDS:
            # The commoner a word, the shorter it is.
            rank = len(found)
            syllables = 1 if rank < 60 else rng.choice((1, 2, 2)) if rank < 800 else 2
            if rank > 4000:
                syllables = rng.choice((2, 3, 3, 4))
            parts = [
                (rng.choice(onsets) if rank > 20 or rng.random() < 0.5 else "")
                + rng.choice(vowels)
                + rng.choice(codas)
                for _ in range(syllables)
            ]
            found["".join(parts)] = None
        return list(found)

    def _chinese_words(self) -> list[str]:
        # The first plane of GB 2312: the common characters, by their sound.
        codes = [bytes((high, low)) for high in range(0xB0, 0xD7) for low in range(0xA1, 0xFF)]
        characters = [code.decode("gb2312") for code in codes]
        self._rng.shuffle(characters)
        weights = list(itertools.accumulate(_zipf(len(characters))))
        found: dict[str, None] = dict.fromkeys(characters[:40])  # 的, 是, 了 and their like
        while len(found) < CHINESE_WORDS:
            (length,) = self._rng.choices((1, 2, 3, 4), (12, 64, 14, 10))
            found["".join(self._rng.choices(characters, cum_weights=weights, k=length))] = None
        return list(found)

    def question(self, chinese: bool) -> tuple[str, int]:
        """What a person might ask, and its tokens."""
        tokens = self._length(QUESTION_TOKENS, QUESTION_SPREAD)
        return self.text(chinese, tokens), tokens

    def answer(self, chinese: bool) -> tuple[str, int]:
        """What a model might say, with a block of code now and then, and its tokens."""
        tokens = self._length(ANSWER_TOKENS, ANSWER_SPREAD)
        text = self.text(chinese, tokens)
        if tokens > 100 and self._rng.random() < 0.12:
            text = f"{text}\n\n{self._code()}\n\n{self.text(chinese, 40)}"
            tokens += 200
        return text, tokens

    def title(self, chinese: bool) -> str:
        """A few words."""
        return ("" if chinese else " ").join(self._draw(chinese, self._rng.randint(2, 5)))

    def text(self, chinese: bool, tokens: int) -> str:
        """Paragraphs of sentences, about that long."""
        rng = self._rng
        per_token = CHINESE_WORDS_PER_TOKEN if chinese else WORDS_PER_TOKEN
        words = self._draw(chinese, max(1, round(tokens * per_token)))
        between, comma, stops = ("", "，", "。。。！？") if chinese else (" ", ", ", "...!?")
        sentences: list[str] = []
        at = 0
        while at < len(words):
            clauses = []
            for _ in range(rng.randint(1, 3)):
                count = rng.randint(3, 11)
                clauses.append(between.join(words[at : at + count]))
                at += count
                if at >= len(words):
                    break
            said = comma.join(clauses) + rng.choice(stops)
            sentences.append(said if chinese else said[0].upper() + said[1:])
        paragraphs = []
        at = 0
        while at < len(sentences):
            count = rng.randint(2, 6)
            paragraphs.append(between.join(sentences[at : at + count]))
            at += count
        return "\n\n".join(paragraphs)

    def _code(self) -> str:
        rng = self._rng
        names = self._draw(False, 24)
        lines = [f"def {names[0]}_{names[1]}({names[2]}: int) -> str:"]
        for one, two, three in zip(names[3::3], names[4::3], names[5::3]):
            lines.append(f"    {one} = {two}({three!r}, {rng.randint(0, 99)})")
        lines.append(f"    return {names[3]}")
        return "```python\n" + "\n".join(lines) + "\n```"

    def _draw(self, chinese: bool, count: int) -> list[str]:
        if chinese:
            return self._rng.choices(self.chinese, cum_weights=self._chinese_weights, k=count)
        return self._rng.choices(self.english, cum_weights=self._english_weights, k=count)

    def _length(self, mean: int, spread: float) -> int:
        drawn = self._rng.lognormvariate(math.log(mean) - spread**2 / 2, spread)
        return max(2, min(LONGEST_TOKENS, round(drawn)))


def _zipf(count: int) -> list[float]:
    return [1 / (rank + 2.7) ** 1.15 for rank in range(1, count + 1)]


def conversations(wanted: Wanted, words: Words, now: float) -> Iterator[Made]:
    """All conversations, oldest first; the long one is the last."""
    rng = random.Random(wanted.seed + 1)
    counts = _message_counts(wanted, rng)
    starts = sorted(now - YEARS_S * rng.random() for _ in counts)
    starts[-1] = now - 3600.0
    for count, start in zip(counts, starts):
        chinese = rng.random() < 0.5
        made = _Talk(words, rng, chinese, start, wanted.as_written).made(count)
        yield replace(made, **_place(rng, now, made.conversation.updated_at))


def _message_counts(wanted: Wanted, rng: random.Random) -> list[int]:
    """Messages of each conversation: few in most, many in some, in all what is wanted."""
    others = wanted.conversations - 1
    left = wanted.messages - wanted.long_messages
    drawn = [rng.lognormvariate(0.0, 0.9) for _ in range(others)]
    scale = left / sum(drawn) if drawn else 0.0
    counts = [max(2, 2 * round(share * scale / 2)) for share in drawn]
    difference = left - sum(counts)
    for at, count in enumerate(counts):
        change = max(2 - count, difference)
        counts[at] += change
        difference -= change
    return [*counts, wanted.long_messages]


def _place(rng: random.Random, now: float, updated_at: float) -> dict[str, object]:
    found: dict[str, object] = {
        "pinned": rng.random() < 0.003,
        "folder": rng.randrange(len(FOLDERS)) if rng.random() < 0.15 else None,
        "tags": tuple(sorted(rng.sample(TAGS, rng.randint(1, 3)))) if rng.random() < 0.2 else (),
    }
    if rng.random() < 0.08:
        found["archived"] = True
    elif rng.random() < 0.01 and updated_at < now - DAY_S:
        found["deleted_at"] = now - DAY_S * rng.uniform(0.0, 10.0)
    return found


class _Talk:
    """One conversation as it comes about, turn by turn, with another answer now and then."""

    def __init__(
        self, words: Words, rng: random.Random, chinese: bool, start: float, as_written: bool
    ) -> None:
        self._words, self._rng, self._chinese = words, rng, chinese
        self._as_written = as_written
        self._start = self._now = start
        self._messages: dict[str, Message] = {}
        self._ids: dict[str, tuple[int, ...]] = {}  # tokens of each message
        self._prompts: dict[str, tuple[int, ...]] = {}
        self._head: str | None = None

    def made(self, count: int) -> Made:
        """The conversation with `count` messages."""
        while len(self._messages) < count:
            before = self._messages[self._head] if self._head else None
            if before is not None and before.role is Role.USER:
                self._answer(before)
            elif before is not None and self._rng.random() < 0.03:
                self._answer(self._messages[before.parent_id or ""])  # again
            else:
                self._ask()
        title = self._words.title(self._chinese) if self._rng.random() < 0.1 else ""
        conversation = Conversation(
            id=self._new_id(),
            title=title,
            created_at=self._start,
            updated_at=self._now,
            tree=Tree.of(self._messages.values(), self._head),
        )
        return Made(conversation, prompts=self._prompts)

    def _ask(self) -> None:
        self._now += self._rng.uniform(5.0, 300.0)
        text, tokens = self._words.question(self._chinese)
        self._add(
            Message(
                role=Role.USER,
                parts=(Part(PartKind.TEXT, text),),
                id=self._new_id(),
                parent_id=self._head,
                created_at=self._now,
            ),
            tokens,
        )

    def _answer(self, question: Message) -> None:
        self._now += self._rng.uniform(1.0, 30.0)
        text, tokens = self._words.answer(self._chinese)
        answer = Message(
            role=Role.ASSISTANT,
            parts=(Part(PartKind.TEXT, text),),
            id=self._new_id(),
            parent_id=question.id,
            created_at=self._now,
        )
        if self._as_written:
            ids = self._token_ids(tokens)
            prompt = self._prompt(question)
            self._prompts[answer.id] = prompt
            answer = replace(
                answer,
                status=Status.LENGTH if self._rng.random() < 0.02 else Status.COMPLETE,
                token_ids=ids,
                stats=self._stats(len(prompt), tokens),
                provenance=_provenance(self._rng, answer.id),
            )
        self._add(answer, tokens)

    def _add(self, message: Message, tokens: int) -> None:
        self._messages[message.id] = message
        self._head = message.id
        if self._as_written:
            self._ids[message.id] = message.token_ids or self._token_ids(tokens)

    def _token_ids(self, count: int) -> tuple[int, ...]:
        # As frequent as words are: the square of an even number lies low more often than not.
        return tuple(int(151_000 * self._rng.random() ** 3) for _ in range(count))

    def _prompt(self, question: Message) -> tuple[int, ...]:
        path: list[Message] = []
        step: str | None = question.id
        while step is not None:
            path.append(self._messages[step])
            step = path[-1].parent_id
        ids = tuple(i for m in reversed(path) for i in (151_644, *self._ids[m.id], 151_645, 198))
        return ids[:CONTEXT]

    def _stats(self, prompt: int, tokens: int) -> AnswerStats:
        rng = self._rng
        return AnswerStats(
            model="Qwen3-4B-Instruct",
            prompt_tokens=prompt,
            reused_tokens=max(0, prompt - 80),
            answer_tokens=tokens,
            first_token_seconds=rng.uniform(0.1, 0.9),
            prefill_seconds=rng.uniform(0.1, 0.8),
            decode_seconds=tokens / rng.uniform(20.0, 60.0),
        )

    def _new_id(self) -> str:
        return self._rng.randbytes(16).hex()


def _provenance(rng: random.Random, answer_id: str) -> Provenance:
    return Provenance(
        fingerprint="5f1c" * 16,
        template="a90b" * 16,
        family="qwen3",
        precision="BF16",
        device="CPU",
        engine="torch 2.13.0, transformers 5.23.0",
        sampling=(("temperature", 0.7), ("top_k", 20.0), ("top_p", 0.8)),
        seed=rng.getrandbits(31),
        context_limit=CONTEXT,
        stop_reason="end",
        peak_bytes=8_000_000_000 + int(answer_id[:6], 16),
    )


def _silent(_done: int, _total: int) -> None:
    """Nobody watches."""


def write(
    file: Path,
    wanted: Wanted,
    now: float,
    told: Callable[[int, int], None] = _silent,
) -> About:
    """Make the database `file`, index included. `told` hears how many of all messages are done."""
    words = Words(random.Random(wanted.seed))
    store = Store.open(file)
    connection = store.database.connection
    connection.execute("PRAGMA synchronous = OFF")
    text_bytes = messages = count = 0
    long_id = ""
    try:
        with store.database.writing():
            for number, name in enumerate(FOLDERS, 1):
                connection.execute(
                    "INSERT INTO folders (number, id, name, created_at) VALUES (?, ?, ?, ?)",
                    (number, hashlib.sha256(name.encode()).hexdigest()[:32], name, now - YEARS_S),
                )
        made_all = conversations(wanted, words, now)
        while batch := list(itertools.islice(made_all, 250)):
            with store.database.writing():
                for made in batch:
                    _insert(store, made)
                    long_id = made.conversation.id
                    count += 1
                    messages += len(made.conversation.tree.messages)
                    text_bytes += _text_bytes(made.conversation)
            told(messages, wanted.messages)
        fill_index(store)
    finally:
        store.close()
    common = [word for pair in zip(words.english[:200], words.chinese[40:240]) for word in pair]
    rare = [word for pair in zip(words.english[-200:], words.chinese[-200:]) for word in pair]
    return About(count, messages, text_bytes, long_id, now, tuple(common), tuple(rare))


def fill_index(store: Store) -> None:
    """Do what the application does at rest until all can be found and no room is wasted."""
    while store.index.add_some(2000):
        pass
    while store.index.merge(500):
        pass
    while store.database.give_back(500):
        pass


def _insert(store: Store, made: Made) -> None:
    connection, conversation = store.database.connection, made.conversation
    number = statements.insert_conversation(connection, conversation)
    all_messages = conversation.tree.messages
    parents = {message.id: message.parent_id for message in all_messages.values()}
    for message in all_messages.values():
        statements.insert_message(connection, number, message, parents.get)
    for message_id, ids in made.prompts.items():
        traces.write_prompt(connection, statements.row_of(connection, message_id), ids)
    connection.execute(
        "UPDATE conversations SET pinned = ?, archived = ?, folder = ?, deleted_at = ?"
        " WHERE number = ?",
        (
            made.pinned,
            made.archived,
            None if made.folder is None else made.folder + 1,
            made.deleted_at,
            number,
        ),
    )
    connection.executemany(
        "INSERT INTO tags (conversation, name) VALUES (?, ?)", [(number, tag) for tag in made.tags]
    )


def _text_bytes(conversation: Conversation) -> int:
    texts = [part.text for m in conversation.tree.messages.values() for part in m.parts]
    return sum(len(text.encode()) for text in (conversation.title, *texts))


# What decides what is in the file; a change of one makes kept profiles out of date.
_SOURCES = ("migrations", "packing", "terms")


def kept(wanted: Wanted, told: Callable[[int, int], None] = _silent) -> tuple[Path, About]:
    """The folder of a profile as `wanted`, made where there is none that is new enough.

    It lies among the temporary files. Whoever changes it works on a copy.
    """
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name in _SOURCES:
        source = Path(statements.__file__).with_name(f"{name}.py")
        digest.update(source.read_bytes() if source.exists() else b"")
    digest.update(repr(asdict(wanted)).encode())
    base = Path(tempfile.gettempdir()) / "qwen-desktop-bench" / "profiles"
    folder = base / digest.hexdigest()[:16]
    about = folder / "about.json"
    if about.exists() and time.time() - About.read(about).made_at < AGE_LIMIT_S:
        return folder, About.read(about)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    found = write(folder / "conversations.db", wanted, time.time(), told)
    about.write_text(json.dumps(asdict(found)), "utf-8")
    return folder, found
