"""Faster versions of tanh and of the Bernoulli log-likelihood, equal to PyTorch's up to rounding.

Both are computed from the logistic function σ, which PyTorch computes faster than tanh or log1p on
a CPU.
"""

import math

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

MINUS_ONE = torch.tensor(-1.0, device="cpu")


class Tanh(nn.Tanh):
    """tanh a = 2 σ(2a) − 1, for float32 on a CPU; else PyTorch's. The error is at most 2⁻²²."""

    def forward(self, values: Tensor) -> Tensor:
        quick = values.dtype == torch.float32 and values.device.type == "cpu"
        return _Tanh.apply(values) if quick else torch.tanh(values)


def tanh(values: Tensor) -> Tensor:
    """tanh without a gradient."""
    half = (values + values).sigmoid_()
    return torch.add(MINUS_ONE, half, alpha=2, out=half)


class _Tanh(torch.autograd.Function):
    @staticmethod
    def forward(context: FunctionCtx, values: Tensor) -> Tensor:
        context.save_for_backward(result := tanh(values))
        return result

    @staticmethod
    def backward(context: FunctionCtx, gradient: Tensor) -> Tensor:
        (result,) = context.saved_tensors
        return torch.ops.aten.tanh_backward(gradient, result)


def bernoulli_log_prob(image: Tensor, logits: Tensor) -> Tensor:
    """log p of binary images given logits, in nats, as `vaelib.decoder.log_likelihood`.

    log p = Σ (x − ½)·l − Σ log 2cosh(l/2), and log 2cosh(l/2) = ½|l| − log σ(|l|). As each σ(|l|)
    lies in [½, 1], a product of 112 does not underflow, and one logarithm replaces 112.
    Images are broadcast over leading dimensions of the logits; without a gradient.
    """
    linear = (logits * (image - 0.5)).sum(-1)
    sizes = logits.abs()
    size = sizes.sum(-1)
    together = math.gcd(logits.shape[-1], 112)  # pixels, and 2 ** -112 is no underflow yet
    products = sizes.sigmoid_().unflatten(-1, (-1, together)).prod(-1)
    return linear - 0.5 * size + products.log().sum(-1)


class BernoulliLogProb(torch.autograd.Function):
    """`bernoulli_log_prob` with its gradient along the logits, x − σ(l)."""

    @staticmethod
    def forward(context: FunctionCtx, image: Tensor, logits: Tensor) -> Tensor:
        """log p of each image, in nats, summed over the last dimension of the logits."""
        context.save_for_backward(image, logits)
        return bernoulli_log_prob(image, logits)

    @staticmethod
    def backward(context: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The gradients along the image, l, and along the logits, x − σ(l), times `gradient`."""
        (image, logits), along = context.saved_tensors, gradient.unsqueeze(-1)
        of_image, of_logits = context.needs_input_grad
        return (
            (along * logits).sum_to_size(image.shape) if of_image else None,
            along * (image - logits.sigmoid()) if of_logits else None,
        )
