"""Rules and their variants: FIRST is one rule of each file of identities.

The others of the file share most of its code. What costs most in the suite is asked of them in
`make slow` alone.
"""

import pytest

from bioplaus.identities import FAMILIES

FIRST = tuple(
    {family.checks.__module__: key for key, family in reversed(FAMILIES.items())}.values()
)
VARIANTS = tuple(key for key in FAMILIES if key not in FIRST)
RULES_AND_SLOW_VARIANTS = (*FIRST, *(pytest.param(key, marks=pytest.mark.slow) for key in VARIANTS))
