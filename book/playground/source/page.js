// The parts that the pages are made of: elements, sliders, choosers, pictures, plots, numbers.
import { threshold } from "./handwriting.js";

const SVG = "http://www.w3.org/2000/svg";
const QUIET = 500; // milliseconds without a change, after which the words are spoken
let fieldsMade = 0; // so that each has an id of its own

// An element with attributes, listeners (a function as `onInput`) and children.
export function make(tag, attributes = {}, ...children) {
  return finished(document.createElement(tag), attributes, children);
}

// The same for a part of a plot.
export function shape(tag, attributes = {}, ...children) {
  return finished(document.createElementNS(SVG, tag), attributes, children);
}

function finished(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2).toLowerCase(), value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// A number as the lessons print it, with a real minus.
export function shown(value, digits = 1) {
  return value
    .toFixed(digits)
    .replace(/^-(0\.?0*)$/, "$1")
    .replace("-", "−");
}

// A labelled slider with its value in words; `set` moves it without telling `onInput`.
export function slider(label, { min, max, step, value, words = String }, onInput) {
  const input = make("input", { type: "range", min, max, step, value });
  const output = make("output", { "aria-hidden": "true" });
  const say = () => {
    output.textContent = words(input.valueAsNumber);
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => {
    say();
    onInput(input.valueAsNumber);
  });
  say();
  const element = make("label", { class: "pg-slider" }, make("span", {}, label), input, output);
  const set = (value) => {
    input.value = value;
    say();
  };
  return { element, input, set };
}

// A labelled choice among `options`, each [value, words].
export function choice(label, options, value, onChange) {
  const select = make(
    "select",
    { onChange: () => onChange(select.value) },
    ...options.map(([value, words]) => make("option", { value }, words)),
  );
  const set = (value) => (select.value = value);
  set(value);
  const element = make("label", { class: "pg-choice" }, make("span", {}, label), select);
  return { element, select, set };
}

// A labelled number from `min` to `max`. If another number is typed, the page says which numbers are
// allowed. When the field is left, the last allowed number returns, so that the field shows what the
// page computes with.
export function number(label, { min, max, step = 1, value, allowed }, onInput) {
  const input = make("input", { type: "number", min, max, step, required: "" });
  const said = make("small", { "aria-live": "polite", id: `pg-allowed-${++fieldsMade}` });
  input.setAttribute("aria-describedby", said.id);
  const range = allowed ?? `a whole number from ${min} to ${max.toLocaleString("en")}`;
  let last;
  const set = (value) => {
    last = value;
    input.value = value;
    said.textContent = "";
  };
  input.addEventListener("input", () => {
    const { valid, valueMissing } = input.validity; // an empty field is about to be filled
    said.textContent = valid || valueMissing ? "" : `Only ${range} is allowed here.`;
    if (!valid) return;
    last = input.valueAsNumber;
    onInput(last);
  });
  input.addEventListener("change", () => (input.value = last));
  set(value);
  const field = make("label", {}, make("span", {}, label), input);
  return { element: make("div", { class: "pg-number" }, field, said), set };
}

export function button(words, onClick) {
  return make("button", { type: "button", onClick }, words);
}

// A picture of 28 × 28 values from 0 (paper) to 1 (ink); `show` draws and describes it.
export function picture(caption, { tint } = {}) {
  const canvas = make("canvas", { width: 28, height: 28, role: "img" });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(28, 28);
  const [red, green, blue] = tint ?? [0, 0, 0];
  const show = (values, words = caption) => {
    for (let i = 0; i < 784; i++) {
      const ink = Math.min(1, values?.[i] ?? 0);
      pixels.data[4 * i] = 255 - (255 - red) * ink;
      pixels.data[4 * i + 1] = 255 - (255 - green) * ink;
      pixels.data[4 * i + 2] = 255 - (255 - blue) * ink;
      pixels.data[4 * i + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
    canvas.setAttribute("aria-label", words);
  };
  show();
  const under = caption ? [make("figcaption", {}, caption)] : [];
  return { element: make("figure", { class: "pg-picture" }, canvas, ...under), show };
}

// Words that are shown at once and spoken by a screen reader once they have come to rest.
export function words() {
  const visible = make("p", { class: "pg-words" });
  const spoken = make("p", { class: "pg-spoken", role: "status" });
  let waiting = 0;
  const say = (...parts) => {
    visible.replaceChildren(...parts);
    clearTimeout(waiting);
    waiting = setTimeout(() => (spoken.textContent = visible.textContent), QUIET);
  };
  return { element: make("div", {}, visible, spoken), say };
}

export function strong(text) {
  return make("strong", {}, text);
}

// Named numbers side by side; `set` gives each its text, by name.
export function numbers(names, unit = "") {
  const values = Object.fromEntries(names.map((name) => [name, make("dd", {}, "–")]));
  const pair = (name) => make("div", {}, make("dt", {}, name), values[name]);
  const list = make("dl", {}, ...names.map(pair));
  const element = make("div", { class: "pg-numbers" }, list, make("span", {}, unit));
  const set = (texts) => {
    for (const [name, text] of Object.entries(texts)) values[name].textContent = text;
  };
  return { element, set };
}

// A test digit by its number, with its picture; `onChange` gets the number.
export function digitChooser(label, model, value, onChange) {
  const count = model.digitLabels.length;
  const view = picture("");
  const show = (index) => {
    const words = `test digit ${index}, a ${model.digitLabels[index]}`;
    view.show(digitOf(model, index), words);
  };
  const field = number(
    `${label} (number of a test digit, 0 to ${count - 1})`,
    { min: 0, max: count - 1, value },
    (index) => {
      show(index);
      onChange(index);
    },
  );
  show(value);
  return make("div", { class: "pg-digit" }, view.element, field.element);
}

// One of the model's test digits, binarized by the threshold protocol.
export function digitOf(model, index) {
  return threshold(model.digits.subarray(784 * index, 784 * (index + 1)));
}

// What a page says about the model that it computes with.
export function aboutModel({ dataset, epochs, ofNotebook, tests, cost, roundingCosts }) {
  const images =
    dataset === "mnist" ? "on MNIST" : "on glyphs (digits drawn from typefaces) instead of MNIST";
  const trained = ofNotebook
    ? `The model of notebook 5: MNIST, ${epochs} epochs.`
    : "This is not the model of notebook 5, so its numbers differ from the notebook's. It is the " +
      `same network, trained for a shorter time: ${epochs} epochs ${images}.`;
  const rounding = roundingCosts < 0.05 ? "less than 0.1" : shown(roundingCosts);
  return make(
    "p",
    { class: "pg-about" },
    `${trained} Its average −ELBO on ${tests.toLocaleString("en")} test digits is ${shown(cost)} nats. ` +
      `The weights of its large layers are rounded to 8 bits, which costs ${rounding} nats. ` +
      "Everything is computed in your browser.",
  );
}
