"""How much memory a forward takes for a moment, beside weights and KV cache. Arithmetic only.

Counted off the code of transformers and of the cache, moment by moment; the tests compare it with
what torch's allocator says of real forwards. No torch.
"""

from __future__ import annotations

from enum import Enum

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.engine.architecture import FULL, STATE_ITEM, Architecture
from qwen_desktop.engine.qwen1 import QWEN1
from qwen_desktop.engine.rooms import STEPS, Rooms

KV_PIECE = 2048  # tokens of 8-bit keys and values that a CPU reads back together (kv8.py)
LINEAR_BLOCK = 64  # tokens that linear attention computes together


class Forward(Enum):
    """What computes."""

    MODULE = "module"  # that of transformers
    LEAN = "lean"  # lean/forward.py
    FLASH = "flash"  # the same, with an attention that needs neither masks nor repeated heads


def activations(
    made: Architecture,
    chunk: int,
    context: int,
    item: int,
    kv: KvFormat = KvFormat.MODEL,
    *,
    on_cpu: bool = False,
    rooms: Rooms = STEPS,
    forward: Forward = Forward.MODULE,
) -> int:
    """Bytes of tensors at the peak of a forward of `chunk` tokens that ends at `context` tokens.

    Counted off transformers' code: the moment within a layer at which most is alive, beside what
    lives all along (embeddings, the layer's input and its normed copy, angles, the mask, the logits
    of the piece before). The KV cache is not in it, but for what its growth leaves behind for a
    moment; nor what libraries take for themselves. `item` is the bytes of an element; `on_cpu`: all
    of the model computes there. `rooms` are those of the cache, `forward` is what computes.
    """
    chunk = min(chunk, context)
    step = chunk == 1 and rooms.buckets  # which reads all of a room
    seen = rooms.size(context) if step else context
    # The first piece needs no mask, a single token neither.
    masked = 1 < chunk < context and forward is not Forward.FLASH
    hidden, rows = made.hidden_size, made.heads * made.head_dim
    kv_rows = made.kv_heads * made.head_dim
    always = chunk * item * (3 * hidden + 2 * made.head_dim)
    if masked:
        always += chunk * context + 4 * made.vocabulary
    # Turning by angles takes products and sums beside what is turned; norms of queries floats.
    turned = chunk * max(item * (4 * rows + 2 * kv_rows), rows * (item + 8))
    read = _attention(made, chunk, seen, item, kv, masked=masked, on_cpu=on_cpu)
    if step:  # scores as floats and as numbers of the model
        read += made.heads * seen * (8 + 2 * item)
    moments = [turned, read]
    if forward is not Forward.MODULE:
        always, moments = _lean(made, chunk, context, item, read, masked=masked)
    if FULL in made.layer_kinds:
        layer, before = made.layer_kinds.index(FULL), rooms.before(context)
        coded = 2 * kv_rows * (item + 9) if kv is KvFormat.INT8 else 0  # floats on their way
        here = rows + 2 * kv_rows  # the lean forward still has what queries and keys were made of
        here += 0 if forward is Forward.MODULE else rows + kv_rows
        written = chunk * (item * here + coded)
        left = made.layer_cache_bytes(layer, before, item, kv, rooms)
        if kv is KvFormat.MODEL:  # keys grow first, values only then; codes of both lie together
            left //= 2
        moments.append(written + left)
        if kv is KvFormat.INT8 and on_cpu and item < 4:  # read back piece by piece, through floats
            floats = 2 * kv_rows * (context * item + min(context, KV_PIECE) * 4)
            moments.append(chunk * item * here + floats)
    inner = made.intermediate_size
    if made.experts:  # a row for each expert that a token meets
        wide = made.experts_per_token * max(4 * hidden, hidden + 4 * inner)
        moments.append(chunk * item * (2 * hidden + wide))
    else:
        moments.append(chunk * item * (hidden + 3 * inner))
    if made.linear_heads:
        moments.append(_linear_attention(made, chunk, item))
    # The last row alone becomes logits, which are made floats; drawing takes some copies of them.
    moments.append((item + 8) * made.vocabulary)
    return max(always + max(moments), 16 * made.vocabulary)


def _lean(
    made: Architecture, chunk: int, context: int, item: int, read: int, *, masked: bool
) -> tuple[int, list[int]]:
    """Bytes that the lean forward holds all along, and at moments besides; `read` in attention."""
    hidden, inner = made.hidden_size, made.intermediate_size
    rows, kv_rows = made.heads * made.head_dim, made.kv_heads * made.head_dim
    always = chunk * item * hidden  # what the layer was given
    if masked:
        always += chunk * context + 4 * made.vocabulary
    both = rows + kv_rows  # queries and keys are turned together, the first Qwen's as floats
    turned = both * (item + 16) if made.family == QWEN1 else 3 * both * item
    if made.family == "qwen3":  # norms of heads, of floats on a CPU
        turned = max(turned, 8 * both)
    return always, [
        chunk * (item * (rows + 2 * kv_rows) + turned),
        chunk * item * (rows + 2 * kv_rows + both) + read,
        chunk * item * (rows + 2 * hidden),
        chunk * item * (hidden + max(hidden + 2 * inner, 3 * inner)),
        chunk * item * (3 * hidden + inner),
    ]


def _attention(
    made: Architecture,
    chunk: int,
    context: int,
    item: int,
    kv: KvFormat,
    *,
    masked: bool,
    on_cpu: bool,
) -> int:
    """Bytes of queries, the answer to them, and what keys and values are read as."""
    rows, kv_rows = made.heads * made.head_dim, made.kv_heads * made.head_dim
    found = chunk * item * rows * (4 if made.linear_heads else 2)  # hybrids gate it
    if kv is KvFormat.INT8:
        found += context * item * 2 * kv_rows
    if masked:  # as floats; and the kernels of cards then want keys and values of each head
        repeated = 2 * rows if 1 < made.kv_heads < made.heads and not on_cpu else 0
        found += context * item * (chunk + repeated)
    return found


def _linear_attention(made: Architecture, chunk: int, item: int) -> int:
    """Bytes of the gated delta rule, which works in float32 on blocks of whole `LINEAR_BLOCK`."""
    heads, keys, values = made.linear_heads, made.linear_key_dim, made.linear_value_dim
    inputs = item * (made.conv_width + 2 * heads * values)
    if made.family.startswith("qwen3_next"):  # which projects them jointly and sorts them apart
        inputs *= 2
    if chunk == 1:
        return inputs + 3 * STATE_ITEM * made.recurrent_state
    padded = -(-chunk // LINEAR_BLOCK) * LINEAR_BLOCK
    floats = heads * (6 * keys + 4 * values + 3 * LINEAR_BLOCK)
    return chunk * inputs + STATE_ITEM * (padded * floats + 3 * made.recurrent_state)
