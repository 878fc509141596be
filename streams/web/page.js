// Asks the API once a second and shows the answer. A figure that can't be trusted is shown as "–", never as 0.
"use strict";

const NOTHING = "–";
const STATES = {
  open: "Live. Figures still move.",
  final: "Final. Only late orders and refunds can still change money.",
  stale: "The pipeline is behind: figures are not current. This says nothing about the shop.",
  source_silent: "A source has stopped sending. Figures are too low by what it does not send.",
  unreachable: "No answer from the read service. This says nothing about the shop.",
};
const SPARK_POINTS = 120;
const history = [];

const at = (id) => document.getElementById(id);
const show = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; };
const count = (number) => number.toLocaleString("en");

// How many minor units a unit has differs by currency; the browser knows.
function amount(minor, currency) {
  const format = new Intl.NumberFormat("en", { style: "currency", currency });
  return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
}

const amounts = (byCurrency) =>
  Object.entries(byCurrency).filter(([, minor]) => minor !== 0)
    .map(([currency, minor]) => amount(minor, currency)).join("\n");

function clock(ms) {
  return ms === null ? NOTHING : new Date(ms).toISOString().slice(0, 19).replace("T", " ") + " UTC";
}

function showState(state, detail) {
  at("state").className = "state " + state;
  show("state", STATES[state] + (detail ? " " + detail : ""));
}

function spark(total) {
  history.push(total);
  if (history.length > SPARK_POINTS) history.shift();
  const known = history.filter((each) => each !== null);
  const high = Math.max(...known), low = Math.min(...known);
  const points = [];
  history.forEach((each, index) => {
    if (each === null) return;
    const y = high === low ? 12 : 22 - (20 * (each - low)) / (high - low);
    points.push((index + SPARK_POINTS - history.length) + "," + y.toFixed(1));
  });
  at("spark").setAttribute("points", points.join(" "));
}

function showFigures(answer) {
  const current = answer.state === "open" || answer.state === "final";
  // In a stale or silent pipeline a zero may only mean that nothing was read.
  const figure = (number, text) => (answer.state === "stale" || (!current && number === 0) ? NOTHING : text);
  const gmv = Object.fromEntries(Object.entries(answer.money).map(([cur, money]) => [cur, money.gmv_paid_minor]));
  const sold = amounts(gmv);
  const total = Object.values(answer.events_by_type).reduce((sum, each) => sum + (each || 0), 0);
  show("gmv", figure(sold ? 1 : 0, sold || "0"));
  show("orders", figure(answer.orders, count(answer.orders)));
  show("items", figure(answer.items, count(answer.items)));
  show("events", figure(total, count(total)));
  spark(answer.state === "stale" ? null : total);
}

function showTrust(answer) {
  showState(answer.state, answer.as_of_ms === null ? "No worker has published how far it is." : "");
  show("as-of", clock(answer.as_of_ms));
  show("complete", answer.completeness === null ? NOTHING : (Math.floor(answer.completeness * 1000) / 10) + " %");
  show("rejected", answer.quality.dead_letters + answer.quality.late === 0 ? "none"
    : count(answer.quality.dead_letters) + ", " + count(answer.quality.late));
}

function showNothing(detail) {
  showState("unreachable", detail);
  for (const id of ["as-of", "complete", "rejected", "gmv", "orders", "items", "events"]) show(id, NOTHING);
  spark(null);
  showLives([]);
}

function showLives(scopes) {
  const rows = scopes.slice(0, 10).map((each) => {
    const row = document.createElement("tr");
    for (const text of [each.scope.slice("live:".length), amounts(each.gmv_paid_minor) || "0", count(each.views)]) {
      row.insertCell().textContent = text;
    }
    return row;
  });
  if (rows.length === 0) {
    const row = document.createElement("tr");
    row.insertCell().textContent = NOTHING;
    rows.push(row);
  }
  at("lives").replaceChildren(...rows);
}

async function ask(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(5000), cache: "no-store" });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

let round = 0;
async function tick() {
  const window = at("window").value;
  try {
    const answer = await ask("api/v1/kpis?scope=all&window=" + encodeURIComponent(window));
    if (window === at("window").value) {
      showTrust(answer);
      showFigures(answer);
    }
    if (answer.state === "stale") {
      showLives([]);
      round = 0;
    } else if (round++ % 5 === 0) {
      showLives((await ask("api/v1/scopes?kind=live&window=30m")).scopes);
    }
  } catch (error) {
    showNothing(error.message);
    round = 0;
  }
  setTimeout(tick, 1000);
}

at("window").addEventListener("change", () => { history.length = 0; });
tick();
