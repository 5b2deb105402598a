"""What Qwen recommends for sampling in each mode.

A checkpoint's generation_config.json holds the values of one mode only: of the one its chat
template has where nobody asks for either. Models that can do both get the other mode's here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.checkpoint import Checkpoint
from qwen_desktop.engine.sampling import GREEDY, Sampling, settle
from qwen_desktop.engine.tokenizer import Tokenizer

# As published with Qwen3, the first family that has both modes.
THINKING: Mapping[str, Any] = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.0}
DIRECT: Mapping[str, Any] = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.0}
# As published with Qwen3.5, whose models repeat themselves more readily.
PENALTY: Mapping[str, Any] = {"presence_penalty": 1.5}
_OF_QWEN35 = "qwen3_5"  # model types begin with it

SWITCH = "enable_thinking"
# Small Qwen3.5 think only where they are asked to; the others unless they are asked not to.
_ONLY_IF_ASKED = re.compile(
    r"enable_thinking is defined and enable_thinking(?: is true| == true)?\s*-?[%)]"
    r"|\{%-?\s*if enable_thinking\s*-?%\}",
    re.IGNORECASE,
)


def settled(
    settings: GenerationSettings, checkpoint: Checkpoint, tokenizer: Tokenizer, *, thinking: bool
) -> Sampling:
    """The sampling of an answer: what the user set, else what is recommended for the mode."""
    mode = recommended(
        checkpoint.generation,
        tokenizer.template,
        family=checkpoint.family,
        can_think=tokenizer.can_think,
        thinking=thinking,
    )
    return settle(settings, mode)


def recommended(
    generation: Mapping[str, Any],
    template: str | None,
    *,
    family: str,
    can_think: bool,
    thinking: bool,
) -> Mapping[str, Any]:
    """`generation` (generation_config.json) with the sampling values of the mode.

    `family` is the model_type.

    Whoever can only think, or cannot, keeps the file's values. Thinking is never greedy: that
    makes models repeat themselves without end.
    """
    if not can_think:
        return generation
    both = template is not None and SWITCH in template
    newer = family.startswith(_OF_QWEN35)
    if thinking or not both:
        its_own = not both or thinks_unasked(template)
        if its_own and _says(generation) and not _is_greedy(generation):
            return generation
        values = {**THINKING, "temperature": 1.0, **PENALTY} if newer else THINKING
        return {**generation, **values, "do_sample": True}
    if generation.get("do_sample") is False or not thinks_unasked(template):
        return generation
    return {**generation, **DIRECT, **(PENALTY if newer else {})}


def thinks_unasked(template: str | None) -> bool:
    """Whether a template with a switch for thinking has it on where nothing is said."""
    return template is None or _ONLY_IF_ASKED.search(template) is None


def _says(generation: Mapping[str, Any]) -> bool:
    return any(key in generation for key in ("temperature", "top_p", "top_k"))


def _is_greedy(generation: Mapping[str, Any]) -> bool:
    temperature = generation.get("temperature", 1.0)
    cold = isinstance(temperature, (int, float)) and temperature <= GREEDY
    return generation.get("do_sample") is False or generation.get("top_k") == 1 or cold
