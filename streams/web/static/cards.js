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
const PAIRS = 12;

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

/** What the cards of all gateways need. */
export async function askGateways(window) {
  const [gateways, pairsFound] = await Promise.all([
    largest("gateway", window, GATEWAYS),
    largest("platform,gateway", window, PAIRS),
  ]);
  const [around, ofPairs] = await Promise.all([
    Promise.all(gateways.map((each) => askAround(each.scope, window))),
    Promise.all(pairsFound.map((each) => askKpis(each.scope, window))),
  ]);
  return gateways.map((each, index) => {
    const name = each.scope.slice("gateway:".length);
    const platforms = ofPairs.filter((pair) => pair.scope.endsWith(`,gateway:${name}`));
    return { name, platforms, ...around[index] };
  });
}

/** What the cards of the lives that sell most need. */
export async function askLives(window) {
  const lives = await largest("live", window, LIVES);
  return Promise.all(lives.map(async (each) => {
    const around = await askAround(each.scope, window);
    return { name: each.scope.slice("live:".length), ...around };
  }));
}

/** Shows the money of each currency of an answer; `around` is of `askAround("all", …)`, null before it came. */
export function showMoney(answer, around, window, teller) {
  const sums = answer?.money ?? {};
  const currencies = byImportance(ofMoney(answer, "gmv_paid_minor"));
  none("money", answer && currencies.length, "No money has moved yet.", answer);
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
    show(parts.change, againstWords(around?.comparison, window, gmv, teller.zeroes));
    const words = (minor) => money(minor, currency);
    curve(node, around?.series, `money.${currency}.gmv_paid_minor`, `GMV paid in ${currency}`, words);
  });
}

/** Shows the gateways: what `askGateways` found, null where that is not known. */
export function showGateways(found, window, teller) {
  none("gateways", found?.length, "No payment was made.", found);
  keyed(at("gateways"), found ?? [], (each) => each.name, () => card(make("ul")), (node, each) => {
    const parts = partsOf(node);
    const payments = each.answer.payments;
    show(parts.title, each.name);
    show(parts.hero, `${rate(payments, teller)} succeeded`);
    pairs(parts.figures, [
      ["Attempts", teller.count(payments?.attempts)],
      ["Pending", teller.count(payments?.pending)],
      ["Declined", teller.count(payments?.declined)],
      ["Errors", teller.count(payments?.errors)],
    ]);
    const success = (of) => of?.payments?.success_rate;
    show(parts.change, `Success: ${againstWords(each.comparison, window, success, teller.zeroes, pointsChange)}`);
    keyed(parts.more, each.platforms, (pair) => pair.scope, () => make("li"), (line, pair) => {
      const platform = pair.scope.slice("platform:".length).split(",gateway:")[0];
      show(line, `${platform}: ${rate(pair.payments, teller)} of ${teller.count(pair.payments?.attempts)}, `
        + `${teller.count(pair.payments?.pending)} pending`);
    });
    rateCurve(node, each.series);
  });
}

const rate = (payments, teller) => (teller.knows(payments?.success_rate) ? percent(payments.success_rate) : NOTHING);

/** Shows the lives: what `askLives` found, null where that is not known. */
export function showLives(found, window, teller) {
  none("lives", found?.length, "No live was seen.", found);
  keyed(at("lives"), found ?? [], (each) => each.name, () => card(), (node, each) => {
    const parts = partsOf(node);
    if (parts.title.firstElementChild === null) {
      const address = new URL(`live/${encodeURIComponent(each.name)}`, ROOT);
      parts.title.append(make("a", { href: address.href }, each.name));
    }
    const sold = ofMoney(each.answer, "gmv_paid_minor");
    show(parts.hero, teller.amounts(sold));
    pairs(parts.figures, [
      ["Orders", teller.count(each.answer.orders)],
      ["Viewers now", teller.count(each.answer.viewers?.now)],
      ["Taps", teller.count(each.answer.events?.tag_tap)],
    ]);
    // A week ago this live was not on air.
    const comparison = each.comparison && { ...each.comparison, last_week: null };
    show(parts.change, `Orders: ${againstWords(comparison, window, (of) => of?.orders, teller.zeroes)}`);
    curve(node, each.series, "orders", "Orders", count);
  });
}

function none(id, some, words, known) {
  present(`${id}-none`, !some);
  show(`${id}-none`, known ? words : NOTHING);
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
  if (!series) return;
  draw(node, { name: `${name} ${perStep(series)}`, startMs: series.start_ms, values: wholeSteps(series, figure), words });
}

/** The success rate of each step; a step without an attempt has none. */
function rateCurve(node, series) {
  if (!series) return;
  const attempts = wholeSteps(series, "payments.attempts");
  const authorised = wholeSteps(series, "payments.authorised");
  const values = attempts.map((all, index) => (all ? (authorised[index] ?? 0) / all : null));
  draw(node, { name: `Success ${perStep(series)}`, startMs: series.start_ms, values, words: percent });
}

function draw(node, shown) {
  if (!charts.has(node)) charts.set(node, new Chart(partsOf(node).picture));
  charts.get(node).show(shown);
}
