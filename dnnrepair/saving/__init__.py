"""Back into the form in which a network came: its numbers changed, everything else kept."""

from dnnrepair.saving.held import Held
from dnnrepair.saving.hold import hold

__all__ = ["Held", "hold"]
