"""Everything there is to see of the open checkpoint, in a window beside the conversation.

What it shows was written by strangers: plain text only, in views that know no other.
"""

from __future__ import annotations

from PySide6.QtCore import (
    QLocale,
    Qt,
    QUrl,
    Slot,
)
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QSizePolicy,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.bridge.cards import Cards
from qwen_desktop.bridge.chats import Chats
from qwen_desktop.bridge.models import Models, ModelState
from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.card import ModelCard
from qwen_desktop.errors import Report
from qwen_desktop.ui.card_views import PairsView, TextView
from qwen_desktop.ui.controls import (
    Button,
    ElidedLabel,
    Label,
)
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.module_tree import ModuleTree
from qwen_desktop.ui.texts import count_text, kv_text, room_text, size_text

SIZE = (900, 640)


class ModelCardWindow(Dialog):
    """Not modal: the conversation goes on beside it. Follows the model that is open."""

    def __init__(
        self, cards: Cards, models: Models, chats: Chats, parent: QWidget | None = None
    ) -> None:
        super().__init__("modelCard", self.tr("Model card"), parent)
        self._cards = cards
        self._models = models
        self._chats = chats
        self._folder = ""
        self.resize(*SIZE)
        self._build_head()
        self._build_tabs()
        self.waiting = Label("", 13, dim=True, wrap=True)
        self.waiting.setObjectName("cardWaiting")
        page = QWidget()
        inner = QVBoxLayout(page)
        inner.setContentsMargins(24, 8, 24, 8)
        inner.addWidget(self.waiting)
        inner.addStretch(1)
        self.pages = QStackedWidget()
        self.pages.addWidget(page)
        framed = QWidget()
        frame = QVBoxLayout(framed)
        frame.setContentsMargins(24, 0, 24, 0)
        frame.addWidget(self.tabs)
        self.pages.addWidget(framed)
        buttons = self.close_box()
        buttons.setContentsMargins(24, 8, 24, 14)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._head)
        column.addWidget(self.pages, 1)
        column.addWidget(buttons)
        cards.made.connect(self._on_made)
        cards.failed.connect(self._on_failed)
        models.opened.connect(self._ask)
        models.changed.connect(self._on_changed)
        self._ask()

    # -- building --------------------------------------------------------------------------

    def _build_head(self) -> None:
        self._head = QWidget()
        self.name = ElidedLabel("", 16, bold=True)
        self.place = ElidedLabel("", 12, dim=True)
        self.place.elide = Qt.TextElideMode.ElideMiddle
        self.reveal = Button(self.tr("Show folder"), icon="folder", height=32)
        self.reveal.setObjectName("revealFolder")
        self.reveal.setAccessibleName(self.tr("Show folder"))
        self.reveal.clicked.connect(self._reveal)
        titles = QVBoxLayout()
        titles.setSpacing(2)
        titles.addWidget(self.name)
        titles.addWidget(self.place)
        line = QHBoxLayout()
        line.setSpacing(12)
        line.addLayout(titles, 1)
        line.addWidget(self.reveal)
        self.values = {
            "parameters": (self.tr("Parameters"), ElidedLabel("", 13)),
            "weights": (self.tr("Weights"), ElidedLabel("", 13)),
            "precision": (self.tr("Precision"), ElidedLabel("", 13)),
            "device": (self.tr("Device"), ElidedLabel("", 13)),
            "runner": (self.tr("Computed by"), ElidedLabel("", 13)),
            "chunk": (self.tr("Prefill chunk"), ElidedLabel("", 13)),
            "kv": (self.tr("KV cache"), ElidedLabel("", 13)),
            "context": (self.tr("Context"), ElidedLabel("", 13)),
            "guesses": (self.tr("Guesses ahead"), ElidedLabel("", 13)),
        }
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(4)
        for i, (name, label) in enumerate(self.values.values()):
            row, place = divmod(i, 3)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
            grid.addWidget(Label(name, 13, dim=True), row, 2 * place)
            grid.addWidget(label, row, 2 * place + 1)
            grid.setColumnStretch(2 * place + 1, 1)
        column = QVBoxLayout(self._head)
        column.setContentsMargins(24, 16, 24, 12)
        column.setSpacing(12)
        column.addLayout(line)
        column.addLayout(grid)

    def _build_tabs(self) -> None:
        self.tabs = QTabWidget()
        self.tabs.setObjectName("cardTabs")
        self.tabs.setAccessibleName(self.tr("Parts of the model card"))
        self.tabs.setDocumentMode(True)
        self.tree = ModuleTree()
        name_and_value = (self.tr("Name"), self.tr("Value"))
        self.config = PairsView(
            self.tr("Configuration"), name_and_value, self.tr("Search configuration")
        )
        self.template = TextView(
            self.tr("Chat template"),
            self.tr("Copy chat template"),
            self.tr("There is no chat template: this is a base model, it continues text."),
        )
        self.generation = PairsView(
            self.tr("Generation defaults"), name_and_value, self.tr("Search generation defaults")
        )
        self.tokenizer = PairsView(
            self.tr("Special tokens"), (self.tr("Id"), self.tr("Text")), self.tr("Search tokens")
        )
        self.tokenizer_line = Label("", 13, wrap=True)
        self.tokenizer_line.setContentsMargins(0, 12, 0, 0)
        tokenizer = QWidget()
        column = QVBoxLayout(tokenizer)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.tokenizer_line)
        column.addWidget(self.tokenizer, 1)
        self.licence = TextView(
            self.tr("Licence"),
            self.tr("Copy licence"),
            self.tr("The folder has no licence file."),
        )
        for page, words in (
            (self.tree, self.tr("Modules")),
            (self.config, self.tr("Configuration")),
            (self.template, self.tr("Chat template")),
            (self.generation, self.tr("Generation")),
            (tokenizer, self.tr("Tokenizer")),
            (self.licence, self.tr("Licence")),
        ):
            self.tabs.addTab(page, words)

    # -- content ---------------------------------------------------------------------------

    @Slot()
    def _ask(self) -> None:
        info = self._models.state.info
        if info is None:
            return
        self.name.setText(info.name)
        self.place.setText(str(info.folder))
        self._folder = str(info.folder)
        for _, label in self.values.values():
            label.setText("")
        words = self.tr("Reading…")
        if self._chats.run.running:
            words = self.tr("Shown after this answer…")
        elif self._models.state.busy:
            words = self.tr("Shown when loading has ended…")
        self.waiting.setText(words)
        self.pages.setCurrentIndex(0)
        self._cards.ask()

    @Slot(object)
    def _on_changed(self, state: ModelState) -> None:
        """A load may end with nothing open."""
        if state.info is None and not state.busy:
            self._on_made(None)

    @Slot(object)
    def _on_made(self, card: ModelCard | None) -> None:
        if card is None:
            self.waiting.setText(self.tr("No checkpoint is open."))
            self.pages.setCurrentIndex(0)
            return
        locale, info = QLocale(), card.info
        texts = {
            "parameters": count_text(card.root.parameters, locale),
            "weights": size_text(card.root.nbytes, locale),
            "precision": info.dtype,
            "device": ", ".join(card.devices),
            "runner": card.runner,
            "chunk": self.tr("{count} tokens").format(count=locale.toString(card.prefill_chunk)),
            "kv": kv_text(info.kv_format),
            "context": room_text(info.context_length, info.rope_factor, locale),
            "guesses": self._guesses(card),
        }
        for key, text in texts.items():
            name, label = self.values[key]
            label.setText(text)
            label.setAccessibleName(f"{name}: {text}")
        self.tree.show_card(card)
        self.config.set_pairs(card.config)
        self.template.set_text("", card.template)
        self.generation.set_pairs(card.generation)
        facts = card.tokenizer
        self.tokenizer_line.setText(
            self.tr("{kind}, {count} tokens, from {files}").format(
                kind=facts.kind,
                count=locale.toString(facts.vocabulary),
                files=", ".join(facts.files),
            )
        )
        self.tokenizer.set_pairs([(str(token.id), token.text) for token in facts.special])
        self.licence.set_text(card.licence_file, card.licence or None)
        self.pages.setCurrentIndex(1)
        self._frame()

    def _guesses(self, card: ModelCard) -> str:
        """Where tokens come from that are guessed ahead."""
        if not card.guesses:
            return self.tr("No: what the model has read cannot be taken back")
        if card.draft:
            return self.tr("From the text, and by {model}").format(model=card.draft)
        words = self.tr("From the text")
        return f"{words}. {translated(card.no_draft)}" if card.no_draft is not None else words

    @Slot(object)
    def _on_failed(self, report: Report) -> None:
        self.waiting.setText(translated(report))
        self.pages.setCurrentIndex(0)

    def _reveal(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(self._folder))
