"""Training.

program: the pure functions of a run. train: compiled runs. seeds: keys, and runs of many seeds.
online: rules that learn while time runs. stream: data from the host. devices, machines: several of
them. checkpoints; precision: number formats; loops.
"""
