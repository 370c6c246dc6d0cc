// Fills each element with a `data-playground` attribute by the page that it names.
import { asMnist, threshold } from "./handwriting.js";
import { bill, binsOf } from "./coding.js";
import { bestGaussian, bound as boundOf, logJoint } from "./toy.js";
import { bits } from "./bits.js";
import { bound } from "./bound.js";
import { cdf, normals, quantile } from "./normal.js";
import { decode, encode, evaluate, shareEasier } from "./vae.js";
import { draw } from "./draw.js";
import { loss } from "./loss.js";
import { trained, written } from "./objective.js";
import { unpack } from "./weights.js";
import { walk } from "./walk.js";

const PAGES = { draw, walk, bound, bits, loss };

// What the tests compare with PyTorch's.
export const maths = {
  ...{ asMnist, threshold, bill, binsOf, bestGaussian, boundOf, logJoint, cdf, normals, quantile },
  ...{ decode, encode, evaluate, shareEasier, trained, written },
};

// The model, or null on a page that does without.
export const loaded = globalThis.VAELIB_MODEL
  ? unpack(globalThis.VAELIB_MODEL)
  : Promise.resolve(null);

// Resolves when every place on the page has been filled.
export const filled = loaded.then((model) => {
  for (const place of document.querySelectorAll("[data-playground]")) {
    place.replaceChildren();
    PAGES[place.dataset.playground](place, model);
    const about = place.querySelector(".pg-about");
    if (about && !model.about.ofNotebook) place.prepend(about); // to be read first
  }
});
