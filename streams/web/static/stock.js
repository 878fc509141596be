// What is left of a product, in words and by a sign of its own shape: colour alone tells nothing to many.

import { count, isKnown, NOTHING } from "./format.js";

const SIGNS = { in_stock: "●", low: "▲", out: "■", oversold: "✖", unknown: "○" };

/** The state to show for a `stock` object of an answer, or null. */
export const stockState = (stock) => (stock && stock.state in SIGNS ? stock.state : "unknown");

/** Its sign. */
export const stockSign = (stock) => SIGNS[stockState(stock)];

/** Whether the host should act on it. */
export const isShort = (stock) => ["low", "out", "oversold"].includes(stockState(stock));

/** In words: "Low: 12 left, about 5 min". */
export function stockWords(stock) {
  switch (stockState(stock)) {
    case "in_stock":
      return `In stock: ${left(stock)}`;
    case "low":
      return `Low: ${left(stock)}`;
    case "out":
      return "Sold out";
    case "oversold":
      return `Oversold by ${count(stock.oversold_units)}`;
    default:
      return `Stock ${NOTHING} not known`;
  }
}

function left(stock) {
  const units = `${count(stock.units)} left`;
  if (!isKnown(stock.minutes_left)) return units;
  const minutes = Math.floor(stock.minutes_left);
  if (minutes < 1) return `${units}, less than 1 min`;
  return minutes < 600 ? `${units}, about ${minutes} min` : `${units}, for hours`;
}
