"""Mutants of forward gradients and weight perturbation."""

from bioplaus import local

MUTANTS = [
    (
        "fg",
        "sign flipped",
        (("return (output, losses, change)", "return (output, losses, -change)"),),
    ),
    (
        "fg",
        "directions of length one",
        (
            (
                "jax.tree.map(lambda w, d: w + t * d",
                "jax.tree.map(lambda w, d: w + t * d / d.size**0.5",
            ),
        ),
    ),
    ("fg", "the layers share v", (("fold_in(layer_key(subkey, l), i)", "fold_in(subkey, i)"),)),
    (
        "fg",
        "the arrays of a layer share v",
        (("jax.random.fold_in(layer_key(subkey, l), i)", "layer_key(subkey, l)"),),
    ),
    (
        "fg",
        "one v although one an example is asked for",
        (
            ("() if shared else batch.x.shape[:1]", "()"),
            ("(None if shared else 0, 0)", "(None, 0)"),
            ("jnp.tensordot(c / len(c), d, 1)", "c.mean() * d"),
        ),
    ),
    ("fg", "other noise in the pass", (("k = layer_key(key, l)\n", "k = layer_key(subkey, l)\n"),)),
    (
        "fg",
        "gate after the mean",
        (("c.mean() * d if shared", "change.mean() * (c / change).mean() * d if shared"),),
    ),
    ("fg", "sum for mean", (("c.mean() * d if", "c.sum() * d if"),)),
    ("wp", "1 / sigma dropped", (("batch.y) - losses) / sigma", "batch.y) - losses)"),)),
    ("wp", "1 / sigma^2", (("batch.y) - losses) / sigma", "batch.y) - losses) / sigma**2"),)),
    (
        "wp",
        "sign flipped",
        (("(loss(path(sigma), batch.y) - losses)", "(losses - loss(path(sigma), batch.y))"),),
    ),
    (
        "wp",
        "no baseline",
        (("(loss(path(sigma), batch.y) - losses)", "loss(path(sigma), batch.y)"),),
    ),
    (
        "wp",
        "mean loss for each example's",
        (("batch.y) - losses) / sigma", "batch.y) - losses).mean() / sigma + 0 * losses"),),
    ),
    ("wp", "the layers share v", (("fold_in(layer_key(subkey, l), i)", "fold_in(subkey, i)"),)),
    (
        "wp",
        "other noise in the perturbed pass",
        (("k = layer_key(key, l)\n", "k = layer_key(subkey, l)\n"),),
    ),
    ("wp", "sum for mean", (("jnp.tensordot(c / len(c), d, 1)", "jnp.tensordot(c, d, 1)"),)),
    ("wp", "gate ignored", (("return change * spread(gate, change)", "return change"),), local),
    ("afg", "sign flipped", (("change.reshape(-1, *", "-change.reshape(-1, *"),)),
    ("afg", "directions of length one", (("offset=t * x", "offset=t * x / x[0].size**0.5"),)),
    (
        "afg",
        "mean slope for each example's",
        (("signal = change.reshape", "signal = (0 * change + change.mean()).reshape"),),
    ),
    ("afg", "the layers share u", (("[sample(layer_key(subkey, l)", "[sample(subkey"),)),
    (
        "afg",
        "other noise in the pass",
        (("for x in u]), params, batch.x, key)", "for x in u]), params, batch.x, subkey)"),),
    ),
    ("afg", "gate ignored", (("signal, gates[l], heard)", "signal, None, heard)"),)),
    (
        "afg",
        "only the hidden layers are perturbed",
        (
            (
                "enumerate(current_shapes(net, params, batch, key))]",
                "enumerate(current_shapes(net, params, batch, key))]; u[-1] = 0 * u[-1]",
            ),
        ),
    ),
]
