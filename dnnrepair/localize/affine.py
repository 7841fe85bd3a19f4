"""What single weights contribute to the output of a linear layer or a convolution.

The output is a sum of terms ``x * w``, so that the sums of their sizes are the same operation on
``|x|`` and ``|w|``; and the sum of one weight's terms over samples and positions, each scaled, is
that operation's gradient in the weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dnnrepair.localize.layout import Layout
    from dnnrepair.sites import Site

    Product = Callable[[Tensor, Tensor], Tensor]

_SETTINGS = ("stride", "padding", "output_padding", "dilation", "groups")


@dataclass(frozen=True, kw_only=True)
class AffineUse:
    """A call of a linear layer or a convolution; see :class:`dnnrepair.localize.use.Use`.

    Attributes:
        key: name of the site.
        product: the operation without its bias, of values and weights.
        x: the values it reads.
        weight: as it reads it.
        output: what it returned, bias included.
        layout: where the samples lie in that.
        samples: n.
        pooled: as published for convolutions: shares of sums over all samples, and signed terms.
    """

    key: str
    product: Product
    x: Tensor
    weight: Tensor
    output: Tensor
    layout: Layout
    samples: int
    pooled: bool

    @classmethod
    def of(  # noqa: D102 - as a constructor
        cls,
        site: Site,
        arguments: Mapping[str, Any],
        output: Tensor,
        layout: Layout,
        samples: int,
        *,
        published: bool,
    ) -> AffineUse:
        product, x, weight = _operands(site, arguments)
        return cls(
            key=site.name,
            product=product,
            x=x,
            weight=weight,
            output=output,
            layout=layout,
            samples=samples,
            pooled=published and site.op.startswith("conv"),
        )

    def by_output(self, values: Tensor) -> Tensor:
        """Return values shaped as the output, ``(n, *outputs)``."""
        return self.layout.split(values, self.samples)

    def sums(self) -> Tensor:
        """Return the sums of the sizes of all terms, ``(n, *outputs)``."""
        return self.by_output(self._sizes.product.detach())

    def impact(self, scale: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the weight tensor, and for each weight the sum of its terms, scaled."""
        terms = self._terms(self.x, self.weight) if self.pooled else self._sizes
        whole = self.layout.merge(scale.expand(self.samples, *scale.shape[1:]))
        (found,) = torch.autograd.grad(terms.product, terms.weight, whole)
        yield self.weight, found.mul_(terms.weight.detach())

    @cached_property
    def _sizes(self) -> _Terms:
        return self._terms(self.x.detach().abs(), self.weight.detach().abs())

    def _terms(self, x: Tensor, weight: Tensor) -> _Terms:
        with torch.enable_grad():
            leaf = weight.detach().requires_grad_()
            return _Terms(self.product(x.detach(), leaf), leaf)


class _Terms(NamedTuple):
    product: Tensor
    weight: Tensor  # in which it can be differentiated


def _operands(site: Site, arguments: Mapping[str, Any]) -> tuple[Product, Tensor, Tensor]:
    """Return the operation without its bias, the values and the weights."""
    x: Tensor = arguments["input"]
    names = ("weight", "other", "mat2")
    weight: Tensor = next(arguments[name] for name in names if name in arguments)
    if site.op.startswith("conv"):
        settings = {name: arguments[name] for name in _SETTINGS if name in arguments}
        if not site.op.startswith("conv_transpose"):
            settings.pop("output_padding", None)
        return partial(getattr(F, site.op), bias=None, **settings), x, weight
    return torch.matmul if site.settings.get("transposed") else F.linear, x, weight
