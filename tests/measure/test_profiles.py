"""Built-in profiles are complete and name their sources; own files are checked; events priced."""

import numpy as np
import pytest
from test_energy import made

from bioplaus.measure.energy import energy, parse, profiles

ALL = profiles()
NAMES = [
    "horowitz45",
    "jouppi7",
    "h200",
    "tpuv4",
    "loihi1",
    "spinnaker1",
    "spinnaker2",
    "truenorth",
    "biology",
]


def exactly(profile):
    return profile._replace(
        constants={k: c._replace(low=c.value, high=c.value) for k, c in profile.constants.items()}
    )


def test_every_constant_says_where_it_comes_from():
    assert list(ALL) == NAMES
    for profile in ALL.values():
        for name, c in profile.constants.items():
            assert len(c.source) > 10, (profile.name, name)
            assert c.grade in ("primary", "secondary", "derived", "unconfirmed")
            assert c.low < c.high, (profile.name, name)


def test_dependent_constants_agree():
    """Constants that follow from others agree with them.

    A MAC costs 4.6 pJ at 45 nm; bounds of machines follow from their data sheets; a value is the
    geometric mean of conflicting sources.
    """
    value = {name: {k: c.value for k, c in p.constants.items()} for name, p in ALL.items()}
    assert value["horowitz45"]["fp32_add"] + value["horowitz45"]["fp32_mul"] == pytest.approx(4.6)
    assert value["h200"]["fp32_add"] == pytest.approx(700 / 67e12 * 1e12, rel=0.01)
    assert value["h200"]["dram"] == pytest.approx(700 / 4.8e12 * 8e12, rel=0.01)
    assert value["tpuv4"]["fp32_add"] == pytest.approx(170 / 275e12 * 1e12, rel=0.01)
    assert value["tpuv4"]["dram"] == pytest.approx(170 / 1.2e12 * 8e12, rel=0.01)
    for name in ("spinnaker1", "spinnaker2", "truenorth"):
        c = ALL[name].constants["synop"]
        assert c.value == pytest.approx((c.low * c.high) ** 0.5, rel=0.01)


def test_events_by_hand():
    """The price of events on Loihi equals the sum by hand, with the idle power of one chip."""
    counts = {
        "macs": 2,
        "acs": 3,
        "neuron_updates": 5,
        "synapse_updates": 7,
        "spikes": 4,
        "broadcast": 2,
        "transport": 6,
    }
    c, loihi = made(effective=True, **counts), exactly(ALL["loihi1"])  # type: ignore[arg-type]
    e = energy(c, loihi)
    assert e.E_op.median == pytest.approx(1e-12 * (5 * 23.6 + 5 * 81))
    assert e.E_mem.median == pytest.approx(1e-12 * (7 * 120 + 6 * 5.2))
    assert e.unpriced == ()
    assert energy(c, loihi, mirrored=True).E_mem.median - e.E_mem.median == pytest.approx(
        1e-12 * 6 * 5.2
    )
    assert energy(c, loihi, seconds=1.0).E_op.median == pytest.approx(0.104, rel=1e-6)
    assert energy(c, exactly(ALL["spinnaker2"])).unpriced == (
        "synapse_updates",
        "spikes",
        "broadcast",
    )


def test_the_brain_at_four_hertz():
    """A neuron at 4 Hz with 8,000 boutons spends 3.29e9 ATP per second, split 47, 40 and 13 %.

    The figures are those of Attwell and Laughlin.
    """
    c = made(effective=True, neurons=1, spikes=4, acs=4 * 8000)
    atp = ALL["biology"].constants["atp"].value
    e = energy(c, exactly(ALL["biology"]), seconds=1.0)
    assert e.E_total.median / atp == pytest.approx(3.29e9, rel=0.01)
    spikes, rest = (
        e.E_mem.median,
        energy(made(effective=True, neurons=1), exactly(ALL["biology"]), seconds=1.0).E_op.median,
    )
    shares = np.array([spikes, e.E_op.median - rest, rest]) / e.E_total.median
    assert shares == pytest.approx([0.47, 0.40, 0.13], abs=0.01)


