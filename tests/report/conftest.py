"""A realistic synthetic run folder."""

import csv
import json

import numpy as np
import pytest

from bioplaus.files import seal

RANKS = [
    ("dfa", "bp", 0.97),
    ("bp", "pc", 1.0),
    ("bp", "ep", 0.999),
    ("fa", "kp", 0.949),
    ("frozen", "bp", 0.99),
    ("bp", "fa", 0.5),
]
COLUMNS = [
    "data",
    "net",
    "rule",
    "neuron",
    "modulator",
    "seed",
    "condition",
    "measure",
    "value",
    "unit",
]
FINAL = {
    "bp": 0.972,
    "fa": 0.958,
    "kp": 0.969,
    "usf": 0.966,
    "dfa": 0.951,
    "np": 0.874,
    "pc": 0.968,
    "ep": 0.948,
    "frozen": 0.893,
}
PROFILES = {"horowitz45": 1.0, "jouppi7": 0.31, "h200": 4.5, "loihi1": 2.2, "biology": 3e-4}
MACS = {
    "bp": 1.6,
    "fa": 1.6,
    "kp": 1.9,
    "usf": 1.6,
    "dfa": 1.35,
    "np": 2.0,
    "pc": 22.0,
    "ep": 31.0,
    "frozen": 0.68,
}


def make_rows(rules=tuple(FINAL), seeds=range(5), layers=3):
    """The rows of a run in which np's seed 3 diverges, and the transferred attack beats PGD on
    fa.
    """
    rng = np.random.default_rng(0)
    rows = []

    def add(rule, seed, condition, measure, value, unit):
        rows.append(
            dict(
                zip(
                    COLUMNS,
                    [
                        "mnist",
                        "mlp 784-512-512-10",
                        rule,
                        "relu",
                        "none",
                        seed,
                        condition,
                        measure,
                        value,
                        unit,
                    ],
                    strict=True,
                )
            )
        )

    for rule in rules:
        final = FINAL.get(rule, 0.9)
        for seed in seeds:
            shift = rng.normal(0, 0.004)
            if (rule, seed) == ("np", 3):
                add(rule, seed, "training", "diverged at", 400, "step")
                add(rule, seed, "clean", "accuracy", 0.098, "fraction")
                add(rule, seed, "step=500", "accuracy at step", "nan", "fraction")
                continue
            add(rule, seed, "clean", "accuracy", final + shift, "fraction")
            for step in range(0, 2001, 200):
                rate = 0.002 if rule in ("np", "ep") else 0.006
                reached = (
                    0.1 + (final + shift - 0.1) * (1 - np.exp(-rate * step))
                    if step < 2000
                    else final + shift
                )
                add(rule, seed, f"step={step}", "accuracy at step", reached, "fraction")
                add(
                    rule,
                    seed,
                    f"step={step}",
                    "loss",
                    2.3 * (1.02 - reached) + abs(rng.normal(0, 0.01)),
                    "nat",
                )
                for layer in range(1, layers + 1):
                    top = (
                        0.0
                        if rule == "bp" or (layer == layers and rule not in ("np", "ep", "pc"))
                        else 88.0
                    )
                    low = {"kp": 8, "usf": 32, "pc": 12, "ep": 18, "np": 84, "frozen": 90}.get(
                        rule, 55
                    )
                    angle = (
                        low + (top - low) * np.exp(-0.002 * step) + rng.normal(0, 1.5)
                        if top
                        else 0.0
                    )
                    add(
                        rule,
                        seed,
                        f"step={step} layer={layer}",
                        "angle to backprop",
                        abs(angle),
                        "degree",
                    )
                    if rule in ("fa", "kp") and layer > 1:
                        add(
                            rule,
                            seed,
                            f"step={step} layer={layer}",
                            "feedback angle",
                            abs(angle) + 5,
                            "degree",
                        )
                if rule in ("pc", "ep"):
                    add(
                        rule,
                        seed,
                        f"step={step}",
                        "residual",
                        1e-3 * (1 + step / 500) * abs(rng.normal(1, 0.2)),
                        "relative",
                    )
            if rule != "ep":
                name = "between seeds" if rule == "bp" else "to backprop"
                for l, m in np.ndindex(layers - 1, layers - 1):
                    alike = (0.9 if l == m else 0.6) - 0.1 * l + 0.01 * seed
                    for measure, value in (("cka", alike), ("rsa", alike - 0.1)):
                        add(
                            rule,
                            seed,
                            f"layer={l + 1} twin layer={m + 1}",
                            f"{measure} {name}",
                            value,
                            "ratio",
                        )
            for kind, grid, slope in (
                ("input noise", (0, 0.1, 0.2, 0.4), 0.5),
                ("weight noise", (0, 0.1, 0.2, 0.4), 1.2),
                ("lesion", (0, 0.1, 0.3, 0.5), 0.4),
                ("pgd", (0, 0.02, 0.05, 0.1), 9.0),
                ("transfer", (0, 0.02, 0.05, 0.1), 3.0),
                ("random sign", (0, 0.02, 0.05, 0.1), 0.3),
            ):
                if kind == "transfer" and rule == "bp":
                    continue
                slope = (
                    4.0
                    if (kind, rule) == ("pgd", "fa")
                    else 6.0
                    if (kind, rule) == ("transfer", "fa")
                    else slope
                )
                for s in grid:
                    value = max(
                        0.02,
                        (final + shift) * np.exp(-slope * s) + (rng.normal(0, 0.006) if s else 0),
                    )
                    add(rule, seed, f"{kind}={s}", "accuracy", min(value, 1.0), "fraction")
        macs = MACS.get(rule, 1.5) * 1e6
        for phase, share in (
            ("forward", 0.4),
            ("credit", 0.2),
            ("update", 0.35),
            ("auxiliary", 0.0),
            ("other", 0.05),
            ("training", 1.0),
        ):
            add(rule, "", phase, "macs", round(macs * share), "MAC/sample")
        add(rule, "", "inference", "macs", 669_706, "MAC/sample")
        for measure, pj in (("energy op", 4.6), ("energy memory", 3.1), ("energy total", 7.7)):
            for profile, price in PROFILES.items():
                for q, factor in (("median", 1.0), ("p05", 0.55), ("p95", 1.8)):
                    condition = q if profile == "horowitz45" else f"{profile} {q}"
                    silent = (profile, measure) == ("biology", "energy memory")
                    joule = 0.0 if silent else macs * pj * 1e-12 * factor * price
                    add(rule, "", condition, measure, joule, "J/sample")
    return rows


