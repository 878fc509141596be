// The control room's cards of what fell: how far, since when, what it costs, and why.

import { ask, ROOT } from "./api.js";
import { at, keyed, make, pairs, present, show } from "./dom.js";
import { isJudged, keyOf, liveOf, SHOWN, standing, titleOf } from "./fell.js";
import { change, conversion, count, duration, fine, isKnown, money, NOTHING, percent, when } from "./format.js";
import { byImportance } from "./teller.js";

const ABSENT = { absent: true };
const CAUSES = 3;
const EVERYWHERE = "everywhere alike";
const DILUTED = "As many as usual still get this far, but more begin: bots, or a crowd that came to look.";

/**
 * What the section needs, as parts: `drops`, the newest answer, and `judged`, the newest that judged anything. `last` is
 * the `drops` had before. A service that does not keep what is watched (400) is asked once.
 */
export async function askDrops(last) {
  if (last?.absent) return { drops: last };
  try {
    const drops = await ask("api/v1/drops");
    return isJudged(drops) ? { drops, judged: drops } : { drops };
  } catch (error) {
    if (error.status === 400) return { drops: ABSENT };
    throw error;
  }
}

/** Shows what fell; `part(name)` is what was had of a part of `askDrops`. The herald tells of what is new. */
export function showDrops(part, trust, teller, herald, nowMs) {
  const asked = part("drops");
  present("fell", !asked.last?.absent);
  if (asked.last?.absent) return;
  showLeftOut(trust.current ? asked.value?.left_out ?? [] : [], nowMs);
  const { words, drops } = standing(asked, part("judged"), trust);
  show("fell-words", words);
  keyed(at("drops"), drops.slice(0, SHOWN), keyOf, create, (node, drop) => fill(node, drop, teller, nowMs));
  herald.tell(drops, Date.now());
}

/** Until when flags keep what happens now out of what is judged: one with a wrong end must be seen. */
function showLeftOut(flags, nowMs) {
  present("left-out", flags.length > 0);
  keyed(at("left-out"), flags, (flag) => flag.id, () => make("li", {}, make("span"), " ", make("bdi")), (node, flag) => {
    const [words, title] = node.children;
    show(words, `Left out by hand until ${when(flag.to_ms, nowMs)}:`);
    show(title, flag.title);
  });
}

function create(drop) {
  const live = liveOf(drop.scope);
  const title = live === null ? titleOf(drop)
    : make("a", { href: new URL(`live/${encodeURIComponent(live)}`, ROOT).href }, titleOf(drop));
  const since = make("p", { class: "muted" });
  const figures = make("dl", { class: "figures" });
  const diluted = make("p");
  const causes = [make("h4", {}, "Why"), make("ul")];
  return make("li", { class: "card drop" }, make("h3", {}, title), make("p", { class: "hero" }), since, diluted,
    figures, ...causes);
}

function fill(node, drop, teller, nowMs) {
  const [, hero, since, diluted, figures, , causes] = node.children;
  node.dataset.state = drop.state;
  show(hero, `${conversion(drop.now_ratio)} instead of ${conversion(drop.expected_ratio)}`);
  const less = change(drop.now_ratio, drop.expected_ratio);
  const from = `${when(drop.since_ms, nowMs)}${orEarlier(drop)}`;
  show(since, `${less} than expected. Since ${from}, ${duration(nowMs - drop.since_ms)} ago.`);
  const isDiluted = drop.state === "diluted";
  show(diluted, isDiluted ? DILUTED : "");
  diluted.hidden = !isDiluted;
  // Where as many as usual get there, nothing is lost.
  pairs(figures, [reached(drop, teller), ...(isDiluted ? [] : lost(drop, teller))]);
  const ranked = reasons(drop.causes).map((text, rank) => ({ text, rank }));
  keyed(causes, ranked, (reason) => reason.rank, () => make("li"), (line, reason) => show(line, reason.text));
}

// Who began to watch during a drop has not seen its beginning.
const orEarlier = (drop) => (drop.since_or_earlier ? " or earlier" : "");

function reached(drop, teller) {
  const name = drop.step === "authorised_per_attempt" ? "Attempts" : "Sessions";
  const window = `${drop.window.replace(/m$/, "")} min`;
  return [name, `${teller.count(drop.sessions)} in ${window}\n${count(drop.reached)} went on`];
}

function lost({ lost_orders: orders, lost_orders_per_minute: perMinute, lost_minor_per_minute: minor }, teller) {
  const sums = Object.fromEntries(byImportance(minor).map((currency) => [currency, minor[currency]]));
  return [
    ["Orders lost so far", fine(orders)],
    ["Orders lost a minute", fine(perMinute)],
    ["Money lost a minute", Object.keys(sums).length ? teller.amounts(sums) : NOTHING],
  ];
}

/** The first causes, a line each. Slices of different kinds overlap: their shares need not make a whole. */
function reasons(causes) {
  if (causes.length === 0) return ["Not known."];
  return causes.slice(0, CAUSES).map((each) => {
    if (each.cause === EVERYWHERE) return "Everywhere alike: no part fell further than the rest.";
    const fall = isKnown(each.now_ratio) ? `, ${conversion(each.now_ratio)} instead of ${conversion(each.expected_ratio)}`
      : "";
    // Other people's text: set apart, so that letters that run from right to left do not turn the line around.
    const product = each.title ? ` (\u2068${each.title}\u2069, ${money(each.unit_price_minor, each.currency)})` : "";
    return `${percent(each.share)} of it: ${each.cause}${product}${fall}`;
  });
}
