"""What is compared: ours against its peers, on the same net, batch, optimiser and images.

`aim`: the target for the ratio ours / peer on two CPU cores, None if there is none.
"""

from typing import Any, NamedTuple


class Entry(NamedTuple):
    """A program to be timed.

    peer: a key of PEERS. extra: settings for its worker that are added to the group's task.
    """

    peer: str
    extra: dict[str, Any] = {}  # noqa: RUF012 - never changed
    aim: float | None = None

    @property
    def name(self) -> str:
        return " ".join(
            [self.peer, *(str(self.extra[k]) for k in ("form", "rule") if k in self.extra)]
        )


class Group(NamedTuple):
    """title: as printed.  task: what every worker is told.  ours, peers: the programs."""

    title: str
    task: dict[str, Any]
    ours: Entry
    peers: tuple[Entry, ...]


MLP = {"sizes": [784, 500, 500, 10], "batch": 128}
LENET = {"sizes": [1024, 10], "batch": 128, "image": [32, 32, 1]}
RESNET = {
    "sizes": [3072, 10],
    "batch": 128,
    "examples": 10_000,
    "image": [32, 32, 3],
    "neuron": "relu",
    # channels in, out; stride
    "blocks": [
        *[(16, 16, 1)] * 3,
        (16, 32, 2),
        *[(32, 32, 1)] * 2,
        (32, 64, 2),
        *[(64, 64, 1)] * 2,
    ],
}
SPIKING = {
    "sizes": [700, 128, 20],
    "moments": 100,
    "batch": 128,
    "examples": 256,
    "one_core": True,  # and so in CPU time
}
AIMS = {"fa": 2.0, "dfa": 2.0, "usf": 2.2, "brsf": None, "frsf": None}


def settling(steps: int) -> Group:
    task = {
        "sizes": [784, 256, 256, 10],
        "batch": 128,
        "hyperparameters": {"steps": steps, "rate": 0.1},
    }
    peers = (Entry("pcx", aim=1.35), Entry("jpc", aim=1.4), Entry("ngclearn", aim=6.0))
    return Group(
        f"predictive coding, MLP 784-256-256-10, {steps} steps, Adam",
        task,
        Entry("bioplaus", {"rule": "pc"}),
        peers,
    )


def online(title: str, rule: str, **told: Any) -> Group:
    """The peer's form is the same in all: one gradient a moment, summed over the sequence."""
    return Group(
        f"{title}, LIF 700-128-20, 100 moments, Adam, one core, CPU time",
        SPIKING | told,
        Entry("bioplaus", {"rule": rule}),
        (Entry("braintrace", {"form": "pp_prop"}, 0.8),),
    )


