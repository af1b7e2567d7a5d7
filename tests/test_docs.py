"""README and docs/: their tables and settings match the library, and their links work."""

import re
import runpy
import tomllib
from pathlib import Path

import bioplaus as bp
from bioplaus.encoders import ENCODERS
from bioplaus.identities import FAMILIES
from bioplaus.measure.energy import parse, profiles
from bioplaus.measure.robustness import CURVES
from bioplaus.neurons import NEURONS
from bioplaus.rules import RULES
from bioplaus.study.plan import plan
from bioplaus.study.settings import Study

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text(page), re.S)


def test_toml_examples_are_valid():
    found = {page.name: [tomllib.loads(block) for block in blocks(page, "toml")] for page in PAGES}
    for study in found.pop("studies.md"):
        # the file of profiles is the reader's
        named = {"name": "a part of a study", **study, "profiles": []}
        assert plan(Study.model_validate(named), check=False)
    for block in blocks(DOCS / "energy.md", "toml"):
        assert parse(block)
    groups = {
        name
        for page in found.values()
        for block in page
        if "project" in block
        for name in block["project"]["entry-points"]
    }
    sources = "".join(text(f) for f in (ROOT / "bioplaus").rglob("__init__.py"))
    assert groups == set(re.findall(r'with_extensions\("([\w.]+)"', sources))


def test_tables_name_every_rule():
    for key in RULES:
        assert FAMILIES[key].credit, key
        assert FAMILIES[key].equals, key
    page = text(DOCS / "rules.md")
    assert page == runpy.run_path(str(DOCS / "make.py"))["rules_page"](page), (
        "run `python docs/make.py`"
    )
    readme = text(ROOT / "README.md").split("## What there is")[1]
    for kind in re.findall(r"^\| (rules: [^|]*)\| ([^|]*)\|", readme, re.M):
        assert set(re.findall(r"[a-z_]+", kind[1])) & set(RULES), kind


def test_counts_in_the_readme_are_right():
    readme = text(ROOT / "README.md")
    rates = [name for name, neuron in NEURONS.items() if neuron().at is None]
    for said, count in (
        ("rate functions", rates),
        ("neurons over time", NEURONS.keys() - set(rates)),
        ("encoders", ENCODERS),
        ("ways to disturb", CURVES),
        ("hardware profiles", profiles()),
    ):
        assert f"{len(count)} {said}" in readme
    assert len(readme.splitlines()) <= 120


def test_settings_are_those_of_the_library():
    make = runpy.run_path(str(DOCS / "make.py"))
    page = text(DOCS / "settings.md")
    assert page == make["settings_page"](), (
        "docs/settings.md is not what the library says now: run `python docs/make.py`"
    )
    assert "| `learning_rate` | a number above 0 | 0.002 |" in page
    for model in (Study, bp.study.Arm):
        assert not [name for name, field in model.model_fields.items() if not field.description]


def test_the_design_page_names_every_module():
    layout = text(DOCS / "design.md").split("## Layout")[1]
    rooms = {
        p.name + "/" * p.is_dir()
        for p in (ROOT / "bioplaus").iterdir()
        if p.is_dir() or p.suffix == ".py"
    }
    rooms = {room.removesuffix(".py") for room in rooms if not room.startswith("_")}
    assert len(rooms) > 20
    assert not [room for room in rooms if f"`{room}`" not in layout]


def headings(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def broken(page: Path, source: str) -> list[str]:
    """The links of a page that lead nowhere."""
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", source):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not link.startswith("http") and (
            not target.exists() or (anchor and anchor not in headings(text(target)))
        ):
            wrong.append(link)
    return wrong


def test_links_work():
    page = DOCS / "rules.md"
    assert broken(
        page, "[a](nowhere.md) [b](energy.md#nothing) [c](energy.md#profiles) [d](../README.md)"
    ) == [
        "nowhere.md",
        "energy.md#nothing",
    ]
    assert {page.name: found for page in PAGES if (found := broken(page, text(page)))} == {}
