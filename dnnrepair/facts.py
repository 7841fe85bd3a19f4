"""What is known of a network before it is looked at: its task, its loss, its classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnnrepair.loss import guess_loss
from dnnrepair.observation import Facts, Task
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from torch import Tensor

    from dnnrepair.data import Samples
    from dnnrepair.probe import Batch
    from dnnrepair.program import Program
    from dnnrepair.request import Request


def facts_of(
    program: Program | None,
    samples: Samples | None,
    example: Batch | None,
    request: Request,
) -> Facts:
    """Return what the user said, and for what was left open a guess by output and labels.

    Args:
        program: of the network; None if only weights are known.
        samples: the data, None for none.
        example: a few of them.
        request: what the user named.
    """
    targets = example.targets if example else None
    task = Task(request.task or _guess_task(targets))
    width, op = _output(program)
    return Facts(
        task=task,
        loss=request.loss or guess_loss(task, op, width),
        loss_given=request.loss is not None,
        labeled=targets is not None,
        classes=width if task is Task.CLASSIFY else 0,
        mode=program.mode if program else "weights",
        model=request.model,
        data=samples.name if samples and request.data else "",
        squashed=task is Task.CLASSIFY and op == "softmax",
    )


def _guess_task(targets: Tensor | None) -> str:
    return Task.REGRESS if targets is not None and targets.is_floating_point() else Task.CLASSIFY


def _output(program: Program | None) -> tuple[int, str]:
    """Return the prediction's width and the operation that makes it."""
    if program is None or program.sites.output is None:
        return 0, ""
    site = program.sites[program.sites.output]
    viewed = program.sites.source(site) if site.kind is Kind.VIEW else None
    op = (viewed or site).op
    if len(site.shape) <= 1:
        return 1, op
    return site.shape[1] if len(site.shape) > 3 else site.shape[-1], op  # noqa: PLR2004
