"""Receptive fields: where in an image a unit looks, and how far the field moves under modulation.

    mean gradient        F_u = E_z[d h_u / d z]
    reverse correlation  F_u = Cov(z, h_u) / sd^2,    z: white noise, N(0, sd^2) in every pixel
h_u: response of unit u. By Stein's lemma both are equal for white noise z. The mean gradient needs
some fifty probes, because it has no noise floor; reverse correlation uses responses alone, as in an
experiment, and needs ten thousands of images. Let e_u(x) = sum_c F_u(x, c)^2 be the energy of a
field at pixel x = (row, column), over channels c. Then

    centre  m_u = sum_x x e_u(x) / sum_x e_u(x)
    size    s_u, with s_u^2 = sum_x |x - m_u|^2 e_u(x) / (2 sum_x e_u(x)): the standard deviation of
            the energy along one axis; a Gaussian field of standard deviation s has s / sqrt(2)
    shift   (m'_u - m_u) . (p - m_u) / |p - m_u|, of the field before (m) and after (m'), towards p

A field without energy, as that of a unit that attention has silenced, has no place: centre, size
and shift are NaN. Count them; do not average them away in silence.

De Boer and Kuyper, "Triggered Correlation", 1968, doi:10.1109/TBME.1968.4502561. Chichilnisky, "A
simple white noise analysis of neuronal light responses", 2001, doi:10.1080/713663221. The shift
that is expected: Womelsdorf, Anton-Erxleben, Treue, 2008, doi:10.1523/JNEUROSCI.4030-07.2008.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.types import Array, Key

Respond = Callable[[Array], Array]
"""(images [B, H, W, C]) -> responses of the units [B, ...]."""


def mean_gradient(respond: Respond, probes: ArrayLike) -> Array:
    """The mean over probes [N, H, W, C] of each unit's gradient: [..., H, W, C].

    Give white noise for what reverse correlation estimates, or images for fields among these.
    Memory is that of one probe's gradients. Raises ValueError unless the probes are images.

        noise = 0.3 * jax.random.normal(key, (50, 36, 36, 1))
        fields = mean_gradient(lambda x: bp.forward(net, params, x, key).outputs[1], noise)
    """
    probes = jnp.asarray(probes)
    _check_images("mean_gradient", probes.shape)

    def one(probe):
        return jax.jacrev(lambda x: respond(x[None])[0])(probe)

    total = jax.eval_shape(one, probes[0])
    return jax.lax.scan(
        lambda total, probe: (total + one(probe), None),
        jnp.zeros(total.shape, total.dtype),
        probes,
    )[0] / len(probes)


def reverse_correlation(
    respond: Respond, shape: tuple[int, ...], key: Key, *, images: int, sd: float = 0.3
) -> Array:
    """The covariance of responses and white noise, over sd^2: [..., H, W, C].

    shape: [B, H, W, C] of a batch of images; the number of images is rounded up to whole batches.
    Each entry has a standard error of about the standard deviation of h_u / (sd sqrt(images)).
    Raises ValueError unless the shape is one of images, and sd and images are above 0.
    """
    _check_images("reverse_correlation", shape)
    if not (images > 0 and sd > 0):
        raise ValueError(
            f"reverse_correlation: got images = {images} and sd = {sd}; give both above 0"
        )
    batches = -(-images // shape[0])

    def responses(k):
        z = jax.random.normal(k, shape)
        return z, respond(sd * z)

    def add(sums, k):
        z, h = responses(k)
        new = jnp.tensordot(h, z, (0, 0)), h.sum(0), z.sum(0)
        return jax.tree.map(jnp.add, sums, new), None

    units = jax.eval_shape(responses, key)[1].shape[1:]
    start = jnp.zeros((*units, *shape[1:])), jnp.zeros(units), jnp.zeros(shape[1:])
    keys = jax.random.split(key, batches)
    both, h, z = (total / (batches * shape[0]) for total in jax.lax.scan(add, start, keys)[0])
    return (both - jnp.tensordot(h, z, 0)) / sd


def energy(fields: ArrayLike) -> Array:
    """e_u of fields [..., H, W, C]: [..., H, W]."""
    return (jnp.asarray(fields) ** 2).sum(-1)


def centre(fields: ArrayLike) -> Array:
    """m_u, row and column in pixels, of fields [..., H, W, C]: [..., 2]. NaN without energy."""
    weights = _weights(fields)
    return (weights[..., None] * _pixels(weights)).sum((-3, -2))


def size(fields: ArrayLike) -> Array:
    """s_u in pixels of fields [..., H, W, C]: [...]. NaN without energy."""
    weights = _weights(fields)
    away = _pixels(weights) - centre(fields)[..., None, None, :]
    return jnp.sqrt((weights * (away**2).sum(-1)).sum((-2, -1)) / 2)


def shift(before: ArrayLike, after: ArrayLike, place: ArrayLike) -> Array:
    """How far the centres of fields [..., H, W, C] have moved towards a place [2]: pixels, [...].

    It is negative away from it, and NaN where a field has no energy, or its centre was the place.
    """
    start = centre(before)
    way = jnp.asarray(place) - start
    return ((centre(after) - start) * way).sum(-1) / jnp.linalg.norm(way, axis=-1)


def attended(fields: ArrayLike, place: ArrayLike, width: ArrayLike) -> Array:
    """Fields [..., H, W, C] times exp(-|x - p|^2 / (2 width^2)): what the theory says of them under
    attention to a place p [2]. width: in pixels.
    """
    fields = jnp.asarray(fields)
    away = _pixels(fields[..., 0]) - jnp.asarray(place)
    return fields * jnp.exp(-(away**2).sum(-1) / (2 * jnp.asarray(width) ** 2))[..., None]


def expected_shift(before: ArrayLike, place: ArrayLike, width: ArrayLike) -> Array:
    """`shift(before, attended(before, place, width), place)` if each field is a round Gaussian.

    |p - m| 2 s^2 / (2 s^2 + width^2), with the centre m and the size s of the fields before; the
    factor 2 is there because s is that of the energy, the square of the field. width: in pixels.
    """
    far = jnp.linalg.norm(jnp.asarray(place) - centre(before), axis=-1)
    variance = 2 * size(before) ** 2
    return far * variance / (variance + jnp.asarray(width) ** 2)


def _weights(fields: ArrayLike) -> Array:
    """The energy as weights of sum 1, NaN without energy."""
    fields = jnp.asarray(fields)
    # squares of small gradients underflow; a field of zeros becomes NaN here
    scaled = fields / jnp.abs(fields).max((-3, -2, -1), keepdims=True)
    e = energy(scaled)
    return e / e.sum((-2, -1), keepdims=True)


def _pixels(weights: Array) -> Array:
    """Row and column of each pixel, [H, W, 2]."""
    rows, columns = map(jnp.arange, weights.shape[-2:])
    return jnp.stack(jnp.meshgrid(rows, columns, indexing="ij"), -1).astype(weights.dtype)


def _check_images(where: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 4 or 0 in shape:
        raise ValueError(f"{where}: got shape {list(shape)}, expected images [N, H, W, C]")
