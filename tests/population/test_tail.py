"""A tail answers what the whole network answers with the same parameters, and so its gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.func import functional_call

from dnnrepair.errors import ModelError
from dnnrepair.population.tail import Tail


def moved(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return {
        name: (value + 0.1 * torch.randn(value.shape, generator=rng).to(value)).requires_grad_()
        for name, value in tensors.items()
    }


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_a_tail_is_the_network(exact_case: Any, share: float) -> None:
    names = list(exact_case.parameters)
    chosen = names[int((1 - share) * (len(names) - 1)) :]
    changed = moved({name: exact_case.parameters[name] for name in chosen})
    tail = Tail.of(exact_case.subject.program, chosen)
    found = tail.run(tail.record((exact_case.inputs,)), changed)
    wanted = functional_call(exact_case.module, changed, (exact_case.inputs,))
    torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-11)

    weights = torch.linspace(-1, 1, found.numel(), dtype=found.dtype).view_as(found)
    mine = torch.autograd.grad((found * weights).sum(), list(changed.values()))
    theirs = torch.autograd.grad((wanted * weights).sum(), list(changed.values()))
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_what_no_parameter_changes_is_not_run_again(mlp: Any) -> None:
    last = list(mlp.parameters)[-1]
    tail = Tail.of(mlp.subject.program, [last])
    assert len(tail.steps) == 1
    assert [len(x) for x in tail.record((mlp.inputs,))] == [len(mlp.inputs)]


def test_a_tensor_that_nothing_reads_is_refused(mlp: Any) -> None:
    with pytest.raises(ModelError, match="depends on none of the parameters nothing"):
        Tail.of(mlp.subject.program, ["nothing"])
