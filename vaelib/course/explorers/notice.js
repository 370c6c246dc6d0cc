// Says why the picture stands still: because the kernel has ended, is busy, or does not answer.
// Jupyter's own pages know the kernel's state. Other pages may not, so the kernel is also asked
// for an answer whenever a control is touched.
const ENDED =
  "The kernel of this notebook has ended or was restarted, so this explorer no longer answers. " +
  "To use it again, run the cells from the top of the notebook down to this one.";
const BUSY = "The kernel is busy. This explorer answers when the kernel is free.";
const SILENT = "The kernel does not answer. It may be busy, or it may have ended.";
const ENDS = ["restarting", "autorestarting", "dead"];
const TOUCHES = ["pointerdown", "pointerup", "keydown"];
const PATIENCE = 3000; // milliseconds
function render({ model, el }) {
  const kernel = () => model.widget_manager?.kernel;
  const watched = kernel();
  let ended = false;
  let asked = 0; // the time of a question that waits for its answer
  el.classList.add("vaelib-notice");
  el.setAttribute("role", "status");
  el.setAttribute("aria-live", "polite");

  function sentence() {
    const another = kernel() !== watched; // or none, after a shutdown
    if (ended || another) return ENDED;
    if (!asked || Date.now() - asked < PATIENCE) return "";
    return watched?.status === "busy" ? BUSY : SILENT;
  }
  function say() {
    const text = sentence();
    if (text !== el.textContent) el.textContent = text; // a screen reader speaks what is new
    el.closest(".vaelib-explorer")?.classList.toggle("vaelib-stale", text !== "");
  }
  function follow(_, status) {
    ended ||= ENDS.includes(status);
    say();
  }
  function ask(event) {
    const ours = el.closest(".vaelib-explorer")?.contains(event.target);
    if (!ours || asked || sentence() === ENDED) return;
    asked = Date.now();
    model.send("do you answer?");
  }
  function hear() {
    asked = 0;
    say();
  }

  for (const touch of TOUCHES) window.addEventListener(touch, ask, true);
  model.on("msg:custom", hear);
  watched?.statusChanged?.connect(follow);
  const clock = setInterval(say, 500);
  return () => {
    clearInterval(clock);
    watched?.statusChanged?.disconnect(follow);
    for (const touch of TOUCHES) window.removeEventListener(touch, ask, true);
  };
}
export default { render };
