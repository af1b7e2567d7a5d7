"""The benchmark against other libraries, with tiny workers: its ratio and its failures."""

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[1] / "experiments" / "benchmarks"
SERVE = (
    f"import sys, time; sys.path.insert(0, {str(BENCHMARKS / 'peers')!r}); from serve import serve;"
    " print('a banner'); "
)


@pytest.fixture
def peers(monkeypatch):
    """The modules of the benchmark."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import against_peers  # type: ignore[import-not-found]
    from peers import environments, processes, tasks  # type: ignore[import-not-found]

    yield against_peers, environments, processes, tasks
    for name in [
        n for n in sys.modules if n in ("against_peers", "timing") or n.split(".")[0] == "peers"
    ]:
        del sys.modules[name]


def test_what_a_gradient_multiplies_and_how_time_grows(monkeypatch):
    """Backprop has eight products: three forward, two back and three for the weights.

    The slope of a power law is its exponent.
    """
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import growth  # type: ignore[import-not-found]
    import roofline  # type: ignore[import-not-found]

    found = roofline.products(*growth.made("bp", growth.Setting(width=16, batch=4)))
    shapes = [frozenset(kind[:2]) for kind, n in found.items() for _ in range(n)]
    assert len(shapes) == 8
    assert shapes.count(frozenset({(4, 784), (784, 16)})) == 1  # no error goes back to the image
    assert shapes.count(frozenset({(4, 784), (4, 16)})) == 1
    assert growth.slope([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2)
    assert growth.slope([1, 2, 4], [3.0, 6.0, 12.0]) == pytest.approx(1)
    for name in ("growth", "roofline", "timing"):
        del sys.modules[name]


def worker(body: str, device: str = "cpu") -> str:
    return SERVE + f"serve(lambda n: {body}, {device!r})"


def found(peers, programs: dict[str, str], count: int = 3, limit: float = 20.0):
    """Rows and missing lines of fake programs, the first of which is ours."""
    against, _, processes, tasks = peers
    entries = [tasks.Entry(name, aim=1.5) for name in programs]

    def begin(entry):
        return processes.start(
            entry.name, [sys.executable, "-S", "-c", programs[entry.peer]], limit
        )

    got, missing = against.timed(entries, 4, begin, count, 0.05)
    return (
        against.compared(tasks.Group("", {}, entries[0], tuple(entries[1:])), got) if got else []
    ), missing


def test_a_peer_that_takes_three_times_as_long_has_ratio_three(peers):
    rows, missing = found(
        peers, {"ours": worker("time.sleep(0.002 * n)"), "slow": worker("time.sleep(0.006 * n)")}
    )
    assert not missing
    assert [row["program"] for row in rows] == ["ours", "slow"]
    # upside down it is a third; of times and not of samples, about 1
    assert 2 < rows[1]["ours/peer"]["median"] < 4.5
    assert rows[0]["median"] == pytest.approx(4 / 0.002, rel=0.3)
    assert len(rows[1]["samples"]) == 3
    assert rows[1]["peak_mib"] > 1
    assert "met" in peers[0].shown(rows)
    rows[1]["aim"] = 10.0
    assert "MISSED" in peers[0].shown(rows)


def test_peers_that_fail_are_named_and_the_others_timed(peers):
    sleeps = worker("time.sleep(0.001 * n)")
    dies = worker("sys.exit('out of luck')")
    rows, missing = found(
        peers,
        {"ours": sleeps, "absent": "import no_such_package", "dies": dies, "good": sleeps},
        count=1,
    )
    assert [row["program"] for row in rows] == ["ours", "good"]
    assert missing[0].startswith("absent ended: ModuleNotFoundError")
    assert missing[1] == "dies ended: out of luck"


def test_without_ours_nothing_is_timed(peers):
    rows, missing = found(
        peers, {"ours": "raise SystemExit('no jax')", "peer": worker("time.sleep(0.001 * n)")}
    )
    assert rows == []
    assert missing == ["ours ended: no jax"]


def test_a_worker_that_hangs_is_ended(peers):
    _, _, processes, _ = peers
    with pytest.raises(peers[1].Missing, match="gave no answer"):
        processes.start("deaf", [sys.executable, "-S", "-c", "import time; time.sleep(60)"], 0.3)


def test_another_device_is_not_compared(peers):
    rows, _ = found(
        peers,
        {"ours": worker("time.sleep(0.001 * n)"), "gpu": worker("time.sleep(0.001 * n)", "gpu")},
        count=1,
    )
    assert "ours/peer" not in rows[1]
    assert "on gpu: not compared" in peers[0].shown(rows)


def test_a_peer_without_its_clone_or_its_packages_says_what_would_help(
    peers, tmp_path, monkeypatch
):
    _, environments, _, _ = peers
    with pytest.raises(
        environments.Missing, match=r"git clone https://github.com/thebuckleylab/jpc .* --repos"
    ):
        environments.clone_of("jpc", environments.PEERS["jpc"], None)
    (tmp_path / "jpc").mkdir()
    assert (
        environments.clone_of("jpc", environments.PEERS["jpc"], tmp_path)
        == (tmp_path / "jpc").resolve()
    )

    ran = []

    def refused(name, *command):
        ran.append(command)
        if "pip" in command:
            raise environments.Missing(f"{name} cannot be installed here: no such version")

    monkeypatch.setattr(environments, "_run", refused)
    peer = environments.Peer(("jax==0.0.0",))
    for _ in range(2):  # what was not installed is not taken for installed
        with pytest.raises(environments.Missing, match="no such version"):
            environments.python_of("x", peer, tmp_path, None)
    assert len(ran) == 4


def test_every_program_has_its_file_and_its_peer(peers):
    _, environments, _, tasks = peers
    for group in [g for groups in tasks.TASKS.values() for g in groups]:
        names = [entry.name for entry in (group.ours, *group.peers)]
        assert len(set(names)) == len(names)
        for entry in (group.ours, *group.peers):
            assert entry.peer in environments.PEERS
            assert (BENCHMARKS / "peers" / f"with_{entry.peer}.py").exists()
