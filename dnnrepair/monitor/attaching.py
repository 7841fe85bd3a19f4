"""What a monitor holds on to: the network inside its wrappers, and a fitting optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer

from dnnrepair.errors import ModelError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def wrappers(model: nn.Module) -> Iterator[nn.Module]:
    """Yield a model, what it wraps, and so on; the last is the network itself.

    Seen through are ``torch.compile`` and data parallelism, in any order.
    """
    inner: nn.Module | None = model
    while inner is not None:
        yield inner
        parallel = isinstance(inner, nn.parallel.DistributedDataParallel | nn.DataParallel)
        inner = inner._modules.get("module" if parallel else "_orig_mod")  # noqa: SLF001


def network_in(model: nn.Module) -> nn.Module:
    """Return the network inside its wrappers."""
    *_, network = wrappers(model)
    return network


def plain_optimizer(optimizer: Any) -> Optimizer:  # noqa: ANN401 - see Raises
    """Return the optimizer of torch inside its wrappers (Accelerate's, Lightning's).

    Raises:
        SettingError: if there is none.
    """
    found = optimizer
    while isinstance(inner := getattr(found, "optimizer", None), Optimizer):
        found = inner
    if not isinstance(found, Optimizer):
        message = f"the optimizer is {type(optimizer).__name__}; give a torch.optim.Optimizer"
        raise SettingError(message)
    return found


def optimized(network: nn.Module, optimizer: Optimizer) -> dict[str, nn.Parameter]:
    """Return the parameters of a network that an optimizer moves, by name.

    Raises:
        SettingError: if there are none.
    """
    moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
    found = {name: p for name, p in network.named_parameters() if id(p) in moved}
    if not found:
        message = (
            f"the optimizer holds no parameter of {type(network).__name__}; make it from "
            "model.parameters() after the model has its final layers"
        )
        raise SettingError(message)
    return found


def notes_on(network: nn.Module, optimizer: Optimizer) -> tuple[str, ...]:
    """Return what the user should know of parameters that only one of the two has."""
    moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
    own = {id(p): name for name, p in network.named_parameters() if p.requires_grad}
    known = {id(p) for p in network.parameters()}
    left = [name for key, name in own.items() if key not in moved]
    foreign = len(moved - known)
    said = []
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""  # noqa: PLR2004
        said.append(
            f"the optimizer does not move {', '.join(left[:3])}{more}, which ask for a gradient"
        )
    if foreign:
        said.append(f"{foreign} parameters of the optimizer are not the model's; not watched")
    return tuple(said)


def structure(network: nn.Module) -> dict[str, str]:
    """Return what a network is made of: modules by name, and tensors with their shapes."""
    found = {name: type(module).__name__ for name, module in network.named_modules()}
    for tensors in (network.named_parameters(), network.named_buffers()):
        found |= {f"{name} ": str(tuple(value.shape)) for name, value in tensors}
    return found


def check_unchanged(before: Mapping[str, str], network: nn.Module) -> None:
    """Make sure that a network is still made of the same parts.

    Raises:
        ModelError: with the first difference.
    """
    now = structure(network)
    if now == before:
        return
    name = next(n for n in (*now, *before) if now.get(n) != before.get(n))
    message = (
        f"the model was changed while a monitor watched it: {name.strip() or 'the model'!r} was "
        f"{before.get(name, 'not there')} and is {now.get(name, 'gone')}; end the monitor before "
        "the change and start another one after it"
    )
    raise ModelError(message)
