// Named values that tell listeners when they change: the part of a widget's model that the
// notebooks' sketch pad and map use, so that the same files work on a page without a kernel.
export function traits(values) {
  const listeners = {};
  return {
    get: (name) => values[name],
    set(name, value) {
      values[name] = value;
      for (const listener of listeners[name] ?? []) listener();
    },
    save_changes() {},
    on(event, listener) {
      (listeners[event.replace("change:", "")] ??= []).push(listener);
    },
    off(event, listener) {
      const name = event.replace("change:", "");
      listeners[name] = listeners[name]?.filter((each) => each !== listener);
    },
  };
}
