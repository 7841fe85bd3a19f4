"""What a repair changed in the network."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from dnnrepair.auditing.individual import raw_levels, rewritten
from dnnrepair.fairness_report import PatchCard
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dnnrepair.debiasing.opening import Opened
    from dnnrepair.patch import Edit, Patch
    from dnnrepair.subject import Subject

_MOST_ROWS = 100  # that are rewritten to see which inputs the attribute becomes


def patch_card(opened: Opened, patch: Patch | None) -> PatchCard | None:
    """Return how large a change is and what it touches, None if there is none."""
    if patch is None:
        return None
    subject = opened.network.subject
    steps = [(edit.after.double() - edit.before.double()) for edit in patch.edits]
    layers = dict.fromkeys(
        subject.infos[edit.tensor].layer for edit in patch.edits if edit.tensor in subject.infos
    )
    columns = _columns(opened)
    return PatchCard(
        layers=tuple(layers),
        weights=patch.count,
        l2=sqrt(sum(float(step.square().sum()) for step in steps)),
        linf=max((float(step.abs().max()) for step in steps), default=0.0),
        sensitive_weights=any(_reads(subject, edit, columns) for edit in patch.edits),
    )


def _columns(opened: Opened) -> NDArray[np.int64]:
    """Return the places of the inputs that change with the attribute alone."""
    part = opened.test
    if part.table.inputs is not None:
        return np.empty(0, dtype=np.int64)
    rows, attribute = part.table.frame[:_MOST_ROWS], part.attributes[0]
    name = part.table.name
    plain = opened.encoder.encode(rows, name)
    moved = np.zeros(plain.shape[1:], dtype=bool)
    for raw in raw_levels(part.table.frame, attribute):
        moved |= (opened.encoder.encode(rewritten(rows, attribute, raw), name) != plain).any(axis=0)
    return np.flatnonzero(moved)


def _reads(subject: Subject, edit: Edit, columns: NDArray[np.int64]) -> bool:
    """Tell whether a change is of weights that multiply one of these inputs."""
    sites = subject.running.sites
    reader = next((one for one in sites if one.tensors.get("weight") == edit.tensor), None)
    if reader is None or reader.op != "linear" or not len(columns):
        return False
    source = sites.source(reader)
    if source is None or source.kind is not Kind.INPUT:
        return False
    return bool(np.isin(edit.index[:, 1].numpy(), columns).any())
