"""Training: compiled runs (train), data from the host (stream), devices, machines, checkpoints,
precision.
"""
