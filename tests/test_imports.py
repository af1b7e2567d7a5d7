"""Imports between modules, encodings of text files, lengths of files, docstrings of rules."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bioplaus"
FILES = sorted(PACKAGE.rglob("*.py"))
RULE_FILES = sorted(
    f for f in (PACKAGE / "rules").glob("*.py") if f.name not in ("__init__.py", "by_layer.py")
)
OUTSIDE = ("experiments", "papers", "tests")

# Module or package -> the modules of bioplaus that it may import, beside its package. The longest
# matching name counts. Modules that match no name may import all.
ALLOWED = {
    "types": (),
    "salts": (),
    "checks": ("types",),
    "context": ("types",),
    "states": ("types",),
    "gains": ("types",),
    "net": ("types", "salts", "checks", "gains"),
    "arrays": ("types",),
    "outputs": ("types", "arrays"),
    "losses": ("types", "arrays", "outputs"),
    "hyper": (),
    "batches": ("types", "arrays", "net", "outputs"),
    "pools": ("types", "net"),
    "eligibility": ("types", "salts", "local", "net"),
    "support": ("types", "outputs"),
    "entry": "types batches context net outputs losses hyper encoders support".split(),
    "extensions": (),
    "neurons": ("types", "arrays", "hyper", "checks"),
    "local": ("types", "salts", "gains", "net", "outputs", "losses"),
    "modulators": "types salts checks net entry hyper extensions support".split(),
    "encoders": ("types", "salts", "net", "hyper"),
    "rules.shared": "types salts net outputs local neurons pools entry eligibility".split(),
    "layers": "types salts context gains net local neurons hyper checks pools".split(),
    "rules": (
        "types salts net outputs local pools entry hyper support eligibility rules.shared".split()
    ),
    # its eligibility is that of e-prop
    "rules.td": "types net outputs losses local entry hyper rules.shared rules.eprop".split(),
    "nef": "types local hyper neurons layers".split(),
    "measure": (
        "types arrays salts states context net outputs losses hyper batches entry encoders".split()
    ),
    "measure.robustness.attacks": "types salts net local outputs losses hyper entry".split(),
    "data": ("types", "extensions"),
    "training": "types salts states context net batches entry files".split(),
    "files": (),
    "optim": ("types", "hyper"),
    "structure": ("types", "salts", "net", "hyper", "optim"),
    "record": ("files", "measure"),
}

# Rules that train other weights than those of the net, by optax.
WITH_WEIGHTS = (
    "rules.clapp",
    "rules.eprop",
    "rules.kolen_pollack",
    "rules.dendritic_microcircuit",
    "rules.deep_feedback_control",
    "rules.local_losses",
    "rules.weight_mirror",
    "rules.target_propagation",
    "rules.difference_reconstruction",
    "rules.shared.inverses",
)


def module(path: Path) -> str:
    """bioplaus/rules/backprop.py -> rules.backprop; bioplaus/rules/__init__.py -> rules."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, package: str = "") -> set[str]:
    """Full names of the modules that a source imports, inside functions, too.

    `from a import b` counts as a.b.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parts, *filter(None, [node.module])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def within(name: str, parents) -> bool:
    return any(name == p or name.startswith(f"{p}.") for p in parents)


def violations(path_module: str, names: set[str]) -> list[str]:
    """The imports of a module that the table does not allow."""
    wrong = [n for n in names if n.split(".")[0] in OUTSIDE]
    if not within(path_module, ["layers.flax"]):
        wrong += [n for n in names if n.split(".")[0] == "flax"]
    own = [n.removeprefix("bioplaus.") for n in names if n.split(".")[0] == "bioplaus"]
    matches = [m for m in ALLOWED if within(path_module, [m])]
    if matches:
        key = max(matches, key=len)
        beside = () if key == "rules" else (key if key.startswith("rules") else key.split(".")[0],)
        wrong += [n for n in own if not within(n, (*ALLOWED[key], *beside))]
    if within(path_module, ["rules"]):
        third = {"jax", "typing", "collections"} | (
            {"optax"} if path_module in WITH_WEIGHTS else set()
        )
        wrong += [n for n in names if n.split(".")[0] not in third | {"bioplaus"}]
    if within(path_module, ["training", "measure", "data"]):
        wrong += [n for n in own if within(n, ["rules"])]
    return sorted(set(wrong))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports(path):
    if path == PACKAGE / "rules" / "__init__.py":  # the table of rules
        return
    package = (
        f"bioplaus.{module(path)}"
        if path.name == "__init__.py"
        else f"bioplaus.{module(path)}".rpartition(".")[0]
    )
    assert not violations(module(path), imports(path.read_text(encoding="utf-8"), package))


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("types", "from bioplaus.net import forward"),
        ("net", "from bioplaus import local"),
        ("losses", "import bioplaus.layers"),
        ("rules.backprop", "from bioplaus.rules.feedback_alignment import State"),
        ("rules.backprop", "def f():\n    from bioplaus.layers import dense"),
        ("rules.backprop", "import optax"),
        ("rules.backprop", "import numpy"),
        ("rules.backprop", "from .feedback_alignment import State"),
        ("layers.basic", "import flax.nnx"),
        ("training.train", "from bioplaus.rules import backprop"),
        ("measure.cost", "from bioplaus import rules"),
        ("measure.cost", "from bioplaus.local import pull"),
        ("data.digits", "from bioplaus.net import forward"),
        ("record.rows", "from bioplaus.study.settings import Arm"),
        ("record.measures", "from bioplaus.report.text import si"),
        ("study.runner", "import experiments.sweep"),
        ("cli", "from tests import mutants"),
    ],
)
def test_forbidden_imports_are_detected(where, source):
    assert violations(where, imports(source, "bioplaus." + where.rpartition(".")[0]))


def test_allowed_imports_pass():
    assert not violations(
        "layers.flax", imports("from flax import nnx\nfrom bioplaus.local import by_vjp")
    )
    assert not violations(
        "rules.kolen_pollack", imports("import jax\nimport optax\nfrom bioplaus.net import forward")
    )
    assert not violations(
        "study.runner", imports("from bioplaus.rules import RULES\nfrom bioplaus import train")
    )
    assert not violations(
        "measure.robustness.attacks.gradient", imports("from bioplaus.local import error_of")
    )


SOURCES = sorted(
    f for d in ("bioplaus", "tests", "experiments", "papers") for f in (ROOT / d).rglob("*.py")
)


def test_no_pickle():
    """Files from elsewhere must not run code: no pickle, and no array file with pickled objects."""
    word = re.compile(
        r"\bimport (cloud)?pickle\b|\bfrom (cloud)?pickle\b|\ballow_" + r"pickle\s*=\s*True"
    )
    assert word.search("import pickle")
    assert word.search("np.load(f, allow_" + "pickle=True)")
    assert not [
        str(f)
        for f in SOURCES
        if f != Path(__file__) and word.search(f.read_text(encoding="utf-8"))
    ]


def unnamed(source: str) -> list[str]:
    """Calls that open a text file without encoding="utf-8", so that the user's locale decides."""
    found = []
    for node in [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]:
        name = ast.unparse(node.func)
        if not re.search(r"(^|\.)(open|fdopen|read_text|write_text)$", name) or name in (
            "os.open",
            "tarfile.open",
        ):
            continue
        said = {k.arg: ast.unparse(k.value) for k in node.keywords}
        # the positional arguments after the file
        given = [ast.unparse(a) for a in node.args[1 if name in ("open", "os.fdopen") else 0 :]]
        mode = said.get("mode", given[0] if given else "")
        if said.get("encoding") != "'utf-8'" and not (
            name.endswith("open") and re.fullmatch("'[rwax]b[+]?'", mode)
        ):
            found.append(ast.unparse(node))
    return found


