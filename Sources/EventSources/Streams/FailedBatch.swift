import Contracts
import Platform

/// Records of a shard that will not be tried any more, as a destination gets them (reference 5.3): names, order and spelling are
/// AWS's.
struct FailedBatch {
    var mapping: EventSourceMapping
    var shard: String
    /// Of the stream, also where the mapping has a consumer's.
    var streamARN: String
    var batch: ShardPoller.GivenUp
    var now: Instant

    private var isKinesis: Bool { ARN(streamARN)?.service == "kinesis" }

    /// nil without a destination.
    func delivery(role: String) -> Delivery? {
        guard let target = mapping.stream?.onFailure, let arn = ARN(target) else { return nil }
        let isObject = arn.service == "s3"
        var delivery = Delivery(
            id: Identifier.uuid(), target: target, principal: EventSourceRoom.principal(role, mapping),
            payload: encoded(withPayload: isObject), createdAt: now,
            retry: DeliveryRetry(maximumAge: Limits.destinationAge))
        delivery.purpose = .destination
        if isObject {
            delivery.attributes.objectKey = Self.objectKey(
                mapping: mapping.id, shard: shard, id: delivery.id, now)
            delivery.attributes.region = mapping.scope.region
        }
        return delivery
    }

    func encoded(withPayload: Bool) -> [UInt8] {
        let context: Value = [
            "requestId": .string(batch.response?.requestID ?? Identifier.uuid()),
            "functionArn": .string(mapping.functionARN), "condition": .string(batch.condition.rawValue),
            "approximateInvokeCount": .int(Int64(batch.invokeCount)),
        ]
        var record: Fields = ["requestContext": context]
        if let response = batch.response {
            record.append(
                "responseContext",
                [
                    "statusCode": 200, "executedVersion": .string(response.executedVersion),
                    "functionError": response.functionError.map { .string($0) } ?? .null,
                ])
        }
        record.append("version", "1.0")
        record.append("timestamp", .string(now.iso8601(fractionDigits: 3)))
        let digits = isKinesis ? 3 : 0
        func time(_ record: RecordLedger.Entry?) -> Value {
            .string((record?.arrivedAt ?? now).iso8601(fractionDigits: digits))
        }
        record.append(
            isKinesis ? "KinesisBatchInfo" : "DDBStreamBatchInfo",
            [
                "shardId": .string(shard), "startSequenceNumber": .string(batch.records.first?.sequence ?? ""),
                "endSequenceNumber": .string(batch.records.last?.sequence ?? ""),
                "approximateArrivalOfFirstRecord": time(batch.records.first),
                "approximateArrivalOfLastRecord": time(batch.records.last),
                "batchSize": .int(Int64(batch.records.count)), "streamArn": .string(streamARN),
            ])
        if withPayload {
            record.append(
                "payload", .string(String(decoding: StreamEvent.event(batch.records), as: UTF8.self)))
        }
        return JSON.encode(.map(record))
    }

    /// `aws/lambda/<mapping>/<shard>/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-<uuid>`
    static func objectKey(mapping: String, shard: String, id: String, _ now: Instant) -> String {
        let time = now.iso8601().dropLast()
        let day = time.prefix(10).split(separator: "-").joined(separator: "/")
        let clock = time.split(separator: ":").joined(separator: ".")
        return "aws/lambda/\(mapping)/\(shard)/\(day)/\(clock)-\(id)"
    }
}
