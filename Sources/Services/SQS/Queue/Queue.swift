import Platform

/// A queue as its row says it; a value that requests share through `QueueDirectory`.
struct Queue: Sendable {
    var id: Int64
    var scope: AccountRegion
    var name: String
    var arn: String
    var created: Instant
    var modified: Instant
    var attributes: QueueAttributes

    init(
        id: Int64, scope: AccountRegion, name: String, created: Instant, modified: Instant, attributes: QueueAttributes
    ) {
        self.id = id
        self.scope = scope
        self.name = name
        arn = Queue.arn(scope, name)
        self.created = created
        self.modified = modified
        self.attributes = attributes
    }

    var isFIFO: Bool { attributes.isFIFO }
    var visibilityTimeout: Duration { .seconds(attributes.visibilitySeconds) }

    static func arn(_ scope: AccountRegion, _ name: String) -> String {
        "arn:aws:sqs:\(scope.region):\(scope.account):\(name)"
    }

    func url(_ endpoint: String) -> String { "\(endpoint)/\(scope.account)/\(name)" }

    /// A message sent before this is over its retention.
    func expiry(now: Instant) -> Instant { now - .seconds(attributes.retentionSeconds) }
}
