"""Processor time of the corruption curves of eight rules against that of training them.

    python experiments/benchmarks/corruptions.py [--epochs 3] [--images 1000] [--rules bp,fa]

MNIST, 784-256-256-10, batch 128, one seed: each rule of `bioplaus compare` is trained, then answers
to every corruption at every severity. The images are made once. Compilation is counted on both
sides. On a CPU, in seconds of all its cores, so that other work on the machine does not count;
quote the ratio, not the seconds.
"""

import argparse
import time

import jax
import jax.numpy as jnp

import bioplaus as bp
from bioplaus.measure import accuracy
from bioplaus.measure.robustness.corruptions import corrupted, on_images, suite_for
from bioplaus.study import spec
from bioplaus.study.build import build
from bioplaus.study.comparison import CORE, comparison
from bioplaus.train import make_train


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rules", default=",".join(CORE))
    args = parser.parse_args()
    data = bp.data.load("mnist")
    x, y = (jnp.asarray(a[: args.images]) for a in data.test[:2])
    key = jax.random.key(0)

    began = time.process_time()
    suite = suite_for(x)
    made = jax.block_until_ready(jax.jit(lambda x: corrupted(suite, x, key))(x))
    images = jnp.stack(list(made.values()))
    making = time.process_time() - began
    training = answering = 0.0
    for arm in spec.arms(comparison(args.rules.split(","), data="mnist", seeds=1)):
        if arm.rule == "frozen":
            continue
        built = build(arm, data.train.x[:1], 10)
        rule = built.rule(built.net)
        began = time.process_time()
        train = make_train(
            built.net, rule, built.tx, data.train, batch_size=arm.batch_size, hold=built.hold
        )
        steps = args.epochs * built.hold * (len(data.train.x) // arm.batch_size)
        state, _ = jax.block_until_ready(train.advance(train.init(key), steps))
        trained = time.process_time() - began

        @jax.jit
        def answers(state, images, y, rule=rule):
            return on_images(
                accuracy, lambda x, k: rule.predict(state.params, state.rule, x, k), images, y, key
            )

        began = time.process_time()
        found = jax.block_until_ready(answers(state, images, y))
        answered = time.process_time() - began
        training, answering = training + trained, answering + answered
        print(
            f"{arm.rule:5} train {trained:6.1f} s   answer {answered:6.1f} s   mean accuracy"
            f" {float(found.mean()):.3f}",
            flush=True,
        )
    total = making + answering
    print(
        f"{len(made)} corruptions x {images.shape[1]} severities x {args.images} images: made in"
        f" {making:.1f} s"
    )
    print(f"corruptions / training = {total:.1f} s / {training:.1f} s = {total / training:.3f}")


if __name__ == "__main__":
    main()
