"""Salts of random keys: what keys are folded with, in one table, so that no two uses collide.

`jax.random.split(key)[i]` is `jax.random.fold_in(key, i)`: code that used both on one key would
draw the same numbers twice. Indices (of layers, arrays, steps, draws) are folded in as they are,
into a key that has no other use.
"""

# For the key of a seed, in `bioplaus.training.program`.
ORDER, WEIGHTS, RULE, NOISE, AUGMENT, WORLD = range(6)

# For the key of a layer, `net.layer_key(key, l)`. A layer over time folds its NEURON key with the
# moment, counted from rest, and its SYNAPSE key with RECURRENT (below) for its own. An encoder in
# front of a layer draws from the SYNAPSE key folded with ENCODER (below), then with the number of
# the moment at which the presentation begins.
SYNAPSE, NEURON = 0, 1

# For keys of `bioplaus.measure.robustness`:
DISTURB, ANSWER = 0, 1  # of one draw: the disturbance, and the noise of the network's answer
# of a suite of attacks; a new attack takes the next number
CLIMB, JUDGE, SAMPLE, FGSM, SQUARE, RAYS, STILL, OTHER = range(8)
START = 0  # of an attack by the gradient, whose steps count from 1
RADIUS = 1  # of a point in a ball: how far it is from the centre
SIGNS = 1  # of a step of the square attack: the window that it tries
# For the key of a seed's measures, which curves fold with their index. Frozen: this was the number
# of curves when results were first published, so adding a curve does not change old attack results.
ATTACKS = 15

# For keys that the layers of a net use too. `net.layer_key` folds in l for l < FIRST, and END + l
# for other layers, so that no layer uses a number in [FIRST, END). Rules of other packages may take
# any number of that range.
FIRST, END = 0x03F, 2**31
ELIGIBILITY = 0x03F  # three_factor: noise of the currents
NODES = 0x0A9  # node_perturbation: noise of the currents
ACTIVITIES = 0x0AF  # activity_forward_gradient: directions of the currents
DISTURBANCE = 0x0D1  # measure.robustness: noise of the weights at each use
MASKS = 0x0D6  # context_gating: the units of each context
MIRROR = 0x0F1  # weight_mirror: noise that teaches B
FEEDBACK = 0x0FB  # net.feedback_init: feedback weights
DIRECTIONS = 0x0FD  # forward_gradient, weight_perturbation: directions of the weights
NEGATIVES = 0x0FF  # forward_forward: wrong labels
MODULATOR = 0x30D  # modulate: the modulator's first state
SOMA = 0x50A  # dendritic_prediction: spikes of the output neurons
CLASSES = 0x516  # signal_propagation: noise of the classes' signals
INVERSES = 0x7A6  # target propagation: noise at which the inverses learn
FIRST_GLIMPSE = 0xC1A  # clapp: the two views of an input
SECOND_GLIMPSE = 0xC1B
CONTROL = 0xDFC  # deep_feedback_control: noise that teaches Q
HEADS = 0xEAD5  # local_losses: first weights of the heads
RECURRENT = 0xBAC  # layers.time: a recurrent layer's own synapses
ENCODER = 0xE2C  # encoders.in_front: spikes of the inputs
ACTIONS = 0xAC7  # td: which action is taken
BORN = 0xB02  # structure.turnover: the weights of new units
COMPOSED = 0xB71A  # by_layer: one key for each different rule
