import Platform
import Wire

/// Where messages go that were received too often.
struct RedrivePolicy: Sendable, Hashable {
    /// As given: GetQueueAttributes answers it so.
    var text: String
    var targetARN: String
    var maximumReceives: Int64

    /// Throws with AWS's reasons; whether the target exists is checked by the operation.
    init(_ text: String) throws(AWSError) {
        func fail(_ reason: String) -> AWSError { .invalid(text, for: "RedrivePolicy", reason) }
        guard let fields = try? JSON.parse(text).fields else {
            throw fail("Redrive policy is not a valid JSON map.")
        }
        guard let target = fields["deadLetterTargetArn"]?.string else {
            throw fail("Redrive policy does not contain mandatory attribute: deadLetterTargetArn.")
        }
        guard let count = fields["maxReceiveCount"] else {
            throw fail("Redrive policy does not contain mandatory attribute: maxReceiveCount.")
        }
        let shown = count.string ?? JSON.encodeString(count)
        guard let number = count.int ?? count.string.flatMap({ Int64($0) }),
            Limits.maximumReceives.contains(Int(number))
        else {
            throw fail(
                "Invalid value for maxReceiveCount: \(shown), valid values are from 1 to 1000 both inclusive.")
        }
        guard let arn = ARN(target), arn.service == "sqs" else {
            throw fail("Invalid value for deadLetterTargetArn.")
        }
        self.text = text
        targetARN = target
        maximumReceives = number
    }
}

/// Which queues may use this one as their dead-letter queue.
struct RedriveAllowPolicy: Sendable, Hashable {
    var text: String
    /// Nil: every queue of the account and Region.
    var sources: [String]?

    init(_ text: String) throws(AWSError) {
        func fail(_ reason: String) -> AWSError { .invalid(text, for: "RedriveAllowPolicy", reason) }
        guard let fields = try? JSON.parse(text).fields else { throw fail("Value is not a valid JSON map.") }
        let arns = fields["sourceQueueArns"]?.list?.compactMap(\.string)
        switch fields["redrivePermission"]?.string {
        case "allowAll", nil:
            guard arns == nil else {
                throw fail("sourceQueueArns can only be used when redrivePermission is byQueue.")
            }
            sources = nil
        case "denyAll":
            guard arns == nil else {
                throw fail("sourceQueueArns can only be used when redrivePermission is byQueue.")
            }
            sources = []
        case "byQueue":
            guard let arns, !arns.isEmpty else { throw fail("sourceQueueArns must name at least one queue.") }
            guard arns.count <= Limits.allowedSources else {
                throw fail("sourceQueueArns can name at most \(Limits.allowedSources) queues.")
            }
            sources = arns
        default: throw fail("redrivePermission must be allowAll, denyAll or byQueue.")
        }
        self.text = text
    }

    func allows(_ source: String) -> Bool { sources?.contains(source) ?? true }
}

extension ARN {
    /// Whether two queues are in the same account and Region: dead letters go no further (AWS).
    static func areOfOneScope(_ one: String, _ other: String) -> Bool {
        guard let one = ARN(one), let other = ARN(other) else { return false }
        return one.account == other.account && one.region == other.region
    }
}
