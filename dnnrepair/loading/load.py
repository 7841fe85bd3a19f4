"""From what the user names to the network: the one entrance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dnnrepair.errors import ModelError
from dnnrepair.loading.arch import build_arch, parse_arch
from dnnrepair.loading.exported import load_exported
from dnnrepair.loading.fit import fit, without_common_prefix
from dnnrepair.loading.hub import build_timm, load_folder, load_timm
from dnnrepair.loading.infer import infer
from dnnrepair.loading.loaded import Loaded, of_module
from dnnrepair.loading.pickles import read_pickle
from dnnrepair.loading.safe import read_safetensors
from dnnrepair.loading.scripts import load_script
from dnnrepair.loading.sniff import Kind, sniff
from dnnrepair.loading.states import buffer_names, find_module, find_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor


def load(spec: str, *, arch: str | None = None, trust_pickle: bool = False) -> Loaded:
    """Return the network that ``spec`` names; nothing in a file runs unless told to trust it.

    Args:
        spec: a file, a Hugging Face directory, or ``timm:NAME``.
        arch: for a state dict, its architecture: ``package.module:Factory``, ``file.py:Factory``
            (with literal arguments in brackets, if any), ``models:NAME``, ``timm:NAME``, or
            ``auto:relu`` for a plain chain of layers with that activation between.
        trust_pickle: unpickle freely a file that is more than tensors; this runs code from it.

    Raises:
        ModelError: what is wrong with it, and what to do.
        UntrustedError: loading it would run code, or it was made to harm.
    """
    if spec.startswith("timm:"):
        return load_timm(spec)
    path = Path(spec)
    if path.is_dir():
        return load_folder(path)
    kind = sniff(path)
    if kind in (Kind.SCRIPT, Kind.EXPORTED):
        loaded = load_script(path) if kind is Kind.SCRIPT else load_exported(path)
        return _without(loaded, arch)
    if kind is Kind.SAFETENSORS:
        state, notes = read_safetensors(path)
        return _with_arch(state, notes, spec, "safetensors", arch)
    found, trusted = read_pickle(path, kind, trust_pickle=trust_pickle)
    module = find_module(found) if trusted else None
    if module is not None and arch is None:
        return of_module(module, spec, "pickled module")
    state, notes = find_state(found if module is None else module.state_dict(), spec)
    return _with_arch(state, notes, spec, "state dict", arch)


def _without(loaded: Loaded, arch: str | None) -> Loaded:
    if arch is None:
        return loaded
    message = f"{loaded.name}: a {loaded.form} file brings its own architecture; leave out --arch"
    raise ModelError(message)


def _with_arch(
    state: Mapping[str, Tensor], notes: tuple[str, ...], name: str, form: str, arch: str | None
) -> Loaded:
    if arch is None or arch.startswith("auto:"):
        module, reason = infer(state, arch)
        if module is None:
            return Loaded(
                name=name,
                form=form,
                state=state,
                buffers=buffer_names(state),
                notes=(*notes, reason),
            )
        return of_module(module, name, form, (*notes, reason))
    wanted = parse_arch(arch)
    module = build_timm(wanted) if wanted.source == "timm" else build_arch(wanted)
    notes = (*notes, *fit(module, state, name, arch))
    found = of_module(module, name, form, notes)
    return replace(found, stored=_stored(state, found.state))


def _stored(state: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> dict[str, torch.dtype]:
    bare, _ = without_common_prefix(state, held)
    return {k: v.dtype for k, v in bare.items() if k in held and v.dtype != held[k].dtype}
