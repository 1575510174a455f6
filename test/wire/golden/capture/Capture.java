import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.AppInfoParser;

/** Writes the golden files; see README.md beside it. Usage: Capture (output directory). */
public class Capture {
    static final JsonNodeFactory JSON = JsonNodeFactory.instance;
    static final ObjectMapper MAPPER = new ObjectMapper();
    static final String MESSAGES = "org.apache.kafka.common.message.";
    static final String GROUP_RECORDS = "org.apache.kafka.coordinator.group.generated.";
    static final int UNKNOWN_TAG = 77;

    static final List<ApiKeys> APIS = List.of(
        ApiKeys.PRODUCE, ApiKeys.FETCH, ApiKeys.LIST_OFFSETS, ApiKeys.METADATA, ApiKeys.OFFSET_COMMIT,
        ApiKeys.OFFSET_FETCH, ApiKeys.FIND_COORDINATOR, ApiKeys.JOIN_GROUP, ApiKeys.HEARTBEAT, ApiKeys.LEAVE_GROUP,
        ApiKeys.SYNC_GROUP, ApiKeys.DESCRIBE_GROUPS, ApiKeys.LIST_GROUPS, ApiKeys.API_VERSIONS,
        ApiKeys.CREATE_TOPICS, ApiKeys.DELETE_TOPICS, ApiKeys.INIT_PRODUCER_ID, ApiKeys.OFFSET_FOR_LEADER_EPOCH,
        ApiKeys.DESCRIBE_CONFIGS, ApiKeys.ALTER_CONFIGS, ApiKeys.DESCRIBE_LOG_DIRS, ApiKeys.CREATE_PARTITIONS,
        ApiKeys.DELETE_GROUPS, ApiKeys.ELECT_LEADERS, ApiKeys.INCREMENTAL_ALTER_CONFIGS, ApiKeys.DESCRIBE_QUORUM,
        ApiKeys.DESCRIBE_CLUSTER, ApiKeys.DESCRIBE_TOPIC_PARTITIONS, ApiKeys.ALTER_PARTITION_REASSIGNMENTS,
        ApiKeys.LIST_PARTITION_REASSIGNMENTS, ApiKeys.UPDATE_FEATURES, ApiKeys.UNREGISTER_BROKER,
        ApiKeys.LIST_CONFIG_RESOURCES, ApiKeys.ADD_RAFT_VOTER, ApiKeys.REMOVE_RAFT_VOTER);

    /** Every value differs from its neighbours, so that swapped fields show. */
    static int counter = 0;
    /** The second sample of a message has null wherever it is a value, and tagged fields at their defaults. */
    static boolean nulls = false;

    public static void main(String[] args) throws Exception {
        Path out = Path.of(args[0]);
        for (ApiKeys api : APIS) {
            ObjectNode file = header("bytes and values of " + api.name);
            file.put("api", api.name).put("key", api.id);
            ArrayNode samples = file.putArray("samples");
            for (short v = api.oldestVersion(); v <= api.latestVersion(false); v++) {
                capture(samples, MESSAGES, api.name + "Request", "Data", v);
                capture(samples, MESSAGES, api.name + "Response", "Data", v);
            }
            write(out.resolve(kebab(api.name) + ".json"), file, samples);
        }
        ObjectNode headers = header("request and response headers");
        ArrayNode samples = headers.putArray("samples");
        for (short v = 1; v <= 2; v++) capture(samples, MESSAGES, "RequestHeader", "Data", v);
        for (short v = 0; v <= 1; v++) capture(samples, MESSAGES, "ResponseHeader", "Data", v);
        write(out.resolve("headers.json"), headers, samples);
        ObjectNode protocol = header("what members of a classic group exchange");
        ArrayNode protocolSamples = protocol.putArray("samples");
        for (short v = 0; v <= 3; v++) {
            capture(protocolSamples, MESSAGES, "ConsumerProtocolSubscription", "", v);
            capture(protocolSamples, MESSAGES, "ConsumerProtocolAssignment", "", v);
        }
        write(out.resolve("consumer-protocol.json"), protocol, protocolSamples);
        ObjectNode coordinator = header("keys and values of __consumer_offsets, without the int16 in front");
        ArrayNode coordinatorSamples = coordinator.putArray("samples");
        capture(coordinatorSamples, GROUP_RECORDS, "OffsetCommitKey", "", (short) 0);
        capture(coordinatorSamples, GROUP_RECORDS, "GroupMetadataKey", "", (short) 0);
        for (short v = 0; v <= 4; v++) {
            capture(coordinatorSamples, GROUP_RECORDS, "OffsetCommitValue", "", v);
            capture(coordinatorSamples, GROUP_RECORDS, "GroupMetadataValue", "", v);
        }
        write(out.resolve("coordinator-records.json"), coordinator, coordinatorSamples);
        batches(out.resolve("record-batches.json"));
    }

