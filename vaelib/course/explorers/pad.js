// A plane to point at: drag with mouse, finger or stylus, or use the arrow keys.
// `value` is the point in the plane's own units; the browser keeps only the newest one while the
// kernel is busy (Jupyter's models send one change at a time).
function render({ model, el }) {
  const pad = document.createElement("div");
  pad.className = "vaelib-pad";
  pad.tabIndex = 0;
  pad.setAttribute("role", "application");
  const map = document.createElement("img");
  map.draggable = false;
  const cross = document.createElement("div");
  cross.className = "vaelib-cross";
  pad.append(map, cross);
  el.append(pad);

  let url = null;
  function drawMap() {
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(new Blob([model.get("map")], { type: "image/png" }));
    map.src = url;
    map.alt = ""; // the pad has the name
    pad.setAttribute("aria-label", model.get("alt"));
    pad.style.width = `${model.get("side")}px`;
  }
  function drawCross() {
    const [x, y] = model.get("value");
    const reach = model.get("reach");
    cross.style.left = `${50 + (50 * x) / reach}%`;
    cross.style.top = `${50 - (50 * y) / reach}%`;
    pad.setAttribute("aria-description", `${x.toFixed(2)}, ${y.toFixed(2)}`);
  }
  function move(x, y) {
    const reach = model.get("reach");
    const inside = (v) => Math.round(100 * Math.max(-reach, Math.min(reach, v))) / 100;
    model.set("value", [inside(x), inside(y)]);
    model.save_changes();
  }
  function point(event) {
    const box = pad.getBoundingClientRect();
    const reach = model.get("reach");
    move(
      ((event.clientX - box.left) / box.width - 0.5) * 2 * reach,
      (0.5 - (event.clientY - box.top) / box.height) * 2 * reach,
    );
  }
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    pad.focus();
    point(event);
    event.preventDefault();
  });
  pad.addEventListener("pointermove", (event) => {
    if (pad.hasPointerCapture(event.pointerId)) point(event);
  });
  pad.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 0.5 : 0.1;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (!(event.key in way)) return;
    const [x, y] = model.get("value");
    move(x + step * way[event.key][0], y + step * way[event.key][1]);
    event.preventDefault(); // or the page, or the notebook's selection, would move
    event.stopPropagation();
  });
  model.on("change:map", drawMap);
  model.on("change:value", drawCross);
  drawMap();
  drawCross();
  return () => url && URL.revokeObjectURL(url);
}
export default { render };
