"""The rest of a network, run from what was recorded, is the network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.func import functional_call

from dnnrepair.population.rest import rest_of
from dnnrepair.population.tail import Tail
from tests.population.test_tail import moved


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_the_rest_is_the_network(exact_case: Any, share: float) -> None:
    names = list(exact_case.parameters)
    chosen = names[int((1 - share) * (len(names) - 1)) :]
    tail = Tail.of(exact_case.subject.program, chosen)
    rest = rest_of(tail)
    rest.graph.lint()
    recorded = tail.record((exact_case.inputs,))
    torch.testing.assert_close(
        rest.run(recorded), exact_case.module(exact_case.inputs), rtol=1e-11, atol=1e-11
    )
    changed = moved({name: exact_case.parameters[name] for name in chosen})
    wanted = functional_call(exact_case.module, changed, (exact_case.inputs,))
    found = rest.run(recorded, tensors=changed)
    torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_operations_and_parameters_keep_their_names(exact_case: Any, share: float) -> None:
    names = list(exact_case.parameters)
    program = exact_case.subject.program
    chosen = names[int((1 - share) * (len(names) - 1)) :]
    rest = rest_of(Tail.of(program, chosen))
    assert set(chosen) <= set(rest.tensors)
    assert all(info.layer == program.infos[name].layer for name, info in rest.infos.items())
    known = {site.name: (site.op, site.tensors) for site in program.sites}
    own = [site for site in rest.sites if site.op != "input"]
    assert own
    assert all(known[site.name] == (site.op, site.tensors) for site in own)