def test_training_is_refused_where_synapses_cannot_change():
    north = ALL["truenorth"]
    with pytest.raises(ValueError, match="truenorth cannot train: its synapses cannot change"):
        energy(made(effective=True, acs=1), north)
    assert energy(
        made(effective=True, acs=1, trains=False), exactly(north)
    ).E_op.median == pytest.approx(8.1e-12)


def test_each_kind_has_its_counts():
    with pytest.raises(ValueError, match=r"horowitz45 is clocked: give the dense"):
        energy(made(effective=True, macs=1), ALL["horowitz45"])
    with pytest.raises(ValueError, match=r"loihi1 is event-driven: give effective"):
        energy(made(macs=1), ALL["loihi1"])


SAID = (
    '{ value = 8600.0, unit = "pJ", low = 8600.0, high = 8600.0, grade = "secondary",'
    ' source = "Degnan et al. 2015" }'
)
CPU = f"""[cpu]
kind = "event"
description = "i7-4960X, as keras-spiking has it"
synop = {SAID}
neuron_update = {SAID}
"""


def test_a_profile_from_a_file(tmp_path):
    """A profile from a file gives keras-spiking's energy of a dense layer on its 'cpu'.

    One step of 784 to 128 units: (100,352 + 128) x 8.6 nJ = 8.64e-4 J.
    """
    file = tmp_path / "own.toml"
    file.write_text(CPU, encoding="utf-8")
    own = profiles(file)
    assert list(own) == [*NAMES, "cpu"]
    e = energy(made(effective=True, trains=False, macs=784 * 128, neuron_updates=128), own["cpu"])
    assert e.E_total.median == pytest.approx(8.64e-4, rel=1e-3)
    file.write_text(CPU.replace("[cpu]", "[loihi1]"), encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"own.toml: profiles named \['loihi1'\] are there already"
    ):
        profiles(file)
    (second := tmp_path / "second.toml").write_text(
        CPU.replace("[cpu]", "[other]"), encoding="utf-8"
    )
    file.write_text(CPU, encoding="utf-8")
    assert list(profiles(file, second)) == [*NAMES, "cpu", "other"]
    with pytest.raises(ValueError, match=r"own.toml: profiles named \['cpu'\] are there already"):
        profiles(second, file, file)
    with pytest.raises(ValueError, match=r"nowhere.toml"):
        profiles(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "event"', 'kind = "analog"', "kind is 'analog', expected one of"),
        (
            'kind = "event"',
            'kind = "clocked"',
            r"missing constants \['dram', 'fp32_add', 'fp32_mul'\]",
        ),
        ("neuron_update", "neuron", r"unknown constants \['neuron'\]"),
        ("low = 8600.0", "low = 8601.0", "low <= value"),
        ("low = 8600.0", "low = -1.0", "0 < low"),
        ("low = 8600.0", "low = '8600'", "expected numbers"),
        ("high = 8600.0", "high = inf", "expected numbers"),
        ("[cpu]", "other = 1\n[cpu]", "profile other: is 1, expected a table"),
        ('unit = "pJ"', 'unit = "nJ"', "unit is 'nJ', expected 'pJ' or 'ATP'"),
        ('unit = "pJ"', 'unit = "ATP"', r"missing constants \['atp'\]"),
        ('grade = "secondary"', 'grade = "sure"', "grade"),
        ('source = "Degnan et al. 2015"', 'source = ""', "give a source"),
        (
            'description = "i7-4960X, as keras-spiking has it"\n',
            "",
            r"missing fields \['description'\]",
        ),
        ('grade = "secondary"', 'grade = "secondary", note = 1', r"unknown fields \['note'\]"),
    ],
)
def test_profiles_are_checked(old, new, message):
    assert old in CPU
    assert not parse(CPU)["cpu"].clocked  # the text without its fault
    with pytest.raises(ValueError, match=message):
        parse(CPU.replace(old, new))
