// The page "Draw": a digit of your own, its q, its reconstruction and its nats.
import sketch from "./sketch.js";
import { asMnist, enlarged, threshold } from "./handwriting.js";
import { normals } from "./normal.js";
import {
  aboutModel,
  button,
  make,
  numbers,
  picture,
  shape,
  shown,
  slider,
  strong,
  words,
} from "./page.js";
import { traits } from "./traits.js";
import { encode, evaluate, shareEasier, sigmoid } from "./vae.js";

const SIDE = 140; // pixels of a drawing, five for each of MNIST's
const PEN = 22;
const BARS = 60; // of the histogram of costs

export function draw(place, model) {
  const size = model.meanBias.length;
  const pad = traits({ side: SIDE, pen: PEN, value: null });
  const seen = picture("what the encoder gets");
  const rebuilt = picture("reconstruction: p(x|z)");
  const nats = numbers(["log p(x|z)", "KL", "−ELBO"], "nats");
  const ranking = costs(model);
  const sentence = words();
  const state = { image: null, q: null, own: false, seed: 1, digit: 0 };

  function redraw() {
    const drawing = pad.get("value");
    const ink = drawing?.byteLength
      ? new Uint8Array(drawing.buffer, drawing.byteOffset, SIDE ** 2)
      : null;
    const bytes = ink && asMnist(ink, SIDE);
    state.image = bytes && threshold(bytes);
    state.q = bytes && encode(model, state.image);
    state.own = false;
    show();
  }

  function show() {
    seen.show(state.image, state.image ? "your drawing, as the encoder gets it" : "nothing yet");
    sliders.show(state.q);
    back.disabled = !state.own;
    if (!state.image) {
      rebuilt.show(null, "nothing yet");
      nats.set({ "log p(x|z)": "–", KL: "–", "−ELBO": "–" });
      ranking.mark(null);
      sentence.say("Draw a digit in the box. The model encodes and rebuilds it at once.");
      return;
    }
    const found = evaluate(model, state.image, state.q, normals(size, state.seed));
    rebuilt.show(found.logits.map(sigmoid), "the pixel probabilities that the decoder outputs");
    nats.set({
      "log p(x|z)": shown(found.logLikelihood),
      KL: shown(found.kl),
      "−ELBO": shown(found.cost),
    });
    ranking.mark(found.cost);
    const share = inWords(shareEasier(model.costs, found.cost));
    sentence.say(
      "Its −ELBO is ",
      strong(`${shown(found.cost)} nats`),
      ": it is ",
      strong(`harder than ${share}`),
      ` of the ${model.about.tests.toLocaleString("en")} test digits. `,
      state.own
        ? "This is the −ELBO of your own q, not of the encoder's."
        : "It is estimated from one ε, as theirs are.",
    );
  }

  const sliders = latentSliders(size, (q) => {
    if (!state.image) return;
    state.q = q;
    state.own = true;
    show();
  });
  const back = button("Back to the encoder's q", redraw);
  const useDigit = () => {
    const start = 784 * (state.digit++ % model.digitLabels.length);
    const bytes = enlarged(model.digits.subarray(start, start + 784), SIDE);
    pad.set("value", new DataView(bytes.buffer));
  };
  const next = button("Next ε", () => {
    state.seed++;
    show();
  });
  pad.on("change:value", redraw);
  const box = make("div", { class: "pg-pad" });
  sketch.render({ model: pad, el: box });
  place.append(
    make(
      "div",
      { class: "pg-desk" },
      make(
        "div",
        {},
        box,
        make("div", { class: "pg-row" }, button("Use a test digit", useDigit), next),
      ),
      make(
        "div",
        { class: "pg-results" },
        make(
          "div",
          { class: "pg-live" },
          make("div", { class: "pg-pictures" }, seen.element, rebuilt.element),
          nats.element,
        ),
        ranking.element,
        sentence.element,
      ),
    ),
    make("h3", {}, "q(z|x): move it"),
    sliders.element,
    make("div", { class: "pg-row" }, back),
    aboutModel(model.about),
  );
  useDigit();
}

