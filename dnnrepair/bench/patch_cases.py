"""The networks and the data on which repairs are measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dnnrepair.bench.datasets import cifar10, fashion_mnist, scaled
from dnnrepair.bench.reference_cnns import CifarCNN, FashionCNN, initialized, train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dnnrepair.bench.datasets import Images
    from dnnrepair.bench.result import BenchOptions

_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network comes to be.

    Attributes:
        name: for people.
        read: its data, from a folder.
        make: the network.
        epochs: that it is trained.
        floor: what to require of the pooled reduction, as published.
    """

    name: str
    read: Callable[[Path], Images]
    make: Callable[[], FashionCNN | CifarCNN]
    epochs: int
    floor: float


RECIPES = (
    Recipe(name="Fashion-MNIST", read=fashion_mnist, make=FashionCNN, epochs=4, floor=0.52),
    Recipe(name="CIFAR-10", read=cifar10, make=CifarCNN, epochs=6, floor=0.50),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchCase:
    """A trained network.

    Attributes:
        recipe: by which it was made.
        network: the whole of it.
        test_x, test_y: inputs it was not trained on, with labels.
        train_x, train_y: those it was trained on.
    """

    recipe: Recipe
    network: FashionCNN | CifarCNN
    test_x: Tensor
    test_y: Tensor
    train_x: Tensor
    train_y: Tensor

    def behind(self) -> tuple[nn.Module, Tensor]:
        """Return the layers behind the last convolution, and what enters them for the test inputs.

        No method measured here changes an earlier layer unless told to, so nothing else differs
        from repairing the whole network; it is only done for all repairs at once.
        """
        tail = nn.Sequential(self.network.hidden, nn.ReLU(), self.network.head).eval()
        return tail, entering(self.network, self.test_x)


@torch.no_grad()
def entering(network: FashionCNN | CifarCNN, x: Tensor) -> Tensor:
    """Return what enters the hidden layer, ``(N, features)``."""
    seen: list[Tensor] = []
    hook = network.hidden.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    for part in x.split(_BATCH):
        network(part)
    hook.remove()
    return torch.cat(seen)


def case_of(recipe: Recipe, options: BenchOptions) -> PatchCase:
    """Return a network that is trained, or was trained in an earlier run.

    Raises:
        DataError: if the data are not there.
    """
    assert options.data_dir is not None  # asked before  # noqa: S101
    images = recipe.read(options.data_dir)
    network = initialized(recipe.make, options.seed)
    train_x = scaled(images.train_x)
    name = f"patch-{recipe.make.__name__}-{recipe.epochs}-{options.seed}.safetensors"
    kept = None if options.cache is None else options.cache / name
    if kept is not None and kept.is_file():
        network.load_state_dict(load_file(kept))
    else:
        options.progress.stage(f"training for {recipe.name}", recipe.epochs)
        report = options.progress.advance
        train(
            network,
            train_x,
            images.train_y,
            recipe.epochs,
            options.seed,
            report=lambda _done: report(1),
        )
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            save_file(network.state_dict(), kept)
    return PatchCase(
        recipe=recipe,
        network=network.eval(),
        test_x=scaled(images.test_x),
        test_y=images.test_y,
        train_x=train_x,
        train_y=images.train_y,
    )