def test_text_files_are_utf_8_everywhere():
    for call in (
        "open(f)",
        "open(f, 'w')",
        "f.open()",
        "f.open('r')",
        "a.b(c).read_text()",
        "f.write_text(s, encoding='ascii')",
    ):
        assert unnamed(call) == [call]
    for call in (
        "open(f, 'rb')",
        "f.open('wb')",
        "open(f, mode='rb')",
        "os.open(f, flags)",
        "f.write_text(s, encoding='utf-8')",
    ):
        assert not unnamed(call)
    assert not {str(f): calls for f in SOURCES if (calls := unnamed(f.read_text(encoding="utf-8")))}


# Files longer than 300 lines that are still to be split.
TO_BE_SPLIT = ("bioplaus/measure/robustness/suite.py",)


def test_files_are_short():
    lengths = {
        str(f.relative_to(ROOT)): len(f.read_text(encoding="utf-8").splitlines()) for f in SOURCES
    }
    assert len(lengths) > 30
    assert not {f: n for f, n in lengths.items() if n > 300 and f not in TO_BE_SPLIT}
    # the table of rules has a line or three for each of them
    rules = [f for f in lengths if f.startswith("bioplaus/rules/") and "__init__" not in f]
    assert len(rules) > 30
    assert not {f: lengths[f] for f in rules if lengths[f] > 200}


def long_functions(source: str) -> list[str]:
    """The functions of more than 60 lines.

    A factory of rules may be longer; the functions inside it may not.
    """
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
        and (node.end_lineno or 0) - node.lineno >= 60
        and not (node.returns and ast.unparse(node.returns) == "Rule")
    ]


def test_functions_are_short():
    body = "\n    pass" * 60
    assert long_functions(f"def f():{body}") == ["f"]
    assert not long_functions(f"def f():{body[: -len('    pass')]}")
    assert not long_functions(f"def f() -> Rule:{body}")
    found = {str(f): long_functions(f.read_text(encoding="utf-8")) for f in FILES}
    assert len(found) > 150
    assert not {f: names for f, names in found.items() if names}


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda p: p.stem)
def test_rule_docstrings(path):
    """An equation, a year, a link, and what departs from the paper."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert re.search(r"^    .*\b\w+ (=|<-) ", text, re.M), "an indented equation"
    assert re.search(r"\b(19|20)\d\d\b", text), "a year"
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|doi:10\.|https://", text), "a link"
    assert "Departures" in text


def test_every_rule_is_in_the_table():
    table = imports((PACKAGE / "rules" / "__init__.py").read_text(encoding="utf-8"))
    for path in RULE_FILES:
        assert within_table(path.stem, table), f"{path.name} is not imported by rules/__init__.py"


def within_table(stem: str, table: set[str]) -> bool:
    return any(n.startswith(f"bioplaus.rules.{stem}.") for n in table)
