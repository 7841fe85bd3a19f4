"""The package is complete, importable from everywhere, and its layers import downwards only."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
TOP = ("dnnrepair", "cli", "models")

# Each layer may import itself and what stands below it (later in this list).
LAYERS = (
    ("dnnrepair.cli", "dnnrepair.__main__"),
    ("dnnrepair.bench",),
    ("dnnrepair.monitor",),
    ("dnnrepair.api",),
    ("dnnrepair.repairing",),
    ("dnnrepair.swapping.driver", "dnnrepair.swapping.saving"),
    ("dnnrepair.diagnose", "dnnrepair.config", "dnnrepair.baseline", "dnnrepair.formats"),
    ("dnnrepair.selection", "dnnrepair.causes", "dnnrepair.layers"),
    ("dnnrepair.debiasing",),
    ("dnnrepair.patching", "dnnrepair.auditing"),
    ("dnnrepair.board",),
    ("dnnrepair.swapping",),
    ("dnnrepair.localizing", "dnnrepair.choosing", "dnnrepair.splitting", "dnnrepair.verify"),
    ("dnnrepair.fairness",),
    ("dnnrepair.methods",),
    ("dnnrepair.localize",),
    ("dnnrepair.rules", "dnnrepair.live_rules", "dnnrepair.phase"),
    ("dnnrepair.observe",),
    ("dnnrepair.probes",),
    ("dnnrepair.subject",),
    (),  # everything that is not named here: the network, its data and how they are loaded
    ("dnnrepair.evolve",),
    ("dnnrepair.kernels",),
    ("dnnrepair.repair_report",),
    ("dnnrepair.patch_report", "dnnrepair.swap_report", "dnnrepair.fairness_report"),
    ("dnnrepair.report", "dnnrepair.evidence", "dnnrepair.verdict", "dnnrepair.suspicion"),
    ("dnnrepair.finding", "dnnrepair.observation", "dnnrepair.rate"),
    ("dnnrepair.sites", "dnnrepair.files", "dnnrepair.registry", "dnnrepair.progress"),
    ("dnnrepair.settings",),
    ("dnnrepair.plain",),
    ("dnnrepair.errors",),
)
OTHERS = LAYERS.index(())
DATA_ONLY = frozenset({"torch", "safetensors"})  # what may not be imported where data rule
PRINTING = frozenset({"print", "exit", "quit"})


def modules() -> Iterator[tuple[str, Path]]:
    """Yield name and path of every module of the package, each once."""
    for top in TOP:
        for path in sorted((ROOT / top).rglob("*.py")):
            if any(parent.is_symlink() for parent in path.parents):
                continue
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts if top == "dnnrepair" else ("dnnrepair", *parts)
            yield ".".join(parts).removesuffix(".__init__"), path


MODULES = dict(modules())


def imports(path: Path, *, run: bool = False) -> set[str]:
    """Return the modules that a file names; with ``run`` only those it imports when imported."""
    found = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if run and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        waiting.extend(ast.iter_child_nodes(node))
    return found


def within(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def rank(name: str) -> int:
    return next((i for i, places in enumerate(LAYERS) if within(name, places)), OTHERS)


def test_every_package_is_listed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert set(settings["packages"]) == found
    folders = {path.parent for path in MODULES.values()}
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_every_data_file_is_listed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    listed = {
        f"{package}/{name}" for package, names in settings["package-data"].items() for name in names
    }
    found = {
        f"{name}/{path.name}"
        for name, init in MODULES.items()
        if init.name == "__init__.py"
        for path in init.parent.iterdir()
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert listed == found


@pytest.mark.parametrize("name", ["cli", "models"])
def test_the_links_lead_to_the_folders(name: str) -> None:
    link = ROOT / "dnnrepair" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"dnnrepair"}))  # it offers the API lazily
def test_layers_import_downwards(name: str) -> None:
    upwards = {
        found for found in imports(MODULES[name]) if found in MODULES and rank(found) < rank(name)
    }
    assert not upwards


WALLS = [
    ("dnnrepair.formats", ("dnnrepair.rules", "dnnrepair.probes", "dnnrepair.observe")),
    ("dnnrepair.formats", ("dnnrepair.subject", "dnnrepair.program", "dnnrepair.loading")),
    ("dnnrepair.rules", ("dnnrepair.subject", "dnnrepair.program", "dnnrepair.probes")),
    ("dnnrepair.live_rules", ("dnnrepair.subject", "dnnrepair.program", "dnnrepair.probes")),
    ("dnnrepair.evidence", ("dnnrepair.subject", "dnnrepair.program", "dnnrepair.rules")),
    ("dnnrepair.evolve", ("dnnrepair.finding", "dnnrepair.observation", "dnnrepair.rate")),
    ("dnnrepair.evolve", ("dnnrepair.sites", "dnnrepair.registry")),
]


@pytest.mark.parametrize(("inside", "outside"), WALLS)
def test_walls_stand(inside: str, outside: tuple[str, ...]) -> None:
    for name, path in MODULES.items():
        if within(name, (inside,)):
            assert not {found for found in imports(path) if within(found, outside)}, name


@pytest.mark.parametrize(
    "place",
    ["dnnrepair.formats", "dnnrepair.rules", "dnnrepair.live_rules", "dnnrepair.evidence"],
)
def test_formats_and_rules_know_numbers_not_networks(place: str) -> None:
    for name, path in MODULES.items():
        if within(name, (place,)):
            roots = {found.partition(".")[0] for found in imports(path)}
            assert not roots & DATA_ONLY, name


def test_only_the_command_line_prints_or_exits() -> None:
    speaking = {
        f"{name}:{node.lineno}"
        for name, path in MODULES.items()
        if not within(name, ("dnnrepair.cli", "dnnrepair.bench", "dnnrepair.__main__"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id in PRINTING)
            or ast.unparse(node.func) in {"sys.exit", "sys.stdout.write", "os._exit"}
        )
    }
    assert not speaking


def test_importing_the_reference_networks_imports_no_torch() -> None:
    assert not {"torch", "numpy"} & {
        name.partition(".")[0] for name in imports(ROOT / "models" / "__init__.py", run=True)
    }
