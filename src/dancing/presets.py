"""Presets: sets of values that are applied to a params.yaml. The command `dancing preset` applies them.

``presets/SYSTEM/NAME.yaml`` contains only the keys that differ from the defaults. Applying it changes these values in
the params.yaml of the system. Everything else stays byte for byte: comments, layout and the user's edits of other keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dancing.errors import UserError
from dancing.files import atomic_write

#: The values that the active presets have replaced, one section a system. Git ignores the file; only --undo needs it.
REPLACED = Path(".cache/presets.yaml")
Values = dict[str, Any]


class PresetError(UserError):
    """The preset does not exist, or it can't be applied to its params.yaml, which is not changed then."""


@dataclass(frozen=True)
class Preset:
    """A preset file and the params.yaml that it is for."""

    name: str
    system: str  # dance, faces, ...
    path: Path  # presets/SYSTEM/NAME.yaml
    params: Path

    @property
    def description(self) -> str:
        """The first line of the file, which is a comment."""
        with open(self.path, encoding="utf-8") as file:
            return file.readline().lstrip("# ").rstrip()


@dataclass(frozen=True)
class Slot:
    """Position of a value in the text of a file, in characters."""

    start: int
    end: int
    padded_end: int  # includes the spaces after the value if a comment follows, else equals end


def project_root(folder: Path | None = None) -> Path:
    """Find the nearest folder with presets/ and params.yaml, from `folder` (by default the current one) upwards.

    Raises:
        PresetError: there is no such folder.
    """
    start = (folder or Path.cwd()).resolve()
    for root in (start, *start.parents):
        if (root / "presets").is_dir() and (root / "params.yaml").is_file():
            return root
    raise PresetError(f"{start}: no presets/ and params.yaml here or above; run from the project's folder")


def params_path(root: Path, system: str) -> Path:
    """Path of the params.yaml of a system: in the root for "dance", otherwise in pipelines/SYSTEM."""
    return root / "params.yaml" if system == "dance" else root / "pipelines" / system / "params.yaml"


def list_presets(root: Path) -> list[Preset]:
    """All presets of the project, sorted by system and name."""
    return [
        Preset(path.stem, path.parent.name, path, params_path(root, path.parent.name))
        for path in sorted(root.glob("presets/*/*.yaml"))
    ]


def find_preset(root: Path, name: str) -> Preset:
    """Find a preset.

    Args:
        root: folder of the project.
        name: NAME, or SYSTEM/NAME.

    Raises:
        PresetError: there is no such preset, or several systems have one; the message lists the candidates.
    """
    presets = list_presets(root)
    found = [preset for preset in presets if name in (preset.name, f"{preset.system}/{preset.name}")]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{preset.system}/{preset.name}" for preset in found or presets)
    if found:
        raise PresetError(f"{name}: several presets have this name; say which: {known}")
    raise PresetError(f"{name}: no such preset; there are {known}")


def overlay_preset(text: str, changes: str, name: str = "params.yaml") -> str:
    """Replace values in the text of a params.yaml by those of a preset; all other characters stay.

    Args:
        text: text of the params.yaml.
        changes: text of the preset.
        name: name of the file, for error messages.

    Returns:
        The new text.

    Raises:
        ParamsError: the result would violate the schema.
        PresetError: a text is not YAML with sections, or a value can't be replaced in place.
    """
    from dancing.params import ImageParams, Params, parse_params

    values, changed = _sections(text, name), _sections(changes, name, empty=False)
    wanted = values | {section: {**(values.get(section) or {}), **keys} for section, keys in changed.items()}
    parse_params(wanted, name, ImageParams if "images" in wanted.get("data", {}) else Params)
    slots, sources = _slots(text), _slots(changes)
    if absent := sources.keys() - slots.keys():
        raise PresetError(f"{name}: {', '.join(sorted(absent))} missing: the preset changes only keys that are there")
    if tall := [key for key in sources if "\n" in _source(text, slots[key])]:
        raise PresetError(f"{name}: {', '.join(tall)}: write the value on one line, so that it can be replaced")
    result = text
    # Backwards, so that the positions of the remaining slots stay valid.
    for key in sorted(sources, key=lambda key: slots[key].start, reverse=True):
        result = _replaced(result, slots[key], _source(changes, sources[key]))
    if _sections(result, name) != wanted:
        raise PresetError(f"{name}: can't be changed in place; write its keys as `key: value`, one a line")
    return result


def apply_preset(preset: Preset, root: Path) -> dict[str, tuple[str, str]]:
    """Apply a preset to its params.yaml. If another preset is active there, it is undone first.

    Args:
        preset: the preset to apply.
        root: folder of the project.

    Returns:
        The keys whose values in the file have changed, as ``section.key``, each with its old and new value.

    Raises:
        ParamsError: the result would violate the schema.
        PresetError: a file is missing, or a value can't be replaced in place.
    """
    before, base = _read(preset.params), without_preset(root, preset.system)
    changes = _read(preset.path)
    after = overlay_preset(base, changes, f"{preset.params.relative_to(root)} with preset {preset.name}")
    old, sources = _slots(base), _slots(changes)
    replaced = {
        key: {"set": _source(changes, sources[key]), "was": base[old[key].start : old[key].padded_end]}
        for key in sources
    }  # fmt: skip
    _record(root, preset.system, {"preset": preset.name, "keys": replaced})  # first, because undoing needs it
    _write(preset.params, after)
    return _differences(before, after)


