import Contracts
import Platform

/// A change to an object as S3 tells EventBridge (S3 user guide, "EventBridge event message structure").
struct BusEvent: Sendable {
    var detailType: String
    var detail: Value

    /// What S3 says of a kind of event.
    private struct Kind {
        var detailType: String
        var reason: String?
        var deletionType: String?
    }

    private static let permanently = "Permanently Deleted"
    private static let marked = "Delete Marker Created"
    private static let kinds: [String: Kind] = [
        EventName.put: Kind(detailType: "Object Created", reason: "PutObject"),
        EventName.copy: Kind(detailType: "Object Created", reason: "CopyObject"),
        EventName.complete: Kind(detailType: "Object Created", reason: "CompleteMultipartUpload"),
        EventName.delete: Kind(detailType: "Object Deleted", reason: "DeleteObject", deletionType: permanently),
        EventName.deleteMarker: Kind(detailType: "Object Deleted", reason: "DeleteObject", deletionType: marked),
        EventName.expired: Kind(
            detailType: "Object Deleted", reason: "Lifecycle Expiration", deletionType: permanently),
        EventName.expiredToMarker: Kind(
            detailType: "Object Deleted", reason: "Lifecycle Expiration", deletionType: marked),
        EventName.tagged: Kind(detailType: "Object Tags Added"),
        EventName.untagged: Kind(detailType: "Object Tags Deleted"),
        EventName.acl: Kind(detailType: "Object ACL Updated"),
        EventName.restoring: Kind(detailType: "Object Restore Initiated"),
        EventName.restored: Kind(detailType: "Object Restore Completed"),
        EventName.restoreEnded: Kind(detailType: "Object Restore Expired"),
    ]

    /// Nil for events that EventBridge is not told of.
    init?(_ event: ObjectEvent, bucket: StoredBucket) {
        guard let kind = BusEvent.kinds[event.name] else { return nil }
        let subject = event.subject
        var object: Fields = ["key": .string(String(decoding: subject.key.bytes, as: UTF8.self))]
        if let size = subject.size { object.append("size", .int(size)) }
        if let etag = subject.etag { object.append("etag", .string(etag)) }
        if let version = subject.version { object.append("version-id", .string(version)) }
        if EventRecord.isOrdered(event.name), subject.restore == nil {
            object.append("sequencer", .string(event.sequencer))
        }
        var fields: Fields = [
            "version": "0", "bucket": ["name": .string(bucket.name)], "object": .map(object),
            "request-id": .string(event.requestID), "requester": .string(BusEvent.requester(event.principal)),
        ]
        // What S3 does by itself comes from nowhere.
        let isOwn = event.name == EventName.restored || event.name == EventName.restoreEnded
        if !isOwn, !event.name.hasPrefix("s3:LifecycleExpiration") {
            fields.append("source-ip-address", .string(event.sourceIP))
        }
        if let expiry = subject.restore?.expiry { fields.append("restore-expiry-time", .string(expiry.iso8601())) }
        if let restore = subject.restore, event.name != EventName.restoreEnded {
            fields.append("source-storage-class", .string(restore.storageClass))
        }
        if let reason = kind.reason { fields.append("reason", .string(reason)) }
        if let deletionType = kind.deletionType { fields.append("deletion-type", .string(deletionType)) }
        detailType = kind.detailType
        detail = .map(fields)
    }

    /// An account or a service.
    private static func requester(_ principal: Principal) -> String {
        if case .service(let name, _, _) = principal { return name }
        return principal.account ?? "anonymous"
    }
}