    static ObjectNode header(String what) {
        ObjectNode file = JSON.objectNode();
        file.put("what", what);
        file.put("client", "org.apache.kafka:kafka-clients");
        file.put("version", AppInfoParser.getVersion());
        file.put("capture", "test/wire/golden/capture/Capture.java");
        return file;
    }

    static void capture(ArrayNode samples, String prefix, String name, String suffix, short version) throws Exception {
        counter = version * 100;
        for (boolean withNulls : new boolean[] {false, true}) {
            nulls = withNulls;
            Class<?> data = Class.forName(prefix + name + suffix);
            Schema schema = (Schema) data.getField("SCHEMA_" + version).get(null);
            Class<?> converter = Class.forName(prefix + name + suffix + "JsonConverter");
            ApiMessage message = (ApiMessage) converter.getMethod("read", JsonNode.class, short.class)
                .invoke(null, struct(schema), version);
            if (!nulls && isFlexible(schema)) {
                message.unknownTaggedFields().add(new RawTaggedField(UNKNOWN_TAG, new byte[] {1, 2, 3}));
            }
            ObjectNode sample = samples.addObject();
            sample.put("message", name).put("version", version);
            sample.put("hex", hex(serialize(message, version)));
            // Without the records themselves, of which the converter would write an empty string: their size instead.
            sample.set("json", (JsonNode) converter.getMethod("write", data, short.class, boolean.class)
                .invoke(null, message, version, false));
        }
    }

    static boolean isFlexible(Schema schema) {
        for (BoundField field : schema.fields()) if (field.def.type instanceof TaggedFields) return true;
        return false;
    }

    static ByteBuffer serialize(ApiMessage message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        buffer.flip();
        return buffer;
    }

