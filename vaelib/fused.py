"""The ELBO of the blog post's network as one operation, with its gradient written by hand.

Forwards and backwards, PyTorch dispatches about 130 operations for `VAE.terms`. `FusedTerms`
computes the same equations with about 95. The tests compare both, in value and gradient.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.functional import linear
from torch.nn.modules.module import _has_any_global_hook

from vaelib.decoder import Decoder
from vaelib.encoder import Encoder
from vaelib.quick import BernoulliLogProb, Tanh, bernoulli_log_prob, tanh

tanh_backward = torch.ops.aten.tanh_backward
LAYERS = [nn.Linear, Tanh, nn.Linear, nn.Linear, nn.Linear, Tanh, nn.Linear]
METHODS = {"infer", "posterior", "likelihood", "features", "descend", "prior"}
HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


class FusedTerms(torch.autograd.Function):
    """log p(x|z) and KL(q ‖ p) of each image in nats, from images, noise and ten parameters.

    The parameters are weight and bias of the encoder's hidden layer, of μ, of log σ, of the
    decoder's hidden layer, and of the logits. The equations are those of `Encoder`,
    `reparameterize`, `Decoder`, `log_likelihood` and `kl`. Images and noise get no gradient.
    """

    @staticmethod
    def forward(
        context: FunctionCtx, image: Tensor, noise: Tensor, *parameters: Tensor
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """The two terms of each image."""
        terms, between = _forward(image, noise, parameters, tanh, bernoulli_log_prob)
        context.save_for_backward(image, noise, *parameters, *between)
        return terms

    @staticmethod
    def backward(
        context: FunctionCtx, d_log_prob: Tensor, d_kl: Tensor
    ) -> tuple[Tensor | None, ...]:
        """The derivatives of the loss with respect to the parameters.

        `d_x` is that with respect to x; for a hidden layer, to the input of its tanh.
        """
        image, noise, *others = context.saved_tensors
        parameters, (encoded, mean, std, latent, decoded, logits) = others[:10], others[10:]
        if torch.is_grad_enabled():  # the derivatives will be differentiated again
            # so that a shared parameter appears as two tensors
            parameters = [value.view_as(value) for value in parameters]
            terms, _ = _forward(image, noise, parameters, Tanh(), BernoulliLogProb.apply)
            along = torch.autograd.grad(terms, parameters, (d_log_prob, d_kl), create_graph=True)
            return None, None, *along
        _, to_mean, to_log_std, widen, draw = parameters[::2]
        d_kl = d_kl.unsqueeze(-1)
        d_logits = logits.sigmoid().sub_(image) * -d_log_prob.unsqueeze(-1)
        d_decoded = tanh_backward(d_logits @ draw, decoded)
        d_latent = (widen.t() @ d_decoded.t()).t()  # such thin products are faster this way round
        d_mean = d_latent + d_kl * mean
        d_log_std = d_latent * std * noise + d_kl * (std.square() - 1)
        d_encoded = torch.addmm(d_mean @ to_mean, d_log_std, to_log_std)
        d_encoded = tanh_backward(d_encoded, encoded)
        along = (
            *(d_encoded.t() @ image, d_encoded.sum(0)),
            *(d_mean.t() @ encoded, d_mean.sum(0)),
            *(d_log_std.t() @ encoded, d_log_std.sum(0)),
            *((latent.t() @ d_decoded).t().contiguous(), d_decoded.sum(0)),
            *(d_logits.t() @ decoded, d_logits.sum(0)),
        )
        return None, None, *along


def _forward(
    image: Tensor, noise: Tensor, parameters: Sequence[Tensor], tanh: Callable, log_prob: Callable
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, ...]]:
    """The two terms, and what is computed on the way to them."""
    see, to_mean, to_log_std, widen, draw = zip(parameters[::2], parameters[1::2], strict=True)
    encoded = tanh(linear(image, *see))
    mean, log_std = linear(encoded, *to_mean), linear(encoded, *to_log_std)
    std = log_std.exp()
    latent = mean + std * noise
    decoded = tanh(linear(latent, *widen))
    logits = linear(decoded, *draw)
    kl = 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(-1)
    return (log_prob(image, logits), kl), (encoded, mean, std, latent, decoded, logits)


def parameters_of(model: nn.Module, image: Tensor, noise: Tensor) -> list[Tensor] | None:
    """The ten parameters for `FusedTerms`, or None if `model` needs its modules.

    `FusedTerms` needs an `Encoder` and a `Decoder` of one hidden layer with tanh, without hooks and
    with their own methods; float32 parameters on a CPU, all of which are trained; and one noise for
    each image.
    """
    encoder, decoder = model.encoder, model.decoder
    if type(encoder) is not Encoder or type(decoder) is not Decoder:
        return None
    see, draw = encoder.hidden, decoder.hidden
    if not type(see) is type(draw) is nn.Sequential or len(see) != 2:
        return None
    layers = [*see, encoder.mean, encoder.log_std, *draw, decoder.logits]
    parts = (encoder, decoder, see, draw, *layers)
    hooked = (getattr(part, kind) for part in parts for kind in HOOKS)
    replaced = any("forward" in vars(part) for part in parts) or METHODS & vars(model).keys()
    if [*map(type, layers)] != LAYERS or any(hooked) or replaced or _has_any_global_hook():
        return None
    linears = (layer._parameters for layer in layers if type(layer) is nn.Linear)
    found = [parameters.get(name) for parameters in linears for name in ("weight", "bias")]
    fits = (
        all(value is not None and value.requires_grad for value in found)
        and image.ndim == noise.ndim == 2
        and (image.shape[1], noise.shape) == (model.pixels, (len(image), model.latent))
        and [*map(len, found[2:6]), len(found[8])] == [model.latent] * 4 + [model.pixels]
        and len(image) > 0
        and not (image.requires_grad or noise.requires_grad)
        and all(v.dtype is torch.float32 and v.is_cpu for v in (image, noise, *found))
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )
    return found if fits else None
