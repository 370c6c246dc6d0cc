// Formulas and tables that are wider than the page scroll in their own box, also by keyboard.
const BOXES = "mjx-container, .cell_output .text_html";

function fit() {
  for (const formula of document.querySelectorAll("span.math mjx-container")) {
    formula.classList.remove("wide");
    const room = formula.closest("p, li, td, dd, summary, figcaption") ?? document.body;
    formula.classList.toggle("wide", formula.getBoundingClientRect().width > room.clientWidth);
  }
  for (const box of document.querySelectorAll(BOXES)) {
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

window.addEventListener("load", () => {
  for (const line of document.querySelectorAll("details.hide > summary")) {
    line.removeAttribute("aria-label"); // it would hide the line's own words
  }
  for (const line of document.querySelectorAll("summary:has(> .toctree-toggle)")) {
    line.setAttribute("aria-label", "Show or hide the pages below");
  }
  (window.MathJax?.startup?.promise ?? Promise.resolve()).then(() => {
    fit();
    new ResizeObserver(fit).observe(document.querySelector("article") ?? document.body);
  });
});
