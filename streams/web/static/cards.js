// Cards of the control room: one for each currency, gateway and live, with a sparkline and a comparison.

import { againstWords, hasComparison } from "./against.js";
import { ask, ROOT } from "./api.js";
import { Chart, perStep, wholeSteps } from "./chart.js";
import { at, keyed, make, pairs, present, show } from "./dom.js";
import { count, money, NOTHING, percent, pointsChange } from "./format.js";
import { byImportance, ofMoney } from "./teller.js";

const SERIES_WINDOWS = { "5m": "30m", "30m": "30m", "1h": "1h", "24h": "24h" };
const SCOPES_WINDOWS = { "5m": "5m", "30m": "30m", "1h": "1h", "24h": "1h" };
const LIVES = 10;
const GATEWAYS = 6;
// Of all gateways, and shown of each: one that fails sells little, and must not be cut off for it.
const PAIRS = 100;
const PLATFORMS = 9;

// Values that are no live's: what stands there is told, and leads to no live's page.
const NO_LIVES = { unattributed: "Of no live", other: "Further lives" };

const charts = new WeakMap();

const askKpis = (scope, window) => ask("api/v1/kpis", { scope, window });

/** One scope's answer, its comparison (null where the window has none) and its series. */
export async function askAround(scope, window) {
  const [compared, series] = await Promise.all([
    hasComparison(window) ? ask("api/v1/comparison", { scope, window }) : askKpis(scope, window),
    ask("api/v1/series", { scope, window: SERIES_WINDOWS[window] }),
  ]);
  return hasComparison(window) ? { answer: compared.now, comparison: compared, series }
    : { answer: compared, comparison: null, series };
}

/** The scopes of a kind that sell most. */
async function largest(kind, window, limit) {
  const { scopes } = await ask("api/v1/scopes", { kind, window: SCOPES_WINDOWS[window] });
  return scopes.slice(0, limit);
}

/** What the cards of all gateways need, as parts: `gateways` (names) and `gateway:NAME` of each that answered. */
export async function askGateways(window) {
  const [gateways, pairsFound] = await Promise.all([
    largest("gateway", window, GATEWAYS),
    largest("platform,gateway", window, PAIRS),
  ]);
  return eachCard("gateway", gateways, async ({ scope }) => {
    const own = pairsFound.filter((pair) => pair.scope.endsWith(`,${scope}`)).slice(0, PLATFORMS);
    const [around, ...platforms] = await Promise.all([
      askAround(scope, window),
      ...own.map((pair) => askKpis(pair.scope, window)),
    ]);
    return { platforms, ...around };
  });
}

/** What the cards of the lives that sell most need, as parts: `lives` (ids) and `live:ID` of each that answered. */
export async function askLives(window) {
  const lives = await largest("live", window, LIVES);
  return eachCard("live", lives, ({ scope }) => askAround(scope, window));
}

/** One card that fails takes no other with it: it is not among what was had. */
async function eachCard(kind, scopes, askOne) {
  const settled = await Promise.allSettled(scopes.map(askOne));
  const had = { [`${kind}s`]: scopes.map((each) => each.scope.slice(kind.length + 1)) };
  settled.forEach((each, index) => {
    if (each.status === "fulfilled") had[scopes[index].scope] = each.value;
    else console.warn(`${scopes[index].scope}: ${each.reason.message}`);
  });
  return had;
}

/** Shows the money of each currency of an answer; `around` is the part had of `askAround("all", …)`. */
export function showMoney(answer, around, window, teller) {
  const sums = answer?.money ?? {};
  const currencies = byImportance(ofMoney(answer, "gmv_paid_minor"));
  present("money-none", currencies.length === 0);
  show("money-none", teller.none(answer?.money, "No money has moved yet."));
  show("orders", `${teller.count(answer?.orders)} orders, ${teller.count(answer?.items)} items`);
  keyed(at("money"), currencies, (currency) => currency, () => card(), (node, currency) => {
    const parts = partsOf(node);
    const amount = (figure) => teller.amount(sums[currency][figure], currency);
    show(parts.title, currency);
    show(parts.hero, amount("gmv_paid_minor"));
    pairs(parts.figures, [
      ["Order on average", amount("aov_minor")],
      ["Buyers paid", amount("buyer_paid_minor")],
      ["Refunded", amount("refunds_minor")],
      ["Net of its refunds", amount("gmv_net_minor")],
    ]);
    const gmv = (of) => of?.money?.[currency]?.gmv_paid_minor;
    show(parts.change, around.missing || againstWords(around.value?.comparison, window, gmv, teller.zeroes));
    const words = (minor) => money(minor, currency);
    curve(node, around.value?.series, `money.${currency}.gmv_paid_minor`, `GMV paid in ${currency}`, words);
  });
}

