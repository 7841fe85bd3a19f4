"""The package works without Triton and CUDA, and its kernels compile for sm_90 without either."""

# pyright: reportMissingImports=false

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dnnrepair.errors import SettingError
from dnnrepair.kernels import (
    ConvTail,
    Head,
    Scoring,
    Shape,
    Tail,
    available,
    conv_tail,
    head,
    launch,
    tail,
)
from dnnrepair.kernels.shape import MAX_UNITS, MIN_PROGRAMS

if TYPE_CHECKING:
    from pathlib import Path

SCORING = Scoring(torch.zeros(3, dtype=torch.int32), torch.ones(3))
UNIT_OF = torch.zeros(1, dtype=torch.int32)
CONV = ConvTail(
    planes=torch.ones(3, 1, 4),
    unit_of=UNIT_OF,
    before=torch.zeros(3, 1, 4),
    weight=torch.ones(1, 4, 2),
    base=torch.zeros(3, 2),
)


def test_importing_the_package_imports_no_triton_and_needs_none() -> None:
    code = "import sys; sys.modules['triton'] = None\n"  # importing it is an error from here on
    code += "import dnnrepair.kernels; print(dnnrepair.kernels.available())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "Triton is not installed\n"


def test_why_not_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(launch, "find_spec", lambda _: object())
    assert available() == "there is no CUDA device"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not available()
    monkeypatch.setattr(launch, "find_spec", lambda _: None)
    assert available() == "Triton is not installed"


def test_tensors_on_the_cpu_are_evaluated_there() -> None:
    columns, base = torch.ones(1, 3), torch.tensor([[0.0] * 3, [1.0] * 3])
    patched = Head(columns=columns, unit_of=UNIT_OF, base=base, scoring=SCORING)
    hidden = Tail(
        columns=columns,
        unit_of=UNIT_OF,
        before=torch.zeros(1, 3),
        weight=torch.tensor([[1.0], [0.0]]),
        base=base,
        scoring=SCORING,
    )
    changes = torch.tensor([[0.0], [1.0]])
    for evaluator in (head(patched), tail(hidden)):
        assert evaluator.backend == "torch"
        found = evaluator(changes, verdicts=True)
        assert found.verdicts is not None
        assert found.verdicts.tolist() == [[0] * 3, [1] * 3]  # the label wins the tie
        assert found.fitness[1].item() == 3
    assert conv_tail(CONV).backend == "torch"
    assert conv_tail(CONV)(changes)[:, 0].tolist() == [[0, 0], [4, 4]]


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(SettingError, match="choose from ieee, tf32"):
        conv_tail(CONV, precision="fp8")


@given(st.integers(1, 10_000), st.integers(1, 1_000_000), st.integers(1, MAX_UNITS))
def test_blocks_keep_the_device_busy_and_registers_free(
    candidates: int, inputs: int, units: int
) -> None:
    shape = Shape.of(candidates, inputs, units)
    assert shape.candidates in {1, 2, 4, 8}
    assert shape.candidates * units <= MAX_UNITS
    programs = -(-inputs // shape.inputs) * -(-candidates // shape.candidates)
    assert shape.candidates == 1 or programs >= MIN_PROGRAMS


TYPES = {"order": "*i32", "starts": "*i32", "class_of": "*i32", "labels": "*i32"}
TYPES |= {"sums": "*i64", "verdicts": "*u8", "slope": "fp32"}
TYPES |= dict.fromkeys("PNKUCSH", "i32") | {"EACH": "i32"}
TYPES |= {"seeds": "*i64", "generation": "*i64", "donors": "*i64", "stale": "*i64", "age": "*i64"}
TYPES |= {"crosses": "*u8", "active": "*u8", "CHANCE": "i64", "BOUNDS": "i32"}
TYPES |= dict.fromkeys(("dither", "found", "fitness", "best"), "*fp64")
SCORED = {"BP": 4, "BN": 128, "WRITE": True}
TILE = {"NAME": "relu", "BP": 8, "BN": 16, "BK": 32, "BH": 128}


def compiled(program: Any, options: dict[str, Any], warps: int) -> str:
    """Return the PTX of a kernel for an H100 or H200; needs no GPU."""
    from triton import compile as compile_source
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    types = {name: TYPES.get(name, "*fp32") for name in program.arg_names}
    if options.get("PRECISION") == "bf16":
        types["weight"] = "*bf16"
    source = ASTSource(program, {**types, **dict.fromkeys(options, "constexpr")}, options)
    settings = {"num_warps": warps, "enable_fp_fusion": warps == 8}
    made = compile_source(source, target=GPUTarget("cuda", 90, 32), options=settings)
    text: str = made.asm["ptx"]
    return text


@pytest.fixture
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")
@pytest.mark.usefixtures("_own_cache")
@pytest.mark.parametrize("kind", ["head", "tail", "ieee", "tf32", "bf16"])
def test_kernels_compile_for_hopper(kind: str) -> None:
    from dnnrepair.kernels import convolution, programs

    if kind == "head":
        text = compiled(programs.head_program, SCORED, 4)
    elif kind == "tail":
        text = compiled(programs.tail_program, SCORED | {"NAME": "gelu", "UNITS": 8}, 4)
    else:
        text = compiled(convolution.conv_program, TILE | {"PRECISION": kind}, 8)
    assert ".target sm_90" in text
    assert ("atom" in text or "red.global" in text) == (kind in {"head", "tail"})
    assert not [line for line in text.splitlines() if "atom" in line and ".f32" in line]
    assert ("wgmma.mma_async" in text) == (kind in {"tf32", "bf16"})


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")
@pytest.mark.usefixtures("_own_cache")
@pytest.mark.parametrize("name", ["ask", "tell", "draw"])
@pytest.mark.parametrize("block", [{"BP": 32, "BK": 16}, {"BP": 4, "BK": 1}])
def test_the_kernels_of_a_generation_compile_for_hopper(name: str, block: dict[str, int]) -> None:
    from dnnrepair.kernels import generations

    options = block | {"draw": {"STREAM": 1}, "tell": {"BEST": 1024}}.get(name, {})
    text = compiled(getattr(generations, f"{name}_program"), options, 4)
    assert ".target sm_90" in text
    assert "fma" not in text  # sums of products are rounded as torch rounds them
