// The page of one live, for its host: follows the live's figures and puts them where they belong.

import { Announcer } from "./announcer.js";
import { ask, follow, serverNow } from "./api.js";
import { chartIn, wholeSteps } from "./chart.js";
import { showCompared } from "./compared.js";
import { at, pairs, show } from "./dom.js";
import { count, day, decimal, duration, isKnown, money, NOTHING } from "./format.js";
import { showGoals, useGoals } from "./goal.js";
import { showPinned, showProducts, shortWords } from "./products.js";
import { hidesMoney, useStreamerMode } from "./streamer.js";
import { byImportance, ofMoney, Teller } from "./teller.js";
import { askForToken, useTokens } from "./token.js";
import { asOfWords, judge, lostWords } from "./trust.js";
import { stayAwake } from "./wake.js";

const LIVE_ID = nameIn(location.pathname);
const CURVES_EVERY_MS = 10_000;
const SUMMARY_EVERY_MS = 60_000;

const announcer = new Announcer(at("spoken"));
const curves = {
  sales: chartIn("sales-curve", { large: true }),
  orders: chartIn("orders-curve", { large: true }),
  viewers: chartIn("viewers-curve", { large: true }),
};

// `answer`: the newest. `good`: the newest that was current. `lost`: why there is no connection, null while there is.
// `heardMs`: when the service last said something. `refused`: the curves need another token.
const page = {
  answer: null, good: null, lost: null, heardMs: Date.now(), series: null, refused: false,
  summaryAt: -Infinity, short: "",
};

/** The live's id in the address; null where a "%" in it is no escape. */
function nameIn(path) {
  try {
    return decodeURIComponent(path.split("/").pop());
  } catch {
    return null;
  }
}

/** What can still be shown of an answer that is not current: sums since the start, not those of a window of now. */
function lasting(answer) {
  return answer && { ...answer, now: null, last_10m: null, previous_10m: null, orders_per_minute: null, pinned: null };
}

function paint() {
  const nowMs = serverNow();
  const trust = judge(page.answer?.now ?? null, page.lost, nowMs, Date.now() - page.heardMs);
  if (trust.current) page.good = page.answer;
  const live = trust.current ? page.answer : page.good ?? lasting(page.answer);
  const teller = new Teller({ zeroes: trust.zeroes, hideMoney: hidesMoney() });
  showTrust(trust, trust.current ? page.answer : page.good ?? page.answer, nowMs);
  showRoom(live, nowMs);
  showBig(live, teller);
  showGoals(ofMoney(live?.since_start, "gmv_paid_minor"), ofMoney(live?.last_10m, "gmv_paid_minor"), teller);
  showPinned(live?.pinned ?? null, teller, nowMs);
  showProducts(live?.products ?? null, teller);
  showCompared(live, teller);
  showSince(live, teller);
  if (trust.current) speak(live, teller);
}

function showTrust(trust, answer, nowMs) {
  show("state", trust.sentence);
  at("state").dataset.state = trust.name;
  at("now").classList.toggle("old", !trust.current);
  document.documentElement.dataset.current = String(trust.current);
  show("as-of", asOfWords(answer?.now ?? null, trust.current, nowMs));
  document.title = `${trust.current || trust.name === "waiting" ? "" : "Not current – "}Live ${LIVE_ID}`;
}

function showRoom(live, nowMs) {
  show("title", `Live ${live?.title || LIVE_ID}`);
  const by = live?.creator_id ? `by ${live.creator_id}, ` : "";
  if (!isKnown(live?.started_ms)) show("room", live ? `${by}start not known` : NOTHING);
  else if (!isKnown(live.ended_ms)) show("room", `${by}on air for ${duration(nowMs - live.started_ms)}`);
  else show("room", `${by}ended ${day(live.ended_ms)} after ${duration(live.ended_ms - live.started_ms)}`);
}

function showBig(live, teller) {
  const big = {
    "sales-now": teller.amounts(ofMoney(live?.now, "gmv_paid_minor")),
    "orders-per-minute": teller.decimal(live?.orders_per_minute),
    "viewers-now": teller.count(live?.now?.viewers?.now),
    "sales-since-start": teller.amounts(ofMoney(live?.since_start, "gmv_paid_minor")),
    "orders-since-start": teller.count(live?.since_start?.orders),
    "viewers-peak": teller.count(live?.since_start?.viewers?.peak),
  };
  for (const [id, text] of Object.entries(big)) {
    show(id, text);
    at(id).style.setProperty("--chars", Math.max(...text.split("\n").map((line) => line.length)));
  }
}