// Two sliders for each latent, its μ and its σ, and a line that shows q over the prior.
function latentSliders(count, onChange) {
  const q = { mean: new Float64Array(count), logStd: new Float64Array(count) };
  const rows = Array.from({ length: count }, (_, i) => {
    const bell = bells();
    const change = (name) => (value) => {
      q[name][i] = value;
      onChange({ mean: q.mean.slice(), logStd: q.logStd.slice() });
    };
    const mean = { min: -4, max: 4, step: 0.01, value: 0, words: (value) => shown(value, 2) };
    const std = { min: -4, max: 0.7, step: 0.01, value: 0, words: (v) => Math.exp(v).toFixed(2) };
    const sliders = {
      mean: slider(`μ of z${i + 1}`, mean, change("mean")),
      logStd: slider(`σ of z${i + 1}`, std, change("logStd")),
    };
    const { mean: left, logStd: right } = sliders;
    const element = make("div", { class: "pg-latent" }, bell.element, left.element, right.element);
    return { element, bell, sliders };
  });
  const show = (now) => {
    rows.forEach(({ bell, sliders }, i) => {
      for (const name of ["mean", "logStd"]) {
        q[name][i] = now?.[name][i] ?? 0;
        sliders[name].set(q[name][i]);
        sliders[name].input.disabled = !now;
      }
      bell.show(q.mean[i], Math.exp(q.logStd[i]));
    });
  };
  return { element: make("div", { class: "pg-latents" }, ...rows.map((row) => row.element)), show };
}

// The bell of q over that of the prior, from −4 to 4. Both are drawn equally high.
function bells() {
  const outline = (mean, std) =>
    Array.from({ length: 81 }, (_, i) => i / 10 - 4).map(
      (noise) => `${mean + std * noise},${2 - 1.8 * Math.exp((-noise * noise) / 2)}`,
    );
  const prior = shape("polyline", { class: "pg-bell", points: outline(0, 1).join(" ") });
  const q = shape("polygon", { class: "pg-q" });
  const element = shape("svg", { viewBox: "-4 0 8 2.2", "aria-hidden": "true" }, q, prior);
  const show = (mean, std) =>
    q.setAttribute("points", outline(mean, std).join(" "));
  return { element, show };
}

// A histogram of the costs of the test digits, in which `mark` puts a line.
function costs(model) {
  const quantiles = model.costs;
  const low = quantiles[0];
  const high = 1.3 * quantiles[Math.floor(0.999 * quantiles.length)];
  const place = (cost) => Math.max(0, Math.min(1, (cost - low) / (high - low)));
  const heights = new Float64Array(BARS);
  for (const cost of quantiles) heights[Math.min(BARS - 1, Math.floor(BARS * place(cost)))]++;
  const most = Math.max(...heights);
  const bars = Array.from(heights, (height, i) =>
    shape("rect", { x: i, y: 12 * (1 - height / most), width: 0.9, height: (12 * height) / most }),
  );
  const line = shape("line", { class: "pg-mark", y1: 0, y2: 12 });
  const drawing = shape(
    "svg",
    { viewBox: `0 0 ${BARS} 12`, preserveAspectRatio: "none", "aria-hidden": "true" },
    ...bars,
    line,
  );
  const ends = make("span", {}, make("span", {}, shown(low, 0)), make("span", {}, shown(high, 0)));
  const caption = make("figcaption", {}, "−ELBO of the test digits, in nats");
  ends.className = "pg-ends";
  const mark = (cost) => {
    const at = cost === null ? 0 : BARS * place(cost);
    line.style.display = cost === null ? "none" : "";
    line.setAttribute("x1", at);
    line.setAttribute("x2", at);
    bars.forEach((bar, i) => bar.classList.toggle("pg-easier", i + 0.5 < at));
  };
  return { element: make("figure", { class: "pg-costs" }, drawing, ends, caption), mark };
}

// A share in whole percent; "all" and "none" only if they are exactly true.
function inWords(share) {
  if (share === 0 || share === 1) return share ? "all" : "none";
  return `${Math.min(99, Math.max(1, Math.round(100 * share)))} %`;
}
