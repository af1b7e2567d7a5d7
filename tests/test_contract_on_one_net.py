"""Every item of the contract on one net, for rules that keep it on all nets in `make slow`."""

import pytest
from variants import ON_ONE_NET

from bioplaus.rules import BASELINES, RULES
from bioplaus.testing import ITEMS, standard

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("key", ON_ONE_NET)
def test_rule_keeps_the_contract(x64, key):
    case = standard((RULES | BASELINES)[key])
    for item in ITEMS:
        item(case)
