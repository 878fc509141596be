import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.StatefulSinkWriter;
import org.apache.flink.api.connector.sink2.SupportsWriterState;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Flink, in one process with as many subtasks as the machine has cores: a Kafka source chained to a sink that keeps
 * sums as its state and writes those that changed, as absolute values, at each checkpoint. A crash rolls the sums back
 * to the last checkpoint and Redis follows: right in the end, as long as the number of subtasks stays.
 */
public class FunnelGmv {
    private static final String NAME = System.getenv("PEER_NAME");

    static class Sums implements Sink<byte[]>, SupportsWriterState<byte[], String> {
        @Override
        public Writer createWriter(WriterInitContext context) {
            return restoreWriter(context, List.of());
        }

        @Override
        public Writer restoreWriter(WriterInitContext context, Collection<String> state) {
            return new Writer(context.getTaskInfo().getIndexOfThisSubtask(), state);
        }

        @Override
        public SimpleVersionedSerializer<String> getWriterStateSerializer() {
            return new Lines();
        }
    }

    static class Writer implements StatefulSinkWriter<byte[], String> {
        private final Map<String, Long> sums = new HashMap<>();
        private final Tables tables;

        Writer(int subtask, Collection<String> state) {
            tables = new Tables(subtask);
            for (String line : state) {
                int end = line.lastIndexOf(' ');
                add(line.substring(0, end), Long.parseLong(line.substring(end + 1)));
            }
        }

        private void add(String name, long amount) {
            sums.merge(name, amount, Long::sum);
            tables.hasChanged(name);
        }

        @Override
        public void write(byte[] value, Context context) throws IOException {
            Tables.count(Facts.of(value), this::add);
        }

        @Override
        public void flush(boolean endOfInput) {
            tables.write(sums::get);
        }

        @Override
        public List<String> snapshotState(long checkpointId) {
            return sums.entrySet().stream().map(each -> each.getKey() + " " + each.getValue()).toList();
        }

        @Override
        public void close() {
            tables.close();
        }
    }

    static class Lines implements SimpleVersionedSerializer<String> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(String line) {
            return line.getBytes(StandardCharsets.UTF_8);
        }

        @Override
        public String deserialize(int version, byte[] bytes) {
            return new String(bytes, StandardCharsets.UTF_8);
        }
    }

    static class Raw extends AbstractDeserializationSchema<byte[]> {
        @Override
        public byte[] deserialize(byte[] message) {
            return message;
        }
    }

    public static void main(String[] args) throws Exception {
        StreamExecutionEnvironment flow = StreamExecutionEnvironment.createLocalEnvironment();
        flow.enableCheckpointing(200);
        flow.getConfig().enableObjectReuse();
        KafkaSource<byte[]> source =
                KafkaSource.<byte[]>builder()
                        .setBootstrapServers(System.getenv("PEER_KAFKA"))
                        .setGroupId(NAME)
                        .setTopics(Arrays.asList(System.getenv("PEER_TOPICS").split(",")))
                        .setStartingOffsets(OffsetsInitializer.earliest())
                        .setValueOnlyDeserializer(new Raw())
                        .build();
        flow.fromSource(source, WatermarkStrategy.noWatermarks(), "events").sinkTo(new Sums());
        flow.execute(NAME);
    }
}
