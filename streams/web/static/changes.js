// What was changed at the shop of late: deploys, incidents, promotions. Often the reason stands here.

import { ask } from "./api.js";
import { at, keyed, make, present, show } from "./dom.js";
import { count, when } from "./format.js";

// As long as the longest window in which a drop is looked for.
const SPAN_MS = 6 * 3_600_000;
const SHOWN = 8;

/** The part `changes`: those of the last 6 hours, the newest first. */
export async function askChanges(nowMs) {
  const { changes } = await ask("api/v1/changes", { from_ms: nowMs - SPAN_MS });
  return { changes: changes.reverse() };
}

/** Shows them, if there are any; `part` is what was had of `askChanges`. */
export function showChanges({ last, missing }, trust, nowMs) {
  const changes = last ?? [];
  const isMissing = missing !== "" && trust.current;
  present("changed", changes.length > 0 || isMissing);
  const more = changes.length > SHOWN ? `${count(changes.length - SHOWN)} earlier ones are not shown.` : "";
  const words = [more, isMissing ? missing : ""].filter(Boolean).join(" ");
  show("changes-words", words);
  present("changes-words", words !== "");
  keyed(at("changes"), changes.slice(0, SHOWN), (change) => change.id, create, (node, change) => {
    const [time, kind, title] = node.children;
    show(time, timesOf(change, nowMs));
    show(kind, change.kind);
    show(title, change.title);
  });
}

// A title is other people's text: kept apart, so that letters that run from right to left do not turn the line around.
const create = () => make("li", {}, make("span"), " ", make("span", { class: "kind" }), " ", make("bdi"));

function timesOf({ at_ms: from, to_ms: to }, nowMs) {
  const [began, ended] = [when(from, nowMs), when(to ?? from, nowMs)];
  return began === ended ? began : `${began} to ${ended}`;
}