TASKS: dict[str, tuple[Group, ...]] = {
    "T1": (
        Group(
            "backprop, MLP 784-500-500-10, Adam",
            MLP,
            Entry("bioplaus", {"rule": "bp"}),
            (
                Entry("pytorch", {"form": "eager"}, 1.9),
                Entry("pytorch", {"form": "compile"}, 1.9),
                Entry("pytorch", {"form": "fused Adam"}),  # not its default
                Entry("flax", aim=1.3),
                Entry("numpy", aim=1.15),
            ),
        ),
    ),
    "T2": tuple(
        Group(
            f"{mode}, MLP 784-500-500-10, Adam",
            MLP,
            Entry("bioplaus", {"rule": mode}),
            (Entry("biotorch", {"form": mode}, aim),),
        )
        for mode, aim in AIMS.items()
    ),
    "T2 conv": (
        tuple(
            Group(
                f"{rule}, LeNet-5 on 32x32x1, Adam",
                LENET,
                Entry("bioplaus", {"rule": rule}),
                (Entry(peer, {"form": form}, 1.0),),
            )
            for rule, peer, form in (
                ("bp", "pytorch", "eager"),
                ("fa", "biotorch", "fa"),
                ("dfa", "biotorch", "dfa"),
            )
        )
        + tuple(  # not dfa: ours sends the error to the blocks, theirs to every convolution
            Group(
                f"{rule}, ResNet-20 on 32x32x3 without normalisation, Adam",
                RESNET,
                Entry("bioplaus", {"rule": rule}),
                (Entry(peer, {"form": form}, 1.0),),
            )
            for rule, peer, form in (("bp", "pytorch", "eager"), ("fa", "biotorch", "fa"))
        )
    ),
    "T3": (settling(8), settling(20)),
    "T4": (
        # theirs settles the output layer with the hidden one, ours reads it out: two products a
        # sweep against one
        Group(
            "equilibrium propagation, MLP 784-512-10 of hard sigmoids, 15 free and 2 x 15 nudged"
            " sweeps, SGD with momentum",
            {
                "sizes": [784, 512, 10],
                "batch": 128,
                "neuron": "hard_sigmoid",
                "optimiser": "momentum",
                "hyperparameters": {"beta": 0.25, "free_steps": 15, "nudged_steps": 15},
            },
            Entry("bioplaus", {"rule": "ep"}),
            (Entry("ebl", aim=9.0),),
        ),
    ),
    "T5": (
        # all send gradients through LIF neurons of 20 moments with the surrogate 1 / (1 + 25 |x|)^2
        # and answer at each moment by leaky integrators. spyx fires a moment later, and sends
        # gradients through the reset; norse takes Euler steps and resets to 0.
        Group(
            "spiking nets, BPTT, LIF 700-128-20, 100 moments, Adam, one core, CPU time",
            SPIKING,
            Entry("bioplaus", {"rule": "bp"}),
            (
                Entry("spyx", aim=0.9),
                Entry("snntorch", aim=2.0),
                Entry("norse", aim=4.0),
            ),
        ),
    ),
    "T5 online": (
        # All take one step of Adam a sequence. ottt is factorised as pp_prop is: a trace for each
        # input, none for each synapse. It and e-prop give the exact eligibility of these neurons;
        # pp_prop low-passes what inputs and what neurons did apart, which is an approximation.
        online("ottt on whole sequences", "ottt"),
        online("ottt on streams, a piece of all 100 moments", "ottt", pieces=100),
        online("ottt on streams, a moment at a time", "ottt", pieces=1),
        online("eprop on whole sequences", "eprop"),
        online("eprop on streams, a piece of all 100 moments", "eprop", pieces=100),
    ),
    "T6": (
        # theirs has a running mean of activities and a readout of two layers, ours the mean of a
        # batch and one layer
        Group(
            "forward-forward, MLP 784-3x1000-10, SGD with momentum",
            {
                "sizes": [784, 1000, 1000, 1000, 10],
                "batch": 100,
                "neuron": "relu",
                "optimiser": "momentum",
                "hyperparameters": {"theta": 1.0, "peers": 0.03},
            },
            Entry("bioplaus", {"rule": "ff"}),
            (Entry("forward_forward", aim=1.5),),
        ),
        Group(  # ours has a readout as well
            "SoftHebb, one convolution of 96 kernels 5x5 on 32x32x3, updates over their largest"
            " entry",
            {
                "sizes": [3072, 10],
                "batch": 10,
                "examples": 10_000,
                "image": [32, 32, 3],
                "channels": 96,
                "neuron": "relu",
                "optimiser": "largest",
                "hyperparameters": {
                    "temperature": 1.0,
                    "length": 1.0,
                    "power": 0.5,
                    "averaging": 0.0,
                    "homeostasis": False,
                },
            },
            Entry("bioplaus", {"rule": "softhebb"}),
            (Entry("softhebb", aim=2.7),),
        ),
    ),
    "T7": (
        Group(
            "8 seeds of backprop, MLP 784-500-500-10, Adam",
            MLP | {"seeds": 8},
            Entry("bioplaus", {"rule": "bp"}),
            (Entry("pytorch", {"form": "eager"}, 1.9), Entry("pytorch", {"form": "fused Adam"})),
        ),
    ),
}
