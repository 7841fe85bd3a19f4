"""The graph in a ``.pt2``: a JSON text whose targets torch resolves by attribute access.

``torch.os.system`` is such a target, so only operations of known libraries get through.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from dnnrepair.errors import ModelError, UntrustedError
from dnnrepair.loading.expressions import is_plain, is_symbol

if TYPE_CHECKING:
    from collections.abc import Iterator

_ATEN = re.compile(r"torch\.ops\.(aten|prims|quantized_decomposed|torchvision)\.\w+\.\w+", re.ASCII)
_HIGHER = re.compile(
    r"torch\.ops\.higher_order\.(cond|while_loop|scan|associative_scan|map_impl"
    r"|wrap_with_set_grad_enabled|wrap_with_autocast|flex_attention)",
    re.ASCII,
)
_PYTHON = re.compile(
    r"_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|pow|neg|pos|abs|lt|le|gt|ge|eq|ne"
    r"|and_|or_|not_)|math\.(ceil|floor|trunc|sqrt)|torch\.(sym_\w+|_sym_sqrt)",
    re.ASCII,
)
# These reach the file system.
_FILES = re.compile(r"torch\.ops\.aten\.(_?save\w*|_?load\w*|from_file\w*)\.", re.ASCII)
# These make torch's tree specs import a module that the file names.
_IMPORTING = ("__enum__", "default_factory", "defaultdict")


def read_json(content: bytes, name: str) -> dict[str, Any]:
    """Return a JSON object of the archive.

    Raises:
        ModelError: it is none.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        message = f"{name}: damaged, its description is no JSON; export the network again"
        raise ModelError(message) from error
    if not isinstance(found, dict):
        message = f"{name}: damaged, its description is no JSON object; export the network again"
        raise ModelError(message)
    return found


def check_graph(program: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the description of a program without the code in it that torch would compile.

    Args:
        program: as in ``models/*.json`` of the archive.
        name: of the file, for messages.

    Raises:
        UntrustedError: something in it could run code or reach files.
    """
    for key, value in _walk(program):
        problem = _problem(key, value)
        if problem:
            message = f"{name}: refused, the graph contains {problem}"
            raise UntrustedError(message)
    for symbol in program.get("range_constraints") or {}:
        if not is_symbol(symbol):
            message = f"{name}: refused, the graph contains the size {symbol[:80]!r}"
            raise UntrustedError(message)
    return {**program, "guards_code": []}  # Python text that torch compiles; only checks inputs


def _walk(node: object) -> Iterator[tuple[str, object]]:
    """Yield every key with its value, at any depth."""
    stack = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, dict):
            yield from top.items()
            stack.extend(top.values())
        elif isinstance(top, list):
            yield from (("", item) for item in top if isinstance(item, str))
            stack.extend(top)


def _problem(key: str, value: object) -> str:
    """Return what is wrong, "" if nothing is."""
    if key == "expr_str" and not is_plain(value):
        return f"the size {str(value)[:80]!r}"
    if key in {"as_custom_obj", "custom_obj"} or (key == "custom_obj_values" and value):
        return "a custom object, which is unpickled by its own code"
    if key == "as_operator" or (key == "target" and isinstance(value, str) and "." in value):
        return "" if is_operation(value) else f"the operation {str(value)[:80]!r}"
    if isinstance(value, str) and any(word in value for word in _IMPORTING):
        return "a container that imports a module"
    if key.endswith("_name") and isinstance(value, str) and not value.isprintable():
        return f"control characters in the name {value[:80]!r}"
    return ""


def is_operation(target: object) -> bool:
    """Tell whether a target computes and does nothing else."""
    if not isinstance(target, str) or _FILES.match(target + "."):
        return False
    return any(pattern.fullmatch(target) for pattern in (_ATEN, _HIGHER, _PYTHON))
