"""A changed network written so that plain torch loads it again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save

from dnnrepair.bits import identical
from dnnrepair.errors import ModelError, SettingError
from dnnrepair.export import export_module
from dnnrepair.files import check_writable, write_bytes_whole, write_whole
from dnnrepair.loading.quiet import first_line
from dnnrepair.population.places import with_twins
from dnnrepair.saving import hold
from dnnrepair.swapping.measuring import example_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from dnnrepair.swapping.driver import Outcome

STATES = (".pt", ".pth", ".safetensors")
EXPORTED = ".pt2"
_MARK = "changed by dnnrepair; needs torch only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What was written.

    Attributes:
        files: the network's first.
        form: in words.
    """

    files: tuple[Path, ...]
    form: str


def save_swapped(
    outcome: Outcome, path: Path, *, trust_pickle: bool = False, keep: Sequence[Path] = ()
) -> Saved:
    """Write the network that came of a run.

    Where only numbers changed, the file gets the form of the one that was read. Else it is a
    ``.pt2`` file, or a state dict with a Python file of the same name beside it.

    Args:
        outcome: of the run.
        path: of the file.
        trust_pickle: the network was read so.
        keep: files that must stay as they are.

    Raises:
        SettingError: the form that the name asks for cannot hold the network.
        OutputError: a file cannot be written.
        ModelError: torch cannot export it.
    """
    check_form(outcome, path)
    if not outcome.swapped.structural:
        return _in_its_form(outcome, path, trust_pickle=trust_pickle)
    if path.suffix == EXPORTED:
        write_bytes_whole(path, _exported(outcome))
        return Saved(files=(path,), form="pt2: torch.export.load reads it")
    code = path.with_suffix(".py")
    check_code(code, keep)
    write_bytes_whole(path, _state(outcome, path))
    write_whole(code, f"{outcome.swapped.source}")
    return Saved(files=(path, code), form=f"state dict, and the network's code in {code.name}")


def check_form(outcome: Outcome, path: Path) -> None:
    """Make sure that a name stands for a form that can hold the network.

    Raises:
        SettingError: if it cannot, and what can.
    """
    if not outcome.swapped.structural or path.suffix in (*STATES, EXPORTED):
        return
    done = "; ".join(swap.summary for swap in outcome.swapped.swaps)
    forms = f"name a file that ends in {', '.join((*STATES, EXPORTED))}"
    if outcome.before.form == "Hugging Face" or path.is_dir() or not path.suffix:
        message = (
            f"{path}: a folder of transformers runs their code, which cannot hold this ({done})"
        )
    else:
        message = f"{path}: {path.suffix} cannot hold a network whose graph changed ({done})"
    message = f"{message}; {forms}"
    raise SettingError(message)


def check_code(path: Path, keep: Sequence[Path]) -> None:
    """Make sure that the file of the code replaces nothing but one like itself.

    Raises:
        SettingError: if something else stands there.
        OutputError: if it cannot be written.
    """
    if path.exists() and _MARK not in path.read_text(encoding="utf-8", errors="replace")[:2000]:
        message = (
            f"{path} is there already and was not written by dnnrepair; name another --output, "
            "whose code goes into a file of that name with .py"
        )
        raise SettingError(message)
    check_writable(path, keep=keep)


def _in_its_form(outcome: Outcome, path: Path, *, trust_pickle: bool) -> Saved:
    before, after = outcome.before, outcome.swapped.subject
    held = hold(before.facts.model, trust_pickle=trust_pickle)
    changed = {
        name: value
        for name, value in after.tensors.items()
        if not identical(value.cpu(), before.tensors[name].cpu())
    }
    changed = with_twins(before.running, changed)
    for name in [name for name in changed if name in before.state]:
        held.change(name, before.state[name].cpu(), changed[name].cpu())
    held.write(path)
    return Saved(files=(path,), form=held.form)


def _state(outcome: Outcome, path: Path) -> bytes:
    state = outcome.swapped.module.state_dict()
    if path.suffix == ".safetensors":
        return save({name: value.cpu().clone().contiguous() for name, value in state.items()})
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getvalue()


def _exported(outcome: Outcome) -> bytes:
    module: nn.Module = outcome.swapped.module
    example = example_of(outcome.before)
    if not example:
        message = "a .pt2 file is exported on an example: give --data, or name a .pt file"
        raise SettingError(message)
    buffer = io.BytesIO()
    try:
        torch.export.save(export_module(module, [x.cpu() for x in example]), buffer)
    except Exception as error:
        message = f"torch.export refuses the changed network ({first_line(error)}); name a .pt file"
        raise ModelError(message) from error
    return buffer.getvalue()
