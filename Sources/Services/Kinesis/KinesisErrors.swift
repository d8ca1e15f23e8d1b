import Platform
import Wire

// The errors of Kinesis Data Streams. Codes are the model's; texts as AWS's clients and emulators that recorded them have
// met them, the others ours. All are answered with HTTP status 400.

extension AWSError {
    static func noStream(_ name: String, _ account: String) -> AWSError {
        AWSError("ResourceNotFoundException", "Stream \(name) under account \(account) not found.")
    }

    static func noStream(arn: String) -> AWSError {
        guard let address = ResourceAddress(arn) else { return .noResource(arn) }
        return .noStream(address.stream, address.scope.account)
    }

    static func noResource(_ arn: String) -> AWSError {
        AWSError("ResourceNotFoundException", "Resource \(arn.prefix(2048)) is not found.")
    }

    static func streamExists(_ name: String, _ account: String) -> AWSError {
        AWSError("ResourceInUseException", "Stream \(name) under account \(account) already exists.")
    }

    static func noShard(_ shard: String, _ stream: Stream) -> AWSError {
        AWSError(
            "ResourceNotFoundException",
            "Shard \(shard) in stream \(stream.name) under account \(stream.scope.account) does not exist")
    }

    /// What SplitShard and MergeShards say.
    static func couldNotFindShard(_ shard: String, _ stream: Stream) -> AWSError {
        AWSError(
            "ResourceNotFoundException",
            "Could not find shard \(shard) in stream \(stream.name) under account \(stream.scope.account).")
    }

    static func noConsumer(_ name: String, _ account: String) -> AWSError {
        AWSError("ResourceNotFoundException", "Consumer \(name) under account \(account) not found.")
    }

    static func consumerExists(_ name: String, _ stream: Stream) -> AWSError {
        AWSError(
            "ResourceInUseException",
            "Consumer \(name) under stream \(stream.name) already exists for account \(stream.scope.account).")
    }

    static func invalid(_ message: String) -> AWSError { AWSError("InvalidArgumentException", message) }

    static func validation(_ message: String) -> AWSError { AWSError("ValidationException", message) }

    static func constraint(_ member: String, _ constraint: String, value: String? = nil) -> AWSError {
        validation(
            "1 validation error detected: Value \(value.map { "'\($0)' " } ?? "")at '\(member)' failed to satisfy "
                + "constraint: \(constraint)")
    }

    static func limit(_ message: String) -> AWSError { AWSError("LimitExceededException", message) }

    static func inUse(_ message: String) -> AWSError { AWSError("ResourceInUseException", message) }

    static func shardLimit(_ scope: AccountRegion, current: Int, additional: Int) -> AWSError {
        limit(
            "This request would exceed the shard limit for the account \(scope.account) in \(scope.region). "
                + "Current shard count for the account: \(current). Limit: \(Limits.shards). Number of additional shards "
                + "that would have resulted from this request: \(additional). Refer to the AWS Service Limits page "
                + "(https://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to "
                + "request higher limits.")
    }

    static let invalidIterator = invalid("Invalid ShardIterator.")

    static func expiredIterator(created: Instant, now: Instant) -> AWSError {
        AWSError(
            "ExpiredIteratorException",
            "Iterator expired. The iterator was created at time \(utc(created)) while right now it is \(utc(now)) which is "
                + "further in the future than the tolerated delay of \(Limits.iteratorSeconds * 1000) milliseconds.")
    }

    static let expiredToken = AWSError("ExpiredNextTokenException", "The provided NextToken is expired.")
    static let invalidToken = invalid("The provided NextToken is invalid.")

    static let dryRun = AWSError(
        "DryRunOperationException", "Request would have succeeded, but DryRun flag is set.")

    static func rateExceeded(_ shard: Shard, _ stream: Stream) -> AWSError {
        AWSError(
            "ProvisionedThroughputExceededException",
            "Rate exceeded for shard \(shard.name) in stream \(stream.name) under account \(stream.scope.account).")
    }

    static func accessDenied(_ principal: String, _ action: String, _ resource: String, _ reason: String) -> AWSError {
        AWSError(
            "AccessDeniedException",
            "User: \(principal) is not authorized to perform: \(action) on resource: \(resource) \(reason)")
    }

    /// `Mon Nov 23 13:00:00 UTC 2026`.
    private static func utc(_ time: Instant) -> String {
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let civil = CivilTime(time)
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return
            "\(days[civil.weekday % 7]) \(months[(civil.month - 1) % 12]) \(two(civil.day)) \(two(civil.hour)):\(two(civil.minute)):"
            + "\(two(civil.second)) UTC \(civil.year)"
    }
}
