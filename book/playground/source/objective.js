// Which β a loss trains, from how its two terms are summed, averaged and weighted.

export const pixelsOf = ({ channels, height, width }) => channels * height * width;

// `beta` is the KL's weight beside the log-likelihood's; for squared error, that of a Gaussian with
// σ = 1. Then `sigma` is the decoder's standard deviation with which the same loss has β = 1.
// `factor` is the weight of the error that is summed over pixels and averaged over images.
export function trained(loss) {
  const pixels = share(loss.overPixels, pixelsOf(loss));
  const latents = share(loss.overLatents, loss.latents);
  const factor = loss.reconstructionWeight * pixels * perImage(loss.overBatch, loss);
  const ratio = (loss.klWeight * latents * perImage(loss.klOverBatch, loss)) / factor;
  if (loss.error === "cross-entropy") return { beta: ratio, factor };
  return { beta: ratio / 2, sigma: Math.sqrt(ratio / 2), factor };
}

// The loss as a line of PyTorch. `kl` has the shape (batch, latent).
export function written(loss) {
  const name = loss.error === "squared" ? "mse_loss" : "binary_cross_entropy";
  const whole = loss.overPixels === "sum" ? ', reduction="sum"' : "";
  const scale = { "sum mean": " / len(x)", "mean sum": " * len(x)" };
  const fix = scale[`${loss.overPixels} ${loss.overBatch}`] ?? "";
  const reconstruction = `F.${name}(x_hat, x${whole})${fix}`;
  const divergence = `kl.${loss.overLatents}(1).${loss.klOverBatch}()`;
  return `${times(loss.reconstructionWeight)}${reconstruction} + ${times(loss.klWeight)}${divergence}`;
}

function times(weight) {
  return weight === 1 ? "" : `${weight} * `;
}

function share(reduction, count) {
  return reduction === "mean" ? 1 / count : 1;
}

function perImage(reduction, { batch }) {
  return reduction === "sum" ? batch : 1;
}