def undo_preset(preset: Preset, root: Path) -> dict[str, tuple[str, str]]:
    """Undo a preset: restore the values that it replaced, except those that were edited since.

    Args:
        preset: the preset to undo.
        root: folder of the project.

    Returns:
        The keys whose values have changed, as `apply_preset` returns them.

    Raises:
        PresetError: the preset is not active.
    """
    record = _recorded(root).get(preset.system, {})
    path = preset.params.relative_to(root)
    if record.get("preset") != preset.name:
        raise PresetError(f"{preset.name} is not in force on {path}; `git checkout {path}` restores the committed file")
    before, after = _read(preset.params), without_preset(root, preset.system)
    _write(preset.params, after)
    _record(root, preset.system, None)
    return _differences(before, after)


def without_preset(root: Path, system: str) -> str:
    """Text of the params.yaml of a system without its active preset, but with the user's edits since then.

    Args:
        root: folder of the project.
        system: name of the system.

    Raises:
        PresetError: the params.yaml is missing or can't be read.
    """
    path = params_path(root, system)
    text = _read(path)
    _sections(text, str(path.relative_to(root)))  # raises PresetError where it can't be read
    slots, replaced = _slots(text), _recorded(root).get(system, {}).get("keys", {})
    kept = {key: entry for key, entry in replaced.items() if key in slots}
    for key in sorted(kept, key=lambda key: slots[key].start, reverse=True):
        if _source(text, slots[key]) == kept[key]["set"]:
            text = text[: slots[key].start] + kept[key]["was"] + text[slots[key].padded_end :]
    return text


def _sections(text: str, name: str, empty: bool = True) -> Values:
    """Read the sections of a file; with `empty` some may be null, as in a system without a VAE."""
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PresetError(f"{name}: not readable as YAML: {error}") from None
    kinds = (dict, type(None)) if empty else dict
    if not isinstance(values, dict) or not all(isinstance(section, kinds) for section in values.values()):
        raise PresetError(f"{name}: expected sections such as `data:` and `vae:`, each with keys")
    return values


def _slots(text: str) -> dict[str, Slot]:
    """The position of the value of each ``section.key``."""
    return dict(_each_slot(text))


def _each_slot(text: str) -> Iterator[tuple[str, Slot]]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for section, keys in root.value if root else ():
        for key, value in keys.value if isinstance(keys, yaml.MappingNode) else ():
            start, end = value.start_mark.index, value.end_mark.index
            spaces = len(text[end:]) - len(text[end:].lstrip(" "))
            followed = text[end + spaces : end + spaces + 1] == "#"
            yield f"{section.value}.{key.value}", Slot(start, end, end + spaces if followed else end)


def _source(text: str, slot: Slot) -> str:
    return text[slot.start : slot.end]


def _replaced(text: str, slot: Slot, source: str) -> str:
    """Replace the value in a slot; a comment after it stays in its column if the new value is short enough."""
    if text[slot.start - 1] == ":":  # `key:` without a value
        source = f" {source}"
    if slot.padded_end > slot.end:
        source = source.ljust(slot.padded_end - slot.start - 2) + "  "
    return text[: slot.start] + source + text[slot.padded_end :]


def _differences(before: str, after: str) -> dict[str, tuple[str, str]]:
    old, new = _slots(before), _slots(after)
    values = {key: (_source(before, old[key]), _source(after, new[key])) for key in new}
    return {key: pair for key, pair in values.items() if pair[0] != pair[1]}


def _read(path: Path) -> str:
    if not path.is_file():
        raise PresetError(f"{path}: no such file")
    with open(path, encoding="utf-8", newline="") as file:  # newline="" keeps line ends as they are
        return file.read()


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as partial, open(partial, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def _recorded(root: Path) -> Values:
    path = root / REPLACED
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {} if path.is_file() else {}


def _record(root: Path, system: str, record: Values | None) -> None:
    """Store which preset is active on the params.yaml of a system; None for no preset."""
    records = {**_recorded(root), system: record}
    (root / REPLACED).parent.mkdir(exist_ok=True)
    _write(root / REPLACED, yaml.safe_dump({name: value for name, value in records.items() if value}))


def run(name: str | None, undo: bool) -> None:
    """Apply or undo a preset, or list all if `name` is None, and print what has changed.

    Raises:
        UserError: see `find_preset`, `apply_preset` and `undo_preset`.
    """
    root = project_root()
    if name is None:
        for preset in list_presets(root):
            print(f"{f'{preset.system}/{preset.name}':<18}{preset.description}")
        return
    preset = find_preset(root, name)
    path = preset.params.relative_to(root)
    changed = undo_preset(preset, root) if undo else apply_preset(preset, root)
    print(f"{path}: preset {preset.name}{' taken back' if undo else ''}, {len(changed)} values changed")
    for key, (old, new) in changed.items():
        print(f"  {key}: {old or 'null'} -> {new or 'null'}")
    if not undo:
        print(f"To go back: `dancing preset --undo {name}` keeps your own edits;")
        print(f"`git checkout {path}` restores the committed file.")
