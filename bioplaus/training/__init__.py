"""Training: pure functions of a run (program), compiled runs (train), keys and runs of many seeds
(seeds), data from the host (stream), several devices and machines, checkpoints, number formats
(precision).
"""
