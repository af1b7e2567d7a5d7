"""The reader of jaxprs: a function as a list of operations, how often each runs, where values go,
when they are needed.
"""

from bioplaus.measure.program.tracing import Program, dependents, reaching, trace

__all__ = ["Program", "dependents", "reaching", "trace"]
