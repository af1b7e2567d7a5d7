from . import data, layers, measure, modulators, neurons, rules, study, testing, verify
from .layers import after, cnn, conv, dense, flattened, from_flax, group_normed, mlp, pooled
from .losses import binary_cross_entropy, cross_entropy, mse
from .net import forward, init, noise_mode, with_gain
from .neurons import (
    gaussian,
    gaussian_current,
    hard_sigmoid,
    identity,
    multiplicative,
    poisson,
    rate,
    relu,
    sigmoid,
    softplus,
    synaptic_release,
    tanh,
)
from .study import Study, StudyError, compare, run_study
from .train import make_train, replicate
from .types import Batch, Gain, Layer, Loss, Modulator, Net, Neuron, Rule, Signals
