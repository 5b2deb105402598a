"""What torch says of itself, for who looks for a fault. Imports torch."""

from __future__ import annotations

import torch

from qwen_desktop.engine.families import transformers_version


def torch_facts() -> dict[str, str | int | bool | None]:
    """Facts by name, for JSON. Opens no context on a card. Raises whatever a broken torch does."""
    total = torch.ones(2, 3) @ torch.ones(3)  # that it computes at all
    return {
        "torch": str(torch.__version__),
        "transformers": transformers_version(),
        "torch_computes": bool((total == 3).all()),
        "cpu_capability": str(torch.backends.cpu.get_cpu_capability()),
        "threads": torch.get_num_threads(),
        "mkl": bool(torch.backends.mkl.is_available()),
        "onednn": bool(torch.backends.mkldnn.is_available()),
        "cuda_built": torch.version.cuda,
        "hip_built": torch.version.hip,
    }
