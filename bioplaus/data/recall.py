"""Tasks of memory in spikes: evidence accumulation, store and recall, delayed match to sample.

Each function makes n trials from a seed, as a Batch of numpy arrays: x [n, T, inputs], spikes of 0
and 1;  y [n, T, C], the answer as one-hot rows, at all moments alike;  asked [n, T], the moments at
which it is asked for. Train on them with `bp.at_each_moment(bp.cross_entropy)`.

Inputs are populations of neurons, which fire as Poisson processes of a rate in Hz: in a moment of
dt ms a neuron has a spike with probability 1 - exp(-rate dt / 1000). Times are in ms, and are
rounded to moments. The same seed gives the same trials on every machine. Every function raises
ValueError for fewer trials than 1 and for times that are not positive.
"""

from collections.abc import Callable

import numpy as np

from bioplaus.data.dataset import Dataset, batch, one_hot, uniform
from bioplaus.types import Batch

SIZES = (1_000, 200, 400)
"""Trials for training, validation and test of the data sets that `load` knows."""


def evidence_accumulation(
    n: int,
    seed: int = 0,
    *,
    cues: int = 7,
    cue: float = 100.0,
    gap: float = 50.0,
    delay: float = 1_000.0,
    recall: float = 150.0,
    agreement: float = 0.7,
    population: int = 10,
    rate: float = 40.0,
    dt: float = 1.0,
) -> Batch:
    """On which side were more cues? C = 2: left, right.

    `cues` cues of `cue` ms, a silent `gap` before each; then `delay` ms, whose last `recall` ms ask
    for the answer. Each cue is on the side of its trial, which is left or right by chance, with
    probability `agreement`. Populations of `population` neurons: left, right, the call for the
    answer (all three at `rate` while they are on), and noise, all the time, at a quarter of it.

    Bellec et al., "A solution to the learning dilemma for recurrent networks of spiking neurons",
    2020, doi:10.1038/s41467-020-17236-y. Raises ValueError for an even number of cues.
    """
    if cues % 2 == 0:
        raise ValueError(f"evidence_accumulation: {cues} cues may be even; give an odd number")
    on, off, last, waits = _moments(dt, n, cue=cue, gap=gap, recall=recall, delay=delay)
    side = uniform(n, (seed, 0))[:, None] < 0.5
    agree = uniform(n * cues, (seed, 1)).reshape(n, cues) < agreement
    right = np.where(agree, side, ~side)
    rates = np.zeros((n, cues * (on + off) + waits, 4))
    for k in range(cues):
        during = slice(k * (on + off) + off, (k + 1) * (on + off))
        rates[:, during, 0] = rate * ~right[:, k, None]
        rates[:, during, 1] = rate * right[:, k, None]
    rates[:, -last:, 2] = rate
    rates[:, :, 3] = rate / 4
    answer = right.sum(1) > cues // 2
    return _trials(rates, population, dt, seed, answer.astype(int), 2, rates[..., 2] > 0)


def store_recall(
    n: int,
    seed: int = 0,
    *,
    values: int = 2,
    segments: int = 8,
    segment: float = 200.0,
    population: int = 10,
    rate: float = 40.0,
    dt: float = 1.0,
) -> Batch:
    """Which value was shown with the store command? C = `values`.

    `segments` segments of `segment` ms, each with a value by chance. One of them, by chance, has
    the store command, and a later one the recall command, during which the answer is asked for and
    no value is shown. Populations: one for each value, store, recall.

    After Bellec et al., "Long short-term memory and learning-to-learn in networks of spiking
    neurons", 2018, arXiv:1803.09574. Departure: one store and one recall in a trial.
    Raises ValueError for fewer than 2 values or segments.
    """
    if values < 2 or segments < 2:
        raise ValueError(
            f"store_recall: {values} values in {segments} segments; give 2 or more of each"
        )
    (length,) = _moments(dt, n, segment=segment)
    shown = np.floor(uniform(n * segments, (seed, 0)) * values).astype(int).reshape(n, segments)
    store = np.floor(uniform(n, (seed, 1)) * (segments - 1)).astype(int)
    recall = store + 1 + np.floor(uniform(n, (seed, 2)) * (segments - 1 - store)).astype(int)
    k = np.arange(segments)
    calls = k == recall[:, None]
    on = np.zeros((n, segments, values + 2))
    on[:, :, :values] = one_hot(shown, values) * ~calls[..., None]
    on[:, :, values] = k == store[:, None]
    on[:, :, values + 1] = calls
    rates = rate * np.repeat(on, length, 1)
    answer = shown[np.arange(n), store]
    return _trials(rates, population, dt, seed, answer, values, rates[..., -1] > 0)


