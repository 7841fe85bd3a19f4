"""Some of the rows, and how they are parted for a repair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from dnnrepair.data import ArraySamples
from dnnrepair.errors import DataError
from dnnrepair.fairness.cohort import Cohort, parted
from dnnrepair.fitness.disparity import Disparity

if TYPE_CHECKING:
    from dnnrepair.auditing.tables import AuditTable
    from dnnrepair.debiasing.request import DebiasRequest
    from dnnrepair.fairness.rows import Attribute

_AMONG = (("tpr", 1), ("ppv", 1), ("fpr", 0))  # rates, and the label whose rows they need


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Some rows, as the search and as the report see them.

    Attributes:
        cohort: grouped by the attribute that is repaired.
        attributes: all, for the report.
        labels: ``(n,)`` class numbers of the report, of two the positive one last.
        table: the rows.
    """

    cohort: Cohort
    attributes: tuple[Attribute, ...]
    labels: np.ndarray
    table: AuditTable


def places_of_parts(cohort: Cohort, seed: int, shares: tuple[float, ...]) -> list[np.ndarray]:
    """Return places of the parts; identical rows are kept together."""
    counted = replace(
        cohort,
        samples=ArraySamples(
            (torch.arange(len(cohort)),), cohort.samples.targets, cohort.samples.name
        ),
        twins=(),
    )
    found = [part for part in parted(counted, seed, shares) if part is not None]
    places = [part.samples.inputs[0].numpy() for part in found]
    owner = np.empty(len(cohort), dtype=np.int64)
    for number, one in enumerate(places):
        owner[one] = number
    flat = cohort.samples.inputs[0].reshape(len(cohort), -1).double().numpy()
    keys = np.concatenate([flat, cohort.classes[:, None], cohort.groups[:, None]], axis=1)
    _, first, again = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    owner = owner[first][again.reshape(-1)]
    return [np.flatnonzero(owner == number) for number in range(len(places))]


def taken(part: Part, places: np.ndarray, name: str) -> Part:
    """Return some of the rows of a part, in that order."""
    return Part(
        cohort=part.cohort.at(torch.from_numpy(places), name),
        attributes=tuple(one.at(places) for one in part.attributes),
        labels=part.labels[places],
        table=part.table.at(places),
    )


def aligned(found: Attribute, known: Attribute, name: str) -> Attribute:
    """Return an attribute with the levels of another, in their order.

    Raises:
        DataError: it has a level that the other has not.
    """
    new = [level for level in found.levels if level not in known.levels]
    if new:
        count = int(np.isin(found.codes, [found.levels.index(one) for one in new]).sum())
        message = (
            f"{name}: column {found.name!r} has {count} rows with {new[0]!r}, a level that "
            "the data for the repair do not have; add rows of it there, or leave it out here"
        )
        raise DataError(message)
    places = np.array([known.levels.index(level) for level in found.levels])
    return replace(found, levels=known.levels, codes=places[found.codes], reference=known.reference)


def too_small(parts: tuple[Part, ...], request: DebiasRequest) -> tuple[str, ...]:
    """Return the groups with too few rows in a part that repairs or selects.

    Too few of a label, where the objective compares rates among its rows: where groups are the
    label itself, each lacks one, and their accuracies can be compared all the same.
    """
    gates, found = request.gates, []
    rates = Disparity.named(request.objective).rates or ("tpr", "fpr")
    labels = [label for name, label in _AMONG if name in rates]
    for place, level in enumerate(parts[0].cohort.levels):
        for part in parts:
            cohort = part.cohort
            inside = cohort.groups == place
            rows = [int((cohort.labels[inside] == label).sum()) for label in labels]
            if inside.sum() < gates.min_group or min(rows, default=gates.min_cell) < gates.min_cell:
                found.append(level)
                break
    return tuple(found)


def without(part: Part, levels: tuple[str, ...]) -> Part:
    """Return a part whose rows of some levels belong to no group that counts."""
    if not levels:
        return part
    cohort = part.cohort
    kept = [level for level in cohort.levels if level not in levels]
    places = np.array([kept.index(one) if one in kept else -1 for one in cohort.levels])
    groups = places[cohort.groups]
    return replace(part, cohort=replace(cohort, groups=groups, levels=tuple(kept)))
