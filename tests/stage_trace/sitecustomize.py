"""Put first on PYTHONPATH: a stage then leaves a record of the project's files it imported and the params it read.

Python imports a module of this name at its start. The record is $STAGE_TRACE/STAGE.json, {"files", "params"}.
"""

import atexit
import importlib.abc
import importlib.machinery
import json
import os
import sys
from pathlib import Path

_read: set[str] = set()


def _watch(params) -> None:
    """Record which keys of which sections are read, once the values have been checked."""
    sections: dict[int, str] = {}
    checking = [0]

    def watched(self, name):
        value = original(self, name)
        if checking[0] or name.startswith("__"):
            return value
        fields = type(self).model_fields
        if isinstance(value, params.Section) and name in fields:
            sections[id(value)] = name
        elif isinstance(self, params.System) and name in fields:
            _read.add(name)  # a section that is null
        elif section := sections.get(id(self)):
            if name == "model_dump":  # of some or of all keys
                _read.add(f"{section}.*")
            elif name in fields:
                _read.add(f"{section}.{name}")
        return value

    def parse_params(*args, **kwargs):
        checking[0] += 1
        try:
            return parse(*args, **kwargs)
        finally:
            checking[0] -= 1

    original, parse = params.BaseModel.__getattribute__, params.parse_params
    params.Section.__getattribute__ = params.System.__getattribute__ = watched
    params.parse_params = parse_params


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "dancing.params":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def watched(module):
            execute(module)
            _watch(module)

        spec.loader.exec_module = watched
        return spec


def _dump() -> None:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is None or not spec.name.startswith("stages."):
        return  # a worker process, or another program
    files = [m.__file__ for n, m in list(sys.modules.items()) if n.startswith("dancing.") and hasattr(m, "__file__")]
    record = {"files": sorted(filter(None, files)), "params": sorted(_read)}
    Path(os.environ["STAGE_TRACE"], f"{spec.name.removeprefix('stages.')}.json").write_text(json.dumps(record))


if "STAGE_TRACE" in os.environ:
    sys.meta_path.insert(0, _Finder())
    atexit.register(_dump)
