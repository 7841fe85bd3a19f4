"""The same findings on a CUDA device as on the CPU."""

from __future__ import annotations

import pytest
import torch

from dnnrepair.diagnose import diagnose
from dnnrepair.request import Request
from dnnrepair.selection import choose_rules
from dnnrepair.subject import open_subject

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("spec", ["cnn-bn+dead-units", "lstm", "transformer"])
def test_findings_are_those_of_the_cpu(spec: str) -> None:
    def codes(device: str) -> set[tuple[str, str]]:
        subject = open_subject(Request(model=f"models:{spec}", device=device))
        report = diagnose(subject, choose_rules((), (), {}))
        found = [f for root in report.findings for f in (root, *root.consequences)]
        return {(f.code, f.layer) for f in found}

    assert codes("cuda") == codes("cpu")
