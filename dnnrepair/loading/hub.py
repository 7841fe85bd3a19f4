"""Networks of Hugging Face transformers and timm; both libraries are extras."""

from __future__ import annotations

import importlib
import json
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dnnrepair.errors import ModelError, UntrustedError
from dnnrepair.loading.arch import parse_arch
from dnnrepair.loading.loaded import of_module
from dnnrepair.loading.quiet import first_line, quiet

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from dnnrepair.loading.arch import Arch
    from dnnrepair.loading.loaded import Loaded

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def load_folder(path: Path) -> Loaded:
    """Return the network in a Hugging Face directory; its own Python files are never run.

    Raises:
        ModelError: it is no such directory, or transformers is missing or cannot load it.
        UntrustedError: its configuration asks for code that is not part of transformers.
    """
    config = _config(path)
    name = config["architectures"][0]
    transformers = _extra("transformers", "hf")
    factory = getattr(transformers, name, None)
    if not (isinstance(factory, type) and issubclass(factory, transformers.PreTrainedModel)):
        message = (
            f"{path}: transformers {transformers.__version__} has no architecture {name[:80]!r}; "
            "code in the directory is not run (trust_remote_code stays off)"
        )
        raise ModelError(message)
    module = _from_pretrained(factory, path)
    configuration: Any = module.config
    configuration.use_cache = False  # a cache makes the outputs more than tensors
    return of_module(module, str(path), "Hugging Face")


def load_timm(spec: str) -> Loaded:
    """Return a pretrained network of timm, ``timm:NAME``; timm downloads it if it must.

    Raises:
        ModelError: timm is missing, has no such network, or cannot get its weights.
    """
    return of_module(build_timm(parse_arch(spec), pretrained=True), spec, "timm")


def build_timm(arch: Arch, *, pretrained: bool = False) -> nn.Module:
    """Return a network of timm by name.

    Raises:
        ModelError: timm is missing, has no such network, or cannot build it.
    """
    timm = _extra("timm", "timm")
    if not timm.is_model(arch.factory):
        near = get_close_matches(arch.factory, timm.list_models(), n=3)
        hint = f"; near: {', '.join(near)}" if near else ""
        message = f"{arch.text!r}: timm has no network {arch.factory!r}{hint}"
        raise ModelError(message)
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            module = timm.create_model(
                arch.factory, *arch.args, pretrained=pretrained, **arch.kwargs
            )
    except (Exception, SystemExit) as error:
        message = f"{arch.text!r}: timm cannot give this network ({first_line(error)})"
        raise ModelError(message) from error
    return _checked(module, arch.text)


def _from_pretrained(factory: Any, path: Path) -> nn.Module:  # noqa: ANN401 - a foreign class
    safe = any(path.glob(_WEIGHTS[0]))
    options = {"trust_remote_code": False, "local_files_only": True, "use_safetensors": safe}
    errors: list[BaseException] = []
    for attention in ("sdpa", "eager"):  # named here, since a name in config.json may load code
        try:
            with quiet(), torch.random.fork_rng(devices=[]):
                module = factory.from_pretrained(
                    str(path), weights_only=True, attn_implementation=attention, **options
                )
            return _checked(module, str(path))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a foreign library
            errors.append(error)
    message = f"{path}: transformers cannot load it ({first_line(errors[-1])})"
    raise ModelError(message) from errors[-1]


def _config(path: Path) -> dict[str, Any]:
    file = path / "config.json"
    if not file.is_file():
        message = (
            f"{path}: a directory without config.json, so none of Hugging Face; name the model file"
        )
        raise ModelError(message)
    try:
        config = json.loads(file.read_bytes())
        names = config["architectures"]
        valid = isinstance(names, list) and bool(re.fullmatch(r"[A-Za-z]\w*", names[0], re.ASCII))
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        message = f"{file}: names no architecture ({first_line(error)})"
        raise ModelError(message) from error
    if not valid:
        message = f"{file}: names no architecture"
        raise ModelError(message)
    if not any(any(path.glob(pattern)) for pattern in _WEIGHTS):
        message = f"{path}: holds no weights (*.safetensors or pytorch_model.bin)"
        raise ModelError(message)
    _refuse_kernels(config, file)
    return dict(config)


def _refuse_kernels(config: dict[str, Any], file: Path) -> None:
    """Refuse settings with which transformers fetches and runs code or other libraries."""
    if "quantization_config" in config:
        message = f"{file}: quantized weights are not supported; give the original network"
        raise ModelError(message)
    stack: list[object] = [config]
    while stack:
        top = stack.pop()
        if isinstance(top, dict):
            for key, value in top.items():
                if "attn_implementation" in key and "/" in str(value):
                    message = f"{file}: refused, {key} = {str(value)[:80]!r} fetches code to run"
                    raise UntrustedError(message)
            stack.extend(top.values())
        elif isinstance(top, list):
            stack.extend(top)


def _extra(library: str, extra: str) -> ModuleType:
    try:
        with quiet():
            return importlib.import_module(library)
    except ImportError as error:
        message = f"{library} is not installed; run `pip install 'dnnrepair[{extra}]'`"
        raise ModelError(message) from error


def _checked(module: object, name: str) -> nn.Module:
    if not isinstance(module, nn.Module):
        message = f"{name}: gave a {type(module).__name__}, no network"
        raise ModelError(message)
    return module
