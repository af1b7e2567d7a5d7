"""Which rules `make test` asks for what costs most, and which are left to `make slow`.

FIRST is one rule of each file of identities. The others of the file, its VARIANTS, share most of
its code. LABELLED are those of FIRST that learn from labels. The checks of a COSTLY rule take ten
seconds or more. SHOWN keep the contract on every net in `make test`, the others of FIRST on one of
them. The identities of MANY_IDENTITIES take five
seconds or more: `make test` checks those of one perceptron, `make slow` all.
"""

import pytest

from bioplaus.identities import FAMILIES
from bioplaus.rules import BASELINES, of_labels

FIRST = tuple(
    {family.checks.__module__: key for key, family in reversed(FAMILIES.items())}.values()
)
VARIANTS = tuple(key for key in FAMILIES if key not in FIRST)
COSTLY = ("dfc", "dendritic_microcircuit", "wm", "clapp", "ep")
SHOWN = ("bp", "fa", "ep")
MANY_IDENTITIES = (
    "burstprop decolle dfa drtp eprop ff hebb pep sigprop threefactor tp usf wp".split()
)


def _slow(keys):
    return (pytest.param(key, marks=pytest.mark.slow) for key in keys)


REWARDED = FAMILIES.keys() - of_labels() - BASELINES.keys()  # rules that need no labels
LABELLED = tuple(key for key in FIRST if key not in REWARDED)
LABELLED_AND_SLOW_VARIANTS = (*LABELLED, *_slow(VARIANTS))
LABELLED_AND_SLOW_COSTLY = (
    *(key for key in LABELLED if key not in COSTLY),
    *_slow((*COSTLY, *VARIANTS)),
)
IDENTITIES = (
    *(key for key in FIRST if key not in (*COSTLY, *MANY_IDENTITIES)),
    *_slow((*COSTLY, *MANY_IDENTITIES, *VARIANTS)),
)
SHOWN_AND_SLOW_OTHERS = (*SHOWN, *_slow(key for key in FAMILIES if key not in SHOWN))
ON_ONE_NET = tuple(key for key in FIRST if key not in (*SHOWN, *COSTLY))
