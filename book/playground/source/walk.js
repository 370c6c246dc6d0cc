// The page "Walk": a map of test latents, a line between two digits, and samples.
import pad from "./pad.js";
import { normals, uniforms } from "./normal.js";
import {
  aboutModel,
  button,
  choice,
  digitChooser,
  digitOf,
  make,
  picture,
  shown,
  slider,
  words,
} from "./page.js";
import { traits } from "./traits.js";
import { decode, encode, reparameterize, sigmoid } from "./vae.js";

const REACH = 4.4; // of the map, from its centre
const SIDE = 320; // of the map on the page
const SHARP = 2; // pixels of the map for each of the page's
const MARKS = 900; // digits on the map, so that they can be told apart
const STEPS = 9; // pictures of a line
const SAMPLES = 10;
const COLOURS = [
  "#0072b2",
  "#d55e00",
  "#007a5a",
  "#9c4f82",
  "#6b5f00",
  "#1b6f9c",
  "#a33b00",
  "#3d3d3d",
  "#5b3fa0",
  "#8a1c3c",
];

export function walk(place, model) {
  place.append(
    make("h3", {}, "A map of latents"),
    mapOf(model),
    make("h3", {}, "A line between two digits"),
    lineOf(model),
    make("h3", {}, "Draw latents"),
    samplesOf(model),
    aboutModel(model.about),
  );
}

const imageAt = (model, latent) => decode(model, latent).map(sigmoid);
const meanOf = (model, index) => encode(model, digitOf(model, index)).mean;

function mapOf(model) {
  const size = model.meanBias.length;
  const state = { axes: [...model.about.axes], rest: new Float64Array(size) };
  const view = picture("p(x|z) at the point");
  const sentence = words();
  const map = traits({
    map: new DataView(new ArrayBuffer(0)),
    alt: "",
    side: SIDE,
    reach: REACH,
    value: [0, 0],
  });
  const latent = () => {
    const z = state.rest.slice();
    state.axes.forEach((axis, i) => (z[axis] = map.get("value")[i]));
    return z;
  };
  const show = () => {
    view.show(imageAt(model, latent()), "the image at the point of the map");
    sentence.say(`z = (${Array.from(latent(), (value) => shown(value, 2)).join(", ")})`);
  };
  const redraw = async () => {
    const [across, up] = state.axes.map((axis) => `z${axis + 1}`);
    const drawn = await scatter(model, state.axes);
    map.set(
      "alt",
      `Map of ${MARKS} test digits: ${across} to the right, ${up} upwards. Arrow keys move the point.`,
    );
    map.set("map", new DataView(drawn));
    show();
  };
  const names = Array.from({ length: size }, (_, i) => [String(i), `z${i + 1}`]);
  const axis = (label, which) =>
    choice(label, names, String(state.axes[which]), (value) => {
      const other = 1 - which;
      if (state.axes[other] === +value) {
        state.axes[other] = state.axes[which];
        selects[other].set(state.axes[other]);
      }
      state.axes[which] = +value;
      redraw();
    });
  const selects = [axis("to the right", 0), axis("upwards", 1)];
  const rest = choice(
    "the other latents",
    [
      ["prior", "0, the prior's mean"],
      ["digit", "those of the digit"],
    ],
    "prior",
    () => hold(),
  );
  let digit = 0;
  const hold = () => {
    state.rest = rest.select.value === "prior" ? new Float64Array(size) : meanOf(model, digit);
    show();
  };
  const chooser = digitChooser("The digit", model, digit, (index) => {
    digit = index;
    const mean = meanOf(model, digit);
    rest.set("digit");
    state.rest = mean;
    map.set(
      "value",
      state.axes.map((axis) => mean[axis]),
    );
    show();
  });
  map.on("change:value", show);
  const box = make("div", { class: "pg-map" });
  redraw().then(() => pad.render({ model: map, el: box }));
  return make(
    "div",
    { class: "pg-desk" },
    make("div", {}, box, make("div", { class: "pg-row" }, selects[0].element, selects[1].element)),
    make("div", { class: "pg-results" }, view.element, sentence.element, chooser, rest.element),
  );
}

