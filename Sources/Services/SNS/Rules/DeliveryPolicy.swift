import Glibc
import Platform
import Wire

/// How HTTP(S) deliveries are tried again: four phases (SNS developer guide, "Message delivery retries"). Whole seconds.
struct HTTPDeliveryPolicy: Sendable, Equatable {
    enum Backoff: String, Sendable, CaseIterable {
        case linear, arithmetic, geometric, exponential
    }

    var minDelay = 20
    var maxDelay = 20
    var retries = 3
    var maxDelayRetries = 0
    var noDelayRetries = 0
    var minDelayRetries = 0
    var backoff = Backoff.linear
    /// Deliveries to one subscription in a second; nil without bound.
    var maxReceivesPerSecond: Int?
    var contentType = "text/plain; charset=UTF-8"

    /// How long to wait after the attempt with this number (the first is 1) failed; nil when it was the last.
    func wait(afterAttempt attempt: Int) -> Duration? {
        guard attempt <= retries else { return nil }
        let backoffRetries = max(retries - noDelayRetries - minDelayRetries - maxDelayRetries, 0)
        var index = attempt
        if index <= noDelayRetries { return .zero }
        index -= noDelayRetries
        if index <= minDelayRetries { return .seconds(minDelay) }
        index -= minDelayRetries
        if index <= backoffRetries { return .nanoseconds(Int64(delay(index, of: backoffRetries) * 1e9)) }
        return .seconds(maxDelay)
    }

    /// The wait before retry `index` of `count` in the backoff phase: from the least to the longest delay. AWS shows the four
    /// functions as a picture only; the forms here go through its end points.
    private func delay(_ index: Int, of count: Int) -> Double {
        let (least, longest) = (Double(minDelay), Double(maxDelay))
        guard count > 1, longest > least else { return index == count && count > 1 ? longest : least }
        let part = Double(index - 1) / Double(count - 1)
        switch backoff {
        case .linear: return least + (longest - least) * part
        case .arithmetic: return least + (longest - least) * part * (part + 1) / 2
        case .geometric: return least * pow(longest / least, part)
        case .exponential:
            // Doubles with each retry, and is at the longest at the end.
            let growth = pow(2, Double(index - 1)) - 1
            return least + (longest - least) * growth / (pow(2, Double(count - 1)) - 1)
        }
    }

    /// The sum of all waits, in seconds.
    var total: Double { (1...max(retries, 1)).reduce(0) { $0 + (wait(afterAttempt: $1)?.fractionalSeconds ?? 0) } }

    var effective: Value {
        [
            "healthyRetryPolicy": retryPolicy, "sicklyRetryPolicy": .null,
            "throttlePolicy": maxReceivesPerSecond.map { ["maxReceivesPerSecond": .int(Int64($0))] } ?? .null,
            "requestPolicy": ["headerContentType": .string(contentType)], "guaranteed": false,
        ]
    }

    /// As a topic shows it.
    func effectiveOfTopic(disablesOverrides: Bool) -> Value {
        var http: Fields = [
            "defaultHealthyRetryPolicy": retryPolicy, "disableSubscriptionOverrides": .bool(disablesOverrides),
        ]
        if let maxReceivesPerSecond {
            http.append("defaultThrottlePolicy", ["maxReceivesPerSecond": .int(Int64(maxReceivesPerSecond))])
        }
        http.append("defaultRequestPolicy", ["headerContentType": .string(contentType)])
        return ["http": .map(http)]
    }

    private var retryPolicy: Value {
        [
            "minDelayTarget": .int(Int64(minDelay)), "maxDelayTarget": .int(Int64(maxDelay)),
            "numRetries": .int(Int64(retries)), "numMaxDelayRetries": .int(Int64(maxDelayRetries)),
            "numNoDelayRetries": .int(Int64(noDelayRetries)), "numMinDelayRetries": .int(Int64(minDelayRetries)),
            "backoffFunction": .string(backoff.rawValue),
        ]
    }
}

extension HTTPDeliveryPolicy {
    /// A subscription's policy over its topic's over the defaults. What was stored was checked.
    static func effective(topic: String?, subscription: String?) -> HTTPDeliveryPolicy {
        var policy = HTTPDeliveryPolicy()
        let http = topic.flatMap { try? JSON.parse($0) }?["http"]
        try? policy.apply(
            retry: http?["defaultHealthyRetryPolicy"], throttle: http?["defaultThrottlePolicy"],
            request: http?["defaultRequestPolicy"])
        guard http?["disableSubscriptionOverrides"]?.bool != true else { return policy }
        let own = subscription.flatMap { try? JSON.parse($0) }
        try? policy.apply(
            retry: own?["healthyRetryPolicy"], throttle: own?["throttlePolicy"], request: own?["requestPolicy"])
        return policy
    }

