// Streamer mode: hides all money while the host shows the screen to viewers. Remembered in this browser;
// `?hide=money` in the address hides it from the first moment, whatever was remembered.

import { at } from "./dom.js";
import { recall, remember } from "./storage.js";

const HIDE_MONEY = "shop-pulse.hide-money";
const USE_KEY = "shop-pulse.use-key-m";

let hidden = new URLSearchParams(location.search).get("hide") === "money" || recall(HIDE_MONEY) === "yes";

/** Whether money is hidden now. */
export const hidesMoney = () => hidden;

/** Makes the button and the key `m` work; `changed` is called after each change. */
export function useStreamerMode(changed) {
  const button = at("hide-money");
  const useKey = at("use-key");
  const press = () => {
    hidden = !hidden;
    remember(HIDE_MONEY, hidden ? "yes" : null);
    apply(button);
    changed();
  };
  apply(button);
  button.addEventListener("click", press);
  // A letter as a command gets in the way of who speaks to the computer: it can be turned off (WCAG 2.1.4).
  useKey.checked = recall(USE_KEY) !== "no";
  useKey.addEventListener("change", () => remember(USE_KEY, useKey.checked ? null : "no"));
  document.addEventListener("keydown", (event) => {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
    const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
    if (event.key.toLowerCase() === "m" && plain && !typing && useKey.checked) press();
  });
}

function apply(button) {
  button.setAttribute("aria-pressed", String(hidden));
  // What is about money and nothing else goes as a whole; other amounts are put into words by the teller.
  for (const node of document.querySelectorAll("[data-money]")) node.hidden = hidden;
}
