"""Actor-critic agents in three worlds: with the error of predicted reward, and without its parts.

    python papers/fremaux2013/run.py [--out results.csv] [--figure rewards.svg]

writes results.csv beside this file and docs/rewards.svg, in about 1 CPU-minute. Five seeds of each
agent live together, in one program for each world; a seed is eight worlds whose agents share their
weights. Learning rates were chosen on seeds 0 to 3, of 0.01, 0.03, 0.1, 0.3 and 1; the results are
of seeds 10 to 14.
"""

import argparse
import csv
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax

import bioplaus as bp
from bioplaus.measure.statistics import interval
from bioplaus.report.canvas import SETTINGS, panels, to_svg
from bioplaus.report.look import COLOURS

HERE = Path(__file__).parent
FIGURE = HERE.parents[1] / "docs" / "rewards.svg"
SEEDS, ROWS, WINDOW, SHOWN = tuple(range(10, 15)), 8, 50, 600
READOUT = bp.over_time(bp.dense(3, weights=jax.nn.initializers.zeros))
ONE_LAYER = (READOUT,)
WIDE = jax.nn.initializers.normal(1.5)
SPIKING = (bp.over_time(bp.dense(40, bp.lif(tau=2.0), weights=WIDE)), READOUT)

CONDITIONED = (1, 4, 20, 100)  # trials that are shown

# agent -> lambda, learning rate, whether each agent learns from the dopamine of another row
TRACK = {
    "actor-critic": (0.9, 0.1, False),
    "no eligibility": (0.0, 0.03, False),
    "shuffled": (0.9, 0.1, True),
}
CART_POLE = {
    "actor-critic": (0.9, 0.1, False),
    "no eligibility": (0.0, 0.3, False),
    "shuffled": (0.9, 0.1, True),
}


def lived(world, net, agents, moments: int, gamma: float):
    """agent -> its `Trials`, one for each seed."""

    def live(seed, decay, rate, shuffled):
        def broadcast(rpe):
            return jnp.where(shuffled, jnp.roll(rpe, 1, 0), rpe)

        rule = functools.partial(
            bp.rules.td, gamma=gamma, decay=decay, critic=1.0, broadcast=broadcast
        )
        key = jax.random.key(seed)
        found = bp.worlds.run(
            world, net, rule, optax.sgd(rate), key=key, moments=moments, rows=ROWS
        )
        return found._replace(params=())

    rows = [(seed, *agent) for agent in agents.values() for seed in SEEDS]
    every = jax.jit(jax.vmap(live))(*(jnp.array(column) for column in zip(*rows, strict=True)))
    trials = [bp.worlds.trials(jax.tree.map(lambda a, i=i: a[i], every)) for i in range(len(rows))]
    n = len(SEEDS)
    return {name: trials[i * n : (i + 1) * n] for i, name in enumerate(agents)}


def smooth(values):
    """Means of WINDOW trials in a row."""
    return np.convolve(values, np.ones(WINDOW) / WINDOW, "valid")


def reached(values, level: float) -> float:
    """The number of trials until the mean of the last WINDOW is `level`; infinite if never."""
    found = np.flatnonzero(smooth(values) >= level)
    return found[0] + WINDOW if len(found) else np.inf


def conditioned(delay: int = 8, gamma: float = 0.95):
    """delta at the moments before and after the cue, [trials, moments], mean over rows. The last
    moment has the reward."""
    world = bp.worlds.conditioning(delay, pause=40)
    rule = functools.partial(bp.rules.td, gamma=gamma, decay=0.6, critic=1.0)
    found = jax.jit(
        lambda key: bp.worlds.run(
            world, ONE_LAYER, rule, optax.sgd(0.1), key=key, moments=8000, rows=32
        )
    )(jax.random.key(SEEDS[0]))
    rpe, ended = np.asarray(found.rpe), np.asarray(found.ended)
    rows = []
    for b in range(rpe.shape[1]):
        ends = np.flatnonzero(ended[:, b])[: CONDITIONED[-1]]
        padded = np.r_[np.full(3, np.nan), rpe[:, b]]  # the first trial may begin with the cue
        rows.append([padded[end - delay : end + 4] for end in ends])
    return np.nanmean(rows, 0)


def curve(ax, trials, values, bounds, colour: str, name: str) -> None:
    """Mean over seeds of the smoothed values, and its interval."""
    shown = min(SHOWN, *(len(values(t)) for t in trials))
    seeds = np.stack([smooth(values(t)[:shown]) for t in trials])
    x, of = np.arange(WINDOW, shown + 1, 5), interval(seeds[:, ::5], bounds=bounds)
    ax.plot(x, of.mean, color=colour, label=name)
    ax.fill_between(x, of.low, of.high, color=colour, alpha=0.14, linewidth=0)


def draw(track, cart_pole, rpe, file: Path) -> None:
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]
        fig, (first, second, third) = panels(3, 3, 2.4)
        for colour, trial in zip(COLOURS, CONDITIONED, strict=False):
            first.plot(range(-3, 9), rpe[trial - 1], color=colour, label=f"trial {trial}")
        first.set(title="Reward prediction error", xlabel="moments since the cue")
        for ax, found, values, bounds, title in (
            (second, track, lambda t: 100 * t.reward, (0, 100), "Track: rewarded trials, %"),
            (third, cart_pole, lambda t: t.moments, (0, 500), "Cart-pole: moments of balance"),
        ):
            for colour, (name, trials) in zip(COLOURS, found.items(), strict=False):
                curve(ax, trials, values, bounds, colour, name)
            ax.set(title=title, xlabel="trials")
        for ax in (first, second):
            ax.legend()
        file.write_text(to_svg(fig, "rewards") + "\n", encoding="utf-8")


def rows_of(world: str, found, level: float, values):
    for agent, trials in found.items():
        for seed, t in zip(SEEDS, trials, strict=True):
            yield world, agent, seed, "last 100 trials", float(values(t)[-100:].mean())
            yield world, agent, seed, f"trials to {level:g}", float(reached(values(t), level))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "results.csv")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    told = parser.parse_args()
    track = lived(bp.worlds.linear_track(2, delay=5, limit=60), SPIKING, TRACK, 4000, 0.95)
    cart_pole = lived(bp.worlds.cart_pole(500), ONE_LAYER, CART_POLE, 10_000, 0.95)
    rows = [
        *rows_of("linear_track", track, 0.9, lambda t: t.reward),
        *rows_of("cart_pole", cart_pole, 100, lambda t: t.moments),
    ]
    with told.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("world", "agent", "seed", "measure", "value"))
        writer.writerows(rows)
    draw(track, cart_pole, conditioned(), told.figure)
    for name in dict.fromkeys((w, a, m) for w, a, _, m, _ in rows):
        values = [v for w, a, _, m, v in rows if (w, a, m) == name]
        print(*name, [round(v, 2) for v in values], interval(np.array(values))[:3])


if __name__ == "__main__":
    main()
