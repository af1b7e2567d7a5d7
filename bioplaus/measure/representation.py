"""What a layer represents, and how similar two layers are.

Layers of different rules, seeds and depths are compared on the same examples.

    CKA = <K, L> / (|K| |L|)
        K, L: Gram matrices X X^T and Y Y^T of X [B, n] and Y [B, m], without their diagonals and
        U-centred: K_ij <- K_ij - (k_i + k_j) / (B - 2) + k / ((B - 1) (B - 2)),
        with k_i = sum_j K_ij and k = sum_i k_i
    RSA = rank correlation of the distances 1 - corr(x_a, x_b) and 1 - corr(y_a, y_b) over all
        pairs of examples a < b
    effective dimension = (sum_i lambda_i)^2 / sum_i lambda_i^2
        lambda_i: eigenvalues of the covariance of the units
    sparsity = fraction of outputs that are 0
    sparseness = mean over units of 1 - <r>^2 / <r^2>, for graded responses r
    dead units: those with the same output for all examples
Activities have examples first; other axes are flattened. A CKA of 1 means equal up to a rotation
and a scale; 0 means that no direction is shared. `hidden_activities` of a net over time are means
over time: two nets are compared by their rates, and not by when they fire.

Kornblith, Norouzi, Lee, Hinton, "Similarity of Neural Network Representations Revisited", 2019,
arXiv:1905.00414; Kriegeskorte, Mur, Bandettini, "Representational similarity analysis", 2008,
doi:10.3389/neuro.06.004.2008; effective dimension as participation ratio: Gao et al., "A theory of
multineuronal dimensionality, dynamics and measurement", 2017, doi:10.1101/214262; sparseness:
Treves and Rolls, "What determines the capacity of autoassociative memories in the brain?", 1991,
doi:10.1088/0954-898X_2_4_004. Departures: only linear CKA, by the unbiased estimate of HSIC (Song
et al., "Feature Selection via Dependence Maximization", 2012, as in Nguyen, Raghu, Kornblith, 2021,
arXiv:2010.15327, eq. 3). The form of the CKA paper is biased upwards unless units are few compared
with examples: it is near 1 for any two wide layers. This estimate is 0 on average for independent
layers, so it may be negative.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from bioplaus.net import Trace
from bioplaus.types import Array, Net


def hidden_activities(net: Net, trace: Trace) -> tuple[Array, ...]:
    """[B, ...]: what each hidden layer sends; of a layer over time, the mean over all moments."""
    return tuple(
        h if layer.time is None else h.mean(1)
        for layer, h in zip(net[:-1], trace.outputs[:-1], strict=True)
    )


def cka(x: ArrayLike, y: ArrayLike) -> Array:
    """Linear centred kernel alignment, at most 1. x, y: [B, ...]. NaN for activity that never
    changes.

    Raises ValueError unless both have the same examples, four or more.
    """
    return cka_table([x], [y])[0, 0]


def cka_table(activities: Sequence[ArrayLike], others: Sequence[ArrayLike]) -> Array:
    """[len(activities), len(others)]: CKA of every layer of one net with every layer of another.
    Memory holds one B x B matrix per layer.
    """
    _same_examples("cka", 4, *activities, *others)
    kernels, against = (
        jnp.stack([_kernel(a).ravel() for a in some]) for some in (activities, others)
    )
    return jnp.matmul(kernels, against.T, precision="highest")


def rsa(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman correlation of the two dissimilarity matrices. NaN if all units respond alike to
    some example.

    Raises ValueError unless both have the same examples, three or more. On the host, in float64.
    """
    return float(rsa_table([x], [y])[0, 0])


def rsa_table(activities: Sequence[ArrayLike], others: Sequence[ArrayLike]) -> np.ndarray:
    """[len(activities), len(others)]: RSA of every layer of one net with every layer of another."""
    _same_examples("rsa", 3, *activities, *others)
    ranks, against = (np.stack([_ranks(a) for a in some]) for some in (activities, others))
    return ranks @ against.T


def effective_dimension(x: ArrayLike) -> Array:
    """Participation ratio of the units' covariance. x: [B, ...].

    It is between 1 and the smaller of units and examples - 1.
    """
    _same_examples("effective_dimension", 2, x)
    x = _centred(x)
    # both products have the same nonzero eigenvalues
    gram = x @ x.T if x.shape[0] < x.shape[1] else x.T @ x
    return jnp.trace(gram) ** 2 / (gram**2).sum()


def sparsity(x: ArrayLike) -> Array:
    """The fraction of outputs that are exactly 0. x: [B, ...]."""
    return (jnp.asarray(x) == 0).mean()


def sparseness(x: ArrayLike) -> Array:
    """Sparseness of Treves and Rolls.

    It is the mean over units of 1 - <r>^2 / <r^2>, with means <> over examples, for responses r >=
    0. Silent units are left out.
    """
    x = _flat(x)
    power = (x**2).mean(0)
    return 1 - jnp.nanmean(jnp.where(power > 0, x.mean(0) ** 2 / power, jnp.nan))


def dead_units(x: ArrayLike) -> Array:
    """The fraction of units whose output does not depend on the example. x: [B, ...]."""
    x = _flat(x)
    return (x == x[0]).all(0).mean()


def _flat(x: ArrayLike) -> Array:
    x = jnp.asarray(x)
    return x.reshape(len(x), -1)


def _centred(x: ArrayLike) -> Array:
    """Flattened, with the mean over examples subtracted.

    It is scaled to a largest value of 1, so that squares neither underflow nor overflow.
    """
    x = _flat(x)
    x = x - x.mean(0)
    return x / jnp.abs(x).max()


def _kernel(x: ArrayLike) -> Array:
    """The Gram matrix [B, B], U-centred and divided by its Frobenius norm."""
    # centring first changes only rounding: U-centring removes what is constant along an axis
    x = _centred(x)
    n, gram = len(x), jnp.matmul(x, x.T, precision="highest")
    apart = 1 - jnp.eye(n, dtype=x.dtype)
    gram = gram * apart
    rows = gram.sum(1) / (n - 2)
    gram = (gram - rows[:, None] - rows + rows.sum() / (n - 1)) * apart
    return gram / jnp.linalg.norm(gram)


def _ranks(x: ArrayLike) -> np.ndarray:
    """Ranks of the dissimilarities of all pairs of examples, with ties at their mean rank. The mean
    of the ranks is subtracted, and they are scaled to norm 1.
    """
    from scipy import stats  # scipy.stats takes half a second to import

    flat = np.asarray(x, np.float64).reshape(len(np.asarray(x)), -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        distances = 1 - np.asarray(np.corrcoef(flat))[np.triu_indices(len(flat), 1)]
    ranks = np.asarray(stats.rankdata(distances))
    ranks = ranks - ranks.mean()
    return ranks / np.linalg.norm(ranks)


def _same_examples(name: str, least: int, *activities: ArrayLike) -> None:
    counts = [jnp.shape(a)[0] for a in activities]
    if len(set(counts)) > 1 or counts[0] < least:
        words = {2: "two", 3: "three", 4: "four"}
        raise ValueError(
            f"{name}: got {' and '.join(map(str, counts))} examples; give the same ones to all,"
            f" {words[least]} or more"
        )
