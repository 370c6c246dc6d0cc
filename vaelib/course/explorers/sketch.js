// A box to draw in: with mouse, finger or stylus, or with arrow keys and space.
// `value` is the ink, a byte a pixel, row by row; no bytes mean an empty box. The browser sends
// it at most once a frame, and only the newest one while the kernel is busy.
const PAGE = 280; // the box in its own units, which are pixels of the page at full width
const FINE = 2; // pixels of the canvas for each unit, for sharp screens
function render({ model, el }) {
  const side = model.get("side");
  const pen = model.get("pen");
  const sketch = document.createElement("div");
  sketch.className = "vaelib-sketch";
  const box = document.createElement("div");
  box.className = "vaelib-sketch-box";
  box.tabIndex = 0;
  box.setAttribute("role", "application");
  box.setAttribute("data-lm-suppress-shortcuts", "true"); // arrows draw here, and move no cell
  box.setAttribute(
    "aria-label",
    "Box to draw a digit in, with mouse, finger or stylus. By keyboard: arrow keys move the pen, " +
      "with Shift in small steps; space puts it down and lifts it.",
  );
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = FINE * PAGE;
  canvas.setAttribute("role", "img");
  const hint = document.createElement("div");
  hint.className = "vaelib-sketch-hint";
  hint.textContent = "Draw a digit here";
  const nib = document.createElement("div");
  nib.className = "vaelib-sketch-nib";
  nib.style.width = nib.style.height = `${(100 * pen) / PAGE}%`;
  box.append(canvas, hint, nib);
  const clear = document.createElement("button");
  clear.type = "button";
  clear.className = "jupyter-button widget-button vaelib-sketch-clear";
  clear.textContent = "Clear";
  const state = document.createElement("span");
  state.className = "vaelib-sketch-state";
  state.setAttribute("role", "status");
  const row = document.createElement("div");
  row.className = "vaelib-sketch-row";
  row.append(clear, state);
  sketch.append(box, row);
  el.append(sketch);

  const page = canvas.getContext("2d", { willReadFrequently: true });
  page.lineCap = page.lineJoin = "round";
  page.lineWidth = FINE * pen;
  const small = document.createElement("canvas");
  small.width = small.height = side;

  let mine = null; // the value that came from here, and is on the canvas already
  let frame = 0;
  let last = null; // where the pen is down by mouse, finger or stylus
  let at = [PAGE / 2, PAGE / 2]; // where the pen is by keyboard
  let down = false; // whether that pen is on the paper
  let pressed = false; // whether the box gets the focus by a press, and shows no pen for keys

  function mark(drawn) {
    hint.hidden = drawn;
    canvas.setAttribute("aria-label", drawn ? "your drawing" : "an empty box");
  }

  function stroke(from, to) {
    page.beginPath();
    if (from[0] === to[0] && from[1] === to[1]) {
      page.arc(FINE * to[0], FINE * to[1], (FINE * pen) / 2, 0, 2 * Math.PI);
      page.fill();
    } else {
      page.moveTo(FINE * from[0], FINE * from[1]);
      page.lineTo(FINE * to[0], FINE * to[1]);
      page.stroke();
    }
    mark(true);
    frame ||= requestAnimationFrame(send);
  }

  function send() {
    cancelAnimationFrame(frame);
    frame = 0;
    const wide = FINE * PAGE;
    const cell = wide / side;
    const alpha = page.getImageData(0, 0, wide, wide).data;
    const bytes = new Uint8Array(side * side);
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++) {
        let ink = 0;
        for (let v = y * cell; v < (y + 1) * cell; v++)
          for (let u = x * cell; u < (x + 1) * cell; u++) ink += alpha[4 * (v * wide + u) + 3];
        bytes[y * side + x] = Math.round(ink / (cell * cell));
      }
    give(bytes);
  }

  function give(bytes) {
    mine = new DataView(bytes.buffer);
    model.set("value", mine);
    model.save_changes();
  }

  function drawValue() {
    const value = model.get("value");
    if (value === mine) return;
    cancelAnimationFrame(frame);
    frame = 0;
    last = null; // a stroke under way belonged to the drawing that was
    wipe();
    if (!value || value.byteLength !== side * side) return;
    const ink = small.getContext("2d").createImageData(side, side);
    for (let i = 0; i < side * side; i++) ink.data[4 * i + 3] = value.getUint8(i);
    small.getContext("2d").putImageData(ink, 0, 0);
    page.imageSmoothingEnabled = false; // so that what is sent later is what came
    page.drawImage(small, 0, 0, canvas.width, canvas.height);
    mark(true);
  }

  function wipe() {
    page.clearRect(0, 0, canvas.width, canvas.height);
    mark(false);
  }

  function place(event) {
    const edge = box.getBoundingClientRect();
    const [left, top] = [edge.left + box.clientLeft, edge.top + box.clientTop];
    return [
      ((event.clientX - left) * PAGE) / box.clientWidth,
      ((event.clientY - top) * PAGE) / box.clientHeight,
    ];
  }

  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || last) return;
    box.setPointerCapture(event.pointerId);
    pressed = true;
    box.focus({ preventScroll: true });
    pressed = false;
    lift();
    last = place(event);
    stroke(last, last);
    event.preventDefault(); // or a drag would select text
  });
  box.addEventListener("pointermove", (event) => {
    if (!last || !box.hasPointerCapture(event.pointerId)) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const point of passed.length ? passed : [event]) {
      const next = place(point);
      stroke(last, next);
      last = next;
    }
  });
  box.addEventListener("lostpointercapture", () => {
    last = null;
    if (frame) send();
  });

  function drawNib() {
    nib.style.left = `${(100 * at[0]) / PAGE}%`;
    nib.style.top = `${(100 * at[1]) / PAGE}%`;
    nib.classList.toggle("vaelib-down", down);
  }
  function lift() {
    down = false;
    drawNib();
    state.textContent = "";
    box.classList.remove("vaelib-by-keyboard");
  }
  function say() {
    state.textContent = down ? "pen is down" : "pen is up: space puts it down";
  }
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " ") {
      if (event.repeat) return stop(event);
      down = !down;
      if (down) stroke(at, at);
    } else if (event.key in ways) {
      const step = event.shiftKey ? 2 : 8;
      const inside = (v) => Math.max(pen / 2, Math.min(PAGE - pen / 2, v));
      const next = at.map((v, i) => inside(v + step * ways[event.key][i]));
      if (down) stroke(at, next);
      at = next;
    } else return;
    box.classList.add("vaelib-by-keyboard");
    drawNib();
    say();
    stop(event);
  });
  function stop(event) {
    event.preventDefault(); // or the page, or the notebook's selection, would move
    event.stopPropagation();
  }
  box.addEventListener("focus", () => {
    if (pressed || !box.matches(":focus-visible")) return;
    box.classList.add("vaelib-by-keyboard");
    say();
  });
  box.addEventListener("blur", lift);
  clear.addEventListener("click", () => {
    cancelAnimationFrame(frame);
    frame = 0;
    wipe();
    give(new Uint8Array(0));
  });

  model.on("change:value", drawValue);
  drawNib();
  drawValue();
  return () => {
    cancelAnimationFrame(frame);
    model.off("change:value", drawValue);
  };
}
export default { render };
