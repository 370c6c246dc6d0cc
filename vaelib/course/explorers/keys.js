// Keys that an explorer's controls use stay with them. Notebook 7 hears every key before the page
// does, and would move the selected cell by an arrow key, or open it by Enter, instead; it leaves
// alone what carries this mark. All other keys, such as Ctrl-S, remain Jupyter's.
const OURS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp"];
const KEYS = new Set([...OURS, "PageDown", "Enter", " "]);
function mark(event) {
  if (!event.target.closest?.(".vaelib-explorer")) return;
  const ours = KEYS.has(event.key) && !event.ctrlKey && !event.altKey && !event.metaKey;
  const plain = ours && !(event.key === "Enter" && event.shiftKey); // which runs the cell
  event.target.toggleAttribute("data-lm-suppress-shortcuts", plain);
}
function render({ el }) {
  el.style.display = "none";
  window.addEventListener("keydown", mark, true);
  return () => window.removeEventListener("keydown", mark, true);
}
export default { render };
