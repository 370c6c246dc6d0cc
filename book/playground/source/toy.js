// The model of notebook 4: one latent and three pixels, so that log p(x) is an integral on a grid.
import { density } from "./normal.js";
import { sigmoid } from "./vae.js";

const SLOPES = [3, 2, -1];
const BIASES = [-1, 1, 1];
const STEP = 0.01;
const RATE = 0.2; // step size of the ascent to the best Gaussian
const NOISE = Float64Array.from({ length: 141 }, (_, i) => i / 10 - 7);
export const GRID = Float64Array.from({ length: 2401 }, (_, i) => (i - 1200) * STEP);

// log p(x, z) of an image of three pixels at each point of the grid.
export function logJoint(image) {
  return GRID.map((z) => {
    const logits = SLOPES.map((slope, i) => slope * z + BIASES[i]);
    const pixel = (logit, i) => Math.log(sigmoid(image[i] ? logit : -logit));
    return logits.map(pixel).reduce((a, b) => a + b) + Math.log(density(z));
  });
}

// log p(x) = elbo + gap, in nats; the gap is KL(q ‖ p(z|x)). `q` is { mean, logStd }.
export function bound(joint, q) {
  const logEvidence = Math.log(integral(joint.map(Math.exp)));
  const guess = GRID.map((z) => logDensity(q, z));
  const average = (value) => integral(guess.map((log, i) => Math.exp(log) * value(log, i)));
  return {
    logEvidence,
    elbo: average((log, i) => joint[i] - log),
    gap: average((log, i) => log - (joint[i] - logEvidence)),
  };
}

// p(z|x) at each point of the grid.
export function truePosterior(joint) {
  const evidence = integral(joint.map(Math.exp));
  return joint.map((log) => Math.exp(log) / evidence);
}

// The Gaussian with the highest bound, by gradient ascent from the true posterior's moments.
export function bestGaussian(image) {
  const posterior = truePosterior(logJoint(image));
  let mean = integral(posterior.map((p, i) => p * GRID[i]));
  let logStd = Math.log(integral(posterior.map((p, i) => p * (GRID[i] - mean) ** 2))) / 2;
  for (let step = 0; step < 200; step++) {
    const std = Math.exp(logStd);
    const at = NOISE.map((noise) => slope(image, mean + std * noise));
    mean += RATE * average(at);
    logStd += RATE * (1 + average(at.map((value, i) => value * std * NOISE[i])));
  }
  return { mean, logStd };
}

export function logDensity({ mean, logStd }, z) {
  const distance = (z - mean) / Math.exp(logStd);
  return -(distance ** 2) / 2 - logStd - Math.log(2 * Math.PI) / 2;
}

// The derivative of log p(x, z) by z.
function slope(image, z) {
  const pixel = (bias, i) => SLOPES[i] * (image[i] - sigmoid(SLOPES[i] * z + bias));
  return BIASES.map(pixel).reduce((a, b) => a + b) - z;
}

// The expected value under ε ~ N(0, 1) of what has these values at NOISE.
function average(values) {
  return 0.1 * values.reduce((total, value, i) => total + value * density(NOISE[i]), 0);
}

function integral(values) {
  const ends = (values[0] + values[values.length - 1]) / 2;
  return STEP * (values.reduce((total, value) => total + value, 0) - ends);
}
