// What fell, in words: steps and scopes by name, and what can be said of the whole shop in one line.

import { clock, count, NOTHING } from "./format.js";

/** So many drops are shown at a time: where everything falls, the first ones say it. */
export const SHOWN = 12;

const STEPS = {
  tag_tap_per_view: "Tag taps per view",
  add_to_cart_per_tag_tap: "Carts per tag tap",
  purchase_per_add_to_cart: "Purchases per cart",
  purchase_per_view: "Purchases per view",
  authorised_per_attempt: "Authorised payments per attempt",
};
const OTHER = "other";
const PLATFORM = "platform:";
const GATEWAY = ",gateway:";

/** The id of a live in a scope, or null. */
export const liveOf = (scope) => (scope.startsWith("live:") ? scope.slice("live:".length) : null);

/** "Purchases per cart on tiktok". */
export const titleOf = ({ step, scope }) => `${STEPS[step] ?? step} ${placeOf(scope)}`;

/** What makes a drop the same one in the next answer. */
export const keyOf = ({ step, scope }) => `${step} ${scope}`;

function placeOf(scope) {
  if (scope === "all") return "in the whole shop";
  if (liveOf(scope) !== null) return `in live ${liveOf(scope)}`;
  if (scope === `platform,gateway:${OTHER}`) return "by other gateways";
  if (!scope.startsWith(PLATFORM)) return `in ${scope}`;
  const [platform, gateway] = scope.slice(PLATFORM.length).split(GATEWAY);
  return `${gateway === undefined ? "" : `by ${gateway} `}on ${platform === OTHER ? "other platforms" : platform}`;
}

/** Whether an answer of /api/v1/drops says anything: an empty list of drops is no good news by itself. */
export const isJudged = (answer) => answer.watched.some((each) => each.state !== "not_current");

/**
 * What can be said now: `words`, and the `drops` to show. `asked` and `judged` are the parts kept of the newest answer
 * and of the newest that judged anything; `trust` is how far the page's figures can be believed.
 */
export function standing(asked, judged, trust) {
  const answer = trust.current ? asked.value : null;
  if (answer && isJudged(answer)) return { words: judgedWords(answer), drops: inOrder(answer.drops) };
  const why = whyNot(asked, trust);
  return { words: why === NOTHING ? NOTHING : [why, lastKnown(judged.last)].filter(Boolean).join(" "), drops: [] };
}

/** What only looks like a drop stands behind those that are. */
const inOrder = (drops) => ["drop", "diluted"].flatMap((state) => drops.filter((each) => each.state === state));

function judgedWords({ drops, watched }) {
  const of = (state) => watched.filter((each) => each.state === state).length;
  const facts = [
    [of("watched"), "step is watched", "steps are watched"],
    [of("not_enough_traffic"), "has not enough traffic", "have not enough traffic"],
    [of("no_baseline"), "has no baseline yet", "have no baseline yet"],
    [of("not_current"), "is not current", "are not current"],
  ];
  const known = facts.filter(([number]) => number).map(([number, one, many]) => numbered(number, one, many));
  const shown = drops.length > SHOWN ? ` The first ${SHOWN} are shown.` : "";
  if (drops.length) return `${numbered(drops.length, "step", "steps")} fell: ${known.join(", ")}.${shown}`;
  return `${of("watched") ? "Nothing fell" : "No step can be judged"}: ${known.join(", ")}.`;
}

const numbered = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

function whyNot(asked, trust) {
  if (trust.name === "waiting") return NOTHING;
  if (trust.name === "lost") return "Nothing is judged now: no figures come.";
  if (!trust.current) return "Nothing is judged now: figures are not current.";
  if (asked.missing) return `Nothing is judged now. ${asked.missing}`;
  if (asked.value === null) return NOTHING;
  if (trust.name === "source_silent") return "Nothing is judged now: a source is silent.";
  return "Nothing is judged now: the watch has no current figures.";
}

/** A drop that is no longer seen need not be over. */
function lastKnown(answer) {
  if (!answer?.drops.length) return "";
  return `At ${clock(answer.as_of_ms)} this had fallen: ${listed(answer.drops)}.`;
}

/** The first ones by name, and how many more. */
export function listed(drops) {
  const more = drops.length > SHOWN ? `; and ${count(drops.length - SHOWN)} more` : "";
  return drops.slice(0, SHOWN).map(titleOf).join("; ") + more;
}
