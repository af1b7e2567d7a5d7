"""The plausibility card that the equations of each rule imply, for a perceptron 7-5-6-3.

F: the number of weights. X: the number of weights behind the first layer, which errors cross. T,
FREE, NUDGED: steps of rules that settle.
"""

import runpy
from fractions import Fraction

import jax
import jax.numpy as jnp
from mutants import FILES

from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.card import Card
from bioplaus.rules import BASELINES, RULES
from bioplaus.types import Batch

SIZES = (7, 5, 6, 3)
F, X, HIDDEN, CLASSES = 35 + 30 + 18, 30 + 18, 5 + 6, 3
NET = mlp(SIZES)


def shaped(*shape, classes=3):
    return jax.eval_shape(lambda: Batch(jnp.zeros(shape), jnp.zeros((shape[0], classes))))


BATCH = shaped(4, 7)
PLAIN = Card(0, 0, 0, False, 1.0, 0, (6, 5, 4), 0, (0, 0, 0))
T, FREE, NUDGED = 6, 5, 3


# Phi sweeps: see test_cost. Locking of a sweep: a prediction and an error, two products.
EP_FORWARD = ((F - 18) + FREE * 2 * 30 + 2 * NUDGED * 2 * X + 2 * 18) / F
SQUARES = 5 * 5 + 6 * 6


def local(words, products):
    """Heads of so many words, read forward and, after so many products more, back."""
    locking = tuple(l + products + 2 for l in (1, 2))
    return PLAIN._replace(
        feedback_words=words,
        learns_feedback=True,
        forward_passes=(F + words) / F,
        locking=(*locking, 4),
    )


