"""The reference networks: each reaches 93 % on unseen digits within seconds on one core."""

from __future__ import annotations

from functools import partial

from torch import nn

from dnnrepair.models import views
from dnnrepair.models.cnn import CNN, FractionalCNN, NormalizedCNN
from dnnrepair.models.generator import Generator
from dnnrepair.models.inception import InceptionResNet
from dnnrepair.models.mlp import MLP, scaled_for
from dnnrepair.models.recipe import Recipe, energy_distance, networks
from dnnrepair.models.recurrent import Reader
from dnnrepair.models.resnet import ResNet
from dnnrepair.models.transformer import Transformer

_WIDTHS = (64, 64, 64)
_DEEP = (64,) * 8
_PLAIN = frozenset({"plain"})
_DEEP_PLAIN = frozenset({"plain", "deep"})
_IMAGES = frozenset({"images"})


def _linear_layers(count: int, step: int = 2, first: int = 0) -> tuple[str, ...]:
    return tuple(f"layers.{first + step * place}" for place in range(count))


_ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
for _name, _activation in _ACTIVATIONS.items():
    networks.file(
        f"mlp-{_name}",
        Recipe(
            make=partial(MLP, 64, _WIDTHS, 10, _activation),
            data=views.pixels,
            activation=_name,
            hidden=_linear_layers(len(_WIDTHS)),
            traits=_PLAIN,
            epochs=40,
            learning_rate=1e-2 if _name == "sigmoid" else 3e-3,
        ),
    )


def _deep(activation: type[nn.Module], nonlinearity: str) -> nn.Module:
    return scaled_for(MLP(64, _DEEP, 10, activation), nonlinearity)


for _name in ("relu", "tanh"):
    networks.file(
        f"mlp-deep-{_name}",
        Recipe(
            make=partial(_deep, _ACTIVATIONS[_name], _name),
            data=views.pixels,
            activation=_name,
            hidden=_linear_layers(len(_DEEP)),
            traits=_DEEP_PLAIN,
            learning_rate=1e-3,
            epochs=30,
        ),
    )

networks.file(
    "layernorm-mlp",
    Recipe(
        make=partial(MLP, 64, _WIDTHS, 10, nn.ReLU, normalized=True, dropout=0.1),
        data=views.pixels,
        hidden=_linear_layers(len(_WIDTHS), step=4, first=1),
    ),
)
networks.file(
    "tabular",
    Recipe(
        make=partial(MLP, views.table().train_inputs.shape[1], (64, 32), 10),
        data=views.table,
        hidden=_linear_layers(2),
        traits=_PLAIN | {"table"},
        weight_decay=1e-2,
    ),
)
networks.file(
    "regressor",
    Recipe(
        make=partial(MLP, views.table().train_inputs.shape[1], (64, 64), 1),
        data=views.values,
        hidden=_linear_layers(2),
        traits=_PLAIN | {"table"},
        task="regress",
        loss="mse",
        weight_decay=1e-2,
        epochs=30,
    ),
)
networks.file(
    "cnn",
    Recipe(
        make=CNN,
        data=views.images,
        hidden=("conv1", "conv2", "fc"),
        traits=_IMAGES | _PLAIN,
        learning_rate=1e-3,
        epochs=30,
    ),
)
networks.file(
    "cnn-fmp",
    Recipe(
        make=FractionalCNN,
        data=views.images,
        hidden=("conv1", "conv2", "fc"),
        traits=_IMAGES | _PLAIN,
        learning_rate=1e-3,
        epochs=30,
    ),
)
networks.file(
    "cnn-bn",
    Recipe(
        make=NormalizedCNN,
        data=views.images,
        hidden=("norm1", "norm2", "norm3"),
        traits=_IMAGES,
        epochs=10,
    ),
)
networks.file(
    "groupnorm-cnn",
    Recipe(
        make=partial(NormalizedCNN, groups=4),
        data=views.images,
        hidden=("norm1", "norm2", "norm3"),
        traits=_IMAGES,
        epochs=10,
    ),
)
networks.file(
    "resnet20",
    Recipe(
        make=partial(ResNet, 3, 8),
        data=views.images,
        hidden=("bn", *(f"blocks.{block}.bn1" for block in range(9))),
        branches=tuple((f"blocks.{block}.bn2", f"blocks.{block}") for block in (1, 2, 4, 5, 7, 8)),
        traits=_IMAGES,
        epochs=8,
    ),
)
networks.file(
    "inception-resnet",
    Recipe(
        make=InceptionResNet,
        data=views.images,
        hidden=("stem.bn", "widen.bn"),
        branches=tuple(
            (f"{part}.{block}.join", f"{part}.{block}")
            for part in ("fine", "coarse")
            for block in (0, 1)
        ),
        traits=_IMAGES,
        epochs=6,
    ),
)
for _name, _cell in {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}.items():
    networks.file(
        _name,
        Recipe(
            make=partial(Reader, _cell),
            data=views.rows,
            activation="",
            traits=frozenset({"recurrent"}),
            learning_rate=5e-3,
            epochs=30,
        ),
    )
networks.file(
    "transformer",
    Recipe(
        make=partial(Transformer, views.VOCABULARY, views.TOKENS),
        data=views.tokens,
        activation="gelu",
        hidden=("blocks.0.linear1", "blocks.1.linear1"),
        branches=tuple((f"blocks.{block}.attention", f"blocks.{block}") for block in (0, 1)),
        traits=frozenset({"attention"}),
        learning_rate=2e-3,
        epochs=20,
    ),
)
networks.file(
    "dcgan",
    Recipe(
        make=partial(Generator, views.LATENT),
        data=views.latents,
        hidden=("bn1", "bn2"),
        head="",
        task="generate",
        loss="",
        objective=energy_distance,
        learning_rate=1e-2,
        epochs=10,
        batch_size=128,
    ),
)
