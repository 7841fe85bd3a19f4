"""Where a user would cut each network by hand: what a patch cannot change, and the rest.

``before`` computes from the inputs what may be kept from one candidate to the next, ``after`` the
logits from that. Both run the live module's own layers, so they see weights written in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Kept = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """A network in two parts.

    Attributes:
        before: from the module and its inputs to what is kept, each batch first.
        after: from the module and what was kept to the logits ``(N, classes)``.
    """

    before: Callable[[Any, Tensor], Kept]
    after: Callable[..., Tensor]


def _features(module: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - a network of this file's own
    return F.relu(module.conv2(F.relu(module.conv1(x)))).flatten(1)


def _from_conv2(module: Any, x: Tensor) -> Tensor:  # noqa: ANN401
    return _from_hidden(module, F.relu(module.conv2(x)).flatten(1))


def _from_hidden(module: Any, x: Tensor) -> Tensor:  # noqa: ANN401
    logits: Tensor = module.head(F.relu(module.hidden(x)))
    return logits


CNN_HEAD = Split(
    lambda module, x: (F.relu(module.hidden(_features(module, x))),),
    lambda module, x: module.head(x),
)
CNN_HIDDEN = Split(lambda module, x: (_features(module, x),), _from_hidden)
CNN_CONV2 = Split(lambda module, x: (F.relu(module.conv1(x)),), _from_conv2)


def _from_words(module: Any, x: Tensor) -> Tensor:  # noqa: ANN401
    logits: Tensor = module.head(module.recurrent(x)[0][:, -1])
    return logits


LSTM = Split(lambda module, words: (module.embedding(words),), _from_words)


def _stem(module: Any, x: Tensor) -> Tensor:  # noqa: ANN401
    return F.relu(module.bn(module.conv(x)))


def _pooled(module: Any, x: Tensor) -> Tensor:  # noqa: ANN401
    logits: Tensor = module.head(x.mean(dim=(2, 3)))
    return logits


def resnet_from(block: int) -> Split:
    """Return the split before a block."""
    return Split(
        lambda module, x: (module.blocks[:block](_stem(module, x)),),
        lambda module, x: _pooled(module, module.blocks[block:](x)),
    )


def _inside_last(module: Any, x: Tensor) -> Kept:  # noqa: ANN401
    x = module.blocks[:-1](_stem(module, x))
    last = module.blocks[-1]
    return F.relu(last.bn1(last.conv1(x))), last.shortcut(x)


def _from_last_conv(module: Any, x: Tensor, beside: Tensor) -> Tensor:  # noqa: ANN401
    last = module.blocks[-1]
    return _pooled(module, F.relu(last.bn2(last.conv2(x)) + beside))


RESNET_LAST_CONV = Split(_inside_last, _from_last_conv)


def _before_last_layer(module: Any, tokens: Tensor) -> Tensor:  # noqa: ANN401
    x: Tensor = module.embedding(tokens) + module.position
    for layer in module.blocks.layers[:-1]:
        x = layer(x)
    return x


def _before_attention(module: Any, tokens: Tensor) -> Kept:  # noqa: ANN401
    x = _before_last_layer(module, tokens)
    return x, module.blocks.layers[-1].norm1(x)


def _before_mlp(module: Any, tokens: Tensor) -> Kept:  # noqa: ANN401
    x = _attended(module, *_before_attention(module, tokens))
    return x, module.blocks.layers[-1].norm2(x)


def _attended(module: Any, x: Tensor, normal: Tensor) -> Tensor:  # noqa: ANN401
    attention = module.blocks.layers[-1].self_attn
    y: Tensor = x + attention(normal, normal, normal, need_weights=False)[0]
    return y


def _from_attention(module: Any, x: Tensor, normal: Tensor) -> Tensor:  # noqa: ANN401
    x = _attended(module, x, normal)
    return _from_mlp(module, x, module.blocks.layers[-1].norm2(x))


def _from_mlp(module: Any, x: Tensor, normal: Tensor) -> Tensor:  # noqa: ANN401
    layer = module.blocks.layers[-1]
    x = x + layer.linear2(F.relu(layer.linear1(normal)))
    logits: Tensor = module.head(x.mean(1))
    return logits


ATTENTION = Split(_before_attention, _from_attention)
TRANSFORMER_MLP = Split(_before_mlp, _from_mlp)
