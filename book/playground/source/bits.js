// The page "Bits": what a test digit costs on disk, and what comes back.
import { drawnBill } from "./coding.js";
import { normals } from "./normal.js";
import {
  aboutModel,
  button,
  digitChooser,
  digitOf,
  make,
  numbers,
  picture,
  shown,
  slider,
  strong,
  words,
} from "./page.js";
import { encode, evaluate, logRatio } from "./vae.js";

const SCALES = [100, 200, 300, 400, 600, 1000]; // bits that the bars can show
const ORANGE = [200, 80, 0];

export function bits(place, model) {
  const state = { digit: 0, bits: 8, seed: 1 };
  const probabilities = picture("pixel probabilities");
  const byPixel = picture("bits by pixel (dark: 4 or more)", { tint: ORANGE });
  const bars = billOf();
  const sums = numbers(["latent", "+ pixels", "− back", "= in all", "−ELBO"], "bits");
  const sentence = words();

  function show() {
    const image = digitOf(model, state.digit);
    const q = encode(model, image);
    const noise = normals(q.mean.length, state.seed);
    const found = drawnBill(model, image, q, noise, state.bits);
    const all = found.latent + found.pixels - found.back;
    const { logLikelihood } = evaluate(model, image, q, noise);
    const bound = (logRatio(q, noise) - logLikelihood) / Math.LN2;
    probabilities.show(found.probability, "the decoder's probability of ink in each pixel");
    byPixel.show(
      found.byPixel.map((value) => value / 4),
      "the bits that each pixel costs",
    );
    bars.show(found, bound);
    sums.set({
      latent: shown(found.latent),
      "+ pixels": shown(found.pixels),
      "− back": shown(found.back),
      "= in all": shown(all),
      "−ELBO": shown(bound),
    });
    sentence.say(
      `With ${2 ** state.bits} bins, each of the ${q.mean.length} latents costs ${state.bits} ${state.bits === 1 ? "bit" : "bits"}. `,
      strong(`${shown(found.back)} bits come back`),
      `, so the digit adds ${shown(all)} bits to the file. Its −ELBO, estimated with the same ε, ` +
        `is ${shown(bound)} bits.`,
    );
  }

  const chooser = digitChooser("Image", model, 0, (index) => {
    state.digit = index;
    show();
  });
  const bins = slider(
    "bits of each latent",
    { min: 1, max: 12, step: 1, value: state.bits, words: (value) => `${value}` },
    (value) => {
      state.bits = value;
      show();
    },
  );
  const next = button("Next ε", () => {
    state.seed++;
    show();
  });
  place.append(
    make("div", { class: "pg-row" }, chooser, next),
    make("div", { class: "pg-pictures" }, probabilities.element, byPixel.element),
    bins.element,
    bars.element,
    sums.element,
    sentence.element,
    aboutModel(model.about),
  );
  show();
}

// Three bars: what is paid, what comes back, what is left; a line marks the −ELBO.
function billOf() {
  const part = (kind) => make("div", { class: `pg-part pg-${kind}` });
  const parts = {
    latent: part("latent-bits"),
    pixels: part("pixel-bits"),
    back: part("back-bits"),
    all: part("all-bits"),
  };
  const line = make("div", { class: "pg-line" });
  const row = (name, ...inner) =>
    make("div", { class: "pg-bar" }, make("span", {}, name), make("div", {}, ...inner));
  const end = make("span", {});
  const show = (found, bound) => {
    const paid = found.latent + found.pixels;
    const scale = SCALES.find((size) => size >= paid) ?? SCALES.at(-1);
    const put = (element, from, to) => {
      element.style.left = `${(100 * from) / scale}%`;
      element.style.width = `${(100 * Math.max(0, to - from)) / scale}%`;
    };
    put(parts.latent, 0, found.latent);
    put(parts.pixels, found.latent, paid);
    put(parts.back, paid - found.back, paid);
    put(parts.all, 0, paid - found.back);
    put(line, bound, bound);
    end.textContent = `${scale} bits`;
  };
  const key = [
    ["latent-bits", "latent"],
    ["pixel-bits", "pixels"],
    ["back-bits", "back"],
    ["line", "−ELBO"],
  ];
  const element = make(
    "figure",
    { class: "pg-bill" },
    make(
      "figcaption",
      { class: "pg-row" },
      ...key.map(([kind, text]) => make("span", { class: `pg-key pg-${kind}` }, text)),
    ),
    row("pay", parts.latent, parts.pixels),
    row("get back", parts.back),
    row("in all", parts.all, line),
    make("span", { class: "pg-ends" }, make("span", {}, "0"), end),
  );
  return { element, show };
}
