// The arrays that tools/playground.py packed: deflated bytes in base64.
const TYPES = { float32: Float32Array, int8: Int8Array, uint8: Uint8Array };
const UNITS = { ink: "inkUnit", pixel: "pixelUnit", codes: "codeUnit" }; // of whole numbers

// The packed model with its arrays by name; rounded matrices are numbers again.
export async function unpack({ arrays, deflated, ...about }) {
  const buffer = await inflated(Uint8Array.from(atob(deflated), (letter) => letter.charCodeAt(0)));
  const model = { about };
  let start = 0;
  for (const [name, type, shape] of arrays) {
    const length = shape.reduce((product, size) => product * size, 1);
    model[name] = new TYPES[type](buffer, start, length);
    start += model[name].byteLength;
  }
  for (const [name, unit] of Object.entries(UNITS)) model[name] = inUnits(model[name], model[unit]);
  return model;
}

function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

function inUnits(whole, [unit]) {
  return Float32Array.from(whole, (value) => value * unit);
}
