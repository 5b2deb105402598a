"""One page for each stage of a turn: what happens there, in plain words and with real values."""

from __future__ import annotations

from PySide6.QtCore import QLocale, Qt, Signal

from qwen_desktop.chat.events import FinishReason
from qwen_desktop.chat.forking import aligned
from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.tokens import Tokens
from qwen_desktop.ui.answer_facts import ending_words, sampling_rows
from qwen_desktop.ui.controls import Button, Label
from qwen_desktop.ui.score_table import visible
from qwen_desktop.ui.texts import small_size_text
from qwen_desktop.ui.token_text import Mode
from qwen_desktop.ui.turn_page import Page, PromptPage, Turn, roles, turns_of
from qwen_desktop.ui.turn_pictures import CandidateRows, ContextBar, PromptBar

FIRST = 8  # tokens whose candidates are shown
_GREEDY = 1e-5


class AssemblePage(PromptPage):
    """From messages to one text."""

    def __init__(self) -> None:
        super().__init__(
            self.tr("Assemble: messages become one text"),
            self.tr(
                "A language model has no memory: it continues a text. So each turn the whole "
                "conversation is written out again by the checkpoint's chat template. Control "
                "tokens mark where a message begins and ends and who speaks, and the text stops "
                "where the answer is to begin."
            ),
            Mode.TEXT,
        )

    def value(self, turn: Turn) -> str:
        """How many messages."""
        return self.tr("%Ln messages", "", len(roles(turn)))

    def show_turn(self, turn: Turn) -> None:
        """Roles, what was left out, the text."""
        said, locale = roles(turn), QLocale()
        names = (
            (Role.SYSTEM, self.tr("system")),
            (Role.USER, self.tr("user")),
            (Role.ASSISTANT, self.tr("assistant")),
        )
        counted = [(name, said.count(role.value)) for role, name in names]
        counts = ", ".join(f"{locale.toString(count)} {name}" for name, count in counted if count)
        kept = turn.answer.provenance is not None
        template = self.tr("of the checkpoint") if turn.origin.template else self.tr("none")
        if turn.is_served:
            template = ""
        thinking = self.tr("on") if turn.origin.thinking else self.tr("off")
        self.set_facts(
            (
                (self.tr("Messages"), counts),
                (self.tr("Left out"), locale.toString(len(turn.origin.unseen)) if kept else ""),
                (self.tr("Chat template"), template if kept else ""),
                (self.tr("Thinking"), thinking if kept else ""),
            )
        )
        tokens = turn.tokens.prompt
        found = {span.colour for span in turns_of(tokens)} if tokens is not None else set()
        self.key.setText(self.tr("Colours: one for each role") if len(found) > 1 else "")
        self.show_prompt(turn)


class TokenisePage(PromptPage):
    """From text to numbers."""

    def __init__(self) -> None:
        super().__init__(
            self.tr("Tokenise: text becomes numbers"),
            self.tr(
                "The tokenizer cuts the text into pieces of its vocabulary, and each piece is a "
                "number. Common words are one token, rare ones several. These numbers are all "
                "that the model is given; lengths, limits and speeds are counted in them."
            ),
            Mode.BOTH,
        )

    def value(self, turn: Turn) -> str:
        """How many tokens."""
        return self.count(turn.prompt_tokens)

    def show_turn(self, turn: Turn) -> None:
        """Counts, and the ids below their texts."""
        tokens, locale = turn.tokens.prompt, QLocale()
        characters = len(tokens.text()) if tokens is not None else 0
        share = characters / len(tokens) if tokens is not None and len(tokens) else 0.0
        marks = sum(number in tokens.control for number in tokens.ids) if tokens is not None else 0
        self.set_facts(
            (
                (self.tr("Tokens"), self._counted(turn)),
                (self.tr("Characters"), locale.toString(characters) if characters else ""),
                (
                    self.tr("Characters per token"),
                    locale.toString(share, "f", 2) if share else "",
                ),
                (self.tr("Control tokens"), locale.toString(marks) if tokens is not None else ""),
            )
        )
        self.show_prompt(turn)

    def _counted(self, turn: Turn) -> str:
        count = QLocale().toString(turn.prompt_tokens)
        if not turn.is_served:
            return count
        if not turn.prompt_tokens:
            return ""
        return self.tr("about {count}").format(count=count) if turn.origin.estimated else count


