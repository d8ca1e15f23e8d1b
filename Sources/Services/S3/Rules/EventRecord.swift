import Contracts
import Crypto
import Platform
import Wire

/// The version of an object that an event is about, as far as the event tells of it.
struct EventSubject: Sendable {
    var key: ObjectKey
    /// Of created objects.
    var size: Int64?
    var etag: String?
    /// Nil also for null versions: S3 leaves them out.
    var version: String?
    /// Of events of restores.
    var restore: Restore?

    struct Restore: Sendable {
        /// Where the object is archived.
        var storageClass: String
        /// When the restored copy goes; known once it is there.
        var expiry: Instant?
    }

    /// The MD5 of nothing, which records of new delete markers show.
    static let etagOfNothing = "d41d8cd98f00b204e9800998ecf8427e"

    init(key: ObjectKey, size: Int64? = nil, etag: String? = nil, version: String? = nil) {
        self.key = key
        self.size = size
        self.etag = etag
        self.version = version
    }

    init(created object: StoredObject) {
        self.init(key: object.key, size: object.size, etag: object.etag, version: object.version)
    }

    /// For changes of what is beside the bytes.
    init(changed object: StoredObject) {
        self.init(key: object.key, etag: object.etag, version: object.version)
    }
}

/// What an event record tells of a change to an object.
struct ObjectEvent: Sendable {
    /// With `s3:` in front.
    var name: String
    var subject: EventSubject
    var time: Instant
    var sequencer: String
    var requestID: String
    var sourceIP: String
    var principal: Principal
}

/// The message that S3 sends to a target: `{"Records":[…]}`, key order as recorded from AWS.
enum EventRecord {
    /// The versions that AWS used before the unified 2.4, by the kind of event (semantics, section 6.1).
    static func version(of event: String) -> String {
        let kinds = ["s3:ObjectTagging:", "s3:ObjectAcl:", "s3:LifecycleExpiration:", EventName.restoreEnded]
        return kinds.contains { event.hasPrefix($0) } ? "2.3" : "2.1"
    }

    /// Only what creates or removes has an order.
    static func isOrdered(_ event: String) -> Bool {
        !event.hasPrefix("s3:ObjectTagging:") && !event.hasPrefix("s3:ObjectAcl:")
    }

    static func message(_ event: ObjectEvent, bucket: StoredBucket, configurationID: String) -> Value {
        let subject = event.subject
        var object: Fields = ["key": .string(FormEncoding.encode(subject.key.bytes))]
        if let size = subject.size { object.append("size", .int(size)) }
        if let etag = subject.etag { object.append("eTag", .string(etag)) }
        if let version = subject.version { object.append("versionId", .string(version)) }
        if isOrdered(event.name) { object.append("sequencer", .string(event.sequencer)) }
        var record: Value = [
            "eventVersion": .string(version(of: event.name)),
            "eventSource": "aws:s3",
            "awsRegion": .string(bucket.region),
            "eventTime": .string(event.time.iso8601(fractionDigits: 3)),
            "eventName": .string(String(event.name.dropFirst("s3:".count))),
            "userIdentity": ["principalId": .string(CanonicalUser.eventIdentity(of: event.principal))],
            "requestParameters": ["sourceIPAddress": .string(event.sourceIP)],
            "responseElements": [
                "x-amz-request-id": .string(event.requestID),
                "x-amz-id-2": .string(CanonicalUser.hostID(requestID: event.requestID)),
            ],
            "s3": [
                "s3SchemaVersion": "1.0",
                "configurationId": .string(configurationID),
                "bucket": [
                    "name": .string(bucket.name),
                    "ownerIdentity": ["principalId": .string(CanonicalUser.customerID(account: bucket.account))],
                    "arn": .string(bucket.arn),
                ],
                "object": .map(object),
            ],
        ]
        if let restore = subject.restore, let expiry = restore.expiry {
            record["glacierEventData"] = [
                "restoreEventData": [
                    "lifecycleRestorationExpiryTime": .string(expiry.iso8601(fractionDigits: 3)),
                    "lifecycleRestoreStorageClass": .string(restore.storageClass),
                ]
            ]
        }
        return ["Records": .list([record])]
    }

    /// What queues and topics get once when a configuration names them.
    static func testMessage(bucket: String, time: Instant, requestID: String) -> Value {
        [
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": .string(time.iso8601(fractionDigits: 3)),
            "Bucket": .string(bucket),
            "RequestId": .string(requestID),
            "HostId": .string(CanonicalUser.hostID(requestID: requestID)),
        ]
    }
}

/// Identifiers that AWS keeps beside account numbers: derived from them, so that they never change.
enum CanonicalUser {
    /// The canonical user id of an account: 64 hexadecimal digits.
    static func id(account: String) -> String { hexEncoded(digest("canonical-user", account)) }

    /// The customer id in event records: `A` and 13 characters.
    static func customerID(account: String) -> String { "A" + base32(digest("customer", account), 13) }

    /// `AWS:` and the unique id of who did it.
    static func eventIdentity(of principal: Principal) -> String {
        switch principal {
        case .account(let account): "AWS:AIDA" + base32(digest("user", account), 17)
        case .roleSession(let role, let session, _): "AWS:AROA" + base32(digest("role", role), 17) + ":" + session
        case .service(let name, _, _): name
        case .anonymous: "Anonymous"
        }
    }

    /// The second request id of S3's answers.
    static func hostID(requestID: String) -> String { Codec.hostID(requestID) }

    private static func digest(_ use: String, _ text: String) -> [UInt8] {
        Array(SHA256.hash(data: Array("martlet \(use) \(text)".utf8)))
    }

    private static func base32(_ bytes: [UInt8], _ length: Int) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)
        return String(decoding: bytes.prefix(length).map { alphabet[Int($0 & 31)] }, as: UTF8.self)
    }
}
