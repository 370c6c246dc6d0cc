// The page "What does my loss train?": the β and σ of a loss, from how it adds up its terms.
import presets from "./presets.json";
import { pixelsOf, trained, written } from "./objective.js";
import { choice, make, number, numbers, strong, words } from "./page.js";

const REDUCTIONS = [
  ["sum", "summed"],
  ["mean", "averaged"],
];
const ERRORS = [
  ["squared", "squared error"],
  ["cross-entropy", "binary cross-entropy"],
];
const OWN = "own";
const WEIGHTS = {
  min: 1e-9,
  max: 1e9,
  step: "any",
  allowed: "a number from 0.000000001 to 1,000,000,000",
};
const NUMBERS = {
  channels: ["channels", 1, 4],
  height: ["height (pixels)", 1, 1024],
  width: ["width (pixels)", 1, 1024],
  latents: ["latents", 1, 4096],
  batch: ["images per batch", 1, 4096],
};

export function loss(place) {
  const state = { ...presets[0].loss };
  const controls = {};
  const code = make("code");
  const result = numbers(["β", "σ of the decoder"]);
  const sentence = words();
  const source = make("p", { class: "pg-source" });

  function show() {
    const found = trained(state);
    code.textContent = `loss = ${written(state)}`;
    result.set({
      β: inDigits(found.beta),
      "σ of the decoder": found.sigma ? inDigits(found.sigma) : "–",
    });
    sentence.say(...explained(state, found));
  }
  function set(name, value) {
    state[name] = value;
    preset.set(OWN);
    load(OWN);
    show();
  }
  function load(index) {
    if (index === OWN) return source.replaceChildren();
    const { loss, repository, commit, path, lines, note } = presets[index];
    Object.assign(state, loss);
    for (const [name, control] of Object.entries(controls)) control.set(state[name]);
    const address = `https://github.com/${repository}/blob/${commit}/${path}#${lines.join("-")}`;
    const where = `${repository}, ${path}, ${lines.length > 1 ? "lines" : "line"} ${lines.map((line) => line.slice(1)).join(" to ")}`;
    source.replaceChildren("Source: ", make("a", { href: address }, where), `. ${note}`);
    show();
  }
  const pick = (name, label, options) => {
    const made = choice(label, options, state[name], (value) => set(name, value));
    controls[name] = made;
    return made.element;
  };
  const count = (name) => {
    const [label, min, max] = NUMBERS[name];
    const made = number(label, { min, max, value: state[name] }, (value) => set(name, value));
    controls[name] = made;
    return made.element;
  };
  const weight = (name, label) => {
    const made = number(label, { ...WEIGHTS, value: state[name] }, (value) => set(name, value));
    controls[name] = made;
    return made.element;
  };
  const names = presets.map((each, i) => [String(i), each.name]);
  const preset = choice("A public tutorial", [...names, [OWN, "a loss of your own"]], "0", load);
  const group = (legend, ...inner) =>
    make("fieldset", { class: "pg-row" }, make("legend", {}, legend), ...inner);
  place.append(
    preset.element,
    source,
    group(
      "Reconstruction",
      pick("error", "error", ERRORS),
      pick("overPixels", "over the pixels", REDUCTIONS),
      pick("overBatch", "over the batch", REDUCTIONS),
      weight("reconstructionWeight", "weight"),
    ),
    group(
      "KL",
      pick("overLatents", "over the latents", REDUCTIONS),
      pick("klOverBatch", "over the batch", REDUCTIONS),
      weight("klWeight", "weight"),
    ),
    group("Sizes", ...Object.keys(NUMBERS).map(count)),
    make("pre", { class: "pg-code", tabindex: "0", "aria-label": "The loss in PyTorch" }, code),
    result.element,
    sentence.element,
  );
  load(0);
}

// The sentence that explains what a loss trains.
function explained(state, found) {
  const { beta, sigma } = found;
  const parts = ["This loss trains a VAE with ", strong(`β = ${inDigits(beta)}`)];
  if (sigma) {
    parts.push(
      " if the decoder is a Gaussian with σ = 1. The same loss is also the " +
        "−ELBO, with β = 1, of a decoder with ",
      strong(`σ = ${inDigits(sigma)}`),
      ", up to a factor and a constant. ",
      sigma > 1 ? "If pixels range from 0 to 1, this σ is wider than their whole range. " : "",
    );
  } else parts.push(" and a Bernoulli decoder. ");
  return [...parts, reasons(state), " ", consequence(state, found)];
}

function reasons(state) {
  const pixels = pixelsOf(state);
  const said = [];
  if (state.overPixels === "mean" && pixels > 1)
    said.push(
      `Averaging over ${pixels.toLocaleString("en")} pixel values divides the log-likelihood by ${pixels.toLocaleString("en")}, but not the KL.`,
    );
  if (state.overLatents === "mean" && state.latents > 1)
    said.push(`Averaging over ${state.latents} latents divides the KL by ${state.latents}.`);
  if (state.overBatch !== state.klOverBatch && state.batch > 1)
    said.push(
      `One term is summed over the ${state.batch} images of a batch and the other is averaged, so β depends on the batch size.`,
    );
  if (state.klWeight !== state.reconstructionWeight)
    said.push(
      `The weights multiply β by ${inDigits(state.klWeight / state.reconstructionWeight)}.`,
    );
  if (state.error === "squared")
    said.push(
      "The log-density of a Gaussian with σ = 1 contains ½ of the squared error, which halves β.",
    );
  return said.length ? said.join(" ") : "Both terms are added up alike.";
}

function consequence(state, { beta, factor }) {
  if (beta > 1 + 1e-9)
    return "With a β above 1, the latent carries less. Reconstructions get softer, and the latent may collapse.";
  if (beta < 1 - 1e-9)
    return "With a β below 1, the latent carries more. Reconstructions get sharper, and samples from the prior get worse.";
  if (state.error === "squared")
    return "Its value is not the −ELBO, because the constant of the Gaussian is missing.";
  const times = Math.abs(factor - 1) < 1e-9 ? "" : `${inDigits(factor)} times `;
  return `So the loss is ${times}the −ELBO in nats, averaged over images.`;
}

// A number with four digits; without zeros at its end.
function inDigits(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: 4 });
}
