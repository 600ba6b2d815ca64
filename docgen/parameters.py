"""Tables of parameters, from the comments of params.yaml and the schema that it is checked by."""

import re
from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml

from dancing.params import ImageParams, Params, System, load_params
from docgen import ROOT
from docgen.results import NONE

FILES = {
    "dance": "params.yaml",
    **{name: f"pipelines/{name}/params.yaml" for name in ("digits", "faces", "param_tanh")},
}
WORDS = {int: "whole number", float: "number", str: "text", bool: "`true`, `false`", NoneType: "`null`"}
LINE = re.compile(r"^  (?P<key>\w+): (?P<value>.*?)(?:\s+# (?P<comment>.*))?$")


def parameters(system: str, section: str = "") -> str:
    """A table of one section of a system's parameters; of presets for `parameters presets`.

    Raises:
        KeyError: there is no such system or section.
    """
    if system == "presets":
        return _presets()
    if system not in FILES:
        raise KeyError(f"no system {system}; known: {', '.join(FILES)}")
    path = ROOT / FILES[system]
    lines = _section(path, section)
    allowed = _allowed(load_params(path), section)
    body = []
    for line in lines:
        match = LINE.match(line)
        if not match:
            raise ValueError(f"{FILES[system]}: expected `key: value  # comment`, found {line!r}")
        key, comment = match["key"], match["comment"] or ""
        body.append([f"`{section}.{key}`", f"`{match['value']}`", allowed.get(key, NONE), comment])
    head = [["key", "default", "allowed", "meaning"], ["---"] * 4]
    return "\n".join("| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in [*head, *body])


def _section(path: Path, name: str) -> list[str]:
    """The lines of a section, one a key."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if f"{name}:" not in lines:
        known = ", ".join(line[:-1] for line in lines if re.match(r"\w+:$", line))
        raise KeyError(f"{path.name} has no section {name}; known: {known}")
    after = lines[lines.index(f"{name}:") + 1 :]
    end = next((i for i, line in enumerate(after) if re.match(r"\w", line)), len(after))
    return [line for line in after[:end] if line.strip()]


def _escaped(cell: str) -> str:
    return cell.replace(" | ", " \\| ")


def _allowed(params: System, section: str) -> dict[str, str]:
    """What the schema allows, by key."""
    assert isinstance(params, Params | ImageParams)
    fields = type(getattr(params, section)).model_fields
    return {key: _described(field.annotation, field.metadata) for key, field in fields.items()}


def _described(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """A type with its limits in words."""
    origin, branches = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _described(branches[0], [part for info in branches[1:] for part in getattr(info, "metadata", [info])])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in branches)
    if origin in (Union, UnionType):
        return " or ".join(_described(branch) for branch in branches)
    if origin is list:
        length = next((part.min_length for part in metadata if hasattr(part, "min_length")), "several")
        return f"{length} numbers, each {_described(branches[0])}"
    signs = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"), ("multiple_of", "a multiple of"))
    limits = {
        f"{sign} {getattr(part, name):g}"
        for part in metadata
        for name, sign in signs
        if getattr(part, name, None) is not None and getattr(part, name) < 2**31
    }
    return ", ".join([WORDS[annotation], *sorted(limits, key=_order)])


def _order(limit: str) -> int:
    """Lower limits first."""
    return "≥>≤<a".index(limit[0])


def _presets() -> str:
    """Every preset with what its first comment says, and how many values it holds."""
    body = []
    for path in sorted((ROOT / "presets").rglob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        comment = " ".join(
            line.removeprefix("#").strip() for line in text.split("\n\n")[0].splitlines() if line[:1] == "#"
        )
        values = yaml.safe_load(text) or {}
        count = sum(len(keys) if isinstance(keys, dict) else 1 for keys in values.values())
        body.append(f"| `{path.relative_to(ROOT)}` | {count} | {comment} |")
    return "\n".join(["| file | values | what it is for |", "| --- | ---: | --- |", *body])
