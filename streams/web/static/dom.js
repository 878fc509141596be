// The few things that the pages do to their elements. Text is only written when it differs, and an element that
// stays the same stays in place: a selection, the focus and a screen reader's place survive each new answer.

/** The element with this id. */
export const at = (id) => document.getElementById(id);

/** Writes text into an element (or the one with this id) if it differs. */
export function show(target, text) {
  const node = typeof target === "string" ? at(target) : target;
  if (node.textContent !== text) node.textContent = text;
}

/** A new element with attributes (`class`, `data-…`, …) and children: elements or text. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A pair of a description list, `<div><dt>…<dd>…</div>`; its value is written by `pairs`. */
function pair(name) {
  return make("div", { "data-name": name }, make("dt", {}, name), make("dd"));
}

/** Makes a `<dl>` hold exactly these [name, text] pairs, in this order. */
export function pairs(list, entries) {
  keyed(list, entries, ([name]) => name, ([name]) => pair(name), (node, [, text]) => show(node.lastChild, text));
}

/**
 * Makes `parent` hold one child for each item, in order: an item whose key was there before keeps its element.
 * `create(item)` makes an element, `update(element, item)` fills it. What has the focus keeps it, also when it moves.
 */
export function keyed(parent, items, key, create, update) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const known = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  const names = items.map((item) => String(key(item)));
  // First, so that those behind what is gone need not move.
  const wanted = new Set(names);
  for (const node of [...parent.children]) {
    if (!wanted.has(node.dataset.key) || known.get(node.dataset.key) !== node) node.remove();
  }
  items.forEach((item, index) => {
    const name = names[index];
    let node = known.get(name);
    if (node === undefined) {
      node = create(item);
      node.dataset.key = name;
    }
    update(node, item);
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

/** Shows or hides a whole part of the page. */
export function present(id, whether) {
  at(id).hidden = !whether;
}
