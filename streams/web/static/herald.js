// Tells screen readers of each new drop, politely and once, however often it is seen again.

import { keyOf, listed } from "./fell.js";

// A drop at the edge comes and goes: one that was away for a shorter time is no new one.
const NEW_AFTER_MS = 15 * 60_000;

export class Herald {
  /** `node` is an element with aria-live="polite" that nobody sees. */
  constructor(node) {
    this.node = node;
    this.seen = new Map();
  }

  /** `drops` is what fell as of now, `nowMs` the reader's own clock. */
  tell(drops, nowMs) {
    const isNew = (drop) => nowMs - (this.seen.get(keyOf(drop)) ?? -Infinity) > NEW_AFTER_MS;
    const news = drops.filter(isNew);
    for (const drop of drops) this.seen.set(keyOf(drop), nowMs);
    if (news.length) this.node.textContent = `Fell: ${listed(news)}.`;
    // Who reads the page line by line must not come upon what is over.
    else if (drops.length === 0) this.node.textContent = "";
  }
}
