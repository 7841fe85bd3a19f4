"""Whatever a process has set, products keep all their digits for a while, and are set back."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import torch

from dnnrepair.backends import full_precision, without_cudnn
from dnnrepair.fitness import Arachne
from dnnrepair.population import Place, naive, prepare
from dnnrepair.population.suffix import Suffix
from dnnrepair.subject import subject_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTS = (
    *(("cuda", part) for part in ("conv", "rnn", "matmul")),
    *(("mkldnn", part) for part in ("conv", "rnn", "matmul")),
)


def now() -> list[str]:
    return [torch._C._get_fp32_precision_getter(*part) for part in PARTS]


def by_part() -> None:
    backends: Any = torch.backends
    backends.cudnn.conv.fp32_precision = "ieee"
    backends.cudnn.rnn.fp32_precision = "tf32"
    backends.cuda.matmul.fp32_precision = "tf32"
    backends.mkldnn.matmul.fp32_precision = "bf16"


WAYS: dict[str, Callable[[], object]] = {
    "default": lambda: None,
    "legacy": lambda: torch.set_float32_matmul_precision("medium"),
    "parts": by_part,
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Set precisions as a process may have them."""
    before = now()
    WAYS[request.param]()
    yield request.param
    torch.set_float32_matmul_precision("highest")
    for part, precision in zip(PARTS, before, strict=True):
        torch._C._set_fp32_precision_setter(*part, precision)


def test_what_was_set_is_set_again(way: str) -> None:
    before = now()
    with full_precision():
        assert now() == ["ieee"] * len(PARTS)
        if way != "parts":
            assert not torch.backends.cudnn.allow_tf32
            assert torch.get_float32_matmul_precision() == "highest"
            torch.export.export(torch.nn.Linear(2, 2), (torch.ones(2, 2),))  # reads them, too
    with contextlib.suppress(KeyError), full_precision():
        raise KeyError(way)
    assert now() == before
    if way == "legacy":
        assert torch.get_float32_matmul_precision() == "medium"
    if way == "default":
        assert torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.usefixtures("way")
def test_cudnn_is_left_out_for_a_while() -> None:
    with contextlib.suppress(KeyError), without_cudnn():
        assert not torch.backends.cudnn.enabled
        raise KeyError
    assert torch.backends.cudnn.enabled


@pytest.mark.usefixtures("way")
def test_populations_are_evaluated_so(monkeypatch: pytest.MonkeyPatch) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    subject = subject_of(module, (torch.randn(30, 4), torch.arange(30) % 3), task="classify")
    samples: Any = subject.samples
    seen: list[list[str]] = []
    program = type(subject.running)
    for owner, name in ((Suffix, "run"), (Suffix, "record"), (program, "run")):
        plain = getattr(owner, name)

        def noted(*arguments: Any, _plain: Any = plain, **options: Any) -> Any:
            seen.append(now())
            return _plain(*arguments, **options)

        monkeypatch.setattr(owner, name, noted)
    for make in (prepare, naive):
        evaluator = make(subject, [Place("0.weight", (1, 2))], samples, Arachne(torch.ones(30)))
        values = evaluator.originals.expand(2, 1)
        for ask in (evaluator, evaluator.verdicts, evaluator.logits):
            seen.clear()
            ask(values)
            assert seen
            assert all(one == ["ieee"] * len(PARTS) for one in seen)