function showSince(live, teller) {
  const since = live?.since_start;
  const by = since?.events_by_type ?? {};
  const sums = [["Net of refunds", "gmv_net_minor"], ["Refunds", "refunds_minor"]];
  const amounts = sums.map(([name, figure]) => [name, teller.amounts(ofMoney(since, figure))]);
  pairs(at("since"), [
    ...(teller.hideMoney ? [] : amounts),
    ["Items", teller.count(since?.items)],
    ["Viewers on average", teller.decimal(since?.viewers?.average)],
    ["Hours watched", teller.decimal(hours(since?.viewers?.watch_seconds))],
    ["Joins", teller.count(by.live_join)],
    ["Likes", teller.count(by.live_like)],
    ["Comments", teller.count(by.live_comment)],
  ]);
}

/** A figure of a series; before the live began there was none, which is not 0. */
function onAir(series, figure) {
  const startedMs = page.answer?.started_ms ?? -Infinity;
  const values = wholeSteps(series, figure);
  return values.map((value, index) => (series.start_ms[index] + series.step_ms <= startedMs ? null : value));
}

const hours = (seconds) => (isKnown(seconds) ? seconds / 3_600 : null);

function showCurves() {
  const series = page.series;
  if (series === null) return;
  const one = (name, figure, words) => ({ name, startMs: series.start_ms, values: onAir(series, figure), words });
  curves.orders.show(one("Orders a minute", "orders", count));
  curves.viewers.show(one("Viewers at most in the minute", "viewers.peak", count));
  const [currency] = byImportance(ofMoney(page.good?.since_start, "gmv_paid_minor"));
  if (hidesMoney() || currency === undefined) return curves.sales.clear();
  show("sales-curve-title", `Sales a minute, ${currency}`);
  const words = (minor) => money(minor, currency);
  curves.sales.show(one(`Sales a minute in ${currency}`, `money.${currency}.gmv_paid_minor`, words));
}

/** A word on the figures once a minute, and on what runs short when that changes. */
function speak(live, teller) {
  const others = (live.products ?? []).filter((each) => !isKnown(each.pinned_since_ms));
  const short = shortWords([...(live.pinned ?? []), ...others]);
  const due = performance.now() - page.summaryAt >= SUMMARY_EVERY_MS;
  if (!due && short === page.short) return;
  page.summaryAt = performance.now();
  page.short = short;
  const sold = teller.amounts(ofMoney(live.now, "gmv_paid_minor")).replaceAll("\n", " and ");
  const sales = teller.hideMoney ? "" : `Sales ${sold}, `;
  announcer.say(`Last 5 minutes: ${sales}${decimal(live.orders_per_minute)} orders a minute, `
    + `${teller.count(live.now.viewers?.now)} viewers. ${short}`.trim());
}

let unfollow = () => {};

function start() {
  unfollow();
  page.refused = false;
  unfollow = follow({ live: LIVE_ID }, {
    answer: (answer) => {
      const isFirst = page.answer === null;
      update({ answer, lost: null, heardMs: Date.now() });
      if (isFirst) showCurves();
    },
    alive: () => {
      page.heardMs = Date.now();
      if (page.lost !== null) update({ lost: null });
    },
    lost: (error) => {
      if (error.refused) askForToken(error, { ofHost: true });
      update({ lost: lostWords(error) });
    },
  });
  askCurves();
}

function update(changes) {
  Object.assign(page, changes);
  paint();
}

/** Asks for the curves; not where they were refused, and not while nobody sees them. */
async function askCurves() {
  if (page.refused || document.hidden) return;
  try {
    page.series = await ask("api/v1/series", { scope: `live:${LIVE_ID}`, window: "30m" });
  } catch (error) {
    // The stream says in words that the service does not answer; the last curve stays, up to where it was known.
    page.refused = error.refused === true;
    return;
  }
  showCurves();
}

function open() {
  useStreamerMode(() => {
    announcer.hush();
    paint();
    showCurves();
  });
  useGoals(LIVE_ID, paint);
  useTokens(start);
  stayAwake();
  start();
  setInterval(paint, 1_000);
  setInterval(askCurves, CURVES_EVERY_MS);
  document.addEventListener("visibilitychange", askCurves);
}

if (LIVE_ID === null) {
  show("state", "This address names no live: something of the link was lost. Open it again from the message you got it in.");
  at("state").dataset.state = "lost";
} else {
  open();
}
