// The standard normal distribution: density, Φ, its inverse, and numbers drawn from it.

export function density(z) {
  return Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
}

// Φ(z), to about 1e-15. Marsaglia 2004, "Evaluating the normal distribution".
export function cdf(z) {
  if (Math.abs(z) > 8) return z > 0 ? 1 : 0;
  let [sum, term] = [z, z];
  for (let k = 3; sum + term !== sum; k += 2) sum += term *= (z * z) / k;
  return 0.5 + sum * density(z);
}

// The z with Φ(z) = p, by bisection.
export function quantile(p) {
  let [low, high] = [-8, 8];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    [low, high] = cdf(middle) < p ? [middle, high] : [low, middle];
  }
  return (low + high) / 2;
}

// Numbers from Uniform(0, 1) that a seed decides, one by each call. (Mulberry32.)
export function uniforms(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// So many standard normal numbers that a seed decides. (Box and Muller 1958.)
export function normals(count, seed) {
  const next = uniforms(seed);
  return Float64Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - next()));
    return radius * Math.cos(2 * Math.PI * next());
  });
}
