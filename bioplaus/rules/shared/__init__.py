"""What families of rules share: relaxation to equilibrium, inverses for target propagation,
unsupervised layers.
"""
