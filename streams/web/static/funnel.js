// The control room's funnels: how many sessions reached each step, how many went on, how many were lost.

import { at, keyed, make, pairs, show } from "./dom.js";
import { clock, duration, isKnown, NOTHING, percent } from "./format.js";

const STEPS = [
  ["view", "Viewed", "view"],
  ["tag_tap", "Tapped a tag", "tag_tap"],
  ["add_to_cart", "Cart or checkout", "add_to_cart"],
  ["purchase", "Bought", "purchase"],
];
const CHECKOUT = [
  ["begin_checkout", "Checkout begun", null],
  ["payment_started", "Payment started", null],
  ["payment_authorised", "Payment authorised", null],
  ["purchase", "Bought", null],
];

/** Shows both funnels of an answer (null: not known). */
export function showFunnels(answer, teller) {
  steps("funnel", STEPS, answer?.sessions, answer, teller);
  steps("checkouts", CHECKOUT, answer?.checkouts, answer, teller);
  show("users-range", rangeWords(answer));
  const ratios = answer?.ratios ?? {};
  const time = answer?.time_to_convert ?? {};
  pairs(at("funnel-figures"), [
    ["Sessions that bought, of all that viewed", ratio(ratios.purchases_per_view_sessions, teller)],
    ["Carts given up", lost(ratios.cart_abandonment_per_add_to_cart_sessions, answer?.sessions, teller)],
    ["Checkouts given up", lost(ratios.checkout_abandonment_per_begin_checkout_sessions, answer?.checkouts, teller)],
    ["Half of the buyers took at most", seconds(time.p50_seconds)],
    ["Nine of ten took at most", seconds(time.p90_seconds)],
    ["Buyers who had bought before", ratio(ratios.repeat_buyers_per_buyers, teller)],
  ]);
}

/** Users are counted over whole minutes or hours, so over a little more than the window, and nearly exactly. */
function rangeWords(answer) {
  if (!isKnown(answer?.users_from_ms)) return `Users: ${NOTHING}`;
  const [from, to] = [answer.users_from_ms, answer.users_to_ms].map((ms) => clock(ms).slice(0, 5));
  return `Users: ${from}–${to}, give or take ${percent(answer.users_standard_error)}.`;
}

const ratio = (figure, teller) => (teller.knows(figure) ? percent(figure) : NOTHING);

// "All were given up" says that none was bought: only where a zero is known.
const lost = (figure, steps, teller) => (teller.knows(steps?.purchase) ? ratio(figure, teller) : NOTHING);

const seconds = (figure) => (isKnown(figure) ? duration(figure * 1_000) : NOTHING);

function steps(id, declared, counts, answer, teller) {
  const rows = declared.map(([key, name, event], index) => {
    const count = counts?.[key] ?? null;
    const before = index === 0 ? null : counts?.[declared[index - 1][0]] ?? null;
    return { key, name, count, before, first: counts?.[declared[0][0]] ?? null, event, index };
  });
  keyed(at(id), rows, (row) => row.key, create, (node, row) => {
    const [title, figure, bar, words] = node.children;
    show(title, row.name);
    show(figure, teller.count(row.count));
    bar.hidden = !(row.first > 0) || !teller.knows(row.count);
    bar.value = row.first > 0 ? Math.min(row.count / row.first, 1) : 0;
    bar.setAttribute("aria-label", `${row.name}, of ${rows[0].name}`);
    show(words, [wentOn(row, teller), beside(row, answer, teller)].filter(Boolean).join(" · "));
  });
}

function create() {
  const [step, words] = [make("span", { class: "step" }), make("span", { class: "muted" })];
  return make("li", {}, step, make("b"), make("progress", { max: 1 }), words);
}

function wentOn({ index, count, before }, teller) {
  if (index === 0) return "";
  if (!teller.knows(count) || !isKnown(before) || before === 0) return `went on: ${NOTHING}`;
  const permille = Math.floor((count / before) * 1_000);
  return `${percent(permille / 1_000)} went on, ${percent((1_000 - permille) / 1_000)} dropped off`;
}

/** The plain counts of the same step: events whatever their session, and users. */
function beside({ event }, answer, teller) {
  if (event === null) return "";
  return `${teller.count(answer?.events?.[event])} events · ${teller.count(answer?.users?.[event])} users`;
}