    static ObjectNode struct(Schema schema) throws Exception {
        ObjectNode node = JSON.objectNode();
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields tagged) {
                if (nulls) continue;
                for (Field field : tagged.fields().values()) node.set(camel(field.name), value(field.type));
            } else {
                node.set(camel(bound.def.name), value(bound.def.type));
            }
        }
        return node;
    }

    static JsonNode value(Type type) throws Exception {
        if (nulls && type.isNullable()) return JSON.nullNode();
        if (type.arrayElementType().isPresent()) {
            ArrayNode array = JSON.arrayNode();
            array.add(value(type.arrayElementType().get()));
            if (!nulls) array.add(value(type.arrayElementType().get()));
            return array;
        }
        if (type instanceof Schema schema) return struct(schema);
        int n = counter++;
        String name = type.toString();
        switch (name.replace("COMPACT_", "").replace("NULLABLE_", "")) {
            case "BOOLEAN": return JSON.booleanNode(n % 2 == 0);
            case "INT8": return JSON.numberNode(n % 100);
            case "INT16": return JSON.numberNode(n % 3 == 0 ? -n : n);
            case "UINT16": return JSON.numberNode(50000 + n);
            case "INT32": return JSON.numberNode(n % 3 == 0 ? -70000 - n : 70000 + n);
            case "INT64": return JSON.numberNode(n % 3 == 0 ? -(1L << 40) - n : (1L << 40) + n);
            case "FLOAT64": return JSON.numberNode(n + 0.5);
            case "UUID": return JSON.textNode(new Uuid(0x1122334455667788L, n).toString());
            case "STRING": return JSON.textNode("käse-" + n);
            case "BYTES": return JSON.binaryNode(("bytes-" + n).getBytes(StandardCharsets.UTF_8));
            case "RECORDS": return JSON.binaryNode(array(build(Compression.NONE, 1).buffer()));
            default: throw new IllegalStateException("no sample for " + name);
        }
    }

    static String camel(String snake) {
        StringBuilder name = new StringBuilder();
        boolean up = false;
        for (char c : snake.toCharArray()) {
            if (c == '_') up = true;
            else {
                name.append(up ? Character.toUpperCase(c) : c);
                up = false;
            }
        }
        return name.toString();
    }

    static String kebab(String name) {
        return name.replaceAll("([a-z])([A-Z])", "$1-$2").toLowerCase();
    }

    static void batches(Path path) throws Exception {
        ObjectNode file = header("record batches of MemoryRecordsBuilder");
        ArrayNode samples = file.putArray("samples");
        Object[][] compressions = {
            {"none", Compression.NONE}, {"gzip", Compression.gzip().build()}, {"snappy", Compression.snappy().build()},
            {"lz4", Compression.lz4().build()}, {"zstd", Compression.zstd().build()}};
        for (Object[] compression : compressions) {
            for (int records : new int[] {1, 3, 200}) {
                if (records == 200 && compression[0].equals("none")) continue;
                batch(samples, compression[0] + "-" + records, build((Compression) compression[1], records));
            }
        }
        batch(samples, "idempotent", builder(Compression.NONE, 0L, 4711L, (short) 7, 2147483646, false, false));
        batch(samples, "transactional", builder(Compression.NONE, 1234567890123L, 4711L, (short) 0, 0, true, false));
        batch(samples, "log-append-time", appendTime());
        batch(samples, "commit-marker", MemoryRecords.withEndTransactionMarker(12L, 1700000000000L, 3, 4711L, (short) 7,
            new org.apache.kafka.common.record.internal.EndTransactionMarker(
                org.apache.kafka.common.record.internal.ControlRecordType.COMMIT, 5)));
        write(path, file, samples);
    }

    static MemoryRecords build(Compression compression, int records) {
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1 << 16), RecordBatch.MAGIC_VALUE_V2,
            compression, TimestampType.CREATE_TIME, 40L, RecordBatch.NO_TIMESTAMP, RecordBatch.NO_PRODUCER_ID,
            RecordBatch.NO_PRODUCER_EPOCH, RecordBatch.NO_SEQUENCE, false, 6);
        fill(builder, records);
        return builder.build();
    }

    static MemoryRecords builder(Compression compression, long base, long producerId, short epoch, int sequence,
                                 boolean transactional, boolean control) {
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1 << 16), RecordBatch.MAGIC_VALUE_V2,
            compression, TimestampType.CREATE_TIME, base, RecordBatch.NO_TIMESTAMP, producerId, epoch, sequence,
            transactional, 6);
        fill(builder, 3);
        return builder.build();
    }

    static MemoryRecords appendTime() {
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1 << 16), RecordBatch.MAGIC_VALUE_V2,
            Compression.NONE, TimestampType.LOG_APPEND_TIME, 5L, 1700000099999L, RecordBatch.NO_PRODUCER_ID,
            RecordBatch.NO_PRODUCER_EPOCH, RecordBatch.NO_SEQUENCE, false, 6);
        fill(builder, 3);
        return builder.build();
    }

    /** Nulls, empty values and headers in turn; one timestamp before the first, one far behind it. */
    static void fill(MemoryRecordsBuilder builder, int records) {
        long[] deltas = {0, -5, 1L << 33};
        for (int i = 0; i < records; i++) {
            Header[] headers = i % 3 != 1 ? new Header[0] : new Header[] {
                new RecordHeader("trace", new byte[] {1, 2}), new RecordHeader("ünull", null),
                new RecordHeader("", new byte[0])};
            byte[] key = i % 3 == 0 ? null : ("key-" + i).getBytes(StandardCharsets.UTF_8);
            byte[] value = i % 3 == 1 ? null : i % 3 == 2 ? new byte[0] : ("value-" + i).repeat(20).getBytes(StandardCharsets.UTF_8);
            builder.append(1700000000000L + deltas[i % 3], key, value, headers);
        }
    }

    static void batch(ArrayNode samples, String name, MemoryRecords records) {
        ObjectNode sample = samples.addObject();
        sample.put("name", name);
        sample.put("hex", hex(records.buffer()));
        RecordBatch batch = records.batches().iterator().next();
        ObjectNode json = sample.putObject("json");
        json.put("baseOffset", batch.baseOffset()).put("lastOffset", batch.lastOffset());
        json.put("sizeInBytes", batch.sizeInBytes()).put("partitionLeaderEpoch", batch.partitionLeaderEpoch());
        json.put("crc", batch.checksum()).put("compressionCodec", batch.compressionType().id);
        json.put("timestampType", batch.timestampType().name);
        json.put("isTransactional", batch.isTransactional()).put("isControl", batch.isControlBatch());
        json.put("maxTimestamp", batch.maxTimestamp());
        json.put("producerId", batch.producerId()).put("producerEpoch", batch.producerEpoch());
        json.put("baseSequence", batch.baseSequence()).put("lastSequence", batch.lastSequence());
        json.put("recordCount", batch.countOrNull());
        ArrayNode list = json.putArray("records");
        for (org.apache.kafka.common.record.internal.Record record : batch) {
            ObjectNode node = list.addObject();
            node.put("offset", record.offset()).put("timestamp", record.timestamp());
            node.put("key", record.hasKey() ? hex(record.key()) : null);
            node.put("value", record.hasValue() ? hex(record.value()) : null);
            ArrayNode headers = node.putArray("headers");
            for (Header header : record.headers()) {
                ObjectNode h = headers.addObject().put("key", header.key());
                h.put("value", header.value() == null ? null : hex(ByteBuffer.wrap(header.value())));
            }
        }
    }

    static byte[] array(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    static String hex(ByteBuffer buffer) {
        return HexFormat.of().formatHex(array(buffer));
    }

    /** One sample a line. */
    static void write(Path path, ObjectNode file, ArrayNode samples) throws Exception {
        StringBuilder text = new StringBuilder("{\n");
        file.fields().forEachRemaining(entry -> {
            if (!entry.getKey().equals("samples")) {
                text.append("\"").append(entry.getKey()).append("\": ").append(entry.getValue()).append(",\n");
            }
        });
        text.append("\"samples\": [\n");
        for (int i = 0; i < samples.size(); i++) {
            text.append(MAPPER.writeValueAsString(samples.get(i))).append(i + 1 < samples.size() ? ",\n" : "\n");
        }
        Files.writeString(path, text.append("]\n}\n"));
    }
}
