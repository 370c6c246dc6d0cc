// Names for a screen reader: the picture's alternative text, and the label of each slider with the
// value beside it. Jupyter's sliders show both, but their handles have neither.
const WATCHED = { childList: true, characterData: true, subtree: true };
function render({ model, el }) {
  el.style.display = "none";
  let frame = 0;
  const watch = new MutationObserver(() => name(el.closest(".vaelib-explorer")));

  function put(element, attribute, text) {
    if (element && element.getAttribute(attribute) !== text) element.setAttribute(attribute, text);
  }
  function name(explorer) {
    put(explorer?.querySelector(".vaelib-screen img"), "alt", model.get("picture"));
    for (const slider of explorer?.querySelectorAll(".widget-slider") ?? []) {
      const label = slider.querySelector(".widget-label");
      const handle = slider.querySelector(".noUi-handle");
      const value = slider.querySelector(".widget-readout");
      put(label, "title", ""); // Jupyter's own is the word null
      put(handle, "aria-label", label.textContent);
      put(handle, "aria-valuetext", value.textContent);
      put(value, "role", "textbox");
      put(value, "aria-label", `value of ${label.textContent}`);
    }
  }
  function begin() {
    const explorer = el.closest(".vaelib-explorer");
    if (!explorer) return (frame = requestAnimationFrame(begin)); // it is not yet on the page
    watch.observe(explorer, { ...WATCHED, attributeFilter: ["aria-valuetext"] });
    name(explorer);
  }
  begin();
  return () => {
    cancelAnimationFrame(frame);
    watch.disconnect();
  };
}
export default { render };
