// A live against itself ten minutes ago, and against its host's past lives at the same minute.

import { at, keyed, make, pairs, present, show } from "./dom.js";
import { change, day, NOTHING, percent } from "./format.js";
import { byImportance, ofMoney } from "./teller.js";

const NO_PAST = "Nothing to compare with yet: no other live of this host is known from the last weeks.";
const NOT_YET = "Nothing to compare with yet: on air for less than 20 minutes.";

/** Fills the lists from an answer of /api/v1/lives/LIVE (null: not known). */
export function showCompared(live, teller) {
  const wasOnAir = live?.previous_10m && live.started_ms <= live.previous_10m.from_ms;
  pairs(at("lately"), live?.previous_10m && !wasOnAir ? [] : lately(live, teller));
  show("lately-none", wasOnAir || !live?.previous_10m ? "" : NOT_YET);
  pairs(at("median"), live?.past_median ? againstPast(live, teller) : []);
  showPast(live, teller);
}

/** The last 10 minutes against the 10 before. */
function lately(live, teller) {
  const { last_10m: now = null, previous_10m: before = null } = live ?? {};
  return [
    ...amounts(ofMoney(now, "gmv_paid_minor"), ofMoney(before, "gmv_paid_minor"), teller),
    number("Orders", now?.orders, before?.orders, teller),
    number("Taps", now?.events?.tag_tap, before?.events?.tag_tap, teller),
  ];
}

/** This live so far against the median of the host's past ones, up to the same minute. */
function againstPast(live, teller) {
  // Over the same whole minutes: the sums since the start are ahead of the past lives' by part of one.
  const { at_minute: now, past_median: median, past_percentile: rank } = live;
  return [
    ...amounts(now?.gmv_paid_minor, median.gmv_paid_minor, teller),
    number("Orders", now?.orders, median.orders, teller),
    ...(rank ? [["Past lives with fewer orders by then", percent(rank.orders / 100)]] : []),
  ];
}

function amounts(now, before, teller) {
  if (teller.hideMoney) return [];
  // A currency without an amount does not come at all.
  const of = (sums, currency) => (sums ? sums[currency] ?? 0 : null);
  const sold = byImportance({ ...now, ...before }).filter((currency) => before?.[currency] || now?.[currency]);
  return sold.map((currency) => {
    const both = [of(now, currency), of(before, currency)];
    return [`Sales, ${currency}`, words(...both, (minor) => teller.amount(minor, currency), teller)];
  });
}

function number(name, now, before, teller) {
  return [name, words(now, before, (figure) => teller.count(figure), teller)];
}

/** "25 % more" and, a line below, "75 against 60". A comparison with what is not known is none. */
function words(now, before, word, teller) {
  if (!teller.knows(now) || !teller.knows(before)) return NOTHING;
  return `${change(now, before)}\n${word(now)} against ${word(before)}`;
}

function showPast(live, teller) {
  const past = live?.past_lives ?? [];
  present("past-none", past.length === 0);
  show("past-none", live?.past_lives ? NO_PAST : NOTHING);
  keyed(at("past"), past, (each) => each.live_id, () => make("li"), (node, each) => {
    const sales = teller.hideMoney ? "" : `, ${teller.amounts(each.gmv_paid_minor).replaceAll("\n", " and ")}`;
    show(node, `${day(each.started_ms)}: ${teller.count(each.orders)} orders${sales}`);
  });
}
