"""The Python interface: a live module and its data in, a report out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dnnrepair.diagnose import diagnose
from dnnrepair.finding import all_rules
from dnnrepair.formats import render
from dnnrepair.selection import choose_rules
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from dnnrepair.progress import Progress
    from dnnrepair.report import Report


def diagnose_module(
    module: nn.Module,
    data: Any,  # noqa: ANN401 - whatever samples_of accepts
    *,
    task: str | None = None,
    loss: str | None = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    **running: int | Progress,
) -> Report:
    """Return the findings about a live module, which is left exactly as found.

    Args:
        module: the network, in any mode, on any device.
        data: inputs and labels ``(x, y)`` as tensors or arrays, inputs ``x`` alone, a ``Dataset``,
            a ``DataLoader``, or :class:`dnnrepair.data.Samples`.
        task: ``classify``, ``regress`` or ``generate``; by default guessed from the labels.
        loss: that training minimized, one of :data:`dnnrepair.loss.LOSSES`; by default guessed.
        select: codes, families or names of the rules to apply; all by default.
        ignore: of the rules to leave out.
        settings: limits by rule code and field, such as ``{"ACT001": {"warn_share": 0.6}}``.
        running: ``seed``, ``batch_size`` and ``progress`` of :func:`dnnrepair.diagnose.diagnose`.

    Raises:
        DnnRepairError: if the data do not fit the network, or a name or setting is unknown.
    """
    subject = subject_of(module, data, task=task, loss=loss)
    chosen = choose_rules(select, ignore, settings or {})
    return diagnose(subject, chosen, **running)  # type: ignore[arg-type]


def render_report(report: Report, name: str = "text") -> str:
    """Return a report in one of the formats of ``--output-format``."""
    explanations = {code: rule.__doc__ or "" for code, rule in all_rules().items()}
    return render(report, name, explanations=explanations)
