import Contracts
import Crypto
import Platform
import Wire

/// What an event record tells of a change to an object.
struct ObjectEvent: Sendable {
    /// With `s3:` in front.
    var name: String
    var key: ObjectKey
    /// Size and ETag of a created object; removals have none.
    var created: (size: Int64, etag: String)?
    var time: Instant
    var sequencer: String
    var requestID: String
    var sourceIP: String
    var principal: Principal
}

/// The message that S3 sends to a target: `{"Records":[…]}`, key order as recorded from AWS.
enum EventRecord {
    /// The version that AWS used for created and removed events before the unified 2.4 (semantics, section 6.1).
    static let version = "2.1"

    static func message(_ event: ObjectEvent, bucket: StoredBucket, configurationID: String) -> Value {
        var object: Fields = ["key": .string(FormEncoding.encode(event.key.bytes))]
        if let created = event.created {
            object.append("size", .int(created.size))
            object.append("eTag", .string(created.etag))
        }
        object.append("sequencer", .string(event.sequencer))
        let record: Value = [
            "eventVersion": .string(version),
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