    /// Checks the text of a subscription's policy.
    static func check(subscription text: String) throws(AWSError) {
        let value = try object(text)
        var policy = HTTPDeliveryPolicy()
        try policy.apply(
            retry: value["healthyRetryPolicy"], throttle: value["throttlePolicy"], request: value["requestPolicy"])
    }

    /// Checks the text of a topic's policy.
    static func check(topic text: String) throws(AWSError) {
        let value = try object(text)
        guard let http = value["http"], http.fields != nil else { throw refusal("http: must be an object") }
        var policy = HTTPDeliveryPolicy()
        try policy.apply(
            retry: http["defaultHealthyRetryPolicy"], throttle: http["defaultThrottlePolicy"],
            request: http["defaultRequestPolicy"])
    }

    private static func object(_ text: String) throws(AWSError) -> Value {
        do {
            let value = try JSON.parse(text)
            guard value.fields != nil else { throw refusal("must be a JSON object") }
            return value
        } catch let error as AWSError {
            throw error
        } catch {
            throw refusal("failed to parse JSON")
        }
    }

    private static func refusal(_ reason: String) -> AWSError { .invalidParameter("DeliveryPolicy: \(reason)") }

    private mutating func apply(retry: Value?, throttle: Value?, request: Value?) throws(AWSError) {
        if let retry, !retry.isNull {
            minDelay = try Self.number(retry, "minDelayTarget", 1...Limits.policyDelaySeconds) ?? minDelay
            maxDelay =
                try Self.number(retry, "maxDelayTarget", 1...Limits.policyDelaySeconds) ?? max(maxDelay, minDelay)
            retries = try Self.number(retry, "numRetries", 0...Limits.policyRetries) ?? retries
            let count = 0...Limits.policyRetries
            maxDelayRetries = try Self.number(retry, "numMaxDelayRetries", count) ?? maxDelayRetries
            noDelayRetries = try Self.number(retry, "numNoDelayRetries", count) ?? noDelayRetries
            minDelayRetries = try Self.number(retry, "numMinDelayRetries", count) ?? minDelayRetries
            if let name = retry["backoffFunction"], !name.isNull {
                guard let found = name.string.flatMap(Backoff.init) else {
                    throw Self.refusal(
                        "healthyRetryPolicy.backoffFunction must be one of linear, arithmetic, geometric, exponential")
                }
                backoff = found
            }
            guard minDelay <= maxDelay else {
                throw Self.refusal("healthyRetryPolicy.minDelayTarget must be less than or equal to maxDelayTarget")
            }
            guard noDelayRetries + minDelayRetries + maxDelayRetries <= retries else {
                throw Self.refusal(
                    "healthyRetryPolicy.numRetries must be greater than or equal to the sum of numNoDelayRetries, "
                        + "numMinDelayRetries and numMaxDelayRetries")
            }
            guard total <= Limits.policyTotalSeconds else {
                throw Self.refusal("healthyRetryPolicy: the total retry time must be at most 3600 seconds")
            }
        }
        if let throttle, !throttle.isNull {
            maxReceivesPerSecond =
                try Self.number(throttle, "maxReceivesPerSecond", 1...1_000_000) ?? maxReceivesPerSecond
        }
        if let type = request?["headerContentType"], !type.isNull {
            guard let type = type.string, Self.contentTypes.contains(type.prefix { $0 != ";" }.lowercased()) else {
                throw Self.refusal("requestPolicy.headerContentType is not supported")
            }
            contentType = type
        }
    }

    private static func number(_ value: Value, _ name: String, _ range: ClosedRange<Int>) throws(AWSError) -> Int? {
        guard let member = value[name], !member.isNull else { return nil }
        guard let number = member.int.flatMap({ Int(exactly: $0) }), range.contains(number) else {
            throw refusal(
                "healthyRetryPolicy.\(name) must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// SNS developer guide, "Creating an HTTP/S delivery policy".
    private static let contentTypes: Set<String> = [
        "text/css", "text/csv", "text/html", "text/plain", "text/xml", "application/atom+xml", "application/json",
        "application/octet-stream", "application/soap+xml", "application/x-www-form-urlencoded",
        "application/xhtml+xml", "application/xml",
    ]
}
