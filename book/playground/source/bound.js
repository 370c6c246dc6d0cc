// The page "Bound": the one-dimensional model of notebook 4, with a q of your own.
import { density } from "./normal.js";
import { button, make, numbers, shape, shown, slider, strong, words } from "./page.js";
import {
  GRID,
  bestGaussian,
  bound as boundOf,
  logDensity,
  logJoint,
  truePosterior,
} from "./toy.js";

const SEEN = 4; // the plot's latents, from −4 to 4
const TOP = 1.4; // and its densities, from 0; a narrow q leaves it at the top
const DEPTH = 8; // nats that the column shows
const START = { mean: -1, logStd: 0 };

export function bound(place) {
  const state = { image: [1, 1, 0], q: { ...START } };
  const curves = densities();
  const column = nats();
  const sum = numbers(["ELBO", "+ gap", "= log p(x)"], "nats");
  const sentence = words();

  function show() {
    const joint = logJoint(state.image);
    const found = boundOf(joint, state.q);
    curves.show(truePosterior(joint), state.q);
    column.show(found);
    const gap = shown(found.gap, 3);
    sum.set({
      ELBO: shown(found.elbo, 3),
      "+ gap": gap,
      "= log p(x)": shown(found.logEvidence, 3),
    });
    sentence.say(
      "The ELBO lies ",
      strong(`${gap} nats`),
      " below log p(x). This gap is KL(q‖p(z|x)). It shrinks as q gets closer to the true " +
        "posterior. log p(x) does not depend on q.",
    );
  }

  const moved = (name) => (value) => {
    state.q[name] = value;
    show();
  };
  const mean = slider(
    "μ of q",
    { min: -3, max: 3, step: 0.01, value: START.mean, words: (value) => shown(value, 2) },
    moved("mean"),
  );
  const std = slider(
    "σ of q",
    { min: -2, max: 0.7, step: 0.01, value: 0, words: (value) => Math.exp(value).toFixed(2) },
    moved("logStd"),
  );
  const set = (q) => {
    state.q = { ...q };
    mean.set(q.mean);
    std.set(q.logStd);
    show();
  };
  const pixel = (i) => {
    const input = make("input", {
      type: "checkbox",
      onChange: () => {
        state.image[i] = +input.checked;
        show();
      },
    });
    input.checked = Boolean(state.image[i]);
    return make("label", { class: "pg-check" }, input, `pixel ${i + 1} is ink`);
  };
  place.append(
    make(
      "fieldset",
      { class: "pg-row" },
      make("legend", {}, "The image x of three pixels"),
      ...[0, 1, 2].map(pixel),
    ),
    make("div", { class: "pg-bound" }, curves.element, column.element),
    mean.element,
    std.element,
    make(
      "div",
      { class: "pg-row" },
      button("Best Gaussian", () => set(bestGaussian(state.image))),
      button("Start again", () => set(START)),
    ),
    sum.element,
    sentence.element,
  );
  show();
}

function densities() {
  const points = (value) =>
    Array.from(GRID, (z, i) => [z, value(z, i)])
      .filter(([z], i) => Math.abs(z) <= SEEN && i % 4 === 0)
      .map(([z, height]) => `${z.toFixed(2)},${(TOP - height).toFixed(4)}`);
  const prior = shape("polyline", { class: "pg-prior", points: points(density).join(" ") });
  const posterior = shape("polygon", { class: "pg-posterior" });
  const guess = shape("polyline", { class: "pg-guess" });
  const drawing = shape(
    "svg",
    {
      viewBox: `${-SEEN} 0 ${2 * SEEN} ${TOP}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": "The prior, the true posterior and q, as densities over the latent z",
    },
    posterior,
    prior,
    guess,
  );
  const ticks = [-4, -2, 0, 2, 4].map((z) => make("span", {}, shown(z, 0)));
  const key = [
    ["pg-guess", "q, your guess"],
    ["pg-posterior", "true posterior"],
    ["pg-prior", "prior"],
  ].map(([kind, text]) => make("span", { class: `pg-key ${kind}` }, text));
  const show = (truth, q) => {
    const outline = points((z, i) => truth[i]);
    posterior.setAttribute("points", [`${-SEEN},${TOP}`, ...outline, `${SEEN},${TOP}`].join(" "));
    guess.setAttribute("points", points((z) => Math.exp(logDensity(q, z))).join(" "));
  };
  const element = make(
    "figure",
    { class: "pg-plot" },
    make("figcaption", { class: "pg-row" }, ...key),
    drawing,
    make("span", { class: "pg-ends" }, ...ticks),
    make("figcaption", {}, "latent z"),
  );
  return { element, show };
}

// A column in nats: filled up to the ELBO, hatched from there to log p(x).
function nats() {
  const elbo = make("div", { class: "pg-elbo" });
  const gap = make("div", { class: "pg-gap" });
  const tube = make("div", { class: "pg-tube", "aria-hidden": "true" }, gap, elbo);
  const top = make("span", {});
  const bottom = make("span", {});
  const show = (found) => {
    const ceiling = Math.ceil(found.logEvidence + 0.2);
    const height = (value) => Math.max(0, Math.min(1, (value - ceiling + DEPTH) / DEPTH));
    elbo.style.height = `${100 * height(found.elbo)}%`;
    gap.style.height = `${100 * (height(found.logEvidence) - height(found.elbo))}%`;
    top.textContent = shown(ceiling, 0);
    bottom.textContent = shown(ceiling - DEPTH, 0);
  };
  const element = make(
    "figure",
    { class: "pg-column" },
    make("figcaption", {}, "nats"),
    make("div", { class: "pg-scale" }, make("div", {}, top, bottom), tube),
    make(
      "figcaption",
      {},
      make("span", { class: "pg-key pg-elbo" }, "ELBO"),
      " ",
      make("span", { class: "pg-key pg-gap" }, "gap"),
    ),
  );
  return { element, show };
}
