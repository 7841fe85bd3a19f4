"""A monitor inside trainers that own the loop: Lightning's, and that of Hugging Face.

The trainers' packages are imported only when a callback is made.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from torch import Tensor

from dnnrepair.errors import DnnRepairError, SettingError
from dnnrepair.monitor.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnnrepair.report import Report


class Watching:
    """What both callbacks have in common.

    Attributes:
        monitor: of the present or the last run; None before it.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Keep the options of the monitor to come."""
        if options.get("do") == "stop":
            message = "a trainer is not stopped from inside a step; give do= a function"
            raise SettingError(message)
        self.monitor: Monitor | None = None
        self._options = dict(options)
        self._kept: Mapping[str, Any] | None = None

    def report(self) -> Report:
        """Return the report on the run.

        Raises:
            DnnRepairError: if no run has begun.
        """
        if self.monitor is None:
            message = "there is no report yet: pass the callback to a trainer and train"
            raise DnnRepairError(message)
        return self.monitor.report()

    def begin(self, model: Any, optimizer: Any) -> None:  # noqa: ANN401 - the trainer's
        """Begin to watch."""
        self.monitor = Monitor(model, optimizer, **self._options)
        if self._kept is not None:
            self.monitor.load_state_dict(self._kept)
        self.monitor.attach()

    def end(self) -> None:
        """End watching, and write the report."""
        if self.monitor is not None:
            self.monitor.detach()


class LightningHooks(Watching):
    """The hooks of ``lightning.pytorch.Callback`` that a monitor needs."""

    def __init__(self, module: str, options: Mapping[str, Any]) -> None:
        """Watch the submodule called ``module``, "" for the whole."""
        super().__init__(options)
        self._module = module
        self._targets: Tensor | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ANN401 - Lightning's
        """Begin to watch the first optimizer."""
        self.begin(pl_module.get_submodule(self._module), trainer.optimizers[0])

    def on_train_batch_start(
        self,
        trainer: Any,  # noqa: ANN401, ARG002
        pl_module: Any,  # noqa: ANN401, ARG002
        batch: Any,  # noqa: ANN401
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Keep the labels: the last of several tensors in a batch."""
        parts: list[Any] = list(batch) if isinstance(batch, list | tuple) else []
        last = parts[-1] if len(parts) > 1 else None
        self._targets = last if isinstance(last, Tensor) else None

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Tensor) -> None:  # noqa: ANN401, ARG002
        """Note the loss, which Lightning has divided among accumulated batches, and the labels."""
        if self.monitor is not None:
            batches = getattr(trainer, "accumulate_grad_batches", 1)
            self.monitor.loss(loss.detach() * batches, self._targets)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ANN401, ARG002
        """Note ``val_loss`` and ``val_acc``, if they were logged."""
        metrics = trainer.callback_metrics
        sanity = getattr(trainer, "sanity_checking", False)
        if self.monitor is not None and "val_loss" in metrics and not sanity:
            self.monitor.validation(metrics["val_loss"], metrics.get("val_acc"))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ANN401, ARG002
        """End watching."""
        self.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ANN401, ARG002
        """End watching."""
        self.end()

    def state_dict(self) -> dict[str, Any]:
        """Return what belongs in a checkpoint."""
        return {} if self.monitor is None else self.monitor.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep what a checkpoint held until training starts."""
        self._kept = state_dict or None


class HuggingFaceHooks(Watching):
    """The hooks of ``transformers.TrainerCallback`` that a monitor needs."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Keep the options of the monitor to come."""
        super().__init__(options)
        if options.get("do") == "lower-lr":
            message = (
                "the Trainer's schedule sets the learning rate anew at every step and would take a "
                "lowered one back; give do= a function, such as one that sets should_training_stop"
            )
            raise SettingError(message)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG002
        """Begin to watch; losses and labels are read off the calls of the network."""
        self.begin(kwargs["model"], kwargs["optimizer"])

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG002
        """Note the evaluation."""
        metrics = kwargs.get("metrics") or {}
        if self.monitor is not None and "eval_loss" in metrics:
            self.monitor.validation(metrics["eval_loss"], metrics.get("eval_accuracy"))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG002
        """End watching."""
        self.end()


def lightning_callback(*, module: str = "", **options: Any) -> Any:  # noqa: ANN401 - a Callback
    """Return a callback for ``lightning.pytorch.Trainer``.

    Args:
        module: the submodule that ``training_step`` calls, such as ``net``; "" for the
            ``LightningModule`` itself.
        options: of :class:`Monitor`.

    Raises:
        DnnRepairError: if Lightning is not installed.
    """
    base = _base("lightning.pytorch", "Callback", "lightning")
    return type("MonitorCallback", (LightningHooks, base), {})(module, options)


def trainer_callback(**options: Any) -> Any:  # noqa: ANN401 - a TrainerCallback
    """Return a callback for ``transformers.Trainer``.

    Args:
        options: of :class:`Monitor`.

    Raises:
        DnnRepairError: if transformers is not installed.
    """
    base = _base("transformers", "TrainerCallback", "hf")
    return type("MonitorCallback", (HuggingFaceHooks, base), {})(options)


def _base(package: str, name: str, extra: str) -> type:
    try:
        found: type = getattr(import_module(package), name)
    except ImportError as error:
        message = f"{package} is not installed: pip install 'dnnrepair[{extra}]'"
        raise DnnRepairError(message) from error
    return found