/** Shows the gateways; `part(name)` is what was had of a part of `askGateways`. */
export function showGateways(part, window, teller) {
  const names = list("gateways", part("gateways"), "No payment was made.", teller);
  keyed(at("gateways"), names, (name) => name, () => card(make("ul")), (node, name) => {
    const parts = partsOf(node);
    const { value: each, missing } = part(`gateway:${name}`);
    const payments = each?.answer.payments;
    show(parts.title, name);
    show(parts.hero, `${rate(payments, teller)} succeeded`);
    pairs(parts.figures, [
      ["Attempts", teller.count(payments?.attempts)],
      ["Pending", teller.count(payments?.pending)],
      ["Declined", teller.count(payments?.declined)],
      ["Errors", teller.count(payments?.errors)],
    ]);
    const success = (of) => of?.payments?.success_rate;
    const against = againstWords(each?.comparison, window, success, teller.zeroes, pointsChange);
    show(parts.change, missing || `Success: ${against}`);
    keyed(parts.more, each?.platforms ?? [], (pair) => pair.scope, () => make("li"), (line, pair) => {
      const platform = pair.scope.slice("platform:".length).split(",gateway:")[0];
      show(line, `${platform}: ${rate(pair.payments, teller)} of ${teller.count(pair.payments?.attempts)}, `
        + `${teller.count(pair.payments?.pending)} pending`);
    });
    rateCurve(node, each?.series);
  });
}

const rate = (payments, teller) => (teller.knows(payments?.success_rate) ? percent(payments.success_rate) : NOTHING);

/** Shows the lives; `part(name)` is what was had of a part of `askLives`. */
export function showLives(part, window, teller) {
  const ids = list("lives", part("lives"), "No live was seen.", teller);
  keyed(at("lives"), ids, (id) => id, () => card(), (node, id) => {
    const parts = partsOf(node);
    const { value: each, missing } = part(`live:${id}`);
    const nobodys = Object.hasOwn(NO_LIVES, id);
    if (nobodys) {
      show(parts.title, NO_LIVES[id]);
    } else if (parts.title.firstElementChild === null) {
      const address = new URL(`live/${encodeURIComponent(id)}`, ROOT);
      parts.title.append(make("a", { href: address.href }, id));
    }
    const sold = ofMoney(each?.answer, "gmv_paid_minor");
    show(parts.hero, teller.amounts(sold));
    pairs(parts.figures, [
      ["Orders", teller.count(each?.answer.orders)],
      ...(nobodys ? [] : [
        ["Viewers now", teller.count(each?.answer.viewers?.now)],
        ["Taps", teller.count(each?.answer.events?.tag_tap)],
      ]),
    ]);
    // A week ago this live was not on air.
    const comparison = each?.comparison && { ...each.comparison, last_week: null };
    show(parts.change, missing || `Orders: ${againstWords(comparison, window, (of) => of?.orders, teller.zeroes)}`);
    curve(node, each?.series, "orders", "Orders", count);
  });
}

/** The names in a list that was had, and a line where there are none or the list is old. */
function list(id, { value, last, missing }, words, teller) {
  present(`${id}-none`, missing !== "" || !last?.length);
  show(`${id}-none`, missing || teller.none(value, words));
  return last ?? [];
}

function card(...more) {
  const parts = [make("h3"), make("p", { class: "hero" }), make("div"), make("p", { class: "muted" })];
  return make("li", { class: "card" }, ...parts, make("dl", { class: "figures" }), ...more);
}

function partsOf(node) {
  const [title, hero, picture, change, figures, more] = node.children;
  return { title, hero, picture, change, figures, more };
}

function curve(node, series, figure, name, words) {
  if (!series) return charts.get(node)?.clear();
  draw(node, { name: `${name} ${perStep(series)}`, startMs: series.start_ms, values: wholeSteps(series, figure), words });
}

/** The success rate of each step; a step without an attempt has none. */
function rateCurve(node, series) {
  if (!series) return charts.get(node)?.clear();
  const attempts = wholeSteps(series, "payments.attempts");
  const authorised = wholeSteps(series, "payments.authorised");
  const values = attempts.map((all, index) => (all ? (authorised[index] ?? 0) / all : null));
  draw(node, { name: `Success ${perStep(series)}`, startMs: series.start_ms, values, words: percent });
}

function draw(node, shown) {
  if (!charts.has(node)) charts.set(node, new Chart(partsOf(node).picture));
  charts.get(node).show(shown);
}
