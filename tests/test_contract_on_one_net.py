"""Every item of the contract on one net, for rules that keep it on all nets in `make slow`."""

import pytest
from variants import ON_ONE_NET

from bioplaus.rules import BASELINES, RULES
from bioplaus.support import needs_rewards
from bioplaus.testing import ITEMS, perceptron, rewarded

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("key", ON_ONE_NET)
def test_rule_keeps_the_contract(x64, key):
    factory = (RULES | BASELINES)[key]
    case = rewarded(factory) if needs_rewards(factory) else perceptron(factory)
    for item in ITEMS:
        item(case)
