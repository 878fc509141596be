// What only `/metrics` says of the pipeline: records that wait in Kafka, and topics whose source is silent.

const SAMPLE = /^shop_pulse_(lag_records|source_silent)\{([^}]*)\} (\S+)$/gm;
const TOPIC = /topic="([^"]*)"/;

/** {lag: records by topic, null where no worker says; silent: names of topics} from the text of `/metrics`. */
export function readLag(text) {
  const lag = new Map();
  const silent = [];
  for (const [, name, labels, value] of text.matchAll(SAMPLE)) {
    const [, topic] = TOPIC.exec(labels) ?? [];
    if (name === "lag_records") lag.set(topic, (lag.get(topic) ?? 0) + Number(value));
    else if (Number(value) === 1) silent.push(topic);
  }
  return { lag: lag.size ? lag : null, silent };
}

/** In words: "1 200 (most in views)", "none". */
export function lagWords(lag, words) {
  if (lag === null) return null;
  const total = [...lag.values()].reduce((sum, each) => sum + each, 0);
  if (total === 0) return "none";
  const [topic] = [...lag].reduce((most, each) => (each[1] > most[1] ? each : most));
  return `${words(total)} (most in ${topic})`;
}
