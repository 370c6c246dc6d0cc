// The page "What does my loss train?": the β and σ of a loss, from how it adds up its terms.
import presets from "./presets.json";
import { pixelsOf, trained, written } from "./objective.js";
import { choice, make, number, numbers, shown, strong, words } from "./page.js";

const REDUCTIONS = [["sum", "summed"], ["mean", "averaged"]];
const ERRORS = [["squared", "squared error"], ["cross-entropy", "binary cross-entropy"]];
const OWN = "own";
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
    result.set({ β: inDigits(found.beta), "σ of the decoder": found.sigma ? inDigits(found.sigma) : "–" });
    sentence.say(...explained(state, found));
  }
  function set(name, value) {
    state[name] = value;
    preset.select.value = OWN;
    source.replaceChildren();
    show();
  }
  function load(index) {
    if (index === OWN) return;
    const { loss, repository, commit, path, lines, note } = presets[index];
    Object.assign(state, loss);
    for (const [name, control] of Object.entries(controls)) control.value = state[name];
    const address = `https://github.com/${repository}/blob/${commit}/${path}#${lines.join("-")}`;
    const where = `${repository}, ${path}, ${lines.length > 1 ? "lines" : "line"} ${lines.map((line) => line.slice(1)).join(" to ")}`;
    source.replaceChildren("Source: ", make("a", { href: address }, where), `. ${note}`);
    show();
  }
  const pick = (name, label, options) => {
    const made = choice(label, options, state[name], (value) => set(name, value));
    controls[name] = made.select;
    return made.element;
  };
  const count = (name) => {
    const [label, min, max] = NUMBERS[name];
    const made = number(label, { min, max, value: state[name] }, (value) => set(name, value));
    controls[name] = made.input;
    return made.element;
  };
  const weight = (name, label) => {
    const made = number(label, { min: 0, step: "any", value: state[name] }, (value) => value > 0 && set(name, value));
    controls[name] = made.input;
    return made.element;
  };
  const names = presets.map((each, i) => [String(i), each.name]);
  const preset = choice("A public tutorial", [...names, [OWN, "a loss of your own"]], "0", load);
  const group = (legend, ...inner) => make("fieldset", { class: "pg-row" }, make("legend", {}, legend), ...inner);
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
function explained(state, { beta, sigma }) {
  const parts = ["This loss trains a VAE with ", strong(`β = ${inDigits(beta)}`)];
  if (sigma) {
    parts.push(
      " if the decoder is a Gaussian with σ = 1. The same loss is the −ELBO itself, with β = 1, of a " +
        "decoder with ",
      strong(`σ = ${inDigits(sigma)}`),
      ", up to a factor and a constant. ",
      sigma > 1 ? "If pixels range from 0 to 1, this σ is wider than their whole range. " : "",
    );
  } else parts.push(" and a Bernoulli decoder. ");
  return [...parts, reasons(state), " ", consequence(beta, sigma)];
}

function reasons(state) {
  const pixels = pixelsOf(state);
  const said = [];
  if (state.overPixels === "mean" && pixels > 1)
    said.push(`Averaging over ${pixels.toLocaleString("en")} pixel values divides the log-likelihood by ${pixels.toLocaleString("en")}, but not the KL.`);
  if (state.overLatents === "mean" && state.latents > 1)
    said.push(`Averaging over ${state.latents} latents divides the KL by ${state.latents}.`);
  if (state.overBatch !== state.klOverBatch && state.batch > 1)
    said.push(`One term is summed over the ${state.batch} images of a batch and the other is averaged, so β depends on the batch size.`);
  if (state.error === "squared")
    said.push("The log-density of a Gaussian with σ = 1 contains ½ of the squared error, which halves β.");
  return said.length ? said.join(" ") : "Both terms are added up alike.";
}

function consequence(beta, sigma) {
  if (Math.abs(beta - 1) < 1e-9) return "So this is the −ELBO of the model, and its value can be compared.";
  const halved = sigma && Math.abs(beta - 0.5) < 1e-9;
  if (halved) return "So this is close to the usual choice.";
  return beta > 1
    ? "With a β above 1, latents carry less: reconstructions get softer, and the latent may collapse."
    : "With a β below 1, latents carry more: reconstructions get sharper, and samples from the prior get worse.";
}

function inDigits(value) {
  if (value >= 0.001 && value < 1e5) return shown(value, 4 - Math.max(1, Math.ceil(Math.log10(value) + 1e-12))).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
  return value.toExponential(2).replace("-", "−");
}
