"""Operations without a rule of their own: ``vmap`` over the candidates, else one after another."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from dnnrepair.population.values import Dense, dense

if TYPE_CHECKING:
    from dnnrepair.population.call import Call


def generic(call: Call) -> Any:  # noqa: ANN401 - a value, or several
    """Return the operation's results on dense values."""
    arguments = dense((tuple(call.args), dict_items(call)), call.frame, call.chunk)
    leaves, spec = pytree.tree_flatten(arguments)
    varying = [leaf for leaf in leaves if isinstance(leaf, Dense)]

    def run(*values: Tensor) -> Any:  # noqa: ANN401 - a tensor, or several
        given = iter(values)
        filled = [next(given) if isinstance(leaf, Dense) else leaf for leaf in leaves]
        args, kwargs = pytree.tree_unflatten(filled, spec)
        return call.operation(*args, **dict(kwargs))

    values = [leaf.values for leaf in varying]
    looped = call.constant("looped", lambda: not _batches(run, values))
    result = _loop(run, values) if looped else torch.vmap(run)(*values)
    return pytree.tree_map_only(Tensor, _laid_out, result)


def _laid_out(values: Tensor) -> Dense:
    """Return values in one memory layout: sums would be taken in another order in another."""
    return Dense(values.contiguous())


def dict_items(call: Call) -> list[tuple[str, Any]]:
    """Return the keyword arguments as pairs, which may hold values of any kind."""
    return [(name, value) for name, value in call.kwargs.items()]


def _batches(run: Any, values: list[Tensor]) -> bool:  # noqa: ANN401 - a function
    """Tell whether vmap has a rule for an operation."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it warns where it would loop, slower than we do
        try:
            result = torch.vmap(run)(*values)
        except Exception:  # noqa: BLE001 - torch raises several kinds
            return False
    return all(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(result))


def _loop(run: Any, values: list[Tensor]) -> Any:  # noqa: ANN401 - a function and its result
    results = [run(*(value[i] for value in values)) for i in range(len(values[0]))]
    leaves = [pytree.tree_flatten(result)[0] for result in results]
    spec = pytree.tree_structure(results[0])
    stacked = [
        torch.stack(versions) if isinstance(versions[0], Tensor) else versions[0]
        for versions in zip(*leaves, strict=True)
    ]
    return pytree.tree_unflatten(stacked, spec)
