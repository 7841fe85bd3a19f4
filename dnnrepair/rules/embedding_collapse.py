"""EMB001: embeddings whose vectors are all alike, unused or misindexed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.embedding_rows import EmbeddingRows
from dnnrepair.evidence.summary import TensorSummary
from dnnrepair.evidence.token_ids import TokenIds
from dnnrepair.finding import Finding, Remedy, Severity, Skip, rule
from dnnrepair.observation import Phase, Role
from dnnrepair.sites import Kind
from dnnrepair.snippets import index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnnrepair.observation import Observations
    from dnnrepair.sites import Site

FEWEST_ROWS = 8  # fewer vectors say nothing about the space they fill
_POSITIONS = ("pos", "wpe", "type", "segment")  # in names of embeddings that are not of tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    layer: str
    tensor: str
    site: Site | None
    rows: EmbeddingRows


@rule("EMB001")
@dataclass(frozen=True, slots=True)
class EmbeddingCollapse:
    """Token vectors that are nearly all alike, zero, or never used; ids beyond the table.

    ## What it measures
    Of at most 1000 vectors that the data use: the mean cosine over pairs, not centered; the
    participation ratio of the centered vectors over the width; the share that is exactly zero.
    Over all data: which rows are used, and the range of ids.

    ## Why it matters
    Vectors that share one large component differ only in what rounding leaves; vectors of zero
    cannot be told apart at all.

    ## What to do
    Subtract the mean vector and the first principal components and train on; switch weight decay
    off for embeddings; untie input and output embedding; check the tokenizer.

    ## Limits
    Not calibrated on large language models. Position embeddings are left out: they are smooth on
    purpose. A low participation ratio alone and unused rows are notes; the padding row is left out.

    ## Source
    Mu and Viswanath 2018, arXiv:1702.01417; Gao et al. 2019, arXiv:1907.12009.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "embedding-collapse"
    needs: ClassVar[frozenset[type]] = frozenset()
    wants: ClassVar[frozenset[type]] = frozenset({EmbeddingRows, TokenIds, TensorSummary})
    max_cosine: float = 0.9  # mean over pairs, in [-1, 1]
    min_participation: float = 0.02  # of the width, in [0, 1]
    warn_zero_share: float = 0.1  # of used rows that are exactly zero, in [0, 1]

    def check(self, seen: Observations) -> Iterator[Finding | Skip]:
        """Yield findings per embedding of tokens."""
        for place in _places(seen):
            reason = _obstacle(seen, place)
            if reason:
                yield Skip(code=self.code, reason=reason, layer=place.layer)
            else:
                yield from self._collapse(place)
                yield from self._zeros(place)
        for name, ids in seen.of(TokenIds).items():
            yield from self._ids(seen.sites[name], ids, seen.facts.phase)

    def _collapse(self, place: _Place) -> Iterator[Finding]:
        rows = place.rows
        if len(rows.ids) < FEWEST_ROWS:
            return
        cosine, width = rows.mean_cosine, rows.vectors.shape[1]
        spread = f"participation ratio {rows.participation:.3g} of {width}"
        if cosine > self.max_cosine:
            said = f"{len(rows.ids)} token vectors have a mean cosine of {cosine:.3f}"
            numbers = cosine, self.max_cosine, "1"
            yield self._finding(place, Severity.WARNING, said, numbers, (spread,), _CENTER)
        elif rows.participation < self.min_participation * min(width, len(rows.ids)):
            said = f"token vectors vary along few directions: {spread}"
            numbers = rows.participation / width, self.min_participation, "share"
            yield self._finding(place, Severity.NOTE, said, numbers)

    def _zeros(self, place: _Place) -> Iterator[Finding]:
        zero = place.rows.zero
        if not len(zero):
            return
        share = len(zero) / len(place.rows.ids)
        which = "used token vectors" if place.rows.used else "token vectors"
        bad = share >= self.warn_zero_share and place.rows.used
        yield self._finding(
            place,
            Severity.WARNING if bad else Severity.NOTE,
            f"{len(zero)} of {len(place.rows.ids)} {which} are exactly zero",
            (share, self.warn_zero_share, "share"),
            units=tuple(zero.tolist()),
            remedies=_REDRAW if bad else None,
        )

    def _ids(self, site: Site, ids: TokenIds, phase: Phase) -> Iterator[Finding]:
        rows = len(ids.uses)
        place = _Place(layer=site.layer, tensor="", site=site, rows=_NO_ROWS)
        if ids.highest >= rows or ids.lowest < 0:
            said = f"ids span {ids.lowest} to {ids.highest}, the table has {rows} rows"
            numbers = float(max(ids.highest, -ids.lowest)), float(rows - 1), "id"
            yield self._finding(place, Severity.ERROR, said, numbers)
        unused = np.flatnonzero(ids.uses == 0)
        unused = unused[unused != site.setting("padding_idx", -1)]
        if len(unused) and phase is Phase.TRAINED:
            said = f"{len(unused)} of {rows} rows are never used by the data"
            numbers = len(unused) / rows, 0.0, "share"
            units = tuple(unused.tolist())
            yield self._finding(place, Severity.NOTE, said, numbers, units=units)

    def _finding(
        self,
        place: _Place,
        severity: Severity,
        message: str,
        numbers: tuple[float, float, str],
        evidence: tuple[str, ...] = (),
        remedies: str | None = None,
        units: tuple[int, ...] = (),
    ) -> Finding:
        return Finding(
            code=self.code,
            severity=severity,
            layer=place.layer,
            message=message,
            measured=numbers[0],
            limit=numbers[1],
            healthy="mean cosine well below 0.9, no used row of zeros",
            unit=numbers[2],
            where=place.site.where if place.site else None,
            site=place.site.name if place.site else "",
            units=units,
            evidence=evidence,
            remedies=_remedies(place, remedies, units),
        )


