// A drawing prepared as MNIST's digits were: vaelib/course/handwriting.py in JavaScript.
const SIDE = 28; // of MNIST's picture
const LONGER = 20; // the digit's longer side in it
const CENTRE = 14; // row and column that the centre of mass is rounded to

// The drawing as 28 × 28 bytes, or null if it is empty. `ink` has side × side bytes; 255 is ink.
export function asMnist(ink, side) {
  const box = extent(ink, side);
  if (!box) return null;
  const small = shrunk(ink, side, box);
  const rows = Array.from({ length: LONGER }, (_, y) => total((x) => small[y * LONGER + x]));
  const columns = Array.from({ length: LONGER }, (_, x) => total((y) => small[y * LONGER + x]));
  const [top, left] = [start(rows), start(columns)];
  const page = new Uint8Array(SIDE * SIDE);
  for (let y = 0; y < Math.min(LONGER, SIDE - top); y++)
    for (let x = 0; x < Math.min(LONGER, SIDE - left); x++)
      page[(top + y) * SIDE + left + x] = halfToEven(Math.fround(255 * small[y * LONGER + x]));
  return page;
}

// The threshold protocol: a pixel is 1 if its byte is at least 128.
export function threshold(bytes) {
  return Uint8Array.from(bytes, (byte) => byte >> 7);
}

// An image of 28 × 28 bytes as a drawing of side × side, each pixel a square.
export function enlarged(bytes, side) {
  const times = side / SIDE;
  return Uint8Array.from({ length: side * side }, (_, i) => {
    const [y, x] = [Math.floor(i / side / times), Math.floor((i % side) / times)];
    return bytes[y * SIDE + x];
  });
}

function extent(ink, side) {
  let [top, bottom, left, right] = [side, -1, side, -1];
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      if (!ink[y * side + x]) continue;
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
      [left, right] = [Math.min(left, x), Math.max(right, x)];
    }
  return bottom < 0 ? null : { top, left, high: bottom - top + 1, wide: right - left + 1 };
}

// The box, on a square of its longer side, as 20 × 20 means over areas; first along each row.
function shrunk(ink, side, { top, left, high, wide }) {
  const spans = covered(Math.max(high, wide));
  const lines = new Float32Array(high * LONGER);
  for (let y = 0; y < high; y++)
    for (let x = 0; x < LONGER; x++) {
      const value = (u) => (u < wide ? Math.fround(ink[(top + y) * side + left + u] / 255) : 0);
      lines[y * LONGER + x] = mean(spans[x], value);
    }
  const small = new Float32Array(LONGER * LONGER);
  for (let y = 0; y < LONGER; y++)
    for (let x = 0; x < LONGER; x++)
      small[y * LONGER + x] = mean(spans[y], (v) => (v < high ? lines[v * LONGER + x] : 0));
  return small;
}

// The pixels [first, end) that each of 20 pixels covers of a longer side, by Pillow's box filter.
function covered(longer) {
  const scale = longer / LONGER;
  const reach = 1 / Math.max(scale, 1);
  return Array.from({ length: LONGER }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const place = (pixel) => (pixel - centre + 0.5) * reach;
    let first = Math.max(0, Math.floor(centre - 0.5 / reach + 0.5));
    while (place(first) <= -0.5) first++;
    let end = first;
    while (end < longer && place(end) <= 0.5) end++;
    return [first, end];
  });
}

function mean([first, end], value) {
  const share = 1 / (end - first);
  let sum = 0;
  for (let i = first; i < end; i++) sum += value(i) * share;
  return sum;
}

function total(value) {
  let sum = 0;
  for (let i = 0; i < LONGER; i++) sum += value(i);
  return sum;
}

// Where a digit begins in the page, from the ink in each of its 20 rows or columns.
function start(ink) {
  const all = ink.reduce((sum, value) => sum + value, 0);
  const centre = ink.reduce((sum, value, i) => sum + value * i, 0) / all;
  const last = ink.findLastIndex((value) => value > 0);
  return Math.min(Math.max(CENTRE - halfToEven(centre), 0), SIDE - 1 - last);
}

function halfToEven(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low + (low % 2);
}
