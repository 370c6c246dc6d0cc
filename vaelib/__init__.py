"""The package behind the course: a variational autoencoder in small, pure functions.

Each notebook has a module of the same name here. Import what you need from its module, for
example ``from vaelib.elbo import kl``; importing ``vaelib`` alone loads nothing else.
"""

__version__ = "0.1.0"
