// What an image costs in bits, coded with bits back, as in notebook 8.
import { cdf, quantile } from "./normal.js";
import { decode, reparameterize, sigmoid } from "./vae.js";

// The bins of equal prior mass, 2**bits for each latent, in which a latent lies.
export function binsOf(latent, bits) {
  const count = 2 ** bits;
  return Array.from(latent, (z) => Math.min(count - 1, Math.floor(cdf(z) * count)));
}

// The bill of an image whose latents lie in `bins`: bits for the latent, for the pixels, and what
// comes back; and each pixel's probability of being 1, and its bits.
export function bill(model, image, q, bins, bits) {
  const count = 2 ** bits;
  const logits = decode(
    model,
    bins.map((bin) => quantile((bin + 0.5) / count)),
  );
  const probability = Array.from(logits, sigmoid);
  const byPixel = probability.map((p, i) => -Math.log2(image[i] ? p : sigmoid(-logits[i])));
  const back = bins.map((bin, i) => -Math.log2(massOf(bin, count, q.mean[i], q.logStd[i])));
  return {
    latent: bits * bins.length,
    pixels: sum(byPixel),
    back: sum(back),
    probability,
    byPixel,
  };
}

// As `bill`, for the latent that a noise ε picks from q.
export function drawnBill(model, image, q, noise, bits) {
  return bill(model, image, q, binsOf(reparameterize(q, noise), bits), bits);
}

// The probability of a bin under q.
function massOf(bin, count, mean, logStd) {
  const below = (edge) => {
    if (edge === 0 || edge === count) return edge && 1;
    return cdf((quantile(edge / count) - mean) / Math.exp(logStd));
  };
  return below(bin + 1) - below(bin);
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
