"""How a recurrent layer's state acts on later states."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectralRadius:
    """Of a recurrent weight matrix (of an LSTM or GRU the candidate's block).

    Attributes:
        radius: largest absolute eigenvalue.
        blocks: of the tensor: 4 for LSTM, 3 for GRU, 1 for a plain layer.
    """

    radius: float
    blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentGain:
    """How strongly the last state depends on the first, in one recurrent operation.

    Attributes:
        steps: of the sequences.
        gains: by layer and direction, the Frobenius norm of the Jacobian of the last state in the
            first one (for LSTM hidden and cell state), over the square root of the state's size:
            1 for a state that is passed on unchanged.
    """

    steps: int
    gains: dict[str, float]
