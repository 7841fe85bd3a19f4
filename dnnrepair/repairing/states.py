"""The same network with other numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dnnrepair.bits import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor

    from dnnrepair.subject import Subject


def with_state(subject: Subject, state: Mapping[str, Tensor]) -> Subject:
    """Return the subject with other numbers in some of its tensors, by state-dict name.

    They are rounded to what the network's file can hold: what is judged can be stored.
    """
    own = {
        name: _storable(value.detach(), subject.stored.get(name))
        for name, value in state.items()
        if name in subject.tensors
    }
    program = subject.running.with_tensors(own)
    held = {name: own.get(name, value) for name, value in subject.state.items()}
    return replace(
        subject, program=program, tensors=program.tensors, state=held, digest=digest(held)
    )


def _storable(value: Tensor, kind: torch.dtype | None) -> Tensor:
    return value if kind is None else value.to(kind).to(value.dtype)
