"""Networks that rebuild themselves while they learn: units, synapses and excitability.

    turnover  the least useful units die and are born again, so that a net stays able to learn
    rewired   the weakest synapses go and as many others appear, at a constant number
    scaled    the weights that arrive at a unit are scaled until its mean output is at a target

The contract: structure is an optax transformation around an optimiser, and changes the weights in
the same update. Its state is part of the optimiser's. So training loops, the meter of changes
(`economy.metered`), checkpoints and schedules need not know of it, and a run that is resumed is
the same to the bit. What must hear the activity of units (`turnover`, `scaled`) takes the net when
it is made, and the batch and the key of the step as extra arguments of `update`:

    tx = bp.structure.turnover(optax.adam(1e-2), net, rate=1e-3)
    opt = tx.init(params)
    grads, state, info = rule.grad(params, state, batch, key)
    updates, opt = tx.update(grads, opt, params, batch=batch, key=key)

`make_train`, `bp.online` and studies give these two to every optimiser that takes extra arguments.
In a study, `structure = {kind = "turnover", rate = 1e-3}` puts it around the optimiser; constraints
on the weights (`bioplaus.optim.projections`) come after it, and hold for new synapses too.

Weights that belong to a rule, such as feedback, are other synapses, and are left alone.

`rebuilt(opt)` reads how many synapses have been made and removed so far, which is what structure
costs beside energy.
"""

from collections.abc import Callable

import optax

from bioplaus.structure.cost import Rebuilt, rebuilt
from bioplaus.structure.homeostasis import scaled
from bioplaus.structure.synapses import rewired
from bioplaus.structure.units import turnover

STRUCTURES: dict[str, Callable[..., optax.GradientTransformationExtraArgs]] = {
    "turnover": turnover,
    "rewired": rewired,
    "scaled": scaled,
}
"""Key -> (tx, **numbers) -> tx, which also takes the net or a key where its signature names them.
"""

__all__ = ["STRUCTURES", "Rebuilt", "rebuilt", "rewired", "scaled", "turnover"]
