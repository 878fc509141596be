import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;

/** What the task needs of an event, read with Jackson's streaming parser. */
public record Facts(String live, String type, long minuteMs, long valueMinor) {
    private static final JsonFactory JSON = new JsonFactory();
    private static final long MINUTE_MS = 60_000;

    public static Facts of(byte[] value) throws IOException {
        String live = "", type = "";
        long timeMs = 0, valueMinor = 0;
        try (JsonParser parser = JSON.createParser(value)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String field = parser.currentName();
                parser.nextToken();
                switch (field) {
                    case "live_id" -> live = parser.getText();
                    case "event_type" -> type = parser.getText();
                    case "event_time_ms" -> timeMs = parser.getLongValue();
                    case "items" -> valueMinor = valueOf(parser);
                    default -> parser.skipChildren();
                }
            }
        }
        return new Facts(live, type, timeMs - timeMs % MINUTE_MS, type.equals("purchase") ? valueMinor : 0);
    }

    private static long valueOf(JsonParser parser) throws IOException {
        long sum = 0;
        while (parser.nextToken() == JsonToken.START_OBJECT) {
            long quantity = 0, price = 0, discount = 0;
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String field = parser.currentName();
                parser.nextToken();
                switch (field) {
                    case "quantity" -> quantity = parser.getLongValue();
                    case "unit_price_minor" -> price = parser.getLongValue();
                    case "seller_discount_minor" -> discount = parser.getLongValue();
                    default -> parser.skipChildren();
                }
            }
            sum += quantity * price - discount;
        }
        return sum;
    }

    public String count() {
        return live + '|' + type + '|' + minuteMs;
    }

    public String gmv() {
        return live + '|' + minuteMs;
    }
}
