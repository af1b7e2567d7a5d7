"""What a layer represents, and how alike two layers are: between rules, seeds and depths, on the same examples.

    CKA  = |Y^T X|^2 / (|X^T X| |Y^T Y|)             X: [B, n], Y: [B, m], each unit's mean over examples taken off; |.|: Frobenius
    RSA  = rank correlation of the distances 1 - corr(x_a, x_b) and 1 - corr(y_a, y_b) over all pairs of examples a < b
    effective dimension = (sum_i lambda_i)^2 / sum_i lambda_i^2        lambda: eigenvalues of the covariance of units
    sparsity: fraction of outputs that are 0 (Treves and Rolls' for graded ones: 1 - <r>^2 / <r^2>, the mean over units)
    dead units: those whose output is the same for all examples
Activities have examples first; other axes are flattened. A CKA of 1 is a rotation and a scale; 0 is no shared direction.

Kornblith, Norouzi, Lee, Hinton, "Similarity of Neural Network Representations Revisited", 2019, arXiv:1905.00414; Kriegeskorte,
Mur, Bandettini, "Representational similarity analysis", 2008, doi:10.3389/neuro.06.004.2008; effective dimension as participation
ratio: Gao et al., "A theory of multineuronal dimensionality, dynamics and measurement", 2017, doi:10.1101/214262; sparseness: Treves
and Rolls, "What determines the capacity of autoassociative memories in the brain?", 1991, doi:10.1088/0954-898X_2_4_004.
Departures: linear CKA alone, in its biased form, which is near 1 for any two nets where units are more than examples.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from bioplaus.types import Array


def cka(x: ArrayLike, y: ArrayLike) -> Array:
    """Linear centred kernel alignment, 0 to 1. x: [B, ...], y: [B, ...]. NaN for activity that never changes.

    Raises ValueError unless both have the same examples, two or more.
    """
    x, y = _centred("cka", x, y)
    return (jnp.linalg.norm(y.T @ x) ** 2) / (jnp.linalg.norm(x.T @ x) * jnp.linalg.norm(y.T @ y))


def cka_table(activities: Sequence[ArrayLike], others: Sequence[ArrayLike]) -> NDArray:
    """[len(activities), len(others)]: CKA of every layer of one net with every layer of another."""
    return np.array([[float(cka(x, y)) for y in others] for x in activities])


def rsa(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman correlation of the two dissimilarity matrices. NaN where an example's activity is flat over units.

    Raises ValueError unless both have the same examples, three or more.
    """
    from scipy import stats  # scipy.stats takes half a second to import

    flat = [np.asarray(a, np.float64).reshape(len(np.asarray(a)), -1) for a in (x, y)]
    if len(flat[0]) != len(flat[1]) or len(flat[0]) < 3:
        raise ValueError(f"rsa: got {len(flat[0])} and {len(flat[1])} examples; give the same ones to both, three or more")
    pairs = np.triu_indices(len(flat[0]), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = (1 - np.asarray(np.corrcoef(a))[pairs] for a in flat)
    return float(stats.spearmanr(first, second)[0])  # type: ignore[arg-type]


def effective_dimension(x: ArrayLike) -> Array:
    """Participation ratio of the units' covariance, 1 to the smaller of units and examples - 1. x: [B, ...]."""
    x, _ = _centred("effective_dimension", x, x)
    gram = x @ x.T if x.shape[0] < x.shape[1] else x.T @ x  # the same eigenvalues, but for zeros
    return jnp.trace(gram) ** 2 / (gram**2).sum()


def sparsity(x: ArrayLike) -> Array:
    """The fraction of outputs that are exactly 0. x: [B, ...]."""
    return (jnp.asarray(x) == 0).mean()


def sparseness(x: ArrayLike) -> Array:
    """Treves and Rolls': the mean over units of 1 - <r>^2 / <r^2>, over examples, for r >= 0; silent units are left out."""
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


def _centred(name: str, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Flattened, without the mean over examples, and scaled to a largest value of 1, so that squares neither vanish nor overflow."""
    a, b = _flat(x), _flat(y)
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"{name}: got {len(a)} and {len(b)} examples; give the same ones to both, two or more")
    a, b = a - a.mean(0), b - b.mean(0)
    return a / jnp.abs(a).max(), b / jnp.abs(b).max()
