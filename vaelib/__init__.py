"""The package behind the course: a variational autoencoder in small, pure functions."""

import os

from vaelib.calm import wait_calmly

__version__ = "0.1.0"
wait_calmly(os.environ)
