"""jpc with its functions for discrete updates, the whole step in one jitted function.

This is what its documentation advises. T gradient steps of the activities from a forward pass are
followed by a step of Adam. jpc divides its energy by the batch size, so the task's rate of the
activities is multiplied by it. make_mlp puts tanh before each matrix, at the same cost.
"""

# pyright: reportMissingImports=false, reportArgumentType=false

import equinox as eqx
import jax
import jpc
import optax
from serve import batches, images, serve, task

t = task()
x, labels = images(t["sizes"][0], t["sizes"][-1])
onehot = jax.numpy.eye(t["sizes"][-1])[labels]
rows = batches(t["batch"])
if len(set(t["sizes"][1:-1])) != 1:
    raise ValueError(f"jpc.make_mlp has one width, the task {t['sizes']}")
depth = len(t["sizes"]) - 1
model = jpc.make_mlp(
    jax.random.PRNGKey(0),
    input_dim=t["sizes"][0],
    width=t["sizes"][1],
    depth=depth,
    output_dim=t["sizes"][-1],
    act_fn="tanh",
    use_bias=True,
)
optim, activity_optim = optax.adam(1e-3), optax.sgd(t["hyperparameters"]["rate"] * t["batch"])
opt_state = optim.init((eqx.filter(model, eqx.is_array), None))


@eqx.filter_jit(donate="all-except-first")
def train_step(fixed, model, opt_state):
    x, y = fixed
    activities = jpc.init_activities_with_ffwd(model=model, input=x)
    activity_opt_state = activity_optim.init(activities)
    for _ in range(t["hyperparameters"]["steps"]):
        found = jpc.update_pc_activities(
            (model, None), activities, activity_optim, activity_opt_state, y, input=x
        )
        activities, activity_opt_state = found["activities"], found["opt_state"]
    found = jpc.update_pc_params((model, None), activities, optim, opt_state, y, input=x)
    return found["model"], found["opt_state"]


def train(steps: int) -> None:
    global model, opt_state
    for _ in range(steps):
        batch = next(rows)
        model, opt_state = train_step((x[batch], onehot[batch]), model, opt_state)
    jax.block_until_ready(eqx.filter(model, eqx.is_array))


serve(train, jax.default_backend(), "jpc", "jax", "jaxlib")
