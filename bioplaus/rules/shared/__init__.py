"""What families of rules share: relaxation, learned inverses, unsupervised layers."""
