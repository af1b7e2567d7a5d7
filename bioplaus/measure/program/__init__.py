"""The reader of jaxprs.

It finds the operations of a function, how often each runs, where values go, and when they are
needed.
"""

from bioplaus.measure.program.graph import Program, dependents, reaching
from bioplaus.measure.program.tracing import trace

__all__ = ["Program", "dependents", "reaching", "trace"]