def make_summary(rows):
    rules = list(dict.fromkeys(r["rule"] for r in rows))
    card = lambda rule: [  # noqa: E731
        ["Weight transport", "yes: W^T is read on the way back" if rule == "bp" else "no"],
        ["Phases", "two, the second nudged" if rule == "ep" else "one forward, one backward"],
        ["Needs the derivative of the neuron", "no" if rule == "np" else "yes"],
        ["Update locked until", "the output is known"],
        ["Words read that are not at the synapse", "0" if rule == "np" else "1 signal a neuron"],
    ]
    return {
        "name": "Learning rules on MNIST",
        "version": "0.1.0",
        "data_note": "The test set (10,000 images) was used once, after training; settings were"
                     " chosen on a validation split.",
        "settings": "common",
        "energy_profile": "horowitz45",
        "energy_profiles": {name: f"what {name} is" for name in PROFILES},
        "energy_clocked": ["horowitz45", "jouppi7", "h200"],
        "energy_unpriced": {"biology": ["synapse_updates"]},
        "study": {"rules": rules, "data": "mnist", "batch": 128, "steps": 2000, "tx": "adam",
                  "energy": {"profile": "horowitz45"}},
        "attack": "true gradient of the deployed forward function, finite-difference checked",
        "arms": [
            {"label": r, "data": "mnist", "net": "mlp 784-512-512-10", "rule": r,
             "neuron": "relu", "modulator": "none", "settled": {"pc": True, "ep": False}.get(r),
             "diverged": [3] if r == "np" else [], "card": card(r)}
            for r in rules
        ],
        "chance": 0.0,
        "comparisons": [],
        "energy_ranks": [
            {"a": a, "b": b, "r": r}
            for a, b, r in RANKS
            if a in rules and b in rules
        ],
        "warnings": ["ep: the residual did not fall below 1e-3 at 3 of 11 checks."],
    }  # fmt: skip


def write_run(folder, rows, summary=None, timing=None):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "results.csv").open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    for name, content in (("summary", summary), ("timing", timing)):
        (folder / f"{name}.json").write_text(json.dumps(content or {}), encoding="utf-8")
    seal(folder / "results.sums.json", ("results.csv", "summary.json", "timing.json"))
    return folder


@pytest.fixture(scope="session")
def rows():
    return make_rows()


@pytest.fixture(scope="session")
def full(tmp_path_factory, rows):
    """A folder with everything in it."""
    timing = {
        "total_s": 312.4,
        "arms": {
            "bp": {"compile_s": 2.1, "train_s": 20.0},
            "fa": {"compile_s": 2.3, "train_s": 21.5},
        },
    }
    return write_run(tmp_path_factory.mktemp("run") / "full", rows, make_summary(rows), timing)


@pytest.fixture
def make():
    """The generators, for a test that needs another run."""

    class Make:
        rows = staticmethod(make_rows)
        summary = staticmethod(make_summary)
        write = staticmethod(write_run)

    return Make
