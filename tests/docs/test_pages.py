"""Docs do what they say: commands run with the stated exit code, Python runs, links lead somewhere, options exist."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from microgrid.cli.main import cli, main

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if not {"generated", "_build"} & set(path.relative_to(DOCS).parts))
TEXTS = [
    *PAGES,
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "cases").glob("*/README.md")),
]
FENCE = re.compile(r"^```(?P<language>\{code-block\} \w+|\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALLS = re.compile(r"\bpip\b|\bvenv\b|sphinx-build|lint-imports")


class Fence(NamedTuple):
    """A code block: its language, the file it shows (if any), and its text."""

    language: str
    file: str
    text: str


def fences(page: Path) -> Iterator[Fence]:
    for found in FENCE.finditer(page.read_text(encoding="utf-8")):
        language, body = found["language"].removeprefix("{code-block} "), found["body"]
        caption = re.match(r":caption: (\S+)\n", body)
        yield Fence(language, caption[1] if caption else "", body[caption.end() :] if caption else body)


def commands(text: str) -> Iterator[tuple[list[str], int]]:
    """Words of every `microgrid` command in a shell block, and the exit code that its comment states."""
    for line in text.splitlines():
        code = re.search(r"# exit (\d+)\s*$", line)
        for part in re.split(r"&&", line.partition("  # ")[0]):
            words = shlex.split(part.partition(" > ")[0])
            if words[:1] == ["microgrid"]:
                yield words[1:], int(code[1]) if code else 0


RUN = [
    page for page in (*PAGES, ROOT / "README.md") if any(fence.language in {"sh", "python"} for fence in fences(page))
]


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_of_a_page_run_and_say_what_is_shown(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    heard = ""
    for fence in fences(page):
        if fence.file:
            path = tmp_path / fence.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fence.text, encoding="utf-8")
        elif fence.language == "python":
            exec(compile(fence.text, str(page), "exec"), names)  # noqa: S102 - our own page
        elif fence.language == "sh":
            for words, code in commands(fence.text):
                with pytest.raises(SystemExit) as ended:
                    main(words)
                said = capsys.readouterr()
                heard = f"{said.out}\n{said.err}"
                assert int(ended.value.code or 0) == code, f"{shlex.join(words)}\n{heard}"
        elif fence.language == "text" and heard:
            for part in filter(None, (piece.strip() for line in fence.text.splitlines() for piece in line.split("…"))):
                assert " ".join(part.split()) in " ".join(heard.split()), f"{page.name}: {part}\n{heard}"


def test_the_pages_that_must_run_do() -> None:
    """A page whose fences were renamed would otherwise pass by running nothing."""
    names = {page.stem for page in RUN}
    assert {
        "first_case",
        "own_series",
        "own_network",
        "own_asset",
        "tariff_from_a_sheet",
        "infeasible_case",
        "python",
    } <= names
    assert (
        sum(1 for page in RUN for fence in fences(page) if fence.language == "sh" for _ in commands(fence.text)) >= 15
    )


def mentioned(text: str) -> Iterator[str]:
    """Every `microgrid …` command line in a text, in code."""
    plain = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`(microgrid [a-z][^`]*)`", plain)
    for fence in FENCE.finditer(text):
        if fence["language"] == "sh":
            yield from (
                part.strip()
                for part in re.findall(
                    r"(?<![\w/.])(?:\.venv/bin/)?(microgrid [a-z].*?)(?=&&|$)", fence["body"], re.MULTILINE
                )
            )


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_that_are_mentioned_exist(page: Path) -> None:
    for line in mentioned(page.read_text(encoding="utf-8")):
        words = shlex.split(line.partition("  # ")[0].replace("…", ""))[1:]
        command: click.Command = cli
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            name = words.pop(0)
            if re.fullmatch(r"[A-Z_.]+", name):
                break
            choices = name.split("|")
            assert set(choices) <= set(command.commands), f"{page.name}: {line}"
            command = command.commands[choices[0]]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        stated = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert stated <= known, f"{page.name}: {line}"


LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_lead_to_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists() and "generated/" not in link]
    paths = re.findall(r"`((?:microgrid|docs|tests|cases|networks)/[\w./-]+)`", text)
    missing += [path for path in paths if not (ROOT / path).exists()]
    assert missing == []


def test_generated_pages_hold_every_kind_command_and_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    from generate import write_reference  # type: ignore[import-not-found]

    from microgrid.case.kinds import built_in

    pages = {path.stem: path.read_text(encoding="utf-8") for path in write_reference(tmp_path)}
    sys.modules.pop("generate", None)
    for kind, found in built_in().items():
        for field in set(found.model_fields) - {"kind"}:
            assert f"| `{field}` |" in pages[kind], f"{kind}.{field}"
    for name in ("solve", "tariff check", "economics hashprice", "import"):
        assert f"## microgrid {name}\n" in pages["commands"]
    assert r"e_{t+1} = (1-\sigma)^{\Delta_t} e_t" in pages["battery"]
    for page in pages.values():
        outside = re.sub(r"\$[^$\n]+\$|`[^`]*`|```.*?```", "", page.replace(r"\$", ""), flags=re.DOTALL)
        assert "$" not in outside


def test_readme_gives_two_commands_for_a_fresh_machine() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = [
        fence.text.strip()
        for fence in fences(ROOT / "README.md")
        if fence.language == "sh" and INSTALLS.search(fence.text)
    ]
    assert len(blocks) == 2
    assert all(
        "\n" not in block and block.startswith("python3 -m venv .venv && .venv/bin/pip install") for block in blocks
    )
    assert blocks[0].endswith(".venv/bin/microgrid solve ercot_hybrid_campus")
    assert "-m pytest" in blocks[1]
    assert text.index("<!-- tests -->") < text.index(blocks[1])


def test_licence_and_citation_agree_with_the_package() -> None:
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.*)"$', project, re.MULTILINE)
    assert version is not None
    assert f"version: {version[1]}\n" in citation
    assert "license: Apache-2.0\n" in citation
