"""Learned gains under five rules: a context alone decides which label a digit has.

python experiments/learned_gains.py [--rules bp,fa,dfa,pc,ep] [--steps 1500] [--seeds 5]
    [--first 0] [--part test] [--learning-rate 0.005]
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax

import bioplaus as bp
from bioplaus.measure import accuracy
from bioplaus.measure.statistics import interval
from bioplaus.rules import RULES
from bioplaus.train import make_train, replicate, seed_keys

SIZES = (128, 128, 10)


def with_cue(batch: bp.Batch) -> bp.Batch:
    """The cue as further inputs, beside the pixels."""
    x = np.asarray(batch.x).reshape(len(batch.x), -1)
    return batch._replace(x=np.concatenate([x, batch.context["cue"]], 1))


def trained(factory, net, data: bp.Batch, args):
    """The rule, and its states after training, seed by seed."""
    rule = factory(net, bp.cross_entropy)
    train = replicate(make_train(net, rule, optax.adam(args.learning_rate), data), "vmap")
    states = train.init(seed_keys(args.first + args.seeds)[args.first :])
    return rule, train.advance(states, args.steps)[0]


def scores(rule, states, part: bp.Batch) -> np.ndarray:
    """Accuracy of each seed in %."""
    part, key = jax.tree.map(jnp.asarray, part), jax.random.key(0)

    @jax.jit
    def score(state):
        output = rule.predict(state.params, state.rule, part.x, key, part.context)
        return 100 * accuracy(output, part.y)

    return np.asarray(jax.vmap(score)(states))


def measured(name: str, data, args) -> dict[str, np.ndarray]:
    """Condition -> accuracy of each seed in %."""
    train, test = data.train, getattr(data, args.part)
    cue = test.context["cue"]
    contexts = cue.shape[1]
    plain, wide = bp.mlp([64, *SIZES]), bp.mlp([64 + contexts, *SIZES])
    gained = tuple(bp.contextual(layer, contexts) for layer in plain)
    factory = RULES[name]
    rule, states = trained(factory, gained, train, args)
    heard = {
        "gains": cue,
        "gains, wrong context": np.roll(cue, 1, 1),
        "gains, no context": 0 * cue,
    }
    found = {
        condition: scores(rule, states, test._replace(context={"cue": z}))
        for condition, z in heard.items()
    }
    found["no gains, no context"] = scores(*trained(factory, plain, train, args), test)
    given = trained(factory, wide, with_cue(train), args)
    return found | {"context as input": scores(*given, with_cue(test))}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rules", default="bp,fa,dfa,pc,ep", help="keys, with commas")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--part", default="test", choices=("validation", "test"))
    parser.add_argument("--learning-rate", type=float, default=5e-3)
    args = parser.parse_args()
    data = bp.data.load("digits-in-contexts")
    for name in args.rules.split(","):
        for condition, values in measured(name, data, args).items():
            found = interval(values, bounds=(0.0, 100.0))
            print(
                f"{name:4} {condition:21} {found.mean:5.1f} [{found.low:.1f}, {found.high:.1f}]",
                flush=True,
            )


if __name__ == "__main__":
    main()
