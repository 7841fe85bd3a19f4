"""The state dict inside whatever training script's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dnnrepair.errors import ModelError, UntrustedError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Keys under which training scripts keep the network, the plain one before its moving average.
_WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module"),
    *("net_state_dict", "params", "weights", "student", "generator", "state", "checkpoint"),
    *("ema", "model_ema", "state_dict_ema", "ema_state_dict", "params_ema", "teacher"),
)
_PREFIXES = ("module.", "_orig_mod.", "_fsdp_wrapped_module.")
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_MAX_NAME = 500  # characters
_MAX_CLAIMED = 64 << 20  # bytes that a tensor may claim beyond what the file holds of it
_DEPTH = 4  # wrappers inside wrappers


def find_module(found: object) -> nn.Module | None:
    """Return the pickled network in a checkpoint, if there is one."""
    if isinstance(found, nn.Module):
        return found
    if isinstance(found, Mapping):
        for key in _WRAPPERS:
            inner = found.get(key)
            if isinstance(inner, nn.Module):
                return inner
    return None


def find_state(found: object, name: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the network's tensors in a checkpoint, and notes on where they were.

    Args:
        found: what the file holds.
        name: of the file, for messages.

    Raises:
        ModelError: there is no state dict, or more than one that could be meant.
        UntrustedError: a tensor's name or size is none that training produces.
    """
    place, state = _find(found, name, ())
    notes = [f"read the state dict under {place!r}"] if place else []
    tensors = {key: value.detach() for key, value in state.items() if _is_dense(value)}
    others = [key for key in state if key not in tensors and isinstance(state[key], Tensor)]
    if others:
        notes.append(f"left out tensors that are not dense: {', '.join(others[:5])}")
    check_tensors(tensors, name)
    stripped = _strip(tensors)
    if list(stripped) != list(tensors):
        notes.append("stripped the prefix that a wrapper (DataParallel, compile) left on names")
    return stripped, tuple(notes)


def check_tensors(tensors: Mapping[str, Tensor], name: str) -> None:
    """Refuse names and sizes that only a crafted file has.

    Raises:
        UntrustedError: naming the tensor.
        ModelError: there are no tensors, or one has no values.
    """
    if not tensors:
        message = f"{name}: holds no tensors; save the network with torch.save(model.state_dict())"
        raise ModelError(message)
    for key, value in tensors.items():
        if not key.isprintable() or len(key) > _MAX_NAME:
            message = f"{name}: refused, control characters or no end in tensor name {key[:80]!r}"
            raise UntrustedError(message)
        if value.is_meta:
            message = (
                f"{name}: {key!r} has a shape but no values (device 'meta'); save real tensors"
            )
            raise ModelError(message)
        claimed = value.numel() * value.element_size()
        if _reach(value) > value.untyped_storage().nbytes():
            message = f"{name}: refused, {key!r} reaches beyond the values in the file"
            raise UntrustedError(message)
        if claimed > value.untyped_storage().nbytes() + _MAX_CLAIMED:
            message = f"{name}: refused, {key!r} claims {claimed:,} bytes that are not in the file"
            raise UntrustedError(message)


def buffer_names(state: Mapping[str, Tensor]) -> frozenset[str]:
    """Return the names that can only be buffers: statistics and integers."""
    return frozenset(
        key
        for key, value in state.items()
        if key.endswith(_STATISTICS) or not (value.is_floating_point() or value.is_complex())
    )


def _find(found: object, name: str, place: tuple[str, ...]) -> tuple[str, Mapping[str, Any]]:
    if _is_state(found):
        return ".".join(place), found  # type: ignore[return-value]
    candidates = dict(_candidates(found)) if len(place) < _DEPTH else {}
    if not candidates:
        message = f"{name}: no state dict in it ({_describe(found)}); save model.state_dict()"
        raise ModelError(message)
    known = [key for key in (*_WRAPPERS, "0") if key in candidates]
    if not known and len(candidates) > 1:
        message = (
            f"{name}: holds several networks ({', '.join(sorted(candidates)[:5])}); "
            "save the one you mean to a file of its own"
        )
        raise ModelError(message)
    key = known[0] if known else next(iter(candidates))
    return _find(candidates[key], name, (*place, key))


def _candidates(found: object) -> Iterator[tuple[str, object]]:
    """Yield what may hold the network, one level down."""
    if isinstance(found, Mapping):
        for key, value in found.items():
            if isinstance(value, nn.Module):
                yield str(key), value.state_dict()
            elif isinstance(key, str) and "optim" not in key and _holds_state(value, _DEPTH):
                yield key, value
    elif isinstance(found, list | tuple) and found and _holds_state(found[0], _DEPTH):
        yield "0", found[0]


def _holds_state(value: object, depth: int) -> bool:
    if _is_state(value):
        return True
    if depth == 0:
        return False
    if isinstance(value, Mapping):
        return any(_holds_state(inner, depth - 1) for inner in value.values())
    return isinstance(value, list | tuple) and bool(value) and _holds_state(value[0], depth - 1)


def _is_state(value: object) -> bool:
    """Tell a mapping of names to tensors; torch itself may add an entry that is none."""
    if not isinstance(value, Mapping) or not value:
        return False
    if not all(isinstance(key, str) for key in value):
        return False
    tensors = [key for key, item in value.items() if isinstance(item, Tensor)]
    others = [key for key in value if key not in set(tensors) and "_extra_state" not in key]
    return bool(tensors) and (not others or _looks_flat(tensors, others))


def _looks_flat(tensors: Sequence[str], others: Sequence[str]) -> bool:
    return any("." in key for key in tensors) and len(others) < len(tensors)


def _reach(value: Tensor) -> int:
    """Return how many bytes of its storage a tensor spans."""
    if value.numel() == 0 or value.layout != torch.strided:
        return 0
    spans = zip(value.shape, value.stride(), strict=True)
    last = value.storage_offset() + sum((size - 1) * stride for size, stride in spans)
    return int(last + 1) * value.element_size()


def _is_dense(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized


def _strip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take wrappers' prefixes off names: those of all, and compile's wherever it stands."""
    names = {key: key for key in tensors if key != "n_averaged"}
    if len(names) < len(tensors) and not all(k.startswith("module.") for k in names):
        names["n_averaged"] = "n_averaged"  # not torch.optim.swa_utils.AveragedModel's counter
    while True:
        prefix = next((p for p in _PREFIXES if all(v.startswith(p) for v in names.values())), None)
        if prefix is None or not names:
            break
        names = {key: value.removeprefix(prefix) for key, value in names.items()}
    bare = {key: value.replace("_orig_mod.", "") for key, value in names.items()}
    if len(set(bare.values())) == len(bare):
        names = bare
    return {names[key]: value for key, value in tensors.items() if key in names}


def _describe(found: object) -> str:
    if isinstance(found, Tensor):
        return "a single tensor; data goes to --data"
    if isinstance(found, Mapping):
        keys = ", ".join(repr(str(key)[:40]) for key in list(found)[:5])
        return f"a dict with the keys {keys}" if keys else "an empty dict"
    return f"a {type(found).__name__}"