class PrefillPage(Page):
    """Reading the prompt."""

    def __init__(self) -> None:
        super().__init__(
            self.tr("Prefill: the model reads the prompt"),
            self.tr(
                "All tokens go through the model at once, or in pieces where memory is short. For "
                "each token every layer keeps a key and a value: the KV cache. What an earlier "
                "turn has read is still there and is not read again, so a long conversation "
                "costs only what is new in it. The time to the first token is mostly this."
            ),
        )
        self.bar = PromptBar()
        self.column.addWidget(self.bar)
        self.column.addStretch(1)

    def value(self, turn: Turn) -> str:
        """How many were read."""
        read = turn.stats.prompt_tokens - turn.stats.reused_tokens
        if not self._is_known(turn):
            return ""
        return self.tr("%Ln read", "", read)

    def show_turn(self, turn: Turn) -> None:
        """Counts, pieces, times, bytes."""
        stats, origin, locale = turn.stats, turn.origin, QLocale()
        read = stats.prompt_tokens - stats.reused_tokens
        known = self._is_known(turn)
        self.bar.set_counts(stats.reused_tokens, read, origin.prefill_chunk)
        self.bar.setVisible(known)
        pieces = self.bar.pieces
        held = turn.prompt_tokens + stats.new_tokens
        kv = origin.kv_bytes // held * turn.prompt_tokens if held else 0
        self.set_facts(
            (
                (self.tr("From the cache"), locale.toString(stats.reused_tokens) if known else ""),
                (self.tr("Read"), locale.toString(read) if known else ""),
                (
                    self.tr("In pieces of"),
                    self.tr("at most {count} tokens: %Ln pieces", "", pieces).format(
                        count=locale.toString(origin.prefill_chunk)
                    )
                    if pieces
                    else "",
                ),
                (self.tr("Time"), self.seconds(stats.prefill_seconds)),
                (self.tr("Speed"), self.speed(stats.prefill_speed)),
                (self.tr("Time to first token"), self.seconds(stats.first_token_seconds)),
                (
                    self.tr("KV cache of the prompt"),
                    self.tr("about {size}").format(size=small_size_text(kv, locale)) if kv else "",
                ),
            )
        )

    def _is_known(self, turn: Turn) -> bool:
        """Whether it was counted what came from a cache; servers tell where anything did."""
        stats = turn.stats
        return bool(stats.prompt_tokens and (stats.reused_tokens or not turn.is_served))


