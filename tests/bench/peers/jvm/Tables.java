import java.util.HashSet;
import java.util.Set;
import java.util.function.ObjLongConsumer;
import java.util.function.ToLongFunction;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.Transaction;

/** The hashes of one part of a peer's work in Redis (see ../common.py); the sums themselves are kept by the peer. */
public final class Tables implements AutoCloseable {
    private static final String NAME = System.getenv("PEER_NAME");

    private final Jedis redis = new Jedis("127.0.0.1", Integer.parseInt(System.getenv("PEER_REDIS_PORT")));
    private final Set<String> changed = new HashSet<>();
    private final String part;

    public Tables(int part) {
        this.part = String.valueOf(part);
    }

    /** Adds an event to the sums that it belongs to; `add` gets the name of one and an amount. */
    public static void count(Facts facts, ObjLongConsumer<String> add) {
        add.accept("counts " + facts.count(), 1);
        if (facts.valueMinor() != 0) {
            add.accept("gmv " + facts.gmv(), facts.valueMinor());
        }
        add.accept("done", 1);
    }

    /** This sum differs from what Redis holds. */
    public void hasChanged(String name) {
        changed.add(name);
    }

    /** Writes the sums that have changed, as absolute values, in one transaction. */
    public void write(ToLongFunction<String> sumOf) {
        if (changed.isEmpty()) {
            return;
        }
        Transaction write = redis.multi();
        for (String name : changed) {
            String sum = String.valueOf(sumOf.applyAsLong(name));
            int space = name.indexOf(' ');
            if (space < 0) {
                write.hset(NAME + ":done", part, sum);
            } else {
                write.hset(NAME + ":" + name.substring(0, space) + ":" + part, name.substring(space + 1), sum);
            }
        }
        write.exec();
        changed.clear();
    }

    @Override
    public void close() {
        redis.close();
    }
}
