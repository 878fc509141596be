// Figures as people read them. The page's language is English, so are its numbers; times are the reader's own.

/** What stands where a figure is not known. It is never 0. */
export const NOTHING = "–";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });
const clockFormat = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const dayFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const currencies = new Map();

/** Whether a figure is one: the service sends null for what is not known. */
export const isKnown = (figure) => typeof figure === "number" && Number.isFinite(figure);

function currencyFormat(currency) {
  let format = currencies.get(currency);
  if (format === undefined) {
    format = new Intl.NumberFormat("en", { style: "currency", currency });
    currencies.set(currency, format);
  }
  return format;
}

/** How many minor units make a unit: 100 of a dollar, 1 of a yen. The browser knows ISO 4217. */
export function minorUnits(currency) {
  return 10 ** currencyFormat(currency).resolvedOptions().maximumFractionDigits;
}

/** An amount of minor units with its currency. */
export function money(minor, currency) {
  return isKnown(minor) ? currencyFormat(currency).format(minor / minorUnits(currency)) : NOTHING;
}

/** A whole number. */
export const count = (number) => (isKnown(number) ? whole.format(number) : NOTHING);

/** A number with at most one decimal. */
export const decimal = (number) => (isKnown(number) ? short.format(number) : NOTHING);

/** A ratio (0.123) in percent (12.3 %). Almost all is never shown as all: 0.9996 is 99.9 %. */
export function percent(ratio) {
  return isKnown(ratio) ? `${short.format(Math.floor(ratio * 1_000 + 1e-9) / 10)} %` : NOTHING;
}

/** A number that may be small: two digits that count (0.042, 1.2), from 10 on at most one decimal. */
export const fine = (number) => (isKnown(number) && Math.abs(number) < 10 ? digits.format(number) : decimal(number));

/** A ratio in percent, small ones with two digits that count: 0.00042 is 0.042 %. No line ends before the sign. */
export function conversion(ratio) {
  return isKnown(ratio) && ratio < 0.1 ? `${fine(ratio * 100)}\u00a0%` : percent(ratio).replace(" ", "\u00a0");
}

/** A length of time: "8 s", "3 min", "2 h 5 min", "4 d". */
export function duration(ms) {
  if (!isKnown(ms)) return NOTHING;
  const time = Math.max(ms, 0);
  if (time < MINUTE) return `${Math.floor(time / SECOND)} s`;
  if (time < HOUR) return `${Math.floor(time / MINUTE)} min`;
  if (time < 48 * HOUR) {
    const minutes = Math.floor((time % HOUR) / MINUTE);
    return `${Math.floor(time / HOUR)} h${minutes ? ` ${minutes} min` : ""}`;
  }
  return `${Math.floor(time / (24 * HOUR))} d`;
}

/** The time of day, in the reader's zone. */
export const clock = (ms) => (isKnown(ms) ? clockFormat.format(ms) : NOTHING);

/** Day and time, in the reader's zone. */
export const day = (ms) => (isKnown(ms) ? dayFormat.format(ms) : NOTHING);

/** Hours and minutes in the reader's zone, with the day where it is longer ago (or ahead) than 12 h. */
export function when(ms, nowMs) {
  return isKnown(ms) && Math.abs(nowMs - ms) < 12 * HOUR ? clock(ms).slice(0, 5) : day(ms);
}

/** How `now` compares with `before` in words: "12 % more", "8 % less", "the same". */
export function change(now, before) {
  if (!isKnown(now) || !isKnown(before)) return NOTHING;
  if (now === before) return "the same";
  if (before <= 0) return now > before ? "more" : "less";
  const parts = Math.abs(now - before) / before;
  if (parts >= 10) return `${decimal(now / before)} times as much`;
  return `${decimal(parts * 100)} % ${now > before ? "more" : "less"}`;
}

/** How two ratios compare, in percentage points: "1.5 points higher". */
export function pointsChange(now, before) {
  if (!isKnown(now) || !isKnown(before)) return NOTHING;
  const points = Math.round((now - before) * 1_000) / 10;
  if (points === 0) return "the same";
  return `${decimal(Math.abs(points))} points ${points > 0 ? "higher" : "lower"}`;
}
