"""What polynomials read outside of their ranges, against counts by hand."""

from __future__ import annotations

from dataclasses import replace

from torch import nn
from torch.nn import functional as F

from dnnrepair.rate import Rate
from dnnrepair.swapping.driver import swap
from dnnrepair.swapping.plan import planned
from dnnrepair.swapping.ranges import out_of_range
from tests.swapping.small import applied, inputs_of, network, reference


def test_values_and_inputs_outside_are_counted() -> None:
    before = network([nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)], count=300)
    found = applied(before, "activation", new="pann", mode="plain", settings="bound=2.0")
    (counted,) = out_of_range(before, found.subject, found.ranged)
    x = inputs_of(before)
    beyond = (x @ before.tensors["0.weight"].T + before.tensors["0.bias"]).abs() > 2
    assert 0 < int(beyond.any(1).sum()) < 300
    assert counted.values == Rate(int(beyond.sum()), 2400)
    assert counted.inputs == Rate(int(beyond.any(1).sum()), 300)
    assert (counted.layer, counted.low, counted.high) == ("0", -2, 2)
    moved = out_of_range(before, found.subject, found.ranged, lambda batch: batch + 1000)
    assert moved[0].inputs == Rate(300, 300)


def test_a_swap_counts_on_the_held_out_half() -> None:
    before = reference("cnn")
    report = swap(before, planned({"activation": ["relu=polynomial,degree=4"]})).report
    assert report.overall is not None
    assert [found.layer for found in report.ranges] == ["conv1", "conv2", "fc"]
    assert {found.inputs.tries for found in report.ranges} == {report.overall.samples}
    plain = swap(before, planned({"activation": ["relu=pann,bound=0.01"]}, mode="plain")).report
    assert all(found.inputs.hits == found.inputs.tries for found in plain.ranges)


def test_what_is_of_use_everywhere_is_not_counted() -> None:
    before = reference("mlp-relu")
    assert not swap(before, planned({"activation": ["relu=silu"]})).report.ranges
    found = applied(before, "activation", new="pann", mode="plain")
    bare = replace(before, samples=None)
    assert out_of_range(bare, found.subject, found.ranged) == ()
    assert len(found.ranged) == 3


def test_images_are_counted_one_by_one() -> None:
    before = reference("cnn")
    found = applied(before, "activation", "conv1", new="pann", mode="plain", settings="bound=0.5")
    (counted,) = out_of_range(before, found.subject, found.ranged)
    weight, bias = before.tensors["conv1.weight"], before.tensors["conv1.bias"]
    beyond = F.conv2d(inputs_of(before), weight, bias, padding=1).abs() > 0.5
    assert counted.values == Rate(int(beyond.sum()), beyond.numel())
    assert counted.inputs == Rate(int(beyond.flatten(1).any(1).sum()), len(beyond))
