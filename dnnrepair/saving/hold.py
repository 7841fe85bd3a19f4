"""From what the user names to a file that can be changed: the other side of the one entrance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dnnrepair.loading import exported, scripts
from dnnrepair.loading.arch import parse_arch
from dnnrepair.loading.hub import build_timm
from dnnrepair.loading.sniff import Kind, sniff
from dnnrepair.saving.folder import hold_folder
from dnnrepair.saving.pickled import hold_module, hold_pickled
from dnnrepair.saving.spliced import hold_archive, hold_safetensors

if TYPE_CHECKING:
    from dnnrepair.saving.held import Held


def hold(spec: str, *, trust_pickle: bool = False, seed: int = 0) -> Held:
    """Return the file that ``spec`` names, ready to be changed and written again.

    No architecture is needed: names are those of the file.

    Args:
        spec: a file, a Hugging Face directory, ``timm:NAME`` or ``models:NAME``.
        trust_pickle: unpickle freely a file that is more than tensors; this runs code from it.
        seed: of a reference network.

    Raises:
        ModelError: what is wrong with it, and what to do.
        UntrustedError: loading it would run code, or it was made to harm.
    """
    if spec.startswith("timm:"):
        return hold_module(build_timm(parse_arch(spec), pretrained=True), spec)
    if spec.startswith("models:"):
        from dnnrepair.models import build

        return hold_module(build(spec.removeprefix("models:"), seed=seed).module, spec)
    path = Path(spec)
    if path.is_dir():
        return hold_folder(path)
    kind = sniff(path)
    if kind is Kind.SAFETENSORS:
        return hold_safetensors(path)
    if kind is Kind.SCRIPT:
        return hold_archive(scripts.load_script(path), path, scripts.locate)
    if kind is Kind.EXPORTED:
        return hold_archive(exported.load_exported(path), path, exported.locate)
    return hold_pickled(path, kind, trust_pickle=trust_pickle)
