// How far what is shown may be believed, in words that stand at the top of both pages.
//
// A pipeline that is behind tells nothing about the shop: then figures are not current, and no zero is shown. What
// was last known stays visible with its age.

import { clock, duration } from "./format.js";

export const STALE_AFTER_MS = 60_000;
// The service says something every 15 s. Who heard nothing for longer can't tell how the pipeline is.
const HEARD_WITHIN_MS = 20_000;
const RECONNECTING = "Reconnecting …";

const SENTENCES = {
  waiting: "Asking the read service …",
  open: "Live. Figures still move.",
  final: "Final. Only late orders and refunds can still change money.",
  stale: "The pipeline is behind: figures are not current. This says nothing about the shop.",
  source_silent: "A source has stopped sending. Figures are too low by what it does not send.",
};

/** Why there are no figures, from an ApiError: what the reader can do about it, if anything. */
export function lostWords(error) {
  if (error.again) return RECONNECTING;
  if (error.refused) {
    const isOfLink = error.message.includes("link");
    return `No access: ${isOfLink ? error.message : "this page needs a token that is good for it"}.`;
  }
  if (error.status === 400 || error.status === 404) return `No figures: ${error.message}.`;
  return `Connection lost: ${error.message}.`;
}

/**
 * What to think of an answer (null: none yet) at a time by the service's clock. `lost` is null while the connection
 * holds, else `lostWords`. `silentMs`: for how long nothing was heard of the service.
 *
 * `current`: the figures are of now. `zeroes`: a zero means that there was none, not that nothing was read.
 */
export function judge(answer, lost, nowMs, silentMs = 0) {
  if (lost !== null) {
    const asOf = answer?.as_of_ms ?? null;
    const since = asOf === null ? "" : ` What you see is from ${clock(asOf)}, not current.`;
    return verdict("lost", `${lost}${since} This says nothing about the shop.`);
  }
  if (answer === null) return verdict("waiting", SENTENCES.waiting);
  const asOf = answer.as_of_ms;
  if (asOf === null) return verdict("stale", `${SENTENCES.stale} No worker has published how far it is.`);
  // Where the pipeline stands still its sources look silent too: how old "as of" is tells the two apart.
  const old = nowMs - asOf > STALE_AFTER_MS && answer.to_ms > asOf;
  if (old || answer.state === "stale") {
    return silentMs > HEARD_WITHIN_MS ? judge(answer, RECONNECTING, nowMs) : verdict("stale", SENTENCES.stale);
  }
  const silent = answer.state === "source_silent";
  return { name: answer.state, sentence: SENTENCES[answer.state], current: true, zeroes: !silent };
}

function verdict(name, sentence) {
  return { name, sentence, current: false, zeroes: false };
}

/** When figures are of: "As of 12:03:10, 4 s ago", and how complete the window is. */
export function asOfWords(answer, current, nowMs) {
  if (!answer || answer.as_of_ms === null) return "As of: not known";
  const age = duration(nowMs - answer.as_of_ms);
  const words = `${current ? "As of" : "Last known at"} ${clock(answer.as_of_ms)}, ${age} ago`;
  const part = answer.completeness;
  return current && part !== null && part < 0.995 ? `${words}; ${Math.floor(part * 100)} % complete` : words;
}
