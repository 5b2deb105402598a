"""What precisions cost in quality, on the demo checkpoint: one process of `decode.py`.

Held-out questions of the guide, which the checkpoint was not trained on, are followed by their
right answers, whose tokens are scored. Each precision runs as the window runs it: answers token by
token (`decode`), and question and answer read at once (`prompt`). Prints one JSON object:

    perplexity_32bit         of the folder's weights in float32
    perplexity_16bit …       of each precision, answers token by token
    perplexity_16bit_prompt  the same, read at once
    logits_error_8bit …      root mean square of what logits differ by from those of float32 with
                             the same dequantised weights, over the deviation of these
"""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "resources" / "demo-checkpoint"
NEVER = threading.Event()
KINDS = {"16bit": "bf16", "8bit": "int8", "4bit": "int4"}
EACH = 1  # held-out questions of each topic and language

Text = tuple[list[int], list[int]]  # a prompt and the answer to it, as ids


def texts() -> list[Text]:
    """The questions with their answers, in both languages."""
    from transformers import AutoTokenizer

    from qwen_desktop.demo.guide import LANGUAGES, read_guide

    guide = read_guide(ROOT / "resources" / "demo-guide")
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    found = []
    for language in LANGUAGES:
        for topic in guide.topics:
            entry = topic.entry(language)
            for question in entry.held_out[:EACH]:
                asked = tokenizer.apply_chat_template(
                    [{"role": "user", "content": question}],
                    tokenize=False, add_generation_prompt=True,
                )  # fmt: skip
                prompt = tokenizer(asked, add_special_tokens=False)["input_ids"]
                answer = tokenizer(entry.answer, add_special_tokens=False)["input_ids"]
                found.append((prompt, [*answer, tokenizer.eos_token_id]))
    return found


def opened(precision: str) -> Any:
    """A model of the folder, laid out for the compiled step."""
    from qwen_desktop.chat.checkpoint import Precision
    from qwen_desktop.chat.model import LoadRequest
    from qwen_desktop.engine import loader
    from qwen_desktop.engine.checkpoint import inspect

    request = LoadRequest(FOLDER, Precision(precision), "cpu")
    return loader.load(loader.plan(inspect(FOLDER), request), NEVER, lambda _: None, rows=True)


def in_floats(model: Any) -> Any:
    """A model in float32 with what the weights of `model` stand for."""
    from qwen_desktop.engine.quant.linear import PackedLinear

    exact, parts = opened("fp32"), dict(model.named_modules())
    with torch.inference_mode():
        for name, module in exact.named_modules():
            if isinstance(module, torch.nn.Linear):
                linear = parts[name]
                packed = isinstance(linear, PackedLinear)
                weight = (
                    linear._floats(0, linear.out_features, torch.float32)
                    if packed
                    else linear.weight.float()
                )
            elif isinstance(module, torch.nn.Embedding):
                weight = parts[name](torch.arange(module.num_embeddings)).float()
            else:
                continue
            module.weight = torch.nn.Parameter(weight.clone(), requires_grad=False)
    return exact


def at_once(runner: Any, text: Text) -> torch.Tensor:
    """The logits that each token of the answer is drawn from, all read together."""
    prompt, answer = text
    logits = runner.verify(runner.new_cache(), [*prompt, *answer[:-1]], cancel=NEVER)
    return logits[len(prompt) - 1 :].clone()


def one_by_one(runner: Any, text: Text) -> torch.Tensor:
    """The same, the answer token by token."""
    (prompt, answer), cache = text, runner.new_cache()
    rows = [
        runner.prefill(cache, prompt, chunk=512, on_progress=lambda _: None, cancel=NEVER).clone()
    ]
    rows += [runner.decode(cache, token, cancel=NEVER).clone() for token in answer[:-1]]
    return torch.stack(rows)


def perplexity(given: Sequence[Text], logits: Sequence[torch.Tensor]) -> float:
    """Of all tokens of all answers."""
    loss = count = 0.0
    for (_, answer), rows in zip(given, logits, strict=True):
        wanted = torch.tensor(answer)
        loss += float(torch.nn.functional.cross_entropy(rows.double(), wanted, reduction="sum"))
        count += len(answer)
    return math.exp(loss / count)


def error(found: Sequence[torch.Tensor], exact: Sequence[torch.Tensor]) -> float:
    """See `logits_error_8bit` above; what all logits of a row share is left out."""
    centred = [
        torch.cat([rows - rows.mean(dim=-1, keepdim=True) for rows in side]).double()
        for side in (found, exact)
    ]
    return float((centred[0] - centred[1]).square().mean().sqrt() / centred[1].std())


def main() -> int:
    """Figures of all precisions; the first argument is the folder of compiled code."""
    from qwen_desktop.chat.checkpoint import KvFormat
    from qwen_desktop.engine.cpu.runner import compiled_runner
    from qwen_desktop.engine.transformers_runner import TransformersRunner

    given, code = texts(), Path(sys.argv[1])
    code.mkdir(parents=True, exist_ok=True)

    def each(run: Callable[[Any, Text], torch.Tensor], runner: Any) -> list[torch.Tensor]:
        return [run(runner, text) for text in given]

    plain = each(at_once, TransformersRunner(opened("fp32")))
    result: dict[str, Any] = {
        "tokens": sum(len(answer) for _, answer in given),
        "perplexity_32bit": perplexity(given, plain),
    }
    for name, precision in KINDS.items():
        model = opened(precision)
        exact = each(at_once, TransformersRunner(in_floats(model)))
        runner = compiled_runner(model, KvFormat.MODEL, code)
        if runner is not None:
            runner.wait()
        else:
            runner = TransformersRunner(model)
        result[f"quality_{name}_by"] = runner.capabilities.name
        for suffix, run in (("", one_by_one), ("_prompt", at_once)):
            logits = each(run, runner)
            result[f"perplexity_{name}{suffix}"] = perplexity(given, logits)
            result[f"logits_error_{name}{suffix}"] = error(logits, exact)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
