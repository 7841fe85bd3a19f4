"""``dnnrepair swap``: change a network's structure, and show what that changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from dnnrepair.cli.changing import changing_options, ready, saved, told
from dnnrepair.cli.command import Configured
from dnnrepair.cli.exits import Exit
from dnnrepair.cli.options import debug_option, model_options, seed_option, with_all
from dnnrepair.cli.progress import working
from dnnrepair.cli.requests import request_of
from dnnrepair.cli.values import number

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnnrepair.swapping.driver import Outcome
    from dnnrepair.swapping.operations.fold_input import FoldInput

_VALUES = (
    ("activation", "OLD=NEW[,KEY=X][:WHERE]", "Replace activations; without OLD= any."),
    ("norm", "KIND[:WHERE]", "Add a batch, mean, layer, rms or weight norm, as the identity."),
    ("dropout", "SHARE[:WHERE]", "Drop that share behind activations, in training."),
    ("revive", "WHERE", "Re-draw idle units; '*' for those of all layers."),
    ("prune", "WHERE", "Remove idle units."),
    (
        "split",
        "N[,share=X][:WHERE]",
        "Split N units of each layer in two, without a change.",
    ),
    ("add-units", "N[:WHERE]", "Add N units to each layer, which nobody reads yet."),
    ("desaturate", "WHERE", "Scale saturated tanh and sigmoid units down."),
    ("init", "RULE[:WHERE]", "Draw weights anew: auto (by what follows), he, lsuv ..."),
    ("residual-scale", "X[:WHERE]", "Scale residual branches, such as 0.1."),
    ("layer-scale", "X[:WHERE]", "The same, with a learned number for each channel."),
    ("spectral-radius", "X[:WHERE]", "Scale recurrent weights to this radius."),
    ("fractional-pool", "RATIO[:WHERE]", "Make 2 x 2 max pools fractional; 0.5 changes nothing."),
    ("gated", "KIND[:WHERE]", "Make plain recurrent layers gru or lstm, with fresh weights."),
    ("temperature", "T", "Divide logits by T; auto finds it on the data."),
)
_FLAGS = (
    ("scale-input", "Standardize what the first layer reads, and compensate."),
    ("min-max-input", "Bring what it reads to [0, 1] instead, and compensate."),
    ("reestimate-bn", "Estimate running statistics of batch norms on the data."),
    ("remove-softmax", "Remove the softmax or sigmoid at the end."),
)
_OPTIONS = (
    *(
        click.option(f"--{name}", metavar=form, multiple=name != "temperature", help=text)
        for name, form, text in _VALUES
    ),
    *(click.option(f"--{name}", is_flag=True, help=text) for name, text in _FLAGS),
    click.option("--where", metavar="WHERE", help="A layer, a pattern, or a rule such as ACT001."),
    click.option(
        "--plain", is_flag=True, help="Put activations in as they are, fitted to nothing."
    ),
    click.option(
        "--blend", is_flag=True, help="Blend activations in, with a share that starts at 0."
    ),
    click.option(
        "--limit", metavar="X", callback=number, help="Put them in so sharp that they are like OLD."
    ),
    click.option(
        "--fold-input", is_flag=True, help="Let MODEL do --scale, --mean and --std from now on."
    ),
)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    return with_all(_OPTIONS, command)


@click.command("swap", cls=Configured)
@click.argument("model")
@_options
@changing_options
@model_options
@seed_option
@debug_option
def command(**given: Any) -> int:  # noqa: ANN401 - the options above
    """Change activations, normalizations and units.

    WHERE is a layer, a pattern such as 'conv*', or the code of a rule whose findings are meant.
    Changes come in a fixed order: outputs, units, recurrent layers, pools, activations, initial
    weights, scales, normalizations, statistics, temperature. Half of the data is what they look at,
    the other half measures. Where only numbers change, FILE gets the form of MODEL; else it is a
    .pt2, or a state dict (.pt, .safetensors) with the network's code in a .py beside it, for plain
    torch.
    """
    modes = _modes(given)
    if len(modes) > 1:
        message = f"--{modes[0]} and --{modes[1]} exclude each other"
        raise click.UsageError(message, click.get_current_context())
    output = ready(given)
    outcome = _swapped(given)
    written = saved(given, outcome)
    files = tuple(str(file) for file in written.files) if written else ()
    form = written.form if written else ""
    told(replace(outcome.report, files=files, form=form), output)
    return Exit.CLEAN


def _modes(given: dict[str, Any]) -> list[str]:
    """Return how activations are to be put in, as the user said."""
    flags = [name for name in ("plain", "blend") if given[name]]
    return [*flags, *(["limit"] if given["limit"] is not None else [])]


def _swapped(given: dict[str, Any]) -> Outcome:
    with working() as progress:
        progress.stage("loading", None)
        from dnnrepair.subject import open_subject
        from dnnrepair.swapping.driver import swap
        from dnnrepair.swapping.plan import planned

        asked: dict[str, tuple[str, ...]] = {}
        for name, _, _ in _VALUES:
            value = given[name.replace("-", "_")]
            asked[name] = ((value,) if value else ()) if isinstance(value, str | None) else value
        for name, _ in _FLAGS:
            asked[name] = ("",) * given[name.replace("-", "_")]
        fold = _fold(given) if given["fold_input"] else None
        (mode,) = _modes(given) or ["auto"]
        steps = planned(asked, given["where"] or "", mode, sharpness=given["limit"], fold=fold)
        subject = open_subject(request_of(given))
        return swap(subject, steps, seed=given["seed"], progress=progress)


def _fold(given: dict[str, Any]) -> FoldInput:
    """Return the normalization of the data as something that the network can do."""
    from dnnrepair.data.transform import as_factor
    from dnnrepair.swapping.operations.fold_input import FoldInput

    scale = as_factor(given["scale"])
    return FoldInput(mean=given["mean"], std=given["std"], scale=1.0 if scale is None else scale)
