// Everything that the pages ask of the read service, and the token that they ask with.
//
// The token comes in the fragment of the private link (`#token=…`), which a browser sends to nobody. It is taken out
// of the address bar, so that a host who shares the screen does not show it, and kept in this tab only.

import { recall, remember } from "./storage.js";

// The pages' folder lies beside `api/`, also behind a proxy that puts the service under a path of its own.
export const ROOT = new URL("../", import.meta.url);

const TOKEN = "shop-pulse.token";
const ANSWER_WITHIN_MS = 10_000;
// The service sends a comment every 15 s. Whoever hears nothing for longer has no connection, whatever TCP says.
const SILENT_AFTER_MS = 20_000;
// A page that comes back after so long without a word does not wait for the connection to be given up.
const DOUBTED_AFTER_MS = 16_000;
const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 15_000;

let token = null;
let skewMs = 0;

/** Why the service gave no figures; `status` is 0 where there was no answer at all. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
    this.again = false;
  }

  /** That the page was away and asks anew at once (`again`): nothing is known to be wrong. */
  static ofReturn() {
    return Object.assign(new ApiError(0, "the page was away"), { again: true });
  }

  /** Whether asking again with the same token is of no use. */
  get refused() {
    return this.status === 401 || this.status === 403;
  }
}

/** Takes the token out of the address, else from what this tab remembers. Returns whether the address had one. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    history.replaceState(null, "", location.pathname + location.search);
    useToken(given);
  } else {
    token = recall(TOKEN, "sessionStorage");
  }
  return Boolean(given);
}

/** Asks with this token from now on. */
export function useToken(text) {
  token = text;
  remember(TOKEN, text, "sessionStorage");
}

/** Whether there is a token to ask with. */
export const hasToken = () => Boolean(token);

/** Unix milliseconds by the service's clock: a phone's own may be minutes wrong. */
export const serverNow = () => Date.now() + skewMs;

function learnClock(response) {
  const said = Date.parse(response.headers.get("Date"));
  // The header has whole seconds; a smaller difference is not known to be one.
  if (!Number.isNaN(said) && Math.abs(said + 500 - serverNow()) > 1_500) skewMs = said + 500 - Date.now();
}

async function request(path, query, headers, signal) {
  const address = new URL(path, ROOT);
  address.search = new URLSearchParams(query);
  const asked = token ? { Authorization: `Bearer ${token}`, ...headers } : headers;
  let response;
  try {
    response = await fetch(address, { headers: asked, signal, cache: "no-store" });
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(0, signal.aborted ? "no answer within 10 s" : "the read service does not answer");
  }
  learnClock(response);
  if (response.ok) return response;
  throw new ApiError(response.status, await reason(response));
}

async function reason(response) {
  try {
    return (await response.json()).error ?? `status ${response.status}`;
  } catch {
    return `status ${response.status}`;
  }
}

/** One answer as JSON: `ask("api/v1/kpis", {scope: "all", window: "5m"})`. Throws ApiError. */
export async function ask(path, query = {}) {
  const response = await request(path, query, {}, AbortSignal.timeout(ANSWER_WITHIN_MS));
  return response.json();
}

/** One answer as text. Throws ApiError. */
export async function askText(path) {
  const response = await request(path, {}, {}, AbortSignal.timeout(ANSWER_WITHIN_MS));
  return response.text();
}

/**
 * Follows `/api/v1/stream` and keeps at it, ever more slowly, until the returned function is called.
 *
 * `on.answer(object)`: a new answer. `on.alive()`: the last answer still holds. `on.lost(ApiError)`: there is no
 * connection, or the service has no figures; it is asked again by itself, but not after a refusal (401, 403), which
 * needs another token. A page that comes back after a silence asks anew at once; `lost` is told so.
 */
export function follow(query, on) {
  const stream = new Stream(query, on);
  stream.run();
  return () => stream.stop();
}

