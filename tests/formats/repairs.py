"""Hand-made reports of repairs: a good one, a comparison, and one that found nothing."""

from __future__ import annotations

from dataclasses import replace
from math import nan

from dnnrepair.patch_report import PartSize, PatchReport, Point, Stage
from dnnrepair.rate import Rate
from dnnrepair.report import ModelCard
from dnnrepair.verdict import ClassChange, Interval, Verdict

CARD = ModelCard(
    name="runs/fashion cnn.pt",
    form="state dict",
    digest="0123456789abcdef",
    mode="graph",
    parameters=105_866,
    data="fashion.npz:test",
    samples=10_000,
    loss="cross_entropy",
    accuracy=0.882,
    notes=("the prefix 'module.' was removed",),
)
PARTS = (
    PartSize(name="search", samples=4000, right=3528, targets=63, protected=3528),
    PartSize(name="selection", samples=2000, right=1764, targets=32, protected=1764),
    PartSize(name="held-out", samples=4000, right=3540, targets=64, protected=3540),
)
CLASSES = tuple(
    ClassChange(label=label, total=400, before=before, after=before + fixed - broken, fixed=fixed,
                broken=broken, lost_to=to)
    for label, before, fixed, broken, to in (
        (0, 330, 3, 21, 6), (1, 390, 0, 0, None), (2, 320, 4, 3, 6), (3, 360, 1, 1, 6),
        (4, 330, 2, 4, 6), (5, 380, 0, 0, None), (6, 280, 35, 0, None), (7, 380, 0, 0, None),
        (8, 390, 0, 2, 6), (9, 380, 0, 0, None),
    )
)  # fmt: skip


def verdict(
    part: str,
    targets: Rate,
    broken: Rate,
    others: Rate,
    gain: tuple[float, float, float],
    classes: tuple[ClassChange, ...] = (),
    price: float = 1.0,
) -> Verdict:
    """Return a verdict whose counts agree with each other."""
    samples = broken.tries + targets.tries + others.tries
    after = broken.tries - broken.hits + targets.hits + others.hits
    return Verdict(
        part=part,
        samples=samples,
        targets=targets,
        broken=broken,
        protected=broken,
        others=others,
        before=Rate(broken.tries, samples),
        after=Rate(after, samples),
        gain=Interval(value=gain[0], low=gain[1], high=gain[2]),
        cost_before=price * (samples - broken.tries),
        cost_after=price * (samples - after),
        classes=classes,
    )


def point(method: str, name: str, numbers: int, counts: tuple[int, ...], **known: object) -> Point:
    """Return a point of so many fixed and broken on selection and held-out part."""
    fixed, broken, others, fixed_out, broken_out, others_out = counts
    net, net_out = fixed + others - broken, fixed_out + others_out - broken_out
    chosen = bool(known.get("chosen"))
    return Point(
        method=method,
        name=name,
        numbers=numbers,
        selection=verdict(
            "selection",
            Rate(fixed, 32),
            Rate(broken, 1764),
            Rate(others, 204),
            (net / 2000, net / 2000 - 0.004, net / 2000 + 0.004),
        ),
        held_out=verdict(
            "held-out",
            Rate(fixed_out, 64),
            Rate(broken_out, 3540),
            Rate(others_out, 396),
            (net_out / 4000, net_out / 4000 - 0.004, net_out / 4000 + 0.004),
            CLASSES if chosen else (),
        ),
        **known,  # type: ignore[arg-type]
    )


FINE = "it fixes at least as much as it breaks, targets among it"
LOSES = "it breaks more than it fixes"
TOO_MANY = tuple(
    f"it breaks {share} % of what was right, more than 0.2 %" for share in ("0.28", "0.68", "2.32")
)

ACCEPTED = PatchReport(
    tool_version="0.1.0",
    model=CARD,
    goal="class 6 taken for 0",
    protect="all",
    max_broken=0.01,
    parts=PARTS,
    methods=("anchored",),
    points=(
        point("anchored", "weight 3, anchor 10", 1290, (12, 5, 0, 22, 12, 1), accepted=True,
              reason=FINE),
        point("anchored", "weight 10, anchor 10", 1290, (22, 12, 1, 43, 31, 2), accepted=True,
              chosen=True, reason=FINE, patch="fashion cnn.patch"),
        point("anchored", "weight 30, anchor 10", 1290, (27, 41, 1, 53, 86, 2), reason=LOSES),
    ),
    settings=("method = anchored", "epochs = 200"),
    seed=7,
    accepted=True,
    reason="of those that surely gain on the selection part it fixes most targets",
    notes=("3 answers are NaN or infinite; they count as wrong",),
    stages=(Stage(name="splitting the data", seconds=0.41), Stage(name="search", seconds=2.03)),
)  # fmt: skip

COMPARED = replace(
    ACCEPTED,
    methods=("arachne", "anchored", "last-layer", "exact"),
    points=(
        point("arachne", "alpha 1", 20, (0, 0, 0, 0, 0, 0), reason="it fixes none of the inputs "
              "that were to be fixed"),
        point("arachne", "alpha 3", 20, (17, 21, 2, 35, 49, 3), reason=LOSES),
        point("arachne", "alpha 10", 20, (24, 54, 1, 48, 107, 2), reason=LOSES),
        *ACCEPTED.points,
        point("last-layer", "weight 1", 1290, (13, 22, 8, 27, 45, 19), reason=LOSES),
        point("last-layer", "weight 10", 1290, (28, 66, 2, 55, 128, 6), reason=LOSES),
    ),
    skipped=("exact: no layer has a linear path to the answers; try another method",),
)  # fmt: skip

REFUSED = replace(
    ACCEPTED,
    points=tuple(
        replace(one, chosen=False, accepted=False, reason=reason, patch="")
        for one, reason in zip(ACCEPTED.points, TOO_MANY, strict=True)
    ),
    max_broken=0.002,
    accepted=False,
    reason=f"no change beats the untouched network on the selection part: {TOO_MANY[0]}",
)

EMPTY = PatchReport(model=CARD, goal="all errors", reason="nothing was proposed")


def costly(report: PatchReport) -> PatchReport:
    """Return the report with errors that cost 2.5 each, and one cost that is undefined."""
    found = tuple(
        replace(one, selection=_priced(one.selection), held_out=_priced(one.held_out))
        for one in report.points
    )
    undefined = replace(found[0].held_out, cost_after=nan)
    return replace(report, points=(replace(found[0], held_out=undefined), *found[1:]))


def _priced(one: Verdict) -> Verdict:
    return replace(one, cost_before=2.5 * one.cost_before, cost_after=2.5 * one.cost_after)
