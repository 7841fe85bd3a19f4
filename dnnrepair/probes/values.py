"""Sample the values of interesting outputs, for the report's histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dnnrepair.evidence.values import Values
from dnnrepair.probe import probe
from dnnrepair.probes.moments import MomentsProbe

if TYPE_CHECKING:
    from dnnrepair.probe import Call
    from dnnrepair.sites import Site, Sites

VALUES_PER_BATCH = 4096


@probe("values")
class ValuesProbe:
    """Evenly spaced values, per site, of the places whose moments are measured."""

    yields: ClassVar[type] = Values
    sketch_only: ClassVar[bool] = True

    def watches(self, site: Site, sites: Sites) -> bool:
        """Watch what the moments probe watches."""
        return MomentsProbe().watches(site, sites)

    def measure(self, call: Call) -> Values:
        """Return evenly spaced values of one batch."""
        flat = call.output.detach().reshape(-1)
        step = max(1, flat.numel() // VALUES_PER_BATCH)
        values = flat[::step].float().cpu().numpy()
        return Values(values=values[np.isfinite(values)])
