"""A report with everything a report can say, and the option that renews the golden files."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dnnrepair.finding import Finding, Remedy, Severity, Skip
from dnnrepair.report import Histogram, LayerHealth, ModelCard, Report

GOLDEN = Path(__file__).parent / "golden"  # not .md: ruff would format it


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/formats/golden")


@pytest.fixture
def golden(pytestconfig: pytest.Config) -> Callable[[str, str], None]:
    """Compare text with a golden file, or renew the file under ``--update-golden``."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if pytestconfig.getoption("--update-golden", default=False):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), "differs; see --update-golden"

    return compare


def bell(low: float, high: float, center: float, width: float, zeros: int = 0) -> Histogram:
    bins = 40
    step = (high - low) / bins
    places = [low + (i + 0.5) * step for i in range(bins)]
    counts = [int(4000 * math.exp(-(((x - center) / width) ** 2) / 2)) for x in places]
    counts[min(bins - 1, max(0, int((0 - low) / step)))] += zeros
    return Histogram(low=low, high=high, counts=tuple(counts))


def layer(name: str, op: str, shape: tuple[int, ...], parameters: int, **known: Any) -> LayerHealth:
    return LayerHealth(name=name, op=op, shape=shape, parameters=parameters, **known)


def layers() -> tuple[LayerHealth, ...]:
    warning, error, note = Severity.WARNING, Severity.ERROR, Severity.NOTE
    return (
        layer(
            "conv1",
            "conv2d",
            (16, 8, 8),
            160,
            where="net.py:38",
            mean=-0.12,
            std=0.94,
            gradient=0.021,
            activations=bell(-4, 4, -0.1, 0.9),
        ),
        layer(
            "stage1.0.conv",
            "conv2d",
            (16, 8, 8),
            2320,
            where="net.py:21",
            mark=error,
            codes=("ACT001",),
            mean=-3.8,
            std=0.71,
            gradient=0.00041,
            activations=bell(-7, 1, -3.8, 0.7),
        ),
        layer(
            "stage1.0.bn",
            "batch_norm",
            (16, 8, 8),
            32,
            mark=warning,
            codes=("BN002",),
            mean=0.01,
            std=0.11,
            gradient=0.0011,
        ),
        layer(
            "stage1.1.conv",
            "conv2d",
            (16, 8, 8),
            2320,
            where="net.py:21",
            mark=warning,
            codes=("GRD001",),
            mean=0.02,
            std=0.3,
            gradient=0.0019,
            activations=bell(-2, 2, 0, 0.3),
        ),
        layer("stage1.1.bn", "batch_norm", (16, 8, 8), 32, mean=0.0, std=0.98, gradient=0.017),
        layer("attention", "scaled_dot_product_attention", (64, 32), 4224, examined=False),
        layer(
            "head.norm",
            "layer_norm",
            (32,),
            64,
            mark=note,
            codes=("LN001",),
            mean=0.0,
            std=1.0,
            gradient=0.052,
        ),
        layer(
            "head.fc",
            "linear",
            (10,),
            330,
            where="net.py:52",
            mean=0.31,
            std=2.6,
            gradient=0.094,
            activations=bell(-9, 11, 0.3, 2.6),
        ),
    )


def dead() -> Finding:
    starved = Finding(
        code="GRD001",
        severity=Severity.WARNING,
        layer="stage1.1.conv",
        where="net.py:21",
        message="gradients are 50 times smaller than in the median layer",
        measured=0.0019,
        limit=0.01,
        healthy="at least 0.01 of the median",
    )
    still = Finding(
        code="BN002",
        severity=Severity.WARNING,
        layer="stage1.0.bn",
        message="12 of 16 running variances are below 1e-8",
        measured=0.75,
        limit=0.1,
        unit="share",
        units=tuple(range(12)),
        consequences=(starved,),
    )
    return Finding(
        code="ACT001",
        severity=Severity.ERROR,
        layer="stage1.0.conv",
        where="net.py:21",
        message="12 of 16 units are zero on all 1,797 samples",
        measured=0.75,
        limit=0.5,
        healthy="at most 45 %",
        unit="share",
        site="relu_1",
        units=(0, 1, 2, 3, 5, 7, 8, 9, 10, 12, 13, 15),
        evidence=(
            "the bias of the dead units is -3.9 in the median, that of the others -0.02",
            "zero on both halves of the data",
        ),
        remedies=(
            Remedy(
                advice="Draw the dead units' weights again and set their bias to zero.",
                code="layer = model.get_submodule('stage1.0.conv')\n"
                "with torch.no_grad():\n    layer.bias.zero_()",
            ),
            Remedy(advice="See what the rule measures.", command="dnnrepair explain ACT001"),
        ),
        consequences=(still,),
    )


@pytest.fixture
def report() -> Report:
    note = Finding(
        code="LN001",
        severity=Severity.NOTE,
        layer="head.norm",
        message="scale is constant",
        measured=math.nan,
        limit=math.inf,
    )
    return Report(
        tool_version="0.1.0",
        model=ModelCard(
            name="runs/digits cnn.pt",
            form="state dict",
            digest="0123456789abcdef",
            mode="graph",
            parameters=9482,
            data="digits.npz",
            samples=1797,
            loss="cross_entropy",
            accuracy=0.612,
            mean_loss=1.31,
            notes=("the prefix 'module.' was removed",),
        ),
        findings=(
            dead(),
            Finding(
                code="OUT002",
                severity=Severity.WARNING,
                layer="",
                message="class 8 is predicted for 41 % of the samples",
                measured=0.41,
                limit=0.3,
                unit="share",
                healthy="at most 30 %",
            ),
            note,
        ),
        skipped=(
            Skip(code="RNN001", reason="the network has no recurrent layer"),
            Skip(code="RNN002", reason="the network has no recurrent layer"),
            Skip(code="ATT001", reason="needs at least 2 heads", layer="attention"),
        ),
        suppressed=2,
        layers=layers(),
        checked=("ACT001", "BN002", "GRD001", "LN001", "OUT002"),
        settings=("ACT001.warn_share = 0.4",),
    )


@pytest.fixture
def explanations() -> dict[str, str]:
    return {
        "ACT001": """Units that are zero on nearly every sample.

    ## What it measures
    The share of units (channels, features) whose output is zero on at least 99.9 % of
    all samples, `zero_fraction`.

    ## Why it matters
    A dead ReLU has no gradient: it *never* recovers, and the layer works at part of its width.

    ## What to do
    - Draw the dead units again.
    - Lower the learning rate.

    ## Limits
    Needs 512 samples.

    ## Source
    Lu et al. 2020, https://arxiv.org/abs/1903.06733.
    """,
        "BN002": "Running variances of zero.",
    }


@pytest.fixture
def healthy() -> Report:
    card = ModelCard(name="models:mlp", form="module", digest="00", mode="graph", parameters=10)
    fine = layer("fc", "linear", (10,), 10, mean=0.0, std=1.0)
    return Report(model=card, layers=(fine,), checked=("ACT001",))
