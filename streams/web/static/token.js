// Asks the reader for the token where the service wants one and the link did not carry it.

import { hasToken, takeToken, useToken } from "./api.js";
import { at, present, show } from "./dom.js";

/** Takes the link's token; `again` is called whenever the reader brings another one. */
export function useTokens(again) {
  takeToken();
  // A second private link pasted into the same tab changes only the fragment, and loads nothing.
  addEventListener("hashchange", () => takeToken() && accepted(again));
  at("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = at("token");
    if (field.value === "") return;
    useToken(field.value);
    field.value = "";
    accepted(again);
  });
}

function accepted(again) {
  present("token-form", false);
  again();
}

const OF_LINK = "This page needs its private link: open the link again from the message you got it in.";
const OF_SERVICE = "This service asks for a token: the one of its operator, or of a host's private link.";
const OF_OTHERS = "Your token is not good for this page. Ask the operator for a new private link.";

/**
 * Shows the form with why it is there: no token (401), or one that is good for something else (403). `ofHost`: the page
 * is a host's, who has a link and knows of no token.
 */
export function askForToken(error, { ofHost = false } = {}) {
  if (!at("token-form").hidden) return;
  const none = ofHost && !hasToken() ? OF_LINK : OF_SERVICE;
  show("token-why", error.status === 401 ? none : OF_OTHERS);
  present("token-form", true);
}
