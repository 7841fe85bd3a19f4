"""Bring a network, the weights to patch, inputs and a fitness together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dnnrepair.backends import full_precision
from dnnrepair.errors import DataError
from dnnrepair.population.batched import BatchedEvaluator
from dnnrepair.population.blocks import block_size, record, rows_of
from dnnrepair.population.certified import Dropped, certified
from dnnrepair.population.naive import NaiveEvaluator
from dnnrepair.population.places import Places
from dnnrepair.population.scores import Judge
from dnnrepair.population.settings import EvaluatorSettings
from dnnrepair.population.store import Store
from dnnrepair.population.suffix import Suffix
from dnnrepair.program import GraphProgram
from dnnrepair.sharding import Shards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnnrepair.data import Samples
    from dnnrepair.fitness.fitness import Fitness
    from dnnrepair.population.blocks import Block
    from dnnrepair.population.evaluator import Evaluator
    from dnnrepair.population.places import Place
    from dnnrepair.subject import Subject


@torch.no_grad()
def prepare(
    subject: Subject,
    places: Sequence[Place],
    samples: Samples,
    fitness: Fitness,
    settings: EvaluatorSettings | None = None,
) -> Evaluator:
    """Return what evaluates candidates for these weights.

    Whatever does not depend on the candidates is computed here, in one pass over the inputs. Under
    ``torch.distributed`` every process takes a share of them, and all get the same results.

    Args:
        subject: the network.
        places: the weights to patch, k of them, in the order of a candidate's values.
        samples: the inputs, N of them, with labels.
        fitness: what to maximize; its weights are for these inputs, in their order.
        settings: sizes and memory; no verdict depends on them.

    Raises:
        SettingError: places that are out of range or named twice.
        ModelError: weights that the network does not use, or that are no floating-point numbers.
        DataError: inputs or labels that do not fit.
    """
    settings = settings or EvaluatorSettings()
    program = subject.running
    checked = Places.of(program, places)
    judge = Judge(fitness, subject.facts)
    reason = _obstacle(program)
    if reason or not isinstance(program, GraphProgram):
        note = f"{reason}: every candidate runs the whole network, one after another"
        block = settings.block or NAIVE_BLOCK
        return NaiveEvaluator(program, checked, samples, judge, subject.device, block, [note])
    suffix = Suffix.of(program, checked, fused=settings.fused, precision=settings.precision)
    return _batched(suffix, judge, samples, settings)


NAIVE_BLOCK = 256  # inputs at a time; larger ones leave the cache


def naive(
    subject: Subject, places: Sequence[Place], samples: Samples, fitness: Fitness
) -> Evaluator:
    """Return the oracle: it writes the weights, runs the whole network, and so on.

    Raises:
        DnnRepairError: as :func:`prepare` does.
    """
    assert subject.program is not None  # of a network that runs  # noqa: S101
    checked = Places.of(subject.program, places)
    judge = Judge(fitness, subject.facts)
    return NaiveEvaluator(subject.program, checked, samples, judge, subject.device, NAIVE_BLOCK)


def _obstacle(program: object) -> str:
    """Return why the suffix of a network cannot be run by itself, "" if it can."""
    if not isinstance(program, GraphProgram):
        return "the network could not be exported as a graph"
    if program.writes.aliased:
        return "the network overwrites parts of its values"
    return ""


@full_precision()
def _batched(
    suffix: Suffix, judge: Judge, samples: Samples, settings: EvaluatorSettings
) -> BatchedEvaluator:
    shards = Shards.current()
    count = judge.fitness.weights.shape[-1]
    if samples.size is not None and samples.size != count:
        message = f"the fitness weighs {count} inputs, the data have {samples.size}"
        raise DataError(message)
    block, chunk = block_size(suffix, samples.example(), count, settings)
    store = Store(settings.memory, settings.cache_dir)
    keep, notes = certified(suffix, judge, samples, settings, shards)

    def layout(size: int) -> list[Block]:
        store.clear()
        return list(record(suffix, judge, rows_of(samples, size, shards, keep), store))

    return BatchedEvaluator(
        suffix=suffix,
        judge=judge,
        layout=layout,
        block=block,
        chunk=chunk,
        samples=count,
        shards=shards,
        dropped=Dropped.of(judge.fitness, keep, suffix.constants.device, suffix.originals.dtype),
        box=None if keep is None else settings.box,
        abandon=settings.abandon,
        fuse=settings.fused,
        backend=settings.compiled,
        notes=notes,
    )
