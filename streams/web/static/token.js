// Asks the reader for the token where the service wants one and the link did not carry it.

import { takeToken, useToken } from "./api.js";
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

/** Shows the form with why it is there: no token (401), or one that is good for something else (403). */
export function askForToken(error) {
  if (at("token-form").hidden) {
    show("token-why", error.status === 401
      ? "This service asks for a token: the one of its operator, or of a host's private link."
      : "Your token is not good for this page. Ask the operator for a new private link.");
    present("token-form", true);
  }
}