class Stream {
  constructor(query, on) {
    this.query = query;
    this.on = on;
    this.lastId = null;
    this.hasFailed = false;
    this.stopped = false;
    this.connection = null;
    this.retryMs = RETRY_FIRST_MS;
    // By the clock that goes on while a phone sleeps: when something was last heard, or asked.
    this.activeMs = Date.now();
    this.ended = new AbortController();
    const listening = { signal: this.ended.signal };
    addEventListener("pageshow", () => this.doubt(), listening);
    document.addEventListener("visibilitychange", () => document.hidden || this.doubt(), listening);
  }

  stop() {
    this.stopped = true;
    this.ended.abort();
    this.connection?.abort();
  }

  /** The page is back. A phone that slept has a connection that looks well and is none. */
  doubt() {
    if (Date.now() - this.activeMs <= DOUBTED_AFTER_MS) return;
    this.activeMs = Date.now();
    const away = ApiError.ofReturn();
    this.on.lost(away);
    this.connection?.abort(away);
  }

  async run() {
    while (!this.stopped) {
      try {
        await this.listen();
        throw new ApiError(0, "the read service ended the connection");
      } catch (error) {
        if (this.stopped) return;
        const why = [this.connection.signal.reason, error].find((each) => each instanceof ApiError);
        const known = why ?? new ApiError(0, "the connection broke");
        this.on.lost(known);
        if (known.refused) return this.stop();
        if (known.again) continue;
      }
      await pause(this.retryMs * (0.5 + Math.random()));
      this.retryMs = Math.min(this.retryMs * 2, RETRY_MOST_MS);
    }
  }

  async listen() {
    this.connection = new AbortController();
    let watch = null;
    const heard = () => {
      clearTimeout(watch);
      watch = setTimeout(() => this.connection.abort(new ApiError(0, "nothing came for 20 s")), SILENT_AFTER_MS);
    };
    heard();
    this.activeMs = Date.now();
    try {
      const headers = this.lastId === null ? {} : { "Last-Event-ID": this.lastId };
      const response = await request("api/v1/stream", this.query, headers, this.connection.signal);
      await this.read(response.body.getReader(), heard);
    } finally {
      clearTimeout(watch);
    }
  }

  async read(reader, heard) {
    const decoder = new TextDecoder();
    let rest = "";
    let message = new Message();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.stopped) return;
      heard();
      this.activeMs = Date.now();
      this.retryMs = RETRY_FIRST_MS;
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r?\n/);
      rest = lines.pop();
      for (const line of lines) {
        if (line !== "") {
          message.add(line);
          continue;
        }
        this.take(message);
        message = new Message();
      }
      this.confirm();
    }
  }

  /** The service says nothing while nothing changes. */
  confirm() {
    if (this.lastId !== null && !this.hasFailed) this.on.alive();
  }

  take(message) {
    if (message.data === null) return;
    const answer = JSON.parse(message.data);
    this.hasFailed = message.event === "error";
    // A failure has no id to come back with: after a reconnection it is to be told again.
    this.lastId = this.hasFailed ? null : message.id;
    if (this.hasFailed) return this.on.lost(new ApiError(400, answer.error));
    // Not from here: a fault of the page is no fault of the connection, and belongs into the console.
    queueMicrotask(() => this.stopped || this.on.answer(answer));
  }
}

/** One message of the event stream while its lines come in. A comment, which keeps alive, is none. */
class Message {
  constructor() {
    this.data = null;
    this.id = null;
    this.event = "message";
  }

  add(line) {
    const [, name, text] = /^([^:]*):? ?(.*)$/.exec(line);
    if (name === "data") this.data = this.data === null ? text : `${this.data}\n${text}`;
    else if (name === "id") this.id = text;
    else if (name === "event") this.event = text;
  }
}

/** Waits, but not once the network or the reader is back: a phone that wakes up shows figures at once. */
function pause(ms) {
  return new Promise((resolve) => {
    const ended = new AbortController();
    const end = () => {
      ended.abort();
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(end, ms);
    addEventListener("online", end, { signal: ended.signal });
    addEventListener("pageshow", end, { signal: ended.signal });
    document.addEventListener("visibilitychange", () => document.hidden || end(), { signal: ended.signal });
  });
}
