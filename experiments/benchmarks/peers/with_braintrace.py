"""braintrace: its pp_prop, which keeps a trace of inputs and one of neurons for each layer.

A compiled step drives a sequence moment by moment, sums the gradients, and takes one step of Adam.
Neurons are those of ours, written as a cell; the decay of the traces is the leak of the neurons.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import math
import time

import brainstate
import braintools
import braintrace
import jax
import jax.numpy as jnp
from serve import batches, serve, spikes, task

t = task()
inputs, hidden, classes = t["sizes"]
x, labels = spikes(t["moments"], inputs, classes, time_first=True)
x, labels = jnp.asarray(x), jnp.asarray(labels)
rows, leak = batches(t["batch"]), math.exp(-1 / 20)


@jax.custom_jvp
def spike(u):
    return (u > 1).astype(u.dtype)


@spike.defjvp
def _(primals, tangents):
    return spike(*primals), tangents[0] / (1 + 25 * jnp.abs(primals[0] - 1)) ** 2


class Net(brainstate.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = braintrace.nn.Linear(inputs, hidden)
        self.readout = braintrace.nn.Linear(hidden, classes)

    def init_state(self, batch_size, **_):
        self.u = brainstate.HiddenState(jnp.zeros((batch_size, hidden)))
        self.v = brainstate.HiddenState(jnp.zeros((batch_size, classes)))

    def reset_state(self, batch_size, **_):
        self.u.value, self.v.value = jnp.zeros_like(self.u.value), jnp.zeros_like(self.v.value)

    def update(self, x):
        u = self.u.value
        self.u.value = leak * (u - jax.lax.stop_gradient(spike(u))) + self.first(x)
        self.v.value = leak * self.v.value + self.readout(spike(self.u.value))
        return self.v.value


net = Net()
learner = braintrace.compile(
    net, t["form"], x[0, : t["batch"]], batch_size=t["batch"], decay_or_rank=leak
)
optimizer = braintools.optim.Adam(1e-3)
optimizer.register_trainable_weights(learner.param_states)


@brainstate.transform.jit
def step(x, y):
    net.reset_state(t["batch"])
    learner.reset_state(t["batch"])

    def loss(now):
        return braintools.metric.softmax_cross_entropy_with_integer_labels(learner(now), y).mean()

    optimizer.update(learner.etrace_grad(x, step_fn=loss, reduction="sum"))


def train(steps: int) -> None:
    for _ in range(steps):
        batch = next(rows)
        step(x[:, batch], labels[batch])
    jax.block_until_ready([w.value for w in learner.param_states.values()])


serve(train, "cpu", "braintrace", "brainstate", "jax", clock=time.process_time)