def delayed_match(
    n: int,
    seed: int = 0,
    *,
    stimuli: int = 2,
    sample: float = 200.0,
    delay: float = 600.0,
    test: float = 200.0,
    answer: float = 100.0,
    population: int = 10,
    rate: float = 40.0,
    dt: float = 1.0,
) -> Batch:
    """Is the test stimulus that of the sample? C = 2: no, yes, equally often.

    A sample for `sample` ms, `delay` ms of nothing, a test stimulus for `test` ms, and `answer` ms
    in which the answer is asked for. Populations: one for each stimulus, the call for the answer,
    and noise, all the time, at a quarter of `rate`.

    After Miyashita, "Neuronal correlate of visual associative long-term memory in the primate
    temporal cortex", 1988, doi:10.1038/335817a0. Raises ValueError for fewer than 2 stimuli.
    """
    if stimuli < 2:
        raise ValueError(f"delayed_match: got {stimuli} stimuli, expected 2 or more")
    first, waits, second, last = _moments(
        dt, n, sample=sample, delay=delay, test=test, answer=answer
    )
    shown = np.floor(uniform(n, (seed, 0)) * stimuli).astype(int)
    same = uniform(n, (seed, 1)) < 0.5
    other = (shown + 1 + np.floor(uniform(n, (seed, 2)) * (stimuli - 1)).astype(int)) % stimuli
    rates = np.zeros((n, first + waits + second + last, stimuli + 2))
    rates[:, :first, :stimuli] = rate * one_hot(shown, stimuli)[:, None]
    tested = one_hot(np.where(same, shown, other), stimuli)
    rates[:, first + waits : -last, :stimuli] = rate * tested[:, None]
    rates[:, -last:, stimuli] = rate
    rates[:, :, -1] = rate / 4
    return _trials(rates, population, dt, seed, same.astype(int), 2, rates[..., stimuli] > 0)


def load_evidence() -> Dataset:
    """Evidence accumulation: which side had more of 7 cues; 600 ms of delay, in moments of 5 ms.

    1,000 train, 200 validation and 400 test trials [330, 40], which are made from seeds.
    """
    return of_trials(
        "evidence-accumulation",
        lambda n, seed: evidence_accumulation(n, seed, delay=600.0, dt=5.0),
        5.0,
        "Bellec et al., 2020, doi:10.1038/s41467-020-17236-y.",
    )


def load_store_recall() -> Dataset:
    """Store and recall: one of 2 values, stored by a command; 8 segments of 200 ms, moments of 5.

    1,000 train, 200 validation and 400 test trials [320, 40], which are made from seeds.
    """
    return of_trials(
        "store-recall",
        lambda n, seed: store_recall(n, seed, dt=5.0),
        5.0,
        "Bellec et al., 2018, arXiv:1803.09574.",
    )


def load_delayed_match() -> Dataset:
    """Delayed match to sample: 2 stimuli, 600 ms of delay, in moments of 5 ms.

    1,000 train, 200 validation and 400 test trials [220, 40], which are made from seeds.
    """
    return of_trials(
        "delayed-match",
        lambda n, seed: delayed_match(n, seed, dt=5.0),
        5.0,
        "Miyashita, 1988, doi:10.1038/335817a0.",
    )


def of_trials(name: str, make: Callable[[int, int], Batch], dt: float, cite: str) -> Dataset:
    """The data set of make(number of trials, seed), with seeds 0, 1 and 2 for its three parts."""
    train, validation, test = (make(n, seed) for seed, n in enumerate(SIZES))
    note = f"Test set: {SIZES[2]} trials of a seed of their own. Made by bioplaus after: {cite}"
    return Dataset(name, train, validation, test, note, dt)


def _moments(dt: float, n: int, **times: float) -> tuple[int, ...]:
    """Lengths of time in moments, 1 or more. Raises ValueError for others."""
    if n < 1 or not dt > 0:
        raise ValueError(f"got {n} trials in moments of {dt} ms; give 1 or more, and dt above 0")
    found = {name: round(time / dt) for name, time in times.items()}
    for name, count in found.items():
        if count < 1:
            raise ValueError(f"{name} is {times[name]} ms, less than a moment of {dt} ms")
    return tuple(found.values())


def spikes(rates: np.ndarray, dt: float, seed: int) -> np.ndarray:
    """Poisson spikes of 0 and 1 at rates in Hz, in moments of dt ms, float32."""
    chance = uniform(rates.size, (seed, 100)).reshape(rates.shape)
    return (chance < -np.expm1(-rates * (dt / 1_000))).astype(np.float32)


def _trials(
    rates: np.ndarray,
    population: int,
    dt: float,
    seed: int,
    answer: np.ndarray,
    classes: int,
    asked: np.ndarray,
) -> Batch:
    """rates: [n, T, populations]. answer: [n]. asked: [n, T]."""
    x = spikes(np.repeat(rates, population, -1), dt, seed)
    y = np.repeat(one_hot(answer, classes)[:, None], x.shape[1], 1)
    return batch(x, y, asked)
