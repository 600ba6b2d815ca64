"""Checks the documentation: nothing is out of date, the site builds, links lead somewhere, commands exist.

    python -m docgen.check                # everything but running commands
    python -m docgen.check --run cheap    # and run the blocks marked as cheap
    python -m docgen.check --run docs/how-to/experiments.md    # and run all blocks of one page; `all`: of every page

A fenced block is cheap if ``<!-- cheap -->`` stands on the line before it. Commands run in a copy of the project in a
temporary folder; for blocks that are not cheap its DVC outputs are checked out there, if they are in the cache.
"""

import argparse
import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dancing.params import ParamsError, load_params
from docgen import ROOT, pages
from docgen.fill import MARKER, PageError, stale

FENCE = re.compile(
    r"^(?P<cheap><!-- cheap -->\n)?(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^(?P=indent)```", re.M | re.S
)
INLINE = re.compile(r"`([^`\n]+)`")
COMMENT = re.compile(r"<!--.*?-->", re.S)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
SECTIONS = ("data", "features", "vae", "prior", "gan", "evaluate", "render", "mlflow")
PARAMETER = re.compile(rf"`({'|'.join(SECTIONS)})\.(\w+)(?:: ?[^`]*)?`")
PARAMS = ("params.yaml", *(f"pipelines/{name}/params.yaml" for name in ("digits", "faces", "param_tanh")))
SUFFIXES = ("json", "yaml", "csv", "mp4", "npz", "png", "db")  # `render.mp4` is a file, not a parameter
PLACEHOLDERS = ("NAME", "FOLDER", "SONG", "...", "section.key", "=/path")
#: Pages whose figures are all generated, and what looks like a figure there but is none.
MEASURED = ("README.md", "docs/index.md", "docs/results.md", "docs/lessons.md")
NO_FIGURES = ("3.11 or 3.12", "0.2 torso lengths", "(1.0)", "95 %", "from -1 to -0.5")
FIGURE = re.compile(r"\d+\.\d+|\d+ ?%")
#: Commands that wait for somebody, need a network, or set up the environment that is running.
BY_HAND = (
    *("make ui", "make app", "make plots", "make .venv/python", "make setup", "make demo", "make test"),
    *(
        "dancing app",
        "dancing ui",
        "dancing check data/raw",
        "dancing promote",
        "dancing compare",
        "mlflow ",
        "export ",
    ),
    *("python -m data.mnist", "source ", "dancing render song.mp3 --model"),
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    code: str
    cheap: bool

    def commands(self) -> Iterator[str]:
        """Of a block of shell commands, one at a time, without comments."""
        for line in self.code.replace("\\\n", " ").splitlines():
            command = re.sub(r"(^|\s+)# .*$", "", line).strip()
            yield from filter(None, re.split(r"\s*(?:&&|;)\s*", command))


def blocks() -> Iterator[Block]:
    """Every fenced block of every page."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            line, indent = text.count("\n", 0, match.start("indent")) + 1, match["indent"]
            code = "\n".join(row.removeprefix(indent) for row in match["code"].splitlines()) + "\n"
            yield Block(str(page.relative_to(ROOT)), line, match["language"], code, bool(match["cheap"]))


def written(page: Path) -> str:
    """What a person wrote of a page: without what is generated, fenced blocks and comments."""
    return COMMENT.sub("", FENCE.sub("", MARKER.sub("", page.read_text(encoding="utf-8"))))


def broken_links(page: Path) -> list[str]:
    """Relative links of a page in Markdown that lead to no file or no heading. MkDocs checks those within docs/."""
    text, found = FENCE.sub("", page.read_text(encoding="utf-8")), []
    for match in LINK.finditer(text):
        path, _, anchor = match["target"].partition("#")
        if "://" in path:
            continue
        target = (page.parent / path) if path else page
        if not target.exists():
            found.append(f"{page.relative_to(ROOT)}: no file {path}")
        elif anchor and anchor not in _anchors(target):
            found.append(f"{page.relative_to(ROOT)}: no heading {match['target']}")
    return found


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.M):
        given = re.search(r"\{ ?#([\w-]+) ?\}", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        found.add(given[1] if given else slug)
    return found


def typed_figures(page: Path) -> list[str]:
    """Figures that are typed by hand in a page where all should come from what was measured."""
    text = LINK.sub("", INLINE.sub("", written(page)))
    for allowed in NO_FIGURES:
        text = text.replace(allowed, "")
    return [f"{page.relative_to(ROOT)}: {figure} is typed by hand" for figure in FIGURE.findall(text)]


def unknown_parameters(page: Path) -> list[str]:
    """Parameters that a page names and no params.yaml has."""
    known = {
        (section, key) for values in map(_values, PARAMS) for section, keys in values.items() for key in keys or {}
    }
    return [
        f"{page.relative_to(ROOT)}: no parameter {section}.{key}"
        for section, key in PARAMETER.findall(written(page))
        if (section, key) not in known and key not in SUFFIXES
    ]


@cache
def _values(path: str) -> dict[str, dict[str, Any]]:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def build_site() -> list[str]:
    """Faults of a strict build, and what its pages would load from a network."""
    with tempfile.TemporaryDirectory() as folder:
        done = _run([_tool("mkdocs"), "build", "-q", "--strict", "-d", folder])
        faults = done.stderr.splitlines() if done.returncode else []
        for page in Path(folder).rglob("*.html"):
            for tag in re.findall(r"<(?:script|img|link|iframe)\b[^>]*>", page.read_text(encoding="utf-8")):
                loaded = re.search(r'(?:src|href)="?(?:https?:)?//', tag)
                if loaded and 'rel="canonical"' not in tag:
                    faults.append(f"{page.name} loads from a network: {tag}")
    return faults


def faulty_commands() -> list[str]:
    """Commands in blocks and in running text that can't work: their module, target, option, file or key is missing."""
    wanted: dict[str, str] = {}
    faults = []
    for block in blocks():
        where = f"{block.page}:{block.line}"
        if block.language == "sh":
            wanted |= dict.fromkeys(block.commands(), where)
        elif block.language == "python":
            try:
                ast.parse(block.code)
            except SyntaxError as error:
                faults.append(f"{where}: {error}")
    for page in pages():
        for code in INLINE.findall(written(page)):
            if code.startswith(("make ", "dvc ", "dancing ", "python -m ")) and not any(
                part in code for part in PLACEHOLDERS
            ):
                wanted.setdefault(code, str(page.relative_to(ROOT)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # most of it is waiting for --help
        for where, fault in zip(wanted.values(), pool.map(_fault, wanted), strict=True):
            if fault:
                faults.append(f"{where}: {fault}")
    return faults


def _fault(command: str) -> str | None:
    """Why a command can't work, or None."""
    words = [word for word in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    match words:
        case ["make", *targets]:
            done = _run(["make", "-n", *targets])
            return f"{command}: {done.stderr.strip()}" if done.returncode else None
        case ["python", "-m", module, *arguments]:
            return _module_fault(module, arguments)
        case ["dancing", *arguments]:
            return _module_fault("dancing.cli", arguments)
        case ["torchrun", *words] | ["py-spy", "record", *words] if "-m" in words:
            return _module_fault(words[words.index("-m") + 1], words[words.index("-m") + 2 :])
        case ["dvc", *arguments]:
            return _dvc_fault(arguments)
        case ["git", "checkout", path]:
            return None if (ROOT / path).exists() else f"{command}: no file {path}"
        case ["mlflow", *arguments]:
            help_text = _help((_tool("mlflow"), *arguments[: 2 if arguments[0] == "models" else 1]))
            options = [word for word in arguments if word.startswith("--")]
            missing = next((option for option in options if help_text is None or option not in help_text), None)
            return f"{command}: no option {missing}" if missing else None
        case ["export"]:  # its setting was taken off above
            return None
        case ["source", ".venv/bin/activate"] | ["git", "add" | "commit", *_] | ["dask", "scheduler" | "worker", *_]:
            return None
    return f"{command}: a command that docgen/check.py doesn't know"


def _module_fault(module: str, arguments: list[str]) -> str | None:
    place = module.replace(".", "/")
    if not any((ROOT / root / f"{place}{end}").is_file() for root in (".", "src") for end in (".py", "/__main__.py")):
        return f"no module {module}"
    if module == "dancing.cli" and arguments[0] == "preset":
        names = {str(p.relative_to(ROOT / "presets").with_suffix("")) for p in (ROOT / "presets").rglob("*.yaml")}
        names |= {name.rpartition("/")[2] for name in names}
        return next(
            (f"no preset {name}; known: {', '.join(sorted(names))}" for name in arguments[1:] if name not in names),
            None,
        )
    options = [word for word in arguments if word.startswith("--")]
    if not options:
        return None
    command = [arguments[0]] if module == "dancing.cli" else []
    help_text = _help((sys.executable, "-m", module, *command))
    if help_text is None:
        return f"{' '.join(['python -m', module, *command])} --help fails"
    missing = next((option for option in options if option not in help_text), None)
    return f"python -m {module} has no option {missing}" if missing else None


def _dvc_fault(arguments: list[str]) -> str | None:
    command = arguments[: 2 if arguments[0] in ("exp", "queue", "metrics", "plots", "params", "stage") else 1]
    help_text = _help((_tool("dvc"), *command))
    if help_text is None:
        return f"no command dvc {' '.join(command)}"
    if command == ["remote"]:  # which names a place of the user's
        return None if help_text and arguments[1] in help_text else f"no command dvc remote {arguments[1]}"
    rest, overrides = arguments[len(command) :], []
    while rest:
        word = rest.pop(0)
        if word.startswith("-") and not re.search(rf"{word}\b", help_text):
            return f"dvc {' '.join(command)} has no option {word}"
        if word in ("-j", "--jobs", "--drop"):
            rest.pop(0)
        elif word in ("-S", "--set-param"):
            overrides.append(rest.pop(0))
        elif not word.startswith("-") and word != "data/raw" and not (ROOT / word).exists():  # the user's clips
            return f"no file {word}"
    return _override_fault(overrides)


def _override_fault(overrides: list[str]) -> str | None:
    """Why params.yaml, or another file that is named, isn't valid with these values in it, or None."""
    changes: dict[str, list[str]] = {}
    for override in overrides:
        path, _, setting = override.rpartition(":")
        changes.setdefault(path or "params.yaml", []).append(setting)
    for path, settings in changes.items():
        if not (ROOT / path).exists():
            return f"no file {path}"
        values = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
        for setting in settings:
            key, _, value = setting.partition("=")
            section, _, name = key.partition(".")
            if name not in values.get(section, {}):
                return f"{path} has no {key}"
            values[section][name] = yaml.safe_load(value)
        with tempfile.TemporaryDirectory() as folder:
            changed = Path(folder) / "params.yaml"
            changed.write_text(yaml.safe_dump(values), encoding="utf-8")
            try:
                load_params(changed)
            except ParamsError as error:
                return str(error)
    return None


@cache
def _help(command: tuple[str, ...]) -> str | None:
    done = _run([*command, "--help"])
    return None if done.returncode else done.stdout


def _tool(name: str) -> str:
    """A program of this environment."""
    return str(Path(sys.executable).with_name(name))


def _run(command: list[str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{cwd / 'src'}{os.pathsep}{cwd}",
        "NO_MKDOCS_2_WARNING": "1",
        "DVC_NO_ANALYTICS": "1",
        "COLUMNS": "200",  # long options are cut in narrow tables
    }
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def run_blocks(which: str) -> list[str]:
    """Run cheap blocks, those of one page, or all; what fails."""
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        _copy_project(copy, with_outputs=which != "cheap")
        for block in blocks():
            if block.language not in ("sh", "python") or not (block.cheap or which in ("all", block.page)):
                continue
            for command in [block.code] if block.language == "python" else block.commands():
                if block.language == "sh" and command.startswith(BY_HAND):
                    continue
                program = [sys.executable, "-c"] if block.language == "python" else ["bash", "-ec"]
                done = _run([*program, command], copy)
                print(f"{block.page}:{block.line}: {command.splitlines()[0]}: {'failed' if done.returncode else 'ran'}")
                if done.returncode:
                    faults.append(f"{block.page}:{block.line}: {command}\n{done.stdout}{done.stderr}")
    return faults


def _copy_project(copy: Path, with_outputs: bool) -> None:
    """The project as it is, uncommitted changes included, as a clone of its own."""
    _run(["git", "clone", "-q", str(ROOT), str(copy)])
    for name in _run(["git", "ls-files", "-com", "--exclude-standard"]).stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    if with_outputs:
        cache_folder = _run([_tool("dvc"), "cache", "dir"]).stdout.strip()
        _run([_tool("dvc"), "cache", "dir", "--local", cache_folder], copy)
        _run([_tool("dvc"), "checkout"], copy)  # what isn't in the cache is made by the commands
        song = copy / "data/demo/songs/song_1.mp3"
        if song.exists():
            shutil.copy(song, copy / "song.mp3")


def main() -> None:
    """Check the documentation; exit with the faults."""
    parser = argparse.ArgumentParser(prog="python -m docgen.check", description=__doc__.splitlines()[0])
    parser.add_argument("--run", metavar="WHICH", help="cheap, all, or a page: run its blocks, too")
    which = parser.parse_args().run
    try:
        faults = stale()
    except PageError as error:
        faults = [str(error)]
    faults += build_site()
    for page in pages():
        faults += unknown_parameters(page)
        if page.name == "README.md":
            faults += broken_links(page)
        if str(page.relative_to(ROOT)) in MEASURED:
            faults += typed_figures(page)
    faults += faulty_commands()
    if which:
        faults += run_blocks(which)
    if faults:
        sys.exit("\n".join([*faults, f"{len(faults)} fault{'s' * (len(faults) > 1)} in the documentation"]))
    print(f"{len(pages())} pages: up to date, links and commands as they should be")


if __name__ == "__main__":
    main()
