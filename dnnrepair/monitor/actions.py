"""What is done about a finding while training goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from dnnrepair.errors import SettingError, UnknownNameError
from dnnrepair.finding import Severity
from dnnrepair.selection import codes_of
from dnnrepair.settings import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch.optim import Optimizer

    from dnnrepair.finding import Finding
    from dnnrepair.monitor.sightings import Sighting

KNOWN = ("lower-lr", "stop")
FACTOR = 0.5  # by which lower-lr lowers
AGAIN = 3  # looks after which a finding that is still there is acted on again


class StopTraining(Exception):  # noqa: N818 - no error: the monitor's ``with`` ends quietly by it
    """Ends a training loop from inside ``optimizer.step()``."""


@dataclass(frozen=True, kw_only=True)
class Actions:
    """Which findings are acted on, and how.

    Attributes:
        codes: of the rules whose warnings and errors are acted on; notes never are.
        do: ``lower-lr``, ``stop``, a function of the finding, or None.
    """

    codes: tuple[str, ...] = ()
    do: str | Callable[[Finding], object] | None = None

    @classmethod
    def of(cls, on: str | Sequence[str], do: str | Callable[[Finding], object] | None) -> Actions:
        """Return the actions that a user asked for.

        Args:
            on: names, codes or families of rules, one or several.
            do: what to do.

        Raises:
            UnknownNameError: if no rule or no action is called so.
            SettingError: if only one of the two is given.
        """
        names = (on,) if isinstance(on, str) else tuple(on)
        if bool(names) != (do is not None):
            message = "on= and do= go together: which finding, and what is done about it"
            raise SettingError(message)
        if isinstance(do, str) and do not in KNOWN:
            message = f"no action is called {do!r}; {nearest(do, KNOWN)} or give a function"
            raise UnknownNameError(message)
        return cls(codes=codes_of(names, live=True), do=do)

    def due(self, sightings: Iterable[Sighting]) -> tuple[Finding, ...]:
        """Return the findings to act on now: those new, and those still there after three looks.

        Args:
            sightings: of the present look.
        """
        return tuple(
            one.finding
            for one in sightings
            if one.finding.code in self.codes and one.finding.severity is not Severity.NOTE
            if (one.streak - 1) % AGAIN == 0
        )

    def carry_out(self, due: Sequence[Finding], optimizer: Optimizer, step: int) -> tuple[str, ...]:
        """Act, once per look for rates and once per finding for a function; return what was done.

        Raises:
            StopTraining: if that is the action.
        """
        if not due:
            return ()
        reason = ", ".join(f"{f.code} in {f.layer or 'the run'}" for f in due)
        if self.do == "stop":
            message = f"step {step:,}: training was stopped because of {reason}"
            raise StopTraining(message)
        if self.do == "lower-lr":
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].mul_(FACTOR)  # a compiled step reads this very tensor
                else:
                    group["lr"] *= FACTOR
            now = ", ".join(dict.fromkeys(f"{float(g['lr']):.3g}" for g in optimizer.param_groups))
            return (f"step {step:,}: the learning rate was lowered to {now} because of {reason}",)
        if callable(self.do):
            for finding in due:
                self.do(finding)
            return (f"step {step:,}: your function was called because of {reason}",)
        return ()
