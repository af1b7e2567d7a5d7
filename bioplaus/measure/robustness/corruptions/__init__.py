"""Common corruptions of images, made in JAX once for all nets that are compared."""

from bioplaus.measure.robustness.corruptions.suites import (
    CIFAR10_C_LIKE,
    MNIST_C_LIKE,
    SEVERITIES,
    Corruption,
    Suite,
    corrupted,
    on_images,
    suite_for,
)

__all__ = [
    "CIFAR10_C_LIKE",
    "MNIST_C_LIKE",
    "SEVERITIES",
    "Corruption",
    "Suite",
    "corrupted",
    "on_images",
    "suite_for",
]
