import Contracts
import Platform

/// A change to an object as S3 tells EventBridge (S3 user guide, "EventBridge event message structure").
struct BusEvent: Sendable {
    var detailType: String
    var detail: Value

    /// Nil for events that EventBridge is not told of.
    init?(_ event: ObjectEvent, bucket: StoredBucket) {
        let reasons = [
            EventName.put: "PutObject", EventName.copy: "CopyObject", EventName.complete: "CompleteMultipartUpload",
            EventName.delete: "DeleteObject",
        ]
        guard let reason = reasons[event.name] else { return nil }
        let isDeletion = event.name == EventName.delete
        var object: Fields = ["key": .string(String(decoding: event.key.bytes, as: UTF8.self))]
        if let created = event.created {
            object.append("size", .int(created.size))
            object.append("etag", .string(created.etag))
        }
        object.append("sequencer", .string(event.sequencer))
        var fields: Fields = [
            "version": "0", "bucket": ["name": .string(bucket.name)], "object": .map(object),
            "request-id": .string(event.requestID), "requester": .string(Self.requester(event.principal)),
            "source-ip-address": .string(event.sourceIP), "reason": .string(reason),
        ]
        if isDeletion { fields.append("deletion-type", "Permanently Deleted") }
        detailType = isDeletion ? "Object Deleted" : "Object Created"
        detail = .map(fields)
    }

    /// An account or a service.
    private static func requester(_ principal: Principal) -> String {
        if case .service(let name, _, _) = principal { return name }
        return principal.account ?? "anonymous"
    }
}
