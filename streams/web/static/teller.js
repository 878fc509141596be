// Puts figures into words under the page's two conditions: whether a zero is known to be one, and whether the host
// hides money. An amount that is hidden is no text of the page, so no screenshot, stream or screen reader has it.

import { count, decimal, isKnown, money, NOTHING } from "./format.js";

export const HIDDEN = "hidden";

export class Teller {
  /** `zeroes`: a zero means none. `hideMoney`: amounts are not shown. */
  constructor({ zeroes, hideMoney }) {
    this.zeroes = zeroes;
    this.hideMoney = hideMoney;
  }

  /** A whole number, – where it is not known. */
  count(number) {
    return this.knows(number) ? count(number) : NOTHING;
  }

  /** A number with at most one decimal. */
  decimal(number) {
    return this.knows(number) ? decimal(number) : NOTHING;
  }

  /** One amount. */
  amount(minor, currency) {
    if (this.hideMoney) return HIDDEN;
    return this.knows(minor) ? money(minor, currency) : NOTHING;
  }

  /** Amounts by currency, one a line; currencies are never added. */
  amounts(byCurrency) {
    if (this.hideMoney) return HIDDEN;
    if (!byCurrency) return NOTHING;
    const some = Object.entries(byCurrency).filter(([, minor]) => isKnown(minor) && minor !== 0);
    if (some.length) return some.map(([currency, minor]) => money(minor, currency)).join("\n");
    return this.zeroes ? "0" : NOTHING;
  }

  /** Words that say that there is none of a part: only where the part is known, and a zero would be. */
  none(part, words) {
    return part && this.zeroes ? words : NOTHING;
  }

  /** Whether a number may be shown. */
  knows(number) {
    return isKnown(number) && (number !== 0 || this.zeroes);
  }
}

/** One figure of each currency of an answer: {USD: 120, EUR: 0}; null without an answer. */
export function ofMoney(answer, figure) {
  if (!answer || !answer.money) return null;
  return Object.fromEntries(Object.entries(answer.money).map(([currency, sums]) => [currency, sums[figure]]));
}

/** The currencies of an amount, the one with most in front; those with nothing stand last. */
export function byImportance(byCurrency) {
  return Object.entries(byCurrency ?? {}).sort((a, b) => (b[1] ?? 0) - (a[1] ?? 0)).map(([currency]) => currency);
}
