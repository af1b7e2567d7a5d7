"""The code of README and docs/ runs, from the sources and from an installed wheel."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text(page), re.S)


def run(code: str, **options) -> str:
    quick = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=quick,
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_of_the_readme_learns():
    """All but the study at its end."""
    code, _ = "\n".join(blocks(ROOT / "README.md", "python")).split("table =")
    (accuracy,) = re.findall(r"accuracy ([\d.]+)", run(code, cwd=ROOT))
    assert float(accuracy) > 0.9


@pytest.mark.slow
def test_the_python_of_the_readme_runs_and_learns():
    code = "\n".join(blocks(ROOT / "README.md", "python"))
    said = run(code.replace('["bp", "fa", "dfa"]', '["fa"]'), cwd=ROOT)  # two arms less to compile
    (accuracy,) = re.findall(r"accuracy ([\d.]+)", said)
    assert float(accuracy) > 0.9
    for rule in ("fa", "frozen"):
        assert re.search(rf"\b{rule}\b", said)


@pytest.mark.slow
def test_the_python_of_the_pages_runs():
    """Each page by itself, in one process: what a page uses, it imports."""
    pages = {str(page): "\n".join(found) for page in PAGES[1:] if (found := blocks(page, "python"))}
    assert len(pages) > 6
    said = run(
        f"for page, code in {pages!r}.items():\n    exec(compile(code, page, 'exec'), {{}})\n   "
        " print('ran', page)",
        cwd=ROOT,
    )
    assert re.findall(r"ran (.*)", said) == list(pages)


@pytest.mark.slow
def test_a_wheel_carries_everything_and_runs_elsewhere(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=300)
    if done.returncode and re.search(
        "ConnectionError|Could not find a version|Temporary failure|NewConnectionError",
        done.stdout + done.stderr,
    ):
        pytest.skip("the build backend cannot be downloaded here")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert not [n for n in names if n.startswith(("tests/", "experiments/", "papers/", "docs/"))]
    (tmp_path / "site").mkdir()
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\nimport bioplaus\n"
    code += f"assert bioplaus.__file__.startswith({str(tmp_path)!r})\n"
    (quick_start,) = blocks(ROOT / "README.md", "python")
    short = (
        quick_start.replace("range(200)", "range(60)").split("table =")[0]
        + "import bioplaus.report, bioplaus.study.run"
    )
    assert "accuracy" in run(code + short, cwd=tmp_path)
