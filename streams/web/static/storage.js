// What this browser remembers between visits (localStorage) or until the tab is closed (sessionStorage).
// Where storage is forbidden, as in some private windows, it is remembered until the page is closed.

const unstored = new Map();

/** The text kept under `key`, or null. `store` is "localStorage" or "sessionStorage". */
export function recall(key, store = "localStorage") {
  try {
    return globalThis[store].getItem(key);
  } catch {
    return unstored.get(key) ?? null;
  }
}

/** Keeps `text` under `key`; null forgets it. */
export function remember(key, text, store = "localStorage") {
  try {
    if (text === null) globalThis[store].removeItem(key);
    else globalThis[store].setItem(key, text);
  } catch {
    unstored.set(key, text);
  }
}
