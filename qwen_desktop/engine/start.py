"""Bring torch and transformers in without freezing the window, and build the engine.

Importing this module is cheap; torch is imported inside `create_engine`, which a worker thread
calls. Two things make that import bearable for other threads: the shared libraries are opened
first, by a foreign call that releases the GIL (the import system holds it for a quarter of a
second, and so does ctypes.CDLL before Python 3.14), and the garbage collector rests meanwhile
(full collections during the import cost several times 100 ms).
"""

from __future__ import annotations

import gc
import importlib
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from qwen_desktop.chat.events import Progress, Stage
from qwen_desktop.engine.libraries import open_libraries

if TYPE_CHECKING:
    from qwen_desktop.engine.engine import Engine

# What a load needs sooner or later; better imported now, while the collector rests.
_MODULES = (
    "torch",
    "transformers",
    "transformers.modeling_utils",
    "transformers.generation.utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.qwen3.modeling_qwen3",
    "safetensors.torch",
    "qwen_desktop.engine.engine",
)

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def create_engine(progress: Callable[[Progress], None]) -> Engine:
    """Import torch and transformers, telling `progress` what is being imported; an idle engine."""
    os.environ.update(_ENVIRONMENT)  # before huggingface_hub reads it
    # Cards in the order of the driver, so that a card that was shown is the card that is taken.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        progress(Progress(Stage.IMPORTING, 0, len(_MODULES)))
        open_libraries()
        for done, module in enumerate(_MODULES):
            progress(Progress(Stage.IMPORTING, done, len(_MODULES), module.split(".")[0]))
            importlib.import_module(module)
        progress(Progress(Stage.IMPORTING, len(_MODULES), len(_MODULES)))
    finally:
        gc.freeze()  # the thousands of objects of the libraries never become garbage
        if was_enabled:
            gc.enable()
    _silence()
    from qwen_desktop.engine.engine import Engine
    from qwen_desktop.engine.sandbox import bound_templates

    bound_templates()
    return Engine()


def _silence() -> None:
    """Keep transformers from writing to the terminal; errors reach us as exceptions."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # Advice about options this program does not use.
    warnings.filterwarnings("ignore", module=r"(transformers|torch)\..*")
