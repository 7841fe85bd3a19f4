"""Which layers and units are meant: by name, by kind, or by what a diagnosis found."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from dnnrepair.errors import SettingError
from dnnrepair.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from dnnrepair.finding import Finding
    from dnnrepair.sites import Site, Sites
    from dnnrepair.subject import Subject

EVERYWHERE = "*"
_NEAR = 3  # names that are suggested


@dataclass(frozen=True, kw_only=True)
class Where:
    """Which layers and units are meant.

    Attributes:
        layers: names, or patterns such as ``conv*``; each must match something.
        units: by layer, those that a finding names, from 0; all units of a layer that has none.
        because: what chose them, such as "ACT001"; "" if the user named them.
    """

    layers: tuple[str, ...] = (EVERYWHERE,)
    units: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    because: str = ""

    @classmethod
    def of(cls, findings: Iterable[Finding], code: str) -> Where:
        """Return the layers that findings of one rule name.

        Raises:
            SettingError: there are none.
        """
        found = [finding for finding in findings if finding.code == code]
        if not found:
            message = f"{code} finds nothing in this network, so there is nothing to change there"
            raise SettingError(message)
        units = {finding.layer: finding.units for finding in found if finding.units}
        layers = tuple(dict.fromkeys(finding.layer for finding in found))
        return cls(layers=layers, units=units, because=code)

    @property
    def named(self) -> bool:
        """Whether the user named layers one by one, so that each must be possible."""
        return not self.because and not any("*" in name or "?" in name for name in self.layers)

    def choose(self, sites: Sites, suits: Callable[[Site], bool], what: str) -> tuple[Site, ...]:
        """Return the sites that are meant, in execution order.

        Args:
            sites: of the network.
            suits: tells of a site whether the operation can be about it.
            what: such sites in words, plural.

        Raises:
            SettingError: a name matches no layer, or none of this kind.
        """
        fit = [site for site in sites if suits(site)]
        chosen = {s.name for name in self.layers for s in _matching(sites, fit, name, what)}
        return tuple(site for site in fit if site.name in chosen)

    def of_units(self, site: Site) -> tuple[int, ...] | None:
        """Return which units of a site are meant, None for all."""
        found = self.units.get(site.layer)
        return None if found is None else tuple(unit for unit in found if unit < site.width)


def _matching(sites: Sites, fit: list[Site], name: str, what: str) -> Iterator[Site]:
    found = [site for site in fit if name in (EVERYWHERE, site.name) or _is(site, name)]
    if found:
        yield from found
        return
    known = list(dict.fromkeys(names_of(fit)))
    everything = list(dict.fromkeys(names_of(sites)))
    if name == EVERYWHERE:
        message = f"this network has no {what}"
    elif any(fnmatchcase(one, name) for one in everything):
        message = f"no {what} in {name!r}; there are {what} in {listed(known)}"
    else:
        near = get_close_matches(name, everything, n=_NEAR, cutoff=0.5) or known
        message = f"no layer matches {name!r}; near ones: {listed(near)}"
    raise SettingError(message)


def _is(site: Site, pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in names_of([site]))


def names_of(sites: Iterable[Site]) -> Iterator[str]:
    """Yield the names under which a user may know sites: of layers and of modules."""
    for site in sites:
        for name in (site.layer, site.layer.partition("#")[0], site.module):
            if name:
                yield name


def listed(names: Iterable[str], most: int = 6) -> str:
    """Return names in words, each once, at most so many of them."""
    found = list(dict.fromkeys(names))
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return (", ".join(found[:most]) or "no layer") + more


def obstacle(subject: Subject, site: Site) -> str:
    """Return why the parameters around a site must not be changed, "" if they may.

    A layer is frozen if none of its parameters asks for a gradient while others' do, and quantized
    if it computes with integers.
    """
    sites = subject.running.sites
    layer = site.layer.partition("#")[0]
    own = [info for info in subject.infos.values() if info.layer == layer and not info.buffer]
    anywhere = any(info.trainable for info in subject.infos.values())
    if own and anywhere and not any(info.trainable for info in own):
        return f"{layer} is frozen (requires_grad is False); unfreeze it first"
    kin = [s for s in sites if s.layer.partition("#")[0] == layer]
    upstream = {name for s in kin for name in s.inputs if name in sites}
    around = [*kin, *(sites[name] for name in upstream)]
    if any("quantize" in s.op or s.op.startswith("_int_") for s in around):
        return f"{layer} is quantized; change the network before it is quantized"
    return ""


def hidden_activations(sites: Sites, where: Where) -> tuple[Site, ...]:
    """Return the chosen activations that do not give the network's outputs.

    Raises:
        SettingError: there are none.
    """
    return where.choose(
        sites,
        lambda site: site.kind is Kind.ACTIVATION and site.name != sites.output,
        "activations before the outputs",
    )


def allowed(
    subject: Subject, chosen: Iterable[Site], where: Where
) -> tuple[tuple[Site, ...], tuple[str, ...]]:
    """Return the sites that may be changed, and why others may not.

    Raises:
        SettingError: a layer that the user named must not be changed, or none is left.
    """
    kept, reasons = [], []
    for site in chosen:
        reason = obstacle(subject, site)
        if reason and where.named:
            raise SettingError(reason)
        if reason:
            reasons.append(reason)
        else:
            kept.append(site)
    if not kept:
        message = f"nothing is left to change: {'; '.join(dict.fromkeys(reasons))}"
        raise SettingError(message)
    return tuple(kept), tuple(dict.fromkeys(reasons))


def change_each(
    kept: Iterable[Site], skipped: Iterable[str], where: Where, change: Callable[[Site], object]
) -> tuple[tuple[Site, ...], tuple[str, ...]]:
    """Change one site after the other; return those that are changed, and why others are not.

    Args:
        kept: the sites, of :func:`allowed`.
        skipped: why others are left out already.
        where: what the user named.
        change: changes one, or raises a :class:`SettingError`.

    Raises:
        SettingError: a layer that the user named cannot be changed, or none can.
    """
    done, reasons = [], list(skipped)
    for site in kept:
        try:
            change(site)
        except SettingError as error:
            if where.named:
                raise
            reasons.append(str(error))
        else:
            done.append(site)
    if not done:
        raise SettingError("; ".join(dict.fromkeys(reasons)))
    return tuple(done), tuple(dict.fromkeys(reasons))
