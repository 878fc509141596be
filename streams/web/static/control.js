// The control room: first how far the figures can be trusted, then what fell, the funnel, money, gateways and lives.

import { againstWords } from "./against.js";
import { askText, follow, serverNow } from "./api.js";
import { askAround, askGateways, askLives, showGateways, showLives, showMoney } from "./cards.js";
import { askChanges, showChanges } from "./changes.js";
import { Chart, perStep, wholeSteps } from "./chart.js";
import { at, present, show } from "./dom.js";
import { askDrops, showDrops } from "./drops.js";
import { clock, count, duration, NOTHING, percent } from "./format.js";
import { showFunnels } from "./funnel.js";
import { Herald } from "./herald.js";
import { lagWords, readLag } from "./lag.js";
import { Kept } from "./kept.js";
import { Rounds } from "./poll.js";
import { Teller } from "./teller.js";
import { askForToken, useTokens } from "./token.js";
import { judge, lostWords } from "./trust.js";

const AROUND_EVERY_MS = 15_000;

const charts = { sessions: new Chart(at("sessions-curve")), bought: new Chart(at("bought-curve")) };
const herald = new Herald(at("fell-spoken"));

// `answer`: the newest. `good`: the newest that was current. `lost`: why there is no connection, null while there is.
// `heardMs`: when the service last said something. `kept`: the rest, which is asked in rounds.
const nothing = () => ({
  answer: null, good: null, lost: null, current: false, heardMs: Date.now(), kept: new Kept(Date.now()),
});
let page = nothing();

const chosenWindow = () => at("window").value;
const part = (name) => page.kept.of(name, Date.now());

function paint() {
  const trust = judge(page.answer, page.lost, serverNow(), Date.now() - page.heardMs);
  if (trust.current) page.good = page.answer;
  const isBack = trust.current && !page.current;
  page.current = trust.current;
  if (isBack) rounds.restart();
  const answer = page.good;
  const teller = new Teller({ zeroes: trust.zeroes, hideMoney: false });
  document.documentElement.dataset.current = String(trust.current);
  document.title = `${trust.current || trust.name === "waiting" ? "" : "Not current – "}Shop Pulse`;
  showTrust(trust, trust.current ? answer : answer ?? page.answer);
  present("capped", Boolean(answer?.capped));
  showDrops(part, trust, teller, herald, serverNow());
  showChanges(part("changes"), trust, serverNow());
  showFunnels(answer, teller);
  showMoney(answer, part("around"), chosenWindow(), teller);
  showGateways(part, chosenWindow(), teller);
  showLives(part, chosenWindow(), teller);
  showSessions(teller);
}

function showTrust(trust, answer) {
  show("state", trust.sentence);
  at("state").dataset.state = trust.name;
  const asOf = answer?.as_of_ms ?? null;
  show("as-of", asOf === null ? NOTHING : `${clock(asOf)}\n${duration(serverNow() - asOf)} ago`);
  const facts = trust.current ? answer : null;
  show("complete", facts ? percent(facts.completeness) : NOTHING);
  // Counted by ingest time: without a worker nothing is, so its zero is only known while figures are current.
  const some = (figure) => (facts?.quality?.[figure] === 0 ? "none" : count(facts?.quality?.[figure]));
  show("dead-letters", some("dead_letters"));
  show("late", some("late"));
  show("duplicates", some("duplicates"));
  show("misplaced", some("misplaced"));
  const { value, missing } = part("pipeline");
  const pipeline = trust.current ? value : null;
  show("pipeline-none", missing && `Not read yet and silent sources: ${missing}`);
  present("pipeline-none", missing !== "");
  show("lag", (pipeline && lagWords(pipeline.lag, count)) ?? NOTHING);
  show("silent", pipeline ? pipeline.silent.join(", ") || "none" : NOTHING);
}

function showSessions(teller) {
  const { value: around, missing } = part("around");
  for (const [id, figure] of [["sessions", "view"], ["bought", "purchase"]]) {
    const pick = (answer) => answer?.sessions?.[figure];
    show(`${id}-change`, missing || againstWords(around?.comparison, chosenWindow(), pick, teller.zeroes));
    const series = around?.series;
    if (!series) {
      charts[id].clear();
    } else {
      const name = `${figure === "view" ? "Sessions that began with a view" : "Sessions that bought"} ${perStep(series)}`;
      charts[id].show({ name, startMs: series.start_ms, values: wholeSteps(series, `sessions.${figure}`), words: count });
    }
  }
}

/**
 * Asks for everything beside the stream. A part that is not had stays as it was for 60 s, then its figures go and a
 * line says since when. While figures are not of now nothing is asked, as windows move on and sums would seem to fall.
 */
async function askRound(wanted) {
  const window = chosenWindow();
  const parts = {
    drops: () => askDrops(part("drops").last),
    changes: () => askChanges(serverNow()),
    around: async () => ({ around: await askAround("all", window) }),
    pipeline: async () => ({ pipeline: readLag(await askText("metrics")) }),
    gateways: () => askGateways(window),
    lives: () => askLives(window),
  };
  for (const [name, asked] of Object.entries(parts)) {
    if (!page.current) return;
    try {
      const found = await asked();
      if (!wanted()) return;
      page.kept.had(found, Date.now());
      paint();
    } catch (error) {
      if (error.refused || !wanted()) return;
      console.warn(`${name}: ${error.message}`);
    }
  }
}

function update(changes) {
  Object.assign(page, changes);
  paint();
}

const rounds = new Rounds(AROUND_EVERY_MS, askRound);
let unfollow = () => {};

function start() {
  unfollow();
  // What is under way was asked for the window before.
  rounds.stop();
  page = nothing();
  paint();
  unfollow = follow({ scope: "all", window: chosenWindow() }, {
    answer: (answer) => update({ answer, lost: null, heardMs: Date.now() }),
    alive: () => {
      page.heardMs = Date.now();
      if (page.lost !== null) update({ lost: null });
    },
    lost: (error) => {
      if (error.refused) askForToken(error);
      update({ lost: lostWords(error) });
    },
  });
}

function chooseWindow() {
  history.replaceState(null, "", `?${new URLSearchParams({ window: chosenWindow() })}`);
  start();
}

const given = new URLSearchParams(location.search).get("window");
if ([...at("window").options].some((option) => option.value === given)) at("window").value = given;
at("window").addEventListener("change", chooseWindow);
// A hidden page's rounds are slow: who comes back need not wait for the next one.
document.addEventListener("visibilitychange", () => document.hidden || !page.current || rounds.restart());
useTokens(start);
start();
setInterval(paint, 1_000);
