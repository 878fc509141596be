// What the control room last had of each of its parts, and when: a part that no longer comes must not look like now.

import { clock } from "./format.js";

const KEPT_MS = 60_000;

export class Kept {
  /** `nowMs` is the reader's own clock, here and below: it goes on while the computer sleeps. */
  constructor(nowMs) {
    this.startedMs = nowMs;
    this.parts = new Map();
  }

  /** Keeps what was had now of these parts: {name: value}. */
  had(found, nowMs) {
    for (const [name, value] of Object.entries(found)) this.parts.set(name, { value, hadMs: nowMs });
  }

  /**
   * One part. `value`: what was had within the last 60 s, else null. `last`: what was had last, however long ago, or
   * null. `missing`: "" or, where nothing came for 60 s, since when, as a sentence.
   */
  of(name, nowMs) {
    const { value, hadMs } = this.parts.get(name) ?? { value: null, hadMs: this.startedMs };
    const isOld = nowMs - hadMs > KEPT_MS;
    return { value: isOld ? null : value, last: value, missing: isOld ? `Not had since ${clock(hadMs)}.` : "" };
  }
}
