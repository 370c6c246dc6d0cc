"""The package behind the course: a variational autoencoder in small, pure functions."""

__version__ = "0.1.0"