// The map as the bytes of a PNG: each digit stands where its mean lies.
async function scatter(model, axes) {
  const canvas = make("canvas", { width: SHARP * SIDE, height: SHARP * SIDE });
  const page = canvas.getContext("2d");
  const place = (value) => SHARP * SIDE * (0.5 + value / (2 * REACH));
  page.fillStyle = "#fff";
  page.fillRect(0, 0, canvas.width, canvas.height);
  page.strokeStyle = "#ccc";
  page.fillStyle = "#595959";
  page.font = `${11 * SHARP}px sans-serif`;
  for (let tick = -4; tick <= 4; tick += 2) {
    page.beginPath();
    page.moveTo(place(tick), 0);
    page.lineTo(place(tick), canvas.height);
    page.moveTo(0, place(-tick));
    page.lineTo(canvas.width, place(-tick));
    page.stroke();
    page.fillText(shown(tick, 0), place(tick) + 4, canvas.height - 6);
    page.fillText(shown(tick, 0), 4, place(-tick) - 4);
  }
  page.font = `bold ${9 * SHARP}px sans-serif`;
  page.textAlign = "center";
  page.textBaseline = "middle";
  const points = model.codeLabels.length;
  for (let i = 0; i < Math.min(MARKS, points); i++) {
    const [x, y] = axes.map((axis) => model.codes[axis * points + i]);
    page.fillStyle = COLOURS[model.codeLabels[i]];
    page.fillText(model.codeLabels[i], place(x), place(-y));
  }
  const blob = await new Promise((resolve) => canvas.toBlob(resolve));
  return blob.arrayBuffer();
}

function lineOf(model) {
  const state = { ends: [0, 1], share: 0.5 };
  const view = picture("p(x|z) on the line");
  const strip = Array.from({ length: STEPS }, () => picture(""));
  const at = (share) => {
    const [from, to] = state.ends.map((index) => meanOf(model, index));
    return imageAt(
      model,
      from.map((value, i) => value + share * (to[i] - value)),
    );
  };
  const percent = (share) => `${Math.round(100 * share)} %`;
  const show = () => view.show(at(state.share), `${percent(state.share)} of the way`);
  const redraw = () => {
    strip.forEach((each, i) =>
      each.show(at(i / (STEPS - 1)), `${percent(i / (STEPS - 1))} of the way`),
    );
    show();
  };
  const end = (which) => (index) => {
    state.ends[which] = index;
    redraw();
  };
  const way = slider(
    "how far",
    { min: 0, max: 1, step: 0.01, value: 0.5, words: percent },
    (share) => {
      state.share = share;
      show();
    },
  );
  redraw();
  return make(
    "div",
    {},
    make(
      "div",
      { class: "pg-row" },
      digitChooser("From", model, state.ends[0], end(0)),
      digitChooser("To", model, state.ends[1], end(1)),
    ),
    make("div", { class: "pg-strip" }, ...strip.map((each) => each.element)),
    make("div", { class: "pg-row" }, view.element, way.element),
  );
}

function samplesOf(model) {
  const size = model.meanBias.length;
  const state = { digit: 0, from: "prior", seed: 1 };
  const prior = { mean: new Float64Array(size), logStd: new Float64Array(size) };
  const views = Array.from({ length: SAMPLES }, () => picture(""));
  const show = () => {
    const q = state.from === "prior" ? prior : encode(model, digitOf(model, state.digit));
    const next = uniforms(state.seed);
    views.forEach((view, i) => {
      const latent = reparameterize(q, normals(size, SAMPLES * state.seed + i));
      const mean = imageAt(model, latent);
      const drawn = kind.select.value === "sample" ? mean.map((p) => +(next() < p)) : mean;
      view.show(drawn, `image ${i + 1} of ${SAMPLES}`);
    });
  };
  const kind = choice(
    "show",
    [
      ["mean", "mean images"],
      ["sample", "samples, pixel by pixel"],
    ],
    "mean",
    show,
  );
  const from = (place) => () => {
    state.from = place;
    state.seed++;
    show();
  };
  const chooser = digitChooser("q of", model, 0, (index) => {
    state.digit = index;
    state.from = "q";
    show();
  });
  show();
  return make(
    "div",
    {},
    make(
      "div",
      { class: "pg-row" },
      button(`Draw ${SAMPLES} from the prior`, from("prior")),
      button(`Draw ${SAMPLES} from q of the digit`, from("q")),
      kind.element,
    ),
    chooser,
    make("div", { class: "pg-strip" }, ...views.map((each) => each.element)),
  );
}
