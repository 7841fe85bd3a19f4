"""RNN001: a state that is forgotten at once, or blows up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dnnrepair.evidence.recurrence import RecurrentGain, SpectralRadius
from dnnrepair.evidence.vectors import Vector
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations, TensorInfo

_CELLS = {4: "LSTM", 3: "GRU", 1: "recurrent"}


@rule("RNN001")
@dataclass(frozen=True, slots=True)
class RecurrentScale:
    """Recurrent weights that forget at once or blow up.

    ## What it measures
    The spectral radius of the recurrent matrix (of LSTM and GRU: the candidate's block), and, on
    the data, how strongly the last state depends on the first: the norm of the Jacobian over the
    actual number of steps, 1 for a state passed on unchanged. For LSTM also the mean forget bias.

    ## Why it matters
    Gradients through time shrink or grow by the same factor: early steps are not learned from, or
    one step destroys the weights.

    ## What to do
    Draw the recurrent matrix as an orthogonal one, add 1 to the forget bias, clip gradients, use a
    gated cell.

    ## Limits
    A radius above 1 is no fault in gated cells (trained LSTMs reach 2.2). A forgotten first state
    is a note where each step gets a prediction of its own: such networks may need no long memory.

    ## Source
    Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063; Jozefowicz et al. 2015 (forget bias). Healthy
    networks: radius 0.57 to 2.17.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "recurrent-scale"
    needs: ClassVar[frozenset[type]] = frozenset({SpectralRadius})
    wants: ClassVar[frozenset[type]] = frozenset({RecurrentGain, Vector})
    min_radius: float = 0.2  # above 0
    max_radius: float = 3.5  # above min_radius
    min_gain: float = 1e-4  # over the whole sequence, above 0
    max_gain: float = 1e4  # over the whole sequence, above min_gain
    min_forget_bias: float = -2.0  # mean over units

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield one finding per recurrent matrix, and one per sequence whose gain is off."""
        said: set[str] = set()
        for name, found in seen.of(SpectralRadius).items():
            info = seen.tensors[name]
            if not math.isfinite(found.radius):
                reason = f"{name!r} is not finite; see NUM001"
                yield Skip(code=self.code, reason=reason, layer=info.layer)
            elif not self.min_radius <= found.radius <= self.max_radius:
                said.add(info.site)
                yield self._scaled(info, found, seen)
            elif (bias := _forget_bias(info, found, seen)) <= self.min_forget_bias:
                yield self._forgetful(info, bias, seen)
        for name, gain in seen.of(RecurrentGain).items():
            if name not in said:
                yield from self._gain(name, gain, seen)

    def _scaled(self, info: TensorInfo, found: SpectralRadius, seen: Observations) -> Finding:
        small = found.radius < self.min_radius
        gain = seen.of(RecurrentGain).get(info.site)
        side = "forgets at once" if small else "may blow up"
        radius = f"{found.radius:.3g}"
        return Finding(
            code=self.code,
            severity=Severity.WARNING,
            layer=info.layer,
            message=f"{info.name!r} has a spectral radius of {radius}: the state {side}",
            measured=found.radius,
            limit=self.min_radius if small else self.max_radius,
            healthy="0.57 to 2.17",
            where=_where(info.site, seen),
            site=info.site,
            evidence=_told(gain),
            remedies=(_orthogonal(info, found.blocks), _CLIP),
        )

    def _forgetful(self, info: TensorInfo, bias: float, seen: Observations) -> Finding:
        name = _bias_names(info)[0]
        code = (
            "import torch\n"
            "with torch.no_grad():\n"
            f"    model.get_parameter({name!r}).chunk(4)[1].add_({1 - bias:.3g})"
        )
        return Finding(
            code=self.code,
            severity=Severity.NOTE,
            layer=info.layer,
            message=f"the forget gate has a mean bias of {bias:.3g}: the cell forgets at once",
            measured=bias,
            limit=self.min_forget_bias,
            healthy="above -2",
            where=_where(info.site, seen),
            site=info.site,
            remedies=(Remedy(advice="Raise the forget bias to 1 and train on.", code=code),),
        )

    def _gain(
        self, name: str, found: RecurrentGain, seen: Observations
    ) -> Iterator[Finding | Skip]:
        site = seen.sites[name]
        finite = {k: g for k, g in found.gains.items() if math.isfinite(g)}
        if not finite:
            reason = "its states are not finite; see NUM001"
            yield Skip(code=self.code, reason=reason, layer=site.layer)
            return
        worst = max(finite, key=lambda k: abs(math.log(max(finite[k], 1e-300))))
        value = finite[worst]
        if self.min_gain <= value <= self.max_gain:
            return
        small = value < self.min_gain
        said = "hardly depends on" if small else "depends far too strongly on"
        mild = small and _answers_each_step(found, seen)
        yield Finding(
            code=self.code,
            severity=Severity.NOTE if mild else Severity.WARNING,
            layer=site.layer,
            message=f"after {found.steps} steps the state {said} the first one (gain {value:.2g})",
            measured=value,
            limit=self.min_gain if small else self.max_gain,
            healthy="1e-4 to 1e4",
            where=site.where,
            site=name,
            evidence=_told(found),
            remedies=(_GATED if small else _CLIP,),
        )


_CLIP = Remedy(
    advice="Clip the gradient's norm between backward and the optimizer's step.",
    code="import torch\ntorch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)",
)
_GATED = Remedy(
    advice="Use a gated cell (LSTM with forget bias 1), attention, or shorter sequences."
)


def _orthogonal(info: TensorInfo, blocks: int) -> Remedy:
    code = (
        "import torch\n"
        f"for block in model.get_parameter({info.name!r}).chunk({blocks}):\n"
        "    torch.nn.init.orthogonal_(block.data)"
    )
    return Remedy(advice="Draw the recurrent weights as orthogonal matrices, train on.", code=code)


def _told(gain: RecurrentGain | None) -> tuple[str, ...]:
    if gain is None:
        return ()
    each = ", ".join(f"{name} {value:.2g}" for name, value in gain.gains.items())
    return (f"gain from the first to the last of {gain.steps} states: {each}",)


def _bias_names(info: TensorInfo) -> tuple[str, str]:
    head, last = info.name.rpartition(".")[::2]
    dot = f"{head}." if head else ""
    return (
        dot + last.replace("weight_hh", "bias_ih"),
        dot + last.replace("weight_hh", "bias_hh"),
    )


def _forget_bias(info: TensorInfo, found: SpectralRadius, seen: Observations) -> float:
    """Return the mean bias of an LSTM's forget gate; infinite where there is none."""
    from_input, from_state = (seen.of(Vector).get(name) for name in _bias_names(info))
    if found.blocks != 4 or from_input is None or from_state is None:  # noqa: PLR2004 - of LSTM
        return math.inf
    forget = slice(info.shape[1], 2 * info.shape[1])
    mean = float((from_input.values + from_state.values)[forget].mean())
    return mean if math.isfinite(mean) else math.inf


def _answers_each_step(gain: RecurrentGain, seen: Observations) -> bool:
    output = seen.sites[seen.sites.output] if seen.sites.output else None
    return output is not None and len(output.shape) == 3 and gain.steps in output.shape[:2]  # noqa: PLR2004


def _where(name: str, seen: Observations) -> str | None:
    return seen.sites[name].where if name in seen.sites else None
