"""Symbolic sizes in a ``.pt2``: torch hands them to sympy, whose parser evaluates Python.

Only what ``sympy.srepr`` writes for sizes gets through: known classes, literals, bounded powers.
"""

from __future__ import annotations

import ast
import re

_CLASSES = frozenset(
    {
        *("Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "Max", "Min", "Abs"),
        *("Equality", "Unequality", "StrictLessThan", "LessThan", "StrictGreaterThan"),
        *("GreaterThan", "And", "Or", "Not", "Piecewise", "ExprCondPair", "floor", "ceiling"),
        # torch.utils._sympy.functions
        *("FloorDiv", "ModularIndexing", "Where", "PythonMod", "Mod", "CleanDiv", "CeilToInt"),
        *("FloorToInt", "CeilDiv", "FloatTrueDiv", "IntTrueDiv", "TruncToFloat", "TruncToInt"),
        *("RoundToInt", "ToFloat", "Identity", "IsNonOverlappingAndDenseIndicator"),
    }
)
_NAMES = frozenset({"true", "false", "oo", "int_oo", "nan"})
_SYMBOL = re.compile(r"[A-Za-z]\w{0,40}", re.ASCII)
_NUMBER = re.compile(r"[-+]?[0-9.]{1,40}(e[-+]?[0-9]{1,3})?", re.ASCII)
_MAX_LENGTH = 10_000  # characters
_MAX_INTEGER = 1 << 63
_MAX_EXPONENT = 8
_MAX_POWERS = 4  # per expression: towers of powers take forever
_MAX_DEPTH = 60


def is_plain(expression: object) -> bool:
    """Tell whether a serialized size is arithmetic on symbols and nothing else."""
    if not isinstance(expression, str) or len(expression) > _MAX_LENGTH:
        return False
    try:
        body = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    powers = sum(isinstance(n, ast.Call) and _called(n) == "Pow" for n in ast.walk(body))
    return powers <= _MAX_POWERS and _is_plain(body, 0)


def is_symbol(name: object) -> bool:
    """Tell whether this can name a size."""
    return isinstance(name, str) and _SYMBOL.fullmatch(name) is not None


def _is_plain(node: ast.expr, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        return False
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _is_plain(node.operand, depth + 1)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and abs(node.value) <= _MAX_INTEGER
    if isinstance(node, ast.Name):
        return node.id in _NAMES or re.fullmatch(r"[suz]\d{1,6}", node.id, re.ASCII) is not None
    if not isinstance(node, ast.Call) or _called(node) not in _CLASSES:
        return False
    flags = all(k.arg is not None and isinstance(k.value, ast.Constant) for k in node.keywords)
    return flags and _are_plain(node, depth)


def _are_plain(node: ast.Call, depth: int) -> bool:
    name = _called(node)
    if name in {"Symbol", "Float"}:
        pattern = _SYMBOL if name == "Symbol" else _NUMBER
        return len(node.args) == 1 and _matches(node.args[0], pattern)
    if name == "Pow" and not (len(node.args) == 2 and _is_small(node.args[1])):  # noqa: PLR2004
        return False
    return all(_is_plain(argument, depth + 1) for argument in node.args)


def _matches(node: ast.expr, pattern: re.Pattern[str]) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and pattern.fullmatch(node.value) is not None
    )


def _is_small(node: ast.expr) -> bool:
    """Tell an exponent with which no number gets out of hand."""
    if not isinstance(node, ast.Call) or _called(node) not in {"Integer", "Rational"}:
        return False
    try:
        values = [ast.literal_eval(argument) for argument in node.args]
    except ValueError:
        return False
    return all(isinstance(v, int) and abs(v) <= _MAX_EXPONENT for v in values)


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""
