// Speaks to screen readers, politely and seldom: of all that changes every second only the latest word counts.

const SPEAK_EVERY_MS = 30_000;

export class Announcer {
  /** `node` is an element with aria-live="polite" that nobody sees. */
  constructor(node) {
    this.node = node;
    this.spokenAt = -Infinity;
    this.timer = null;
    this.next = "";
  }

  /** Takes back what was said or is still to be said. */
  hush() {
    clearTimeout(this.timer);
    this.timer = null;
    this.node.textContent = "";
  }

  /** Says this as soon as 30 s have passed since the last word; something newer takes its place. */
  say(text) {
    if (text === this.node.textContent) return;
    this.next = text;
    if (this.timer !== null) return;
    const waitMs = Math.max(this.spokenAt + SPEAK_EVERY_MS - performance.now(), 0);
    this.timer = setTimeout(() => {
      this.timer = null;
      this.spokenAt = performance.now();
      this.node.textContent = this.next;
    }, waitMs);
  }
}
