"""What a monitor refuses, and what it says then."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dnnrepair import Monitor
from dnnrepair.errors import DataError, DnnRepairError, ModelError, SettingError, UnknownNameError
from tests.monitor.loops import network, sgd, train


def test_attached_twice() -> None:
    model = network()
    optimizer = sgd(model)
    compiled: Any = torch.compile(model, backend="eager")
    with Monitor(model, optimizer) as m:
        for second in (m, Monitor(model, optimizer), Monitor(compiled, sgd(model))):
            with pytest.raises(
                SettingError, match="watches this Sequential or its optimizer already"
            ):
                second.attach()
    with Monitor(model, optimizer):
        pass


def test_changed_structurally_while_watched() -> None:
    model = network()
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=2) as m:
        train(m, model, optimizer, 2)
        model[4] = nn.Linear(16, 5)
        with pytest.raises(ModelError, match=r"'4.weight' was \(3, 16\) and is \(5, 16\)"):
            train(m, model, optimizer, 2)


def test_values_may_change_while_watched() -> None:
    model = network()
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=2, select=["ACT001"]) as m:
        train(m, model, optimizer, 2)
        model.get_parameter("0.bias").data = torch.full((32,), -100.0)  # other memory
        train(m, model, optimizer, 2)
    assert [one.finding.layer for one in m.findings if len(one.finding.units) == 32] == ["0"]


def test_an_optimizer_of_another_model() -> None:
    with pytest.raises(SettingError, match="holds no parameter of Sequential"):
        Monitor(network(), sgd(network()))
    with pytest.raises(SettingError, match=r"optimizer is Linear; give a torch\.optim"):
        Monitor(network(), nn.Linear(1, 1))


def test_an_optimizer_of_part_of_the_model_is_noted() -> None:
    model = network()
    foreign = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([*model[:4].parameters(), foreign], 0.1)
    with Monitor(model, optimizer, every=2) as m:
        train(m, model, optimizer, 2)
    notes = m.report().model.notes
    assert "the optimizer does not move 4.weight, 4.bias, which ask for a gradient" in notes
    assert "1 parameters of the optimizer are not the model's; not watched" in notes


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_every_below_one(every: Any) -> None:
    model = network()
    with pytest.raises(SettingError, match="give the steps between looks, at least 1"):
        Monitor(model, sgd(model), every=every)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"on": "dead-relo", "do": "stop"}, UnknownNameError, "did you mean 'dead-relu'"),
        ({"on": "large-update", "do": "stop"}, UnknownNameError, "did you mean 'large-updates'"),
        ({"on": "ACT001", "do": "lower-rl"}, UnknownNameError, "did you mean 'lower-lr'"),
        ({"on": "ACT001"}, SettingError, "on= and do= go together"),
        ({"do": "stop"}, SettingError, "on= and do= go together"),
        ({"select": ["TRM001"]}, UnknownNameError, "did you mean"),
        ({"settings": {"TRN005": {"ratio": 1}}}, SettingError, "no setting 'ratio'"),
        ({"output": "/nowhere/at/all.html"}, DnnRepairError, "cannot write"),
    ],
)
def test_unknown_names_and_settings(options: Any, kind: type[Exception], said: str) -> None:
    model = network()
    with pytest.raises(kind, match=said):
        Monitor(model, sgd(model), **options)


def test_a_state_of_something_else() -> None:
    model = network()
    m = Monitor(model, sgd(model))
    with pytest.raises(DataError, match="no state of a monitor of version 1, but None"):
        m.load_state_dict({})
    with pytest.raises(DataError, match="damaged at 'step'"):
        m.load_state_dict({**m.state_dict(), "step": "many"})


def test_what_cannot_be_watched_is_said() -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, batch: dict[str, Any]) -> Any:
            return self.inner(batch["x"])

    model = Nested()
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=2) as m:
        train(m, model, optimizer, 2, called=lambda x: model({"x": x}))
    (note,) = [note for note in m.report().model.notes if "judged" in note]
    assert "argument 0 of the model is a dict" in note
