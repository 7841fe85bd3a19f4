"""A network's tensors as the attributes of modules, so that a state dict finds them again."""

from __future__ import annotations

from dataclasses import dataclass, field
from keyword import iskeyword
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

_SPARSE = 4  # a list may be this many times longer than it has members


@dataclass
class Holder:
    """A module that holds tensors and other holders.

    Attributes:
        tensors: Python that makes each, by name.
        children: other holders, by name.
    """

    tensors: dict[str, str] = field(default_factory=dict)
    children: dict[str, Holder] = field(default_factory=dict)

    @property
    def is_list(self) -> bool:
        """Whether it is written as a list: it holds modules only, which are numbered."""
        numbered = all(name.isdecimal() and str(int(name)) == name for name in self.children)
        if self.tensors or not self.children or not numbered:
            return False
        return max(map(int, self.children)) < _SPARSE * (len(self.children) + 1)

    def written(self, indent: int) -> str:
        """Return Python that makes it, beginning on a line indented so far."""
        if self.is_list:
            last = max(map(int, self.children))
            parts = [
                self.children[str(place)].written(indent + 4)
                if str(place) in self.children
                else "nn.Identity()"
                for place in range(last + 1)
            ]
            return f"nn.ModuleList([{_lines(parts, indent)}])"
        members = dict(self.tensors)
        members |= {name: child.written(indent + 4) for name, child in self.children.items()}
        if all(_simple(name) for name in members):
            parts = [f"{name}={value}" for name, value in members.items()]
            return f"Holder({_lines(parts, indent)})"
        parts = [f"{name!r}: {value}" for name, value in members.items()]
        return f"Holder(**{{{_lines(parts, indent)}}})"


def holders(
    tensors: Mapping[str, Tensor], buffers: frozenset[str], trainable: frozenset[str]
) -> Holder:
    """Return the tree of holders for tensors by dotted name."""
    root = Holder()
    for name, value in tensors.items():
        *path, last = name.split(".")
        at = root
        for part in path:
            at = at.children.setdefault(part, Holder())
        at.tensors[last] = _made(value, buffer=name in buffers, trainable=name in trainable)
    return root


def assignments(root: Holder) -> Iterator[str]:
    """Yield the lines that make a module's attributes."""
    members = dict(root.tensors)
    members |= {name: child.written(8) for name, child in root.children.items()}
    for name, value in members.items():
        yield f"self.{name} = {value}" if _simple(name) else f"setattr(self, {name!r}, {value})"


def attribute(root: Holder, name: str) -> str:
    """Return Python that reads a tensor by its dotted name."""
    found, at = "self", root
    for part in name.split("."):
        if at is not root and at.is_list:
            found = f"{found}[{part}]"
        else:
            found = f"{found}.{part}" if _simple(part) else f"getattr({found}, {part!r})"
        at = at.children.get(part, at)
    return found


def _made(value: Tensor, *, buffer: bool, trainable: bool) -> str:
    parts = [str(size) for size in value.shape]
    kind = str(value.dtype)
    if kind != "torch.float32":
        parts.append(f"dtype={kind}")
    if not (buffer or trainable):
        parts.append("trainable=False")
    return f"{'buffer' if buffer else 'parameter'}({', '.join(parts)})"


def _simple(name: str) -> bool:
    return name.isidentifier() and not iskeyword(name)


def _lines(parts: list[str], indent: int) -> str:
    """Return parts of a call, on one line if they are short."""
    joined = ", ".join(parts)
    if indent + len(joined) < 80 and "\n" not in joined:  # noqa: PLR2004 - with what surrounds it
        return joined
    inner = "".join(f"{' ' * (indent + 4)}{part},\n" for part in parts)
    return f"\n{inner}{' ' * indent}"
