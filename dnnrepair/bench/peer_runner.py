"""Run the closest existing tools on one network; started by :mod:`dnnrepair.bench.peers`.

This file runs in the environment of those tools. It first prints which are there, then reads the
path of a case per line and prints what each tool said, as JSON. Every tool gets its defaults and
the mode its own documentation shows: ``model-clinic`` examines the weights; ``torchdiag`` the
activations, gradients and one step; ``torch-audit`` wraps a training loop of 3 steps at every step;
``torchmortem`` watches 24 steps. The learning rate of the watched steps is 0, so that all judge the
same network; what they say of the optimizer, the hardware, or change over time is left out.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from copy import deepcopy
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    Alarm = dict[str, str]

STEPS = 24  # torchmortem's noise detector needs 20
AUDITED_STEPS = 3
BATCH = 64
SAMPLES = 512
_STAGNANT = "Stagnant weight norms"  # by the learning rate of 0
_NOT_THE_NETWORK = ("TA000", "TA2", "TA401", "TA402", "TA403")  # hardware, optimizer, own crashes


class UnfitError(Exception):
    """A tool is not made for this case."""


class Case:
    """A network with its data and loss; each tool gets a copy of its own."""

    def __init__(self, path: str) -> None:
        """Read what :mod:`dnnrepair.bench.peers` wrote."""
        held: dict[str, Any] = torch.load(path, weights_only=False)  # our own temporary file
        self._module: nn.Module = held["module"]
        self.inputs: tuple[Tensor, ...] = held["inputs"]
        self.targets: Tensor | None = held["targets"]
        self.loss: str = held["loss"]

    @property
    def trains(self) -> bool:
        """Whether there is a loss with which a training loop can run."""
        return bool(self.loss) and self.targets is not None

    def require_loss(self) -> None:
        """Leave this case out for a tool that watches training, if there is no loss."""
        if not self.trains:
            raise UnfitError

    def module(self, *, training: bool) -> nn.Module:
        """Return a fresh copy of the network."""
        return deepcopy(self._module).train(training)

    def batches(self, steps: int) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Yield batches in order, from the start again after the end."""
        assert self.targets is not None  # `trains` was asked  # noqa: S101
        for step in range(steps):
            index = torch.arange(step * BATCH, (step + 1) * BATCH) % len(self.inputs[0])
            yield tuple(x[index] for x in self.inputs), self.targets[index]

    def mean_loss(self, prediction: Tensor, targets: Tensor) -> Tensor:
        """Return the loss that training minimized."""
        from dnnrepair.loss import losses

        return losses(self.loss, prediction, targets).mean()


def model_clinic(case: Case) -> Iterator[Alarm]:
    """Yield what ``model-clinic exam`` finds in the state dict."""
    clinic = import_module("model_clinic")
    state = case.module(training=False).state_dict()
    for found in clinic.diagnose(state, clinic.build_meta(state), plugins=False):
        yield _alarm(found.condition, found.severity, found.param_name)


def torchdiag(case: Case) -> Iterator[Alarm]:
    """Yield what torchdiag says of activations, gradients and a step."""
    diag = import_module("torchdiag")
    if len(case.inputs) == 1:
        found = diag.check_dead_neurons(case.module(training=False), case.inputs[0][:SAMPLES])
        for name, units in found.items():
            share = units["dead_pct"]
            if share > 20:  # its own limit for a warning  # noqa: PLR2004
                yield _alarm("dead_neurons", "CRITICAL" if share > 50 else "WARNING", name)  # noqa: PLR2004
    if not case.trains:
        return
    module = case.module(training=True)
    ((inputs, targets),) = case.batches(1)
    loss = case.mean_loss(module(*inputs), targets)
    if not bool(torch.isfinite(loss)):
        yield _alarm("loss_not_finite", "WARNING", "")
    loss.backward()
    for name, gradient in diag.check_gradients(module).items():
        if gradient["status"] != "OK":
            yield _alarm(f"gradient_{gradient['status'].lower()}", "WARNING", name)


def torch_audit(case: Case) -> Iterator[Alarm]:
    """Yield what torch-audit finds in a few steps of training."""
    case.require_loss()
    audit = import_module("torch_audit")
    module = case.module(training=True)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
    with audit.Auditor(module, optimizer=optimizer, every_n_steps=1) as auditor:
        auditor.audit_static()
        auditor.audit_init()
        for inputs, targets in case.batches(AUDITED_STEPS):
            optimizer.zero_grad(set_to_none=True)
            auditor.backward(case.mean_loss(auditor.forward(*inputs), targets))
            auditor.optimizer_step()
    for found in auditor.finish(report=False).findings:
        if not found.rule_id.startswith(_NOT_THE_NETWORK):
            yield _alarm(found.rule_id, found.severity.value, found.module_path or "")


def torchmortem(case: Case) -> Iterator[Alarm]:
    """Yield what torchmortem finds in two dozen steps of training."""
    case.require_loss()
    module = case.module(training=True)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
    with import_module("torchmortem").Autopsy(module, optimizer=optimizer) as autopsy:
        for inputs, targets in case.batches(STEPS):
            optimizer.zero_grad()
            loss = case.mean_loss(module(*inputs), targets)
            loss.backward()
            optimizer.step()
            autopsy.step(loss=loss.item())
    for found in autopsy.get_report().findings:
        if found.detector != "loss_dynamics" and found.title != _STAGNANT:
            yield _alarm(found.detector, found.severity.name, ", ".join(found.affected_layers))


TOOLS: dict[str, Callable[[Case], Iterator[Alarm]]] = {
    "model-clinic": model_clinic,
    "torchmortem": torchmortem,
    "torch-audit": torch_audit,
    "torchdiag": torchdiag,
}


def installed() -> dict[str, dict[str, str]]:
    """Return version, or the reason why there is none, by tool."""
    found: dict[str, dict[str, str]] = {}
    for name in TOOLS:
        try:
            import_module(name.replace("-", "_"))
            found[name] = {"version": version(name)}
        except Exception as error:  # noqa: BLE001 - whatever a foreign import raises
            found[name] = {"missing": f"{type(error).__name__}: {error}".splitlines()[0]}
    return found


def examine(case: Case, tools: list[str]) -> dict[str, Any]:
    """Return what each tool said, or why it could not; nothing of one not made for the case."""
    said: dict[str, Any] = {}
    for name in tools:
        try:
            said[name] = {"alarms": list(TOOLS[name](case))}
        except UnfitError:
            continue
        except Exception as error:  # noqa: BLE001 - a peer's crash is a result
            line = str(error).strip().partition("\n")[0]
            said[name] = {"error": f"{type(error).__name__}: {line}"[:200]}
    return said


def main() -> None:
    """Serve cases from stdin until it ends; whatever the tools print is discarded."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = installed()
    tools = [name for name, state in found.items() if "version" in state]
    answers.write(json.dumps(found) + "\n")
    for line in sys.stdin:
        torch.manual_seed(0)
        answers.write(json.dumps(examine(Case(line.strip()), tools)) + "\n")


def _alarm(rule: str, severity: str, layer: str) -> Alarm:
    return {"rule": rule, "severity": severity, "layer": layer}


if __name__ == "__main__":
    main()
