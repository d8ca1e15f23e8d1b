import Contracts
import Platform

/// Records of streams as they stand in events, as filters see them, and the events around them (reference 5.3, 5.5).
struct StreamEvent: Sendable {
    /// The mapping's source: of an enhanced fan-out consumer its ARN.
    var source: String
    var region: String
    /// The function's execution role.
    var role: String

    /// One record, members in AWS's order.
    func encode(_ record: StreamRecord, shard: String) -> [UInt8] {
        switch record.content {
        case .data(let data): encode(data, record, shard)
        case .change(let id, let name, let identity, let dynamodb): encode(id, name, identity, dynamodb)
        }
    }

    private func encode(_ data: [UInt8], _ record: StreamRecord, _ shard: String) -> [UInt8] {
        var writer = JSONWriter(capacity: data.count * 4 / 3 + record.orderingKey.utf8.count + 768)
        writer.raw(#"{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"#)
        writer.string(record.orderingKey)
        writer.raw(#","sequenceNumber":"#)
        writer.string(record.sequenceNumber)
        writer.raw(#","data":"#)
        writer.base64(data)
        writer.raw(#","approximateArrivalTimestamp":"#)
        writer.bytes += Array(Self.seconds(record.arrivedAt).utf8)
        writer.raw(#"},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"#)
        writer.string("\(shard):\(record.sequenceNumber)")
        writer.raw(#","eventName":"aws:kinesis:record","invokeIdentityArn":"#)
        writer.string(role)
        writer.raw(#","awsRegion":"#)
        writer.string(region)
        writer.raw(#","eventSourceARN":"#)
        writer.string(source)
        writer.raw("}")
        return writer.bytes
    }

    private func encode(
        _ id: String, _ name: String, _ identity: StreamRecord.UserIdentity?, _ dynamodb: [UInt8]
    ) -> [UInt8] {
        var writer = JSONWriter(capacity: dynamodb.count + 512)
        writer.raw(#"{"eventID":"#)
        writer.string(id)
        writer.raw(#","eventName":"#)
        writer.string(name)
        writer.raw(#","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"#)
        writer.string(region)
        writer.raw(#","dynamodb":"#)
        writer.bytes += dynamodb
        if let identity {
            writer.raw(#","userIdentity":{"type":"#)
            writer.string(identity.type)
            writer.raw(#","principalId":"#)
            writer.string(identity.principalID)
            writer.raw("}")
        }
        writer.raw(#","eventSourceARN":"#)
        writer.string(source)
        writer.raw("}")
        return writer.bytes
    }

    /// Seconds with milliseconds, as a number.
    private static func seconds(_ instant: Instant) -> String {
        let milliseconds = max(instant.milliseconds, 0)
        return "\(milliseconds / 1_000).\(pad(Int(milliseconds % 1_000), 3))"
    }

    // MARK: Filters

    /// The record as filters see it. Of Kinesis: metadata and data side by side, the data as a JSON document if it is an object or
    /// array, else as text.
    func filterable(_ record: StreamRecord, shard: String) -> Value {
        var fields: Fields = [:]
        switch record.content {
        case .data(let data):
            fields.append("kinesisSchemaVersion", "1.0")
            fields.append("partitionKey", .string(record.orderingKey))
            fields.append("sequenceNumber", .string(record.sequenceNumber))
            fields.append("data", Self.document(data))
            fields.append("approximateArrivalTimestamp", .double(record.arrivedAt.fractionalSeconds))
            fields.append("eventSource", "aws:kinesis")
            fields.append("eventVersion", "1.0")
            fields.append("eventID", .string("\(shard):\(record.sequenceNumber)"))
            fields.append("eventName", "aws:kinesis:record")
            fields.append("invokeIdentityArn", .string(role))
        case .change(let id, let name, let identity, let dynamodb):
            fields.append("eventID", .string(id))
            fields.append("eventName", .string(name))
            fields.append("eventVersion", "1.1")
            fields.append("eventSource", "aws:dynamodb")
            fields.append("dynamodb", (try? JSON.parse(dynamodb)) ?? .null)
            if let identity {
                fields.append(
                    "userIdentity", ["type": .string(identity.type), "principalId": .string(identity.principalID)])
            }
        }
        fields.append("awsRegion", .string(region))
        fields.append("eventSourceARN", .string(source))
        return .map(fields)
    }

    private static func document(_ data: [UInt8]) -> Value {
        let first = data.first { $0 != 0x20 && $0 != 0x09 && $0 != 0x0a && $0 != 0x0d }
        if first == UInt8(ascii: "{") || first == UInt8(ascii: "["), let value = try? JSON.parse(data) { return value }
        return .string(String(decoding: data, as: UTF8.self))
    }

    // MARK: The whole event

    func event(_ batch: ShardPoller.Batch, shard: String) -> [UInt8] {
        let state = batch.window?.state.count ?? 0
        var writer = JSONWriter(
            capacity: batch.records.reduce(1_024 + state) { $0 + ($1.json?.count ?? 0) + 1 })
        Self.records(batch.records, &writer)
        guard let window = batch.window else {
            writer.raw("}")
            return writer.bytes
        }
        writer.raw(#","window":{"start":"#)
        writer.string(window.start.iso8601())
        writer.raw(#","end":"#)
        writer.string(window.end.iso8601())
        writer.raw(#"},"state":"#)
        writer.bytes += window.state
        writer.raw(#","shardId":"#)
        writer.string(shard)
        writer.raw(#","eventSourceARN":"#)
        writer.string(source)
        writer.raw(#","isFinalInvokeForWindow":"#)
        writer.bool(batch.isFinal)
        writer.raw(#","isWindowTerminatedEarly":"#)
        writer.bool(batch.isTerminatedEarly)
        writer.raw("}")
        return writer.bytes
    }

    /// The event of records alone, as it is kept with a batch that was given up.
    static func event(_ records: [RecordLedger.Entry]) -> [UInt8] {
        var writer = JSONWriter(capacity: records.reduce(64) { $0 + ($1.json?.count ?? 0) + 1 })
        Self.records(records, &writer)
        writer.raw("}")
        return writer.bytes
    }

    private static func records(_ records: [RecordLedger.Entry], _ writer: inout JSONWriter) {
        writer.raw(#"{"Records":["#)
        var isFirst = true
        for record in records {
            guard let json = record.json else { continue }
            if !isFirst { writer.raw(",") }
            isFirst = false
            writer.bytes += json
        }
        writer.raw("]")
    }
}
