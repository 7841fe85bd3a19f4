"""Scaled dot-product attention and softmax over values that differ between candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import functional as F

from dnnrepair.population.call import fetched, rule
from dnnrepair.population.values import Dense, Shared, Sparse

if TYPE_CHECKING:
    from dnnrepair.population.call import Call


@rule("scaled_dot_product_attention")
def attention(call: Call) -> Any:  # noqa: ANN401 - a value
    """Fold the candidates into the batch, so that the fused kernel serves."""
    operands = [call.get(name, call.input) for name in ("query", "key", "value")]
    mask = fetched(call.get("attn_mask"))
    if not all(isinstance(operand, Shared | Sparse | Dense) for operand in operands):
        return NotImplemented
    if len(call.out.shape) != 4 or isinstance(mask, Sparse | Dense):  # noqa: PLR2004
        return NotImplemented
    if call.get("dropout_p", 0.0) or call.get("enable_gqa", False):
        return NotImplemented
    p = len(call.chunk)
    query, key, value = (_folded(operand, p) for operand in operands)
    if isinstance(mask, Tensor):
        mask = mask.expand(*call.out.shape[:2], *mask.shape[-2:]).repeat(p, 1, 1, 1)
    out = F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=call.get("is_causal", False),
        scale=call.get("scale"),
    )
    return Dense(out.unflatten(0, (p, -1)))


@rule("softmax", "log_softmax")
def softmax(call: Call) -> Any:  # noqa: ANN401 - a value
    """Normalize over one dimension; every unit depends on every other."""
    source, dim = call.input, call.get("dim")
    if isinstance(source, Sparse):
        source = Dense(source.dense())
    if not isinstance(source, Dense) or call.get("dtype") is not None:
        return NotImplemented
    operation = F.softmax if call.op == "softmax" else F.log_softmax
    return Dense(operation(source.values, dim % len(source.shape) + 1))


def _folded(operand: Any, p: int) -> Tensor:  # noqa: ANN401 - a value
    """Return ``(p * n, heads, tokens, features)``."""
    if isinstance(operand, Shared):
        whole: Tensor = operand.whole()
        return whole.expand(p, *whole.shape).flatten(0, 1)
    values = operand.dense() if isinstance(operand, Sparse) else operand.values
    return values.flatten(0, 1)
