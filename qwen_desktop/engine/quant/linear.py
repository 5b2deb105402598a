"""Linears whose weight stays packed as int4 or int8 codes, in place of torch.nn.Linear.

The parts are parameters, so that transformers fills them as it fills weights. They arrive in a
layout that any device can compute with; `place` then lays codes out for the kernel of the device
they are on. Inputs, outputs and biases have the dtype of the model around them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from qwen_desktop.engine.precision import Form
from qwen_desktop.engine.quant import kernels
from qwen_desktop.engine.quant.pack import part_shapes

_aten = torch.ops.aten

# Elements of a weight turned into floats at a time: what stays in a CPU's cache, and what keeps a
# card busy without taking much of its memory.
_CPU_BLOCK = 2**20
_CARD_BLOCK = 2**25

ROWS = "rows"  # the layout of the compiled step


class PackedLinear(nn.Module, ABC):  # type: ignore[misc] # torch has no types here
    """What both widths share: y = x @ weight.T + bias, for inputs [..., in]."""

    codes: torch.Tensor
    scales: torch.Tensor

    def __init__(
        self,
        size: tuple[int, ...],
        bias: nn.Parameter | None,
        form: Form,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.out_features, self.in_features = size
        self.form = form
        shapes = part_shapes(form, size, dtype)
        for name, (shape, of) in shapes.items():
            empty = torch.empty(shape, dtype=of, device=device)
            self.register_parameter(name, nn.Parameter(empty, requires_grad=False))
        self.register_parameter("bias", bias)
        self._placed = ""  # what codes are laid out for: a device kind or ROWS; "" for any device
        self._in_order = not form.ordered
        # What multiplies rows [n, in] in place of torch's kernels, see cpu/products.py.
        self.compiled: Callable[[torch.Tensor], torch.Tensor] | None = None

    @property
    def weight_count(self) -> int:
        """Elements of the matrix that the codes stand for."""
        return int(self.in_features * self.out_features)

    @property
    def may_be_in_rows(self) -> bool:
        """Whether each output's codes lie one after another, or still can be laid out so."""
        return self._placed in ("", ROWS) and self._finds_order()

    def place(self, check: Callable[[], object] = bool, *, rows: bool = False) -> None:
        """Lay the codes out for the device they are on, once they are there to stay.

        With `rows` as the compiled step of a CPU wants them: all of an output together, its scales
        together, and zeros apart from scales. `check` is called often and may raise; then nothing
        was changed.
        """
        if self._placed:
            return
        self._in_order = self._finds_order()
        if rows and (self.form.bits == 4 or self.form.group < self.in_features or self.form.own):
            self._place_in_rows()
            self._placed = ROWS
        else:  # eight bits with one scale for each output lie in rows anyway
            self._place(check)

    def _finds_order(self) -> bool:
        """Whether inputs are taken as they come; so it is supposed while there are no codes."""
        order: Any = getattr(self, "order", None)
        if order is None or order.is_meta:
            return True
        return bool((order == torch.arange(self.in_features, device=order.device)).all())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The product for `x` [..., in], [..., out]."""
        rows = x.reshape(-1, self.in_features)
        if not self._in_order:
            rows = rows.index_select(1, self.order)
        y = (self.compiled or self._product)(rows).to(x.dtype)
        if self.bias is not None:
            y = y + self.bias
        return y.view(*x.shape[:-1], self.out_features)

    def _apply(self, *arguments: Any, **options: Any) -> Any:
        """What moves or converts the parts: compiled code knows them by their addresses."""
        self.compiled = None
        return super()._apply(*arguments, **options)

    def extra_repr(self) -> str:
        """What stands in the module tree, in the words of torch.nn.Linear."""
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"

    @abstractmethod
    def _place(self, check: Callable[[], object]) -> None:
        """See `place`; the order of the inputs is known already."""

    @abstractmethod
    def _place_in_rows(self) -> None:
        """See `place`."""

    @abstractmethod
    def _product(self, x: torch.Tensor) -> torch.Tensor:
        """The product without the bias, for `x` [rows, in] in the order of the codes."""

    @abstractmethod
    def _floats(self, first: int, last: int, dtype: torch.dtype) -> torch.Tensor:
        """The weight of the outputs `first` up to `last`, [last - first, in]."""

    def _multiplied(self, x: torch.Tensor, step: int = 1) -> torch.Tensor:
        """The product by way of floats, in blocks of a multiple of `step` outputs."""
        on_cpu = x.device.type == "cpu"
        dtype = kernels.matmul_dtype() if on_cpu else x.dtype
        x = x.to(dtype)
        y = x.new_empty((len(x), self.out_features))
        size = (_CPU_BLOCK if on_cpu else _CARD_BLOCK) // self.in_features
        size = max(1, size // step) * step
        for first in range(0, self.out_features, size):
            last = min(first + size, self.out_features)
            y[:, first:last] = nn.functional.linear(x, self._floats(first, last, dtype))
        return y


class Int4Linear(PackedLinear):
    """Four bits: weight = (code - 8) * s + z, with s and z per output and group of inputs.

    Kernels of torch for bfloat16, on CPUs and on CUDA cards that have it; everywhere else the
    weight is turned into floats for each call.
    """

    def _place(self, check: Callable[[], object]) -> None:
        kind = self.codes.device.type
        laid: torch.Tensor | None = None
        if self.scales.dtype == torch.bfloat16:  # the kernels are slow or lacking for others
            if kind == "cpu":
                laid = kernels.pack_int4_cpu(self.codes, check)
            elif kind == "cuda":
                laid = kernels.pack_int4_cuda(self.codes)
        if laid is not None:
            self.codes = nn.Parameter(laid, requires_grad=False)
            self._placed = kind

    def _place_in_rows(self) -> None:
        apart = self.scales.permute(2, 1, 0).contiguous()  # scales, then zeros, [out, groups]
        self.scales = nn.Parameter(apart, requires_grad=False)

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        if self._placed == "cuda":
            found: torch.Tensor = _aten._weight_int4pack_mm(
                x.to(torch.bfloat16).contiguous(), self.codes, self.form.group, self.scales
            )
            return found
        if self._placed != "cpu":
            return self._multiplied(x)
        layout = kernels.int4_layout()
        if len(x) < kernels.CPU_ROWS_INT4 or layout is None:
            return self._kernel(x, self.codes, self.scales)
        # Outputs beyond the last whole block lie in another way, which only the kernel knows.
        whole = self.out_features // layout.rows * layout.rows
        y = x.new_empty((len(x), self.out_features), dtype=kernels.matmul_dtype())
        self._by_layout(x.to(y.dtype), y, layout, whole)
        if whole < self.out_features:
            y[:, whole:] = self._kernel(x, self.codes[whole:], self.scales[:, whole:].contiguous())
        return y

    def _kernel(self, x: torch.Tensor, codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = _aten._weight_int4pack_mm_for_cpu(
            x.to(torch.bfloat16).contiguous(), codes, self.form.group, scales
        )
        return found

    def _by_layout(
        self, x: torch.Tensor, y: torch.Tensor, layout: kernels.Layout, whole: int
    ) -> None:
        """Fill the first `whole` columns of `y` by way of floats [in, block of outputs]."""
        inputs, group, rows = self.in_features, self.form.group, layout.rows
        step = max(1, _CPU_BLOCK // (inputs * rows)) * rows
        for first in range(0, whole, step):
            last = min(first + step, whole)
            codes = layout.unpacked(self.codes[first:last], inputs)
            pair = self.scales[:, first:last].to(y.dtype)
            pair = pair.view(-1, (last - first) // rows, 1, rows, 2).transpose(0, 1)
            scale, zero = pair.unbind(-1)
            weight = codes.to(y.dtype).view(len(codes), -1, group, rows)
            weight.mul_(scale).add_(zero - 8 * scale)
            made = torch.matmul(x, weight.view(len(codes), inputs, rows))  # [blocks, n, rows]
            y[:, first:last] = made.transpose(0, 1).reshape(len(x), last - first)

    def _floats(self, first: int, last: int, dtype: torch.dtype) -> torch.Tensor:
        pairs = self.codes[first:last]
        weight = torch.empty((*pairs.shape, 2), dtype=dtype, device=pairs.device)
        weight[..., 0] = pairs >> 4
        weight[..., 1] = pairs & 15
        if self._placed == ROWS:
            scale, zero = self.scales[:, first:last].to(dtype).unsqueeze(-1)
        else:
            both = self.scales[:, first:last].to(dtype).transpose(0, 1)
            scale, zero = both.unsqueeze(-2).unbind(-1)
        grouped = weight.view(last - first, -1, self.form.group)
        grouped.sub_(8).mul_(scale).add_(zero)
        return weight.view(last - first, self.in_features)


class Int8Linear(PackedLinear):
    """Eight bits: weight = (code - zero) * scale; zero only where a folder brought its codes.

    The kernel of torch for few rows on a CPU; otherwise the weight is turned into floats for each
    call, on a card too.
    """

    def _place(self, _check: Callable[[], object]) -> None:
        self._offset = self._has_offsets()
        self._placed = self.codes.device.type

    def _place_in_rows(self) -> None:
        self._offset = self._has_offsets()
        for name in ("scales", "zeros")[: 2 if self.form.own else 1]:
            turned = getattr(self, name).T.contiguous()  # [out, groups]
            setattr(self, name, nn.Parameter(turned, requires_grad=False))
        together = self.codes.transpose(0, 1).reshape(self.out_features, self.in_features)
        self.codes = nn.Parameter(together, requires_grad=False)

    def _has_offsets(self) -> bool:
        zeros: Any = getattr(self, "zeros", None)
        return zeros is not None and bool((zeros != 0).any())

    @property
    def offsets(self) -> torch.Tensor | None:
        """The zeros as they lie, int16; None where all of them are 0."""
        if not getattr(self, "_offset", self.form.own):
            return None
        found: torch.Tensor = self.zeros
        return found

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        fits = self.form.group % kernels.INT8_STEP == 0 and x.dtype == torch.bfloat16
        if self._placed == ROWS and self.form.group < self.in_features:
            return self._multiplied(x)
        if x.device.type != "cpu" or len(x) >= kernels.CPU_ROWS_INT8 or not fits:
            return self._multiplied(x)
        if not self.form.own:
            size = self.out_features, self.in_features
            found: torch.Tensor = _aten._weight_int8pack_mm(
                x.contiguous(), self.codes.view(size), self.scales.view(-1)
            )
            return found
        return self._multiplied(x) if self._placed == ROWS else self._by_groups(x)

    def _by_groups(self, x: torch.Tensor) -> torch.Tensor:
        """The kernel group by group, their sum in float32 so that many groups lose nothing."""
        one = torch.ones(self.out_features, dtype=x.dtype)
        y = torch.zeros((len(x), self.out_features))
        grouped = x.view(len(x), -1, self.form.group)
        for index, codes in enumerate(self.codes):
            part = _aten._weight_int8pack_mm(grouped[:, index].contiguous(), codes, one)
            y.addcmul_(part, self.scales[index])
        zeros = self.offsets
        if zeros is not None:
            y -= grouped.float().sum(dim=2) @ (zeros.float() * self.scales)
        return y

    def _floats(self, first: int, last: int, dtype: torch.dtype) -> torch.Tensor:
        codes, scales, zeros = self.codes, self.scales, self.offsets
        if self._placed == ROWS:
            codes = codes.view(self.out_features, -1, self.form.group)
        else:  # groups come first
            codes, scales = codes.transpose(0, 1), scales.T
            zeros = zeros.T if zeros is not None else None
        weight = codes[first:last].to(dtype)  # [outputs, groups, inputs]
        if zeros is not None:
            weight -= zeros[first:last].unsqueeze(-1).to(dtype)
        # In float32, because a scale rounded to 16 bits would shift a whole group.
        scale = scales[first:last].unsqueeze(-1)
        weight = (weight * scale).to(dtype) if dtype.itemsize < 4 else weight.mul_(scale)
        return weight.reshape(last - first, self.in_features)


class Int8Embedding(nn.Module):  # type: ignore[misc] # torch has no types here
    """Rows of a matrix of 8-bit codes as the embeddings of tokens, in the dtype of the scales.

    Its parts are those of an `Int8Linear` with one scale for each row, which may be the head.
    """

    codes: torch.Tensor
    scales: torch.Tensor

    def __init__(
        self, size: tuple[int, ...], form: Form, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = size
        for name, (shape, of) in part_shapes(form, size, dtype).items():
            empty = torch.empty(shape, dtype=of, device=device)
            self.register_parameter(name, nn.Parameter(empty, requires_grad=False))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """[..., width] for `ids` [...]."""
        scales = self.scales[0][ids].unsqueeze(-1)
        return self.codes[0][ids].to(scales.dtype) * scales


def packed_linear(
    shape: tuple[int, ...],
    bias: nn.Parameter | None,
    form: Form,
    dtype: torch.dtype,
    device: torch.device,
) -> PackedLinear:
    """A linear for a weight of `shape` [out, in] in `form`, its codes not yet filled."""
    return (Int4Linear if form.bits == 4 else Int8Linear)(shape, bias, form, dtype, device)
