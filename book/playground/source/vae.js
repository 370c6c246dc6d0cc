// The VAE of notebook 5, one image at a time: q(z|x), p(x|z) and the terms of the ELBO in nats.

// q(z|x) of a binary image, as { mean, logStd }.
export function encode(model, image) {
  const hidden = Float64Array.from(model.inkBias);
  const width = hidden.length;
  for (let pixel = 0; pixel < image.length; pixel++) {
    if (!image[pixel]) continue;
    const row = pixel * width;
    for (let unit = 0; unit < width; unit++) hidden[unit] += model.ink[row + unit];
  }
  const seen = hidden.map(Math.tanh);
  return {
    mean: dense(model.mean, model.meanBias, seen),
    logStd: dense(model.logStd, model.logStdBias, seen),
  };
}

// The logit of each pixel, given a latent.
export function decode(model, latent) {
  const hidden = dense(model.latent, model.latentBias, latent).map(Math.tanh);
  return dense(model.pixel, model.pixelBias, hidden);
}

// The latent μ + σ·ε.
export function reparameterize({ mean, logStd }, noise) {
  return mean.map((value, i) => value + Math.exp(logStd[i]) * noise[i]);
}

// KL(q ‖ N(0, I)) in nats.
export function kl({ mean, logStd }) {
  const each = (value, i) => (value ** 2 + Math.exp(2 * logStd[i]) - 1 - 2 * logStd[i]) / 2;
  return sum(mean.map(each));
}

// log q(z|x) − log p(z) in nats at the latent that ε picks. Its mean over ε is the KL.
export function logRatio(q, noise) {
  const each = (z, i) => (z ** 2 - noise[i] ** 2) / 2 - q.logStd[i];
  return sum(reparameterize(q, noise).map(each));
}

// log p(x|z) of a binary image in nats, from the logits of its pixels.
export function logLikelihood(image, logits) {
  return sum(logits.map((logit, i) => image[i] * logit - softplus(logit)));
}

// What one noise ε says about an image: its latent, logits, log-likelihood, KL and −ELBO.
export function evaluate(model, image, q, noise) {
  const latent = reparameterize(q, noise);
  const logits = decode(model, latent);
  const terms = { logLikelihood: logLikelihood(image, logits), kl: kl(q) };
  return { latent, logits, ...terms, cost: terms.kl - terms.logLikelihood };
}

// The share of test digits that cost less, from the quantiles of their costs.
export function shareEasier(quantiles, cost) {
  let below = 0;
  while (below < quantiles.length && quantiles[below] < cost) below++;
  if (below === 0 || below === quantiles.length) return below && 1;
  const [low, high] = [quantiles[below - 1], quantiles[below]];
  return (below - 1 + (cost - low) / (high - low)) / (quantiles.length - 1);
}

export const sigmoid = (logit) => 1 / (1 + Math.exp(-logit));

function softplus(logit) {
  return Math.max(logit, 0) + Math.log1p(Math.exp(-Math.abs(logit)));
}

function dense(weight, bias, input) {
  const width = input.length;
  return Float64Array.from(bias, (start, row) => {
    let total = start;
    for (let i = 0, at = row * width; i < width; i++, at++) total += weight[at] * input[i];
    return total;
  });
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
