//! The limit of this machine at the task: one thread that polls, parses and adds up, and does nothing else.
//!
//! It judges nothing, drops no repeated id and commits no offset: after a crash it would count anew.

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use std::env::var;
use std::time::{Duration, Instant};

const MINUTE_MS: i64 = 60_000;
const FLUSH: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
struct Item {
    quantity: i64,
    unit_price_minor: i64,
    #[serde(default)]
    seller_discount_minor: i64,
}

#[derive(Deserialize)]
struct Event<'a> {
    live_id: &'a str,
    event_type: &'a str,
    event_time_ms: i64,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Default)]
struct Sums {
    counts: FxHashMap<String, i64>,
    gmv: FxHashMap<String, i64>,
    done: i64,
    name: String,
}

impl Sums {
    fn add(&mut self, event: &Event) {
        let minute_ms = event.event_time_ms - event.event_time_ms % MINUTE_MS;
        self.name.clear();
        self.name.push_str(event.live_id);
        self.name.push('|');
        let live = self.name.len();
        self.name.push_str(event.event_type);
        self.name.push('|');
        push_number(&mut self.name, minute_ms);
        add_to(&mut self.counts, &self.name, 1);
        if event.event_type == "purchase" {
            let value: i64 = event
                .items
                .iter()
                .map(|item| item.quantity * item.unit_price_minor - item.seller_discount_minor)
                .sum();
            self.name.truncate(live);
            push_number(&mut self.name, minute_ms);
            add_to(&mut self.gmv, &self.name, value);
        }
        self.done += 1;
    }

    fn flush(&mut self, redis: &mut redis::Connection, prefix: &str) -> redis::RedisResult<()> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        for (table, sums) in [("counts", &mut self.counts), ("gmv", &mut self.gmv)] {
            for (name, amount) in sums.drain() {
                pipe.hincr(format!("{prefix}:{table}:0"), name, amount).ignore();
            }
        }
        pipe.hincr(format!("{prefix}:done"), "0", std::mem::take(&mut self.done)).ignore();
        pipe.query(redis)
    }
}

fn add_to(sums: &mut FxHashMap<String, i64>, name: &str, amount: i64) {
    match sums.get_mut(name) {
        Some(sum) => *sum += amount,
        None => {
            sums.insert(name.to_owned(), amount);
        }
    }
}

fn push_number(text: &mut String, number: i64) {
    use std::fmt::Write;
    write!(text, "{number}").expect("a string takes everything");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prefix = var("PEER_NAME")?;
    let url = format!("redis://127.0.0.1:{}/", var("PEER_REDIS_PORT")?);
    let mut redis = redis::Client::open(url)?.get_connection()?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", var("PEER_KAFKA")?)
        .set("group.id", &prefix)
        .set("enable.auto.commit", "false")
        .set("check.crcs", "false")
        .set("queued.min.messages", "1000000")
        // At its default of a second the reader stands still for two thirds of the time.
        .set("fetch.queue.backoff.ms", "5")
        .create()?;
    let mut places = TopicPartitionList::new();
    for topic in var("PEER_TOPICS")?.split(',') {
        for partition in 0..var("PEER_PARTITIONS")?.parse()? {
            places.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
    }
    consumer.assign(&places)?;
    let mut sums = Sums::default();
    let mut flushed = Instant::now();
    loop {
        if let Some(message) = consumer.poll(Duration::from_millis(20)) {
            let message = message?;
            sums.add(&sonic_rs::from_slice(message.payload().unwrap_or_default())?);
        }
        if sums.done % 256 == 0 && flushed.elapsed() >= FLUSH && sums.done > 0 {
            sums.flush(&mut redis, &prefix)?;
            flushed = Instant::now();
        } else if sums.done > 0 && flushed.elapsed() >= 2 * FLUSH {
            sums.flush(&mut redis, &prefix)?;
            flushed = Instant::now();
        }
    }
}
