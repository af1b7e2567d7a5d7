"""What random keys are folded with: one table, so that no two uses of a key share their randomness.

`jax.random.split(key)[i]` is `jax.random.fold_in(key, i)`: code that draws from both draws the same
numbers twice. Indices (of layers, arrays, steps, draws) are folded in as they are, into a key that
serves nothing else.
"""

# A seed's key, in `bioplaus.training.program`.
ORDER, WEIGHTS, RULE, NOISE, AUGMENT = range(5)

# A layer's own key, `net.layer_key(key, l)`.
SYNAPSE, NEURON = 0, 1

# Keys of `bioplaus.measure.robustness`.
DISTURB, ANSWER = 0, 1  # of one draw: what is changed, and the noise of the answer to it
# of a suite; each new attack takes the next number
CLIMB, JUDGE, SAMPLE, FGSM, SQUARE, RAYS, STILL, OTHER = range(8)
START = 0  # of an attack by the gradient, whose steps count from 1
RADIUS = 1  # of a point in a ball: how far it is from the centre
SIGNS = 1  # of a step of the square attack: which window it tries
# of a seed's measures, beside the index of each curve. Frozen: a curve that is added does not
# change the attacks
ATTACKS = 15

# A key that a net's layers draw from too. `net.layer_key` folds in layer l as it is below FIRST,
# and as END + l from there on, so that a salt in [FIRST, END) is the index of no layer. A rule of
# another package takes any number of that range.
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
CLASSES = 0x516  # signal_propagation: noise of the classes' signals
INVERSES = 0x7A6  # target propagation: noise at which the inverses learn
FIRST_GLIMPSE = 0xC1A  # clapp: the two views of an input
SECOND_GLIMPSE = 0xC1B
CONTROL = 0xDFC  # deep_feedback_control: noise that teaches Q
HEADS = 0xEAD5  # local_losses: first weights of the heads
COMPOSED = 0xB71A  # by_layer: one key for each different rule
