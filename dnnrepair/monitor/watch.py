"""The hooks: what training does is noted as it passes by, as little as possible at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dnnrepair.errors import DataError, SettingError
from dnnrepair.evidence.training import Training, Validation
from dnnrepair.monitor.attaching import network_in, optimized, wrappers
from dnnrepair.monitor.calls import read_call
from dnnrepair.monitor.losses import Labels, Losses
from dnnrepair.monitor.moves import Gradients, Rates, Updates, overflowed
from dnnrepair.monitor.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn
    from torch.optim import Optimizer
    from torch.utils.hooks import RemovableHandle

    from dnnrepair.monitor.state import State

GRADIENT_STEPS = 4  # whose gradients are noted before a look


class Watch:
    """Notes batches, losses, gradients and steps of one network and its optimizer.

    Attributes:
        step: optimizer steps taken.
        every: steps from look to look.
        pool: batches before the next look.
        losses, labels, gradients, updates, rates: what is noted.
        validations: as the user passed them on.
        obstacle: why batches cannot be noted, "" if they can.
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, every: int, look: Callable[[], None]
    ) -> None:
        """Prepare to watch; ``look`` is called after each step that ends a stretch."""
        self.model = model
        self.network = network_in(model)
        self.optimizer = optimizer
        self.every = every
        self.step = 0
        self.pool = Pool()
        self.losses, self.labels = Losses(), Labels()
        self.gradients, self.updates, self.rates = Gradients(), Updates(), Rates()
        self.validations: list[Validation] = []
        self.obstacle = ""
        self._look = look
        self._handles: list[RemovableHandle] = []
        self._told = False  # the user passes losses on

    def attach(self, *, quiet: bool = False) -> None:
        """Hang the hooks up; a ``quiet`` watch counts steps only.

        Raises:
            SettingError: if a monitor watches this model or optimizer already.
        """
        watched = [*self.optimizer._optimizer_step_post_hooks.values()]  # noqa: SLF001
        for module in wrappers(self.model):
            watched.extend(module._forward_hooks.values())  # noqa: SLF001
        if any(isinstance(getattr(hook, "__self__", None), Watch) for hook in watched):
            message = (
                f"a monitor watches this {type(self.network).__name__} or its optimizer already; "
                "leave that one's with block or call its detach() first"
            )
            raise SettingError(message)
        self._handles = [self.optimizer.register_step_post_hook(self._after_step)]
        if not quiet:
            self._handles += [
                self.optimizer.register_step_pre_hook(self._before_step),
                self.model.register_forward_hook(self._after_forward, with_kwargs=True),
            ]

    def detach(self) -> None:
        """Take the hooks down."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def restore(self, state: State) -> None:
        """Go on from what was known before."""
        self.step = state.step
        self.losses, self.labels = Losses(), Labels()
        self.losses.first = list(state.first)
        self.losses.blocks.extend(state.blocks)
        self.labels.counts.update(state.labels)
        self.validations = list(state.validations)
        self.updates.restore(state.updates, state.first_updates)
        self.rates.highest = list(state.highest)

    @property
    def attached(self) -> bool:
        """Whether the hooks hang."""
        return bool(self._handles)

    def told(self, loss: Tensor | float, targets: Tensor | None, inputs: Any) -> None:  # noqa: ANN401
        """Note what the user passes on; see :meth:`dnnrepair.monitor.monitor.Monitor.loss`."""
        if not self._told:
            self._told = True
            self.losses.forget()
        self.losses.add(self.step, loss)
        if inputs is not None and self._near(self.pool.steps):
            self._note_call(inputs if isinstance(inputs, tuple) else (inputs,), {})
        if targets is not None:
            if targets.dim() == 1 or self._near(self.pool.steps):
                self.labels.add(targets)
            self.pool.label(targets)

    def training(self) -> Training:
        """Return the run so far."""
        return Training(
            step=self.step,
            start=self.losses.start,
            blocks=tuple(self.losses.blocks),
            validations=tuple(self.validations),
            updates={name: tuple(found) for name, found in self.updates.latest.items()},
            first_updates=dict(self.updates.first),
            labels=dict(self.labels.counts),
        )

    def close(self) -> None:
        """End a stretch: sum up losses and labels."""
        self.losses.close(self.step)
        self.labels.close()

    def forget(self) -> None:
        """Let go of what was noted for the last look only."""
        self.gradients.clear()
        if not self._near(self.pool.steps):
            self.pool.clear()

    def _near(self, steps: int) -> bool:
        """Tell whether the next look comes after at most so many steps."""
        return self.every - self.step % self.every <= steps

    def _after_forward(
        self,
        module: nn.Module,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        output: Any,  # noqa: ANN401 - whatever the network returns
    ) -> None:
        if torch.compiler.is_compiling() or not (module.training and torch.is_grad_enabled()):
            return
        loss = output.get("loss") if isinstance(output, dict) else None  # as Hugging Face returns
        if isinstance(loss, Tensor) and not self._told:
            self.losses.add(self.step, loss)
        if self._near(self.pool.steps):
            self._note_call(args, kwargs)

    def _note_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        try:
            passed = read_call(args, kwargs)
        except DataError as error:
            self.obstacle = str(error)
            return
        self.pool.add(passed)
        if passed.targets is not None:
            self.labels.add(passed.targets)

    def _before_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: Any) -> None:  # noqa: ANN401
        near, first = self._near(GRADIENT_STEPS), self.step == 0
        if not (near or first) or overflowed(optimizer):
            return
        closures = (*args[1:], *kwargs.values())
        if near and all(one is None for one in closures):  # a closure computes gradients only later
            self.gradients.add(dict(self.network.named_parameters()), optimizer)
        if first or self._near(1):
            self.updates.before(optimized(self.network, optimizer))

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ANN401, ARG002
        self.step += 1
        looks = self.step % self.every == 0
        if looks or self.step == 1:
            moved = optimized(self.network, optimizer)
            names = {id(parameter): name for name, parameter in moved.items()}
            rates = self.rates.shares(optimizer, names) if looks else None
            self.updates.after(self.step, moved, rates)
        if looks:
            self._look()
