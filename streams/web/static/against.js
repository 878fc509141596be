// Compares a scope's figures with the window before and with the same hour a week ago, in one sentence each.

import { change, clock, NOTHING } from "./format.js";

const WINDOW_WORDS = { "5m": "5 minutes", "30m": "30 minutes", "1h": "hour" };

/** Windows that /api/v1/comparison knows. */
export const hasComparison = (window) => window in WINDOW_WORDS;

/** Whether anything was read in that time: where nothing was, a zero is not known to be one. */
const wasRead = (answer) => Boolean(answer && answer.as_of_ms !== null && (answer.quality?.accepted ?? 1) > 0);

/**
 * "12 % more than in the 5 minutes before. 11:00–12:00: 3 % less than a week ago." `pick(answer)` is the figure;
 * `compare` puts two of them into words. `current`: whether figures of now are known.
 */
export function againstWords(comparison, window, pick, current, compare = change) {
  if (!comparison || !current) return NOTHING;
  const { now, previous, last_week: week } = comparison;
  const before = wasRead(previous) ? than(compare(pick(now), pick(previous)), "in") : NOTHING;
  const sentences = [before === NOTHING ? `The ${WINDOW_WORDS[window]} before: not known.`
    : `${before} the ${WINDOW_WORDS[window]} before.`];
  if (week) {
    const hour = `${clock(week.from_ms).slice(0, 5)}–${clock(week.to_ms).slice(0, 5)}`;
    const then = wasRead(week.then) ? than(compare(pick(week.this), pick(week.then)), "") : NOTHING;
    sentences.push(then === NOTHING ? "A week ago: not known." : `${hour}: ${then} a week ago.`);
  }
  return sentences.join(" ");
}

/** "12 % more" reads on with "than in", "the same" with "as in". */
function than(words, place) {
  if (words === NOTHING) return NOTHING;
  const link = /^the same|as much$/.test(words) ? "as" : "than";
  return `${words} ${link}${place ? ` ${place}` : ""}`;
}