EXPECTED = {
    "bp": PLAIN._replace(transport_words=X),
    "fa": PLAIN._replace(feedback_words=X),
    "kp": PLAIN._replace(feedback_words=X, learns_feedback=True),
    # noise at the input of the layers behind
    "wm": PLAIN._replace(feedback_words=X, learns_feedback=True, random=HIDDEN),
    "usf": PLAIN._replace(transport_bits=X),
    "frsf": PLAIN._replace(transport_bits=X, feedback_words=X),
    "brsf": PLAIN._replace(transport_bits=X, random=X // 4),  # a number a weight and batch of four
    "dfa": PLAIN._replace(feedback_words=CLASSES * HIDDEN, locking=(5, 5, 4)),
    "drtp": PLAIN._replace(feedback_words=CLASSES * HIDDEN, locking=(2, 3, 4)),
    "eprop": PLAIN._replace(feedback_words=CLASSES * HIDDEN, locking=(5, 5, 4)),
    "ottt": PLAIN._replace(transport_words=X),
    # the layer's own readout forward and back
    "decolle": PLAIN._replace(
        feedback_words=CLASSES * HIDDEN,
        forward_passes=(F + CLASSES * HIDDEN) / F,
        locking=(4, 5, 4),
    ),
    # each parameter's tangents pass all layers
    "rtrl": PLAIN._replace(
        forward_passes=(F + (F + HIDDEN + CLASSES) * (F + X)) / F, locking=(4, 4, 4)
    ),
    "np": PLAIN._replace(forward_passes=2.0, locking=(4, 4, 4), random=HIDDEN + CLASSES),
    # a batch of four
    "wp": PLAIN._replace(
        forward_passes=2.0, locking=(3, 3, 3), random=Fraction(F + HIDDEN + CLASSES, 4)
    ),
    "fg": PLAIN._replace(
        forward_passes=(2 * F + X) / F, locking=(3, 3, 3), random=Fraction(F + HIDDEN + CLASSES, 4)
    ),
    "afg": PLAIN._replace(forward_passes=(F + X) / F, locking=(4, 4, 4), random=HIDDEN + CLASSES),
    "threefactor": PLAIN._replace(locking=(4, 4, 4), random=HIDDEN + CLASSES),
    # after the layer's own product: similarities, and what they do to it
    "phsic": PLAIN._replace(locking=(4, 5, 4)),
    "tp": PLAIN._replace(feedback_words=X, learns_feedback=True, random=HIDDEN),
    "dtp": PLAIN._replace(feedback_words=X, learns_feedback=True, random=HIDDEN),
    "drl": PLAIN._replace(feedback_words=X, learns_feedback=True, random=HIDDEN),
    # and at the outputs of f
    "ldrl": PLAIN._replace(feedback_words=X, learns_feedback=True, random=HIDDEN + 6 + CLASSES),
    "pc": PLAIN._replace(
        transport_words=X,
        forward_passes=(F - 18) / F,
        settling_steps=T,
        locking=tuple(2 * T + l for l in (2, 3, 4)),
    ),
    # predictive coding that is backprop is as locked as backprop
    "zil": PLAIN._replace(transport_words=X, forward_passes=(F - 18) / F),
    "fpa": PLAIN._replace(transport_words=X, settling_steps=T),
    "epc": PLAIN._replace(
        transport_words=X,
        forward_passes=35 / F,
        settling_steps=T,
        locking=tuple(4 * T + l for l in (2, 3, 4)),
    ),
    # the errors as they are
    "ipc": PLAIN._replace(transport_words=X, forward_passes=(F - 18) / F, locking=(2, 3, 4)),
    "ep": PLAIN._replace(
        transport_words=X,
        forward_passes=EP_FORWARD,
        settling_steps=FREE,
        locking=tuple(2 * (FREE + NUDGED) + l for l in (2, 3, 4)),
    ),
    **dict.fromkeys(
        ("pep", "nep"),
        PLAIN._replace(
            transport_words=X,
            forward_passes=((F - 18) + FREE * 2 * 30 + NUDGED * 2 * X + 18) / F,
            settling_steps=FREE,
            locking=tuple(2 * (FREE + NUDGED) + l for l in (2, 3, 4)),
        ),
    ),
    "hep": PLAIN._replace(
        transport_words=X,
        forward_passes=((F - 18) + FREE * 2 * 30 + 4 * (NUDGED * 2 * X + 18)) / F,
        settling_steps=FREE,
        locking=tuple(2 * (FREE + NUDGED) + l for l in (2, 3, 4)),
    ),
    # the output settles, too; the readout learns once the layer below it has heard of the clamped
    # output
    **dict.fromkeys(
        ("chl", "cpl"),
        PLAIN._replace(
            transport_words=X,
            forward_passes=(F + FREE * 2 * X) / F,
            settling_steps=FREE,
            locking=tuple(2 * (FREE + NUDGED) + l for l in (2, 3, 3)),
        ),
    ),
    "dfc": PLAIN._replace(
        feedback_words=CLASSES * (HIDDEN + CLASSES),
        learns_feedback=True,
        settling_steps=T,
        locking=tuple(3 + 3 * T + l for l in (2, 3, 4)),
        random=HIDDEN + CLASSES,
    ),
    "burstprop": PLAIN._replace(feedback_words=X),
    "pepita": PLAIN._replace(
        feedback_words=CLASSES * 7, forward_passes=2.0, locking=(3 + 1 + 2, 3 + 1 + 3, 3 + 1 + 4)
    ),
    "local_pred": local(CLASSES * HIDDEN, 1),
    "local_sim": local(SQUARES, 3),  # the cosines, and their derivative
    "local_losses": local(CLASSES * HIDDEN + SQUARES, 3),
    "sigprop": PLAIN._replace(
        feedback_words=CLASSES * 7,
        forward_passes=(4 * F + 3 * (F - 18)) / (4 * F),
        locking=(4, 5, 4),
    ),
    "ff": PLAIN._replace(forward_passes=(F + 2 * (F - 18)) / F, locking=(2, 3, 4), random=CLASSES),
    # a sweep takes the last hidden layer two products further: through the readout or the
    # interneurons, and back
    "dendritic_microcircuit": PLAIN._replace(
        feedback_words=3 * X,
        learns_feedback=True,
        forward_passes=(F - 18) / F,
        settling_steps=T,
        locking=tuple(2 * T + d for d in (4, 5, 4)),
    ),
    **dict.fromkeys(("bcm", "softhebb", "krotov"), PLAIN._replace(locking=(2, 3, 4))),
    # the decay reads the weights of the other units of the layer
    **dict.fromkeys(
        ("hebb", "oja", "sanger"), PLAIN._replace(locking=(3, 4, 4), crossed=(1, 1, 0))
    ),
    "clapp": PLAIN._replace(
        feedback_words=SQUARES,
        learns_feedback=True,
        forward_passes=(F + 2 * (F - 18)) / F,
        locking=(4, 5, 4),
        random=2 * 7,
    ),
    "frozen": PLAIN._replace(locking=(0, 0, 4)),
}


# The cards of other rules are beside their mutants.
EXPECTED |= {k: c for file in FILES for k, c in runpy.run_path(str(file)).get("CARDS", {}).items()}
HYPER = {
    "dendritic_microcircuit": {"steps": T},
    "dfc": {"steps": T},
    "pc": {"steps": T},
    "fpa": {"steps": T},
    "epc": {"steps": T},
    "ep": {"free_steps": FREE, "nudged_steps": NUDGED},
    "pep": {"free_steps": FREE, "nudged_steps": NUDGED},
    "nep": {"free_steps": FREE, "nudged_steps": NUDGED},
    "hep": {"free_steps": FREE, "nudged_steps": NUDGED, "points": 4},
    "chl": {"free_steps": FREE, "clamped_steps": NUDGED},
    "cpl": {"free_steps": FREE, "clamped_steps": NUDGED},
}


def made(name, net=NET):
    return (RULES | BASELINES)[name](net, cross_entropy, **HYPER.get(name, {}))