_NO_ROWS = EmbeddingRows(ids=np.zeros(0, np.int64), vectors=np.zeros((0, 0), np.float32))
_CENTER = "center"
_REDRAW = "redraw"


def _places(seen: Observations) -> Iterator[_Place]:
    """Yield the embeddings of tokens: as the data use them, else as they are stored."""
    found = seen.of(EmbeddingRows)
    covered = {seen.sites[name].tensors.get("weight") for name in found if name in seen.sites}
    for name, rows in found.items():
        if name in seen.sites:
            site = seen.sites[name]
            tensor = site.tensors.get("weight", "")
            yield _Place(layer=site.layer, tensor=tensor, site=site, rows=rows)
        elif name not in covered and _is_of_tokens(seen, name):
            info = seen.tensors[name]
            yield _Place(layer=info.layer, tensor=name, site=None, rows=rows)


def _is_of_tokens(seen: Observations, name: str) -> bool:
    """Tell whether an embedding that no data index holds tokens, as far as its name tells."""
    if any(part in name.lower() for part in _POSITIONS):
        return False
    measured = any(site.kind is Kind.EMBEDDING for site in seen.sites) and seen.facts.samples
    return seen.tensors[name].role is Role.EMBEDDING and not measured


def _obstacle(seen: Observations, place: _Place) -> str:
    if not np.isfinite(place.rows.vectors).all():
        return "its vectors are not finite; see NUM001"
    summary = seen.of(TensorSummary).get(place.tensor)
    if summary and summary.low_bit:
        return f"{place.tensor!r} is quantized to few levels"
    return ""


def _remedies(place: _Place, kind: str | None, units: tuple[int, ...]) -> tuple[Remedy, ...]:
    head = (
        f"import torch\n\nweight = model.get_parameter({place.tensor!r})\nwith torch.no_grad():\n"
    )
    if kind == _CENTER:
        advice = "Subtract the mean vector, switch weight decay off for embeddings, and train on."
        return (Remedy(advice=advice, code=f"{head}    weight -= weight.mean(0)"),)
    if kind == _REDRAW:
        rows = f"weight{index(units)}"
        line = f"    {rows} = weight.std() * torch.randn_like({rows})"
        return (Remedy(advice="Draw the zero rows again and train on.", code=head + line),)
    return ()