class DecodePage(Page):
    """One token after the other."""

    tokens_requested = Signal()

    def __init__(self) -> None:
        super().__init__(
            self.tr("Decode: one token after the other"),
            self.tr(
                "After the last token the model gives a score to every token of its vocabulary. "
                "The sampling values decide which of them may come, and one is drawn. It is "
                "appended, the model reads only that one, the rest is in the KV cache, and so on: "
                "this is why an answer appears piece by piece."
            ),
        )
        self.rows = CandidateRows()
        self.note = Label("", 13, dim=True, wrap=True)
        self.link = Button(self.tr("Show all tokens of the answer"), height=30)
        self.link.setAccessibleName(self.link.text())
        self.link.clicked.connect(self.tokens_requested)
        self.column.addWidget(self.note)
        self.column.addWidget(self.rows)
        self.column.addWidget(self.link, 0, Qt.AlignmentFlag.AlignLeft)
        self.column.addStretch(1)

    def value(self, turn: Turn) -> str:
        """How many were made."""
        return self.count(turn.stats.new_tokens)

    def show_turn(self, turn: Turn) -> None:
        """Sampling, speed, the first tokens."""
        origin, stats = turn.origin, turn.stats
        rows = sampling_rows(origin) if origin.sampling else [(self.tr("Sampling"), "")]
        if dict(origin.sampling).get("temperature", 1.0) <= _GREEDY:
            rows.insert(0, (self.tr("Choice"), self.tr("greedy: always the likeliest")))
        rows.append((self.tr("Speed"), self.speed(stats.decode_speed)))
        rows.append((self.tr("Reasoning"), QLocale().toString(stats.reasoning_tokens)))
        self.set_facts(rows)
        scores = aligned(turn.answer.token_ids, turn.trace.scores)[:FIRST]
        if turn.is_served:  # it tells texts and no ids
            scores = turn.trace.scores[:FIRST]
        known = [score for score in scores if score is not None]
        self.rows.set_scores(known)
        self.rows.setVisible(bool(known))
        self.note.setText(
            self.tr("The first tokens: the one that came is framed, then what was likeliest.")
            if known
            else self.tr("The server was not asked how likely its tokens were, or told nothing.")
            if turn.is_served
            else self._first_words(turn.tokens.answer)
        )
        self.link.setEnabled(bool(turn.answer.token_ids))

    def _first_words(self, tokens: Tokens | None) -> str:
        words = self.tr("How likely they were was not kept: “Alternatives per token” was 0.")
        if tokens is None or not len(tokens):
            return words
        cells = [cell for cell in tokens.cells if cell.start < FIRST]
        first = " │ ".join(visible(cell.text) for cell in cells)
        return f"{self.tr('The first tokens: {tokens}').format(tokens=first)}\n{words}"


class StopPage(Page):
    """What ends an answer, and what stays."""

    def __init__(self) -> None:
        super().__init__(
            self.tr("Stop: why it ends, and what is kept"),
            self.tr(
                "The model ends its answer by a token of its own that means “end of turn”. "
                "Otherwise a stop string, the longest answer allowed, a full context or you end "
                "it. The answer becomes part of the conversation, so the next turn begins with "
                "all of this text again, but its KV cache is still there and only the new message "
                "has to be read."
            ),
        )
        self.bar = ContextBar()
        self.column.addWidget(self.bar)
        self.column.addStretch(1)

    def value(self, turn: Turn) -> str:
        """What ended it."""
        return turn.end_name or ending_words(turn.origin)

    def show_turn(self, turn: Turn) -> None:
        """The end, and what is there for the next turn."""
        origin, stats, locale = turn.origin, turn.stats, QLocale()
        rows = [(self.tr("How it ended"), ending_words(origin))]
        if origin.stop_reason == FinishReason.STOP.value:
            rows.append((self.tr("End token"), self._end(turn)))
        elif origin.stop_reason == FinishReason.STOP_STRING.value:
            rows.append((self.tr("Stop string"), self._stop(turn)))
        names = ", ".join(f"{name} ({number})" for number, name in turn.tokens.ends)
        rows.append((self.tr("Tokens that end an answer"), names))
        held = turn.prompt_tokens + stats.new_tokens
        rows.append((self.tr("Context now"), self._share(held, origin.context_limit)))
        size = small_size_text(origin.kv_bytes, locale) if origin.kv_bytes else ""
        rows.append((self.tr("KV cache kept"), size))
        self.set_facts(rows)
        self.bar.set_counts(turn.prompt_tokens, stats.new_tokens, origin.context_limit)
        self.bar.setVisible(bool(held and origin.context_limit))

    def _end(self, turn: Turn) -> str:
        number = turn.origin.end_token
        if number < 0:
            return ""
        name = turn.end_name
        return self.tr("{name}, id {id}").format(name=name, id=number) if name else str(number)

    def _stop(self, turn: Turn) -> str:
        beyond = turn.tokens.beyond
        found = [stop for stop in turn.origin.stop_strings if stop and beyond.startswith(stop)]
        return f"“{visible(max(found, key=len))}”" if found else ""

    def _share(self, held: int, limit: int) -> str:
        if not held:
            return ""
        words = self.tr("{held} of {limit} tokens") if limit else self.tr("{held} tokens")
        locale = QLocale()
        return words.format(held=locale.toString(held), limit=locale.toString(limit))
