"""What a trained model's latents carry."""

from jaxtyping import Bool, Float
from torch import Tensor


def active_units(
    mean: Float[Tensor, "image latent"], threshold: float = 0.01
) -> Bool[Tensor, " latent"]:
    """Which latent dimensions vary with the image: Var_x(E[z|x]) > `threshold`.

    Burda, Grosse & Salakhutdinov 2016, section 5.2. Raises ValueError for fewer than two images.
    """
    if len(mean) < 2:
        raise ValueError(f"a variance over images needs at least 2 of them, got {len(mean)}")
    return mean.var(0) > threshold
