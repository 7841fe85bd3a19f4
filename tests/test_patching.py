"""The whole repair: who sees which data, who is chosen, and what the patches are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch

from dnnrepair.bits import digest
from dnnrepair.board import PatchOptions
from dnnrepair.data import ArraySamples
from dnnrepair.errors import DataError, ModelError, NothingToFixError
from dnnrepair.goal import Goal
from dnnrepair.kinds import Kind
from dnnrepair.methods.last_layer import LastLayer
from dnnrepair.methods.method import Proposal
from dnnrepair.patches.applying import applied, reverted
from dnnrepair.patching import named, repair
from dnnrepair.risk import Risk
from tests.methods.problems import network, subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.methods.method import Problem
    from dnnrepair.patching import Outcome
    from dnnrepair.subject import Subject

METHOD = LastLayer(weights=(1.0, 5.0, 20.0), anchors=(1.0,), steps=40)


@dataclass
class Given:
    """Proposes what it was given, and keeps what it was shown."""

    name: ClassVar[str] = "given"
    changes: Sequence[dict[str, torch.Tensor]] = ()
    seen: Problem | None = None

    def scope(self, subject: Subject, layers: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG002
        return ()

    def propose(self, problem: Problem) -> list[Proposal]:
        self.seen = problem
        return [
            Proposal(name=f"change {i}", tensors=one, settings={"number": i})
            for i, one in enumerate(self.changes)
        ]


@dataclass
class Unable:
    """Cannot work on anything."""

    name: ClassVar[str] = "unable"

    def scope(self, subject: Subject, layers: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG002
        return ()

    def propose(self, problem: Problem) -> list[Proposal]:
        message = f"{problem.subject.form} is too hard"
        raise ModelError(message)


def bias(step: float, label: int = 3) -> dict[str, torch.Tensor]:
    """Return the last bias of the MLP with more, or less, for one class."""
    old = network("mlp")[0].state_dict()["head.bias"].clone()
    old[label] += step
    return {"head.bias": old}


def places_of(samples: ArraySamples) -> set[int]:
    """Return which of the original inputs these are, found by their pixels."""
    _, x, _ = network("mlp")
    found = (samples.inputs[0][:, None] == x[None]).all(2)
    assert bool((found.sum(1) >= 1).all())
    return set(found.float().argmax(1).tolist())


def choice(outcome: Outcome) -> list[tuple[str, bool, str]]:
    return [(point.name, point.chosen, point.reason) for point in outcome.report.points]


def test_parts_are_disjoint_and_together_all() -> None:
    seen = Given()
    report = repair(subject("mlp"), Goal(fix=("all",)), [seen]).report
    sizes = {part.name: part for part in report.parts}
    assert list(sizes) == ["search", "selection", "held-out"]
    assert sum(part.samples for part in report.parts) == 600
    net, x, y = network("mlp")
    right = net(x).argmax(1) == y
    assert sum(part.right for part in report.parts) == int(right.sum())
    assert sum(part.targets for part in report.parts) == int((~right).sum())
    assert seen.seen is not None
    search, selection = (
        places_of(part.samples) for part in (seen.seen.search, seen.seen.selection)
    )
    assert not search & selection
    assert len(search) == sizes["search"].samples
    assert len(search | selection) == 600 - sizes["held-out"].samples


def test_verdicts_are_what_a_plain_forward_counts() -> None:
    net, x, y = network("mlp")
    seen = Given([bias(1.0)])
    outcome = repair(subject("mlp"), Goal(fix=("all",)), [seen])
    (point,) = outcome.report.points
    assert seen.seen is not None
    used = places_of(seen.seen.search.samples) | places_of(seen.seen.selection.samples)
    rest = torch.tensor([i not in used for i in range(600)])
    after = torch.func.functional_call(net, net.state_dict() | bias(1.0), (x,)).argmax(1) == y
    before = net(x).argmax(1) == y
    assert point.held_out.samples == int(rest.sum())
    assert point.held_out.targets.hits == int((rest & ~before & after).sum())
    assert point.held_out.broken.hits == int((rest & before & ~after).sum())
    assert point.held_out.after.hits == int((rest & after).sum())
    assert point.numbers == 1


def test_held_out_labels_never_change_the_choice() -> None:
    _, x, y = network("mlp")
    given = subject("mlp")
    found = []
    for labels in (y, y[torch.randperm(600, generator=torch.Generator().manual_seed(0))]):
        test = ArraySamples((x,), labels, "test")
        outcome = repair(given, Goal(fix=("all",)), [METHOD], PatchOptions(test=test))
        found.append(outcome)
    assert choice(found[0]) == choice(found[1])
    one, other = (outcome.report.points[0].held_out.before for outcome in found)
    assert one != other


def test_other_data_judge_if_they_are_given() -> None:
    _, x, y = network("mlp")
    test = ArraySamples((x[:200],), y[:200], "other")
    seen = Given([bias(0.1)])
    report = repair(subject("mlp"), Goal(fix=("all",)), [seen], PatchOptions(test=test)).report
    assert [part.samples for part in report.parts][2] == 200
    assert report.parts[0].samples + report.parts[1].samples == 600
    assert report.points[0].held_out.samples == 200


def test_other_data_without_such_errors_cannot_judge() -> None:
    net, x, y = network("mlp")
    right = net(x).argmax(1) == y
    test = ArraySamples((x[right],), y[right], "other")
    with pytest.raises(DataError, match="that are to judge hold none"):
        repair(subject("mlp"), Goal(), [METHOD], PatchOptions(test=test))


def test_nothing_that_loses_is_accepted() -> None:
    outcome = repair(subject("mlp"), Goal(fix=("all",)), [Given([bias(50.0), bias(-50.0)])])
    assert not outcome.report.accepted
    assert outcome.chosen is None
    assert outcome.report.chosen is None
    assert "no change beats" in outcome.report.reason
    assert len(outcome.patches) == 2
    nothing = repair(subject("mlp"), Goal(fix=("all",)), [Given()])
    assert nothing.report.reason == "nothing was proposed"
    assert nothing.patches == ()


def test_a_change_that_changes_nothing_is_not_accepted() -> None:
    outcome = repair(subject("mlp"), Goal(fix=("all",)), [Given([bias(0.0)])])
    assert not outcome.report.accepted
    assert outcome.patches[0].count == 0


def test_of_several_methods_one_may_fail() -> None:
    report = repair(subject("mlp"), Goal(fix=("all",)), [Unable(), METHOD]).report
    assert report.skipped == ("unable: live module is too hard",)
    assert report.methods == ("unable", "last-layer")
    assert {point.method for point in report.points} == {"last-layer"}
    with pytest.raises(ModelError, match="too hard"):
        repair(subject("mlp"), Goal(fix=("all",)), [Unable()])


def test_patches_lead_to_the_network_that_was_judged_and_back() -> None:
    given = subject("mlp")
    outcome = repair(given, Goal(fix=("all",)), [METHOD, Given([bias(0.1)])])
    assert len(outcome.patches) == len(outcome.report.points) == 4
    for point, patch in zip(outcome.report.points, outcome.patches, strict=True):
        after = applied(given.state, patch)
        assert patch.base == given.digest == digest(given.state)
        assert patch.result == digest(after)
        assert digest(reverted(after, patch)) == given.digest
        assert patch.count == point.numbers
        assert patch.verdict["targets"]["hits"] == point.held_out.targets.hits
        assert patch.verdict["broken"]["hits"] == point.held_out.broken.hits
        assert patch.method == point.method
    assert digest({**given.state, **bias(0.1)}) == outcome.patches[3].result


def test_the_limit_on_what_breaks_is_kept_in_the_choice() -> None:
    bold = LastLayer(weights=(1.0, 100.0), anchors=(0.0,), steps=200)
    free = repair(subject("mlp"), Goal(fix=("8",)), [bold]).report
    strict = repair(subject("mlp"), Goal(fix=("8",), max_broken=0.0), [bold]).report
    for report in (free, strict):
        for point in report.points:
            assert not point.chosen or point.accepted
    assert all(not p.accepted or p.selection.broken.hits == 0 for p in strict.points)
    assert any("more than 0 %" in p.reason or "to be sure" in p.reason for p in strict.points)


def test_what_errors_cost_turns_the_choice() -> None:
    # more for class 3 repairs its errors and breaks others
    changes = [bias(step) for step in (0.25, 0.5, 1.0, 2.0)]
    goal = Goal(fix=("3",))
    free = repair(subject("mlp"), goal, [Given(changes)]).report
    dear = repair(
        subject("mlp"), replace(goal, risk=Risk(costs=((Kind(3), 100.0),))), [Given(changes)]
    ).report
    assert sum(p.accepted for p in dear.points) > sum(p.accepted for p in free.points)
    assert all(p.selection.targets.hits > 0 for p in dear.points if p.accepted)


def test_only_protected_inputs_are_counted_as_such() -> None:
    report = repair(subject("mlp"), Goal(fix=("3",), protect=("8",)), [Given([bias(2.0)])]).report
    assert report.protect == "class 8"
    (point,) = report.points
    eight = next(one for one in point.held_out.classes if one.label == 8)
    assert point.held_out.protected.tries == eight.before
    assert point.held_out.protected.hits == eight.broken


def test_values_that_the_file_cannot_hold_are_rounded_before_they_are_judged() -> None:
    given = replace(subject("mlp"), stored={"head.bias": torch.float16})
    outcome = repair(given, Goal(fix=("all",)), [Given([bias(0.123456789)])])
    (edit,) = outcome.patches[0].edits
    assert edit.after.dtype == torch.float32
    assert torch.equal(edit.after.half().float(), edit.after)


def test_the_same_seed_gives_the_same_and_another_another_split() -> None:
    def run(seed: int) -> Outcome:
        return repair(subject("mlp"), Goal(fix=("all",)), [METHOD], PatchOptions(seed=seed))

    one, same, other = run(0), run(0), run(1)
    assert replace(one.report, stages=()) == replace(same.report, stages=())
    assert [p.result for p in one.patches] == [p.result for p in same.patches]
    assert [p.result for p in one.patches] != [p.result for p in other.patches]


def test_stages_are_timed_and_files_are_named() -> None:
    outcome = repair(subject("mlp"), Goal(fix=("all",)), [METHOD])
    assert [one.name for one in outcome.report.stages] == [
        "splitting the data",
        "last-layer",
        "judging",
    ]
    files = [point.patch for point in named(outcome, {1: "m.patch"}).report.points]
    assert files == ["", "m.patch", ""]


def test_no_error_of_the_kind_is_no_failure() -> None:
    with pytest.raises(NothingToFixError, match="errors"):
        repair(subject("mlp"), Goal(fix=("0:1", "1:0", "0:2")), [METHOD])


def test_few_errors_are_too_few() -> None:
    net, x, y = network("mlp")
    wrong = (net(x).argmax(1) != y).nonzero()[:3, 0]
    chosen: Any = tuple(wrong.tolist())
    with pytest.raises(DataError, match="too few"):
        repair(subject("mlp"), Goal(fix_indices=chosen), [METHOD])


def test_what_was_set_other_than_by_default_is_reported() -> None:
    found = repair(
        subject("mlp"), Goal(fix=("all",)), [METHOD], PatchOptions(layers=("head",))
    ).report
    assert found.settings == (
        "layers = head",
        "last-layer.weights = (1.0, 5.0, 20.0)",
        "last-layer.anchors = (1.0,)",
        "last-layer.steps = 40",
    )
    assert repair(subject("mlp"), Goal(fix=("all",)), [LastLayer()]).report.settings == ()
