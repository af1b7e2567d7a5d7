"""Several devices: seeds, examples and units are divided over a mesh.

JAX's partitioner does this, under plain jit.

    seeds=S    the runs of a study's seeds, side by side; no communication
    data=D     the examples of a batch; the gradients are summed once per step
    model=M    the units of a layer, the last axis of W [.., n_in, n_out]; the activities of a layer
               are exchanged
Arrays that a rule or an optimiser keeps beside the net (feedback weights, traces, moments) are
divided as weights of that shape are. Keys mean the same on any mesh: noise and the order of
examples are bit-identical to those on one device, and sums differ by rounding.
"""

import math

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from bioplaus.types import Batch, PyTree

AXES = ("seeds", "data", "model")


def mesh_of(text: str) -> Mesh:
    """A mesh from text such as 'data=4,model=2'.

    The axes are from AXES, and their sizes multiply to at most the number of devices.

    On several machines all devices must take part. Raises ValueError if they do not, for any other
    axis, for a size below 1, and for more devices than there are.
    """
    sizes = {}
    for part in text.split(","):
        name, _, size = part.strip().partition("=")
        if name not in AXES or name in sizes or not _whole(size) or int(size) < 1:
            raise ValueError(
                f"mesh: got {part.strip()!r}; give each of {', '.join(AXES)} at most once, as in"
                " data=4,model=2"
            )
        sizes[name] = int(size)
    needed, there = math.prod(sizes.values()), jax.devices()
    if needed > len(there):
        raise ValueError(
            f"mesh: {text} needs {needed} devices, there are {len(there)}; make it smaller"
        )
    if needed < len(there) and jax.process_count() > 1:
        raise ValueError(
            f"mesh: {text} leaves {len(there) - needed} of {len(there)} devices out; on many"
            " machines all must take part"
        )
    return jax.make_mesh(
        tuple(sizes.values()),
        tuple(sizes),
        axis_types=(AxisType.Auto,) * len(sizes),
        devices=there[:needed],
    )


def _whole(text: str) -> bool:
    # Python counts '²' among the digits, but int('²') fails
    return text.isascii() and text.isdecimal() and len(text) < 10


def of_examples(batch: Batch, mesh: Mesh | None) -> Batch:
    """A batch inside jit, with its examples divided over the axis 'data'."""
    if mesh is None or "data" not in mesh.axis_names:
        return batch
    return jax.lax.with_sharding_constraint(batch, NamedSharding(mesh, PartitionSpec("data")))


def of_weights(tree: PyTree, mesh: Mesh, *, seeds: bool) -> PyTree:
    """Shardings for a tree of arrays or shapes. seeds: whether they have an axis of seeds first.

    An axis that does not divide evenly is not divided.
    """

    def place(leaf) -> NamedSharding:
        axes: list[str | None] = [None] * len(leaf.shape)
        if seeds and "seeds" in mesh.axis_names and leaf.shape[0] % mesh.shape["seeds"] == 0:
            axes[0] = "seeds"
        if (
            "model" in mesh.axis_names
            and len(axes) - seeds >= 2
            and leaf.shape[-1] % mesh.shape["model"] == 0
        ):
            axes[-1] = "model"
        return NamedSharding(mesh, PartitionSpec(*axes))

    return jax.tree.map(place, tree)
