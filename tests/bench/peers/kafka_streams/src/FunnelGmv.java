import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams: one task a partition number over all topics, sums in a store with a changelog, and every 200 ms the
 * sums that changed as absolute values to Redis. With exactly_once_v2 a crash rolls the store back to the last commit
 * and Redis follows: right in the end, and for a moment too high.
 */
public class FunnelGmv {
    private static final String STORE = "sums";
    private static final Duration FLUSH = Duration.ofMillis(200);
    private static final String NAME = System.getenv("PEER_NAME");

    static class Adder implements Processor<byte[], byte[], Void, Void> {
        private KeyValueStore<String, Long> sums;
        private Tables tables;

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            sums = context.getStateStore(STORE);
            tables = new Tables(context.taskId().partition());
            context.schedule(FLUSH, PunctuationType.WALL_CLOCK_TIME, time -> tables.write(sums::get));
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            try {
                Tables.count(Facts.of(record.value()), this::add);
            } catch (java.io.IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
        }

        private void add(String name, long amount) {
            Long sum = sums.get(name);
            sums.put(name, sum == null ? amount : sum + amount);
            tables.hasChanged(name);
        }

        @Override
        public void close() {
            tables.close();
        }
    }

    public static void main(String[] args) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(
                Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(STORE), Serdes.String(), Serdes.Long())
                        .withCachingEnabled()
                        .withLoggingEnabled(Map.of()));
        List<String> topics = List.of(System.getenv("PEER_TOPICS").split(","));
        builder.stream(topics, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray())).process(Adder::new, STORE);

        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, NAME);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("PEER_KAFKA"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("PEER_DATA"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Integer.getInteger("threads", 1));
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }
}
