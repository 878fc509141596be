// The goals that the host has set for this live, one a currency, kept in this browser only.

import { at, keyed, make, show } from "./dom.js";
import { duration, minorUnits, money } from "./format.js";
import { recall, remember } from "./storage.js";
import { byImportance } from "./teller.js";

const KEY = "shop-pulse.goals.";
const CURRENCIES_OF_NOBODY = ["USD", "EUR", "CNY"];
const PACE_MINUTES = 10;
const FAR_MS = 24 * 3_600_000;

let liveId = null;
let goals = {};

/** Reads this live's goals and makes the form work; `changed` is called after each change. */
export function useGoals(live, changed) {
  liveId = live;
  goals = parse(recall(KEY + live));
  at("goal-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const currency = at("goal-currency").value;
    const minor = Math.round(Number(at("goal-amount").value) * minorUnits(currency));
    if (minor > 0) set(currency, minor, changed);
  });
  at("goal-clear").addEventListener("click", () => set(at("goal-currency").value, null, changed));
  at("goal-currency").addEventListener("change", fillAmount);
}

/** What was kept; a value that is not ours is no goal. */
function parse(text) {
  try {
    const kept = Object.entries(JSON.parse(text ?? "{}"));
    return Object.fromEntries(kept.filter(([currency, minor]) => /^[A-Z]{3}$/.test(currency) && minor > 0));
  } catch {
    return {};
  }
}

function set(currency, minor, changed) {
  if (minor === null) delete goals[currency];
  else goals[currency] = minor;
  remember(KEY + liveId, Object.keys(goals).length ? JSON.stringify(goals) : null);
  fillAmount();
  changed();
}

function fillAmount() {
  const currency = at("goal-currency").value;
  at("goal-amount").value = currency in goals ? goals[currency] / minorUnits(currency) : "";
}

/** The currencies to choose from, the live's own in front. Once there is a choice it stays the host's. */
function offerCurrencies(sold) {
  const field = at("goal-currency");
  const known = byImportance(sold);
  const offered = [...new Set([...Object.keys(goals), ...(known.length ? known : CURRENCIES_OF_NOBODY)])];
  const before = [...field.options].map((option) => option.value);
  if (offered.every((currency) => before.includes(currency)) || document.activeElement === field) return;
  const chosen = field.value;
  field.replaceChildren(...offered.map((currency) => make("option", {}, currency)));
  if (before.length && known.includes(chosen)) field.value = chosen;
  fillAmount();
}

/**
 * Shows how far each goal is: `sold` is GMV since the start by currency (null: not known), `lately` that of the last
 * 10 minutes, from which the time left follows. Both in minor units.
 */
export function showGoals(sold, lately, teller) {
  offerCurrencies(sold);
  keyed(at("goals"), Object.entries(goals), ([currency]) => currency, create, (node, [currency, goal]) => {
    // A currency without an amount does not come at all.
    const amount = sold ? sold[currency] ?? 0 : null;
    const reached = teller.knows(amount) ? amount : null;
    const [label, bar, words] = node.children;
    show(label, teller.hideMoney ? "Goal" : `Goal ${money(goal, currency)}`);
    bar.hidden = reached === null;
    bar.value = Math.min((reached ?? 0) / goal, 1);
    show(words, inWords({ goal, reached, lately: lately?.[currency] ?? 0, currency }, teller));
  });
}

function create([currency]) {
  const id = `goal-${currency}`;
  return make("li", {}, make("label", { for: id }), make("progress", { id, max: 1 }), make("span"));
}

function inWords({ goal, reached, lately, currency }, teller) {
  if (reached === null) return "how far is not known";
  const part = `${Math.floor((reached / goal) * 100)} % reached`;
  if (reached >= goal) return part;
  const left = teller.hideMoney ? "" : `, ${money(goal - reached, currency)} to go`;
  const leftMs = lately > 0 ? ((goal - reached) / lately) * PACE_MINUTES * 60_000 : Infinity;
  const pace = leftMs < FAR_MS ? `, ${duration(leftMs)} at the pace of the last ${PACE_MINUTES} minutes` : "";
  return part + left + pace;
}
