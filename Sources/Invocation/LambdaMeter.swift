public import Contracts
public import Platform
import Synchronization

/// Lambda's own metrics (namespace `AWS/Lambda`): counted on the hot path without building any text, drained once a second into
/// the sink.
///
/// Dimensions as documented ("Types of metrics for Lambda functions"): none, FunctionName, FunctionName and Resource (the
/// function, with `:` and the version or alias that was called), and with an alias ExecutedVersion too.
public final class LambdaMeter: Sendable {
    private let counts = Mutex(LambdaCounts())
    private let sink: any MetricSink
    private let time: any TimeSource

    public init(sink: any MetricSink, time: any TimeSource) {
        self.sink = sink
        self.time = time
    }

    /// A function ran. `concurrent`: how many executions of it there were with this one, and in its account.
    func finished(
        _ function: FunctionVersion, as arn: String, nanoseconds: UInt64, isError: Bool,
        concurrent: ConcurrencyLedger.Use
    ) {
        let key = LambdaCounts.Key(
            scope: function.scope, function: function.name, version: function.version, arn: arn)
        plan(
            counts.withLock {
                $0.finished(key, nanoseconds: nanoseconds, isError: isError, concurrent: concurrent)
            })
    }

    func throttled(_ function: FunctionVersion, as arn: String) {
        let key = LambdaCounts.Key(
            scope: function.scope, function: function.name, version: function.version, arn: arn)
        plan(counts.withLock { $0.throttled(key) })
    }

    func received(_ event: AsynchronousEvent) { count("AsyncEventsReceived", event) }

    func dropped(_ event: AsynchronousEvent) { count("AsyncEventsDropped", event) }

    /// An event that is about to be tried: how long it has waited.
    func waited(_ event: AsynchronousEvent, until now: Instant) {
        let milliseconds = max((now - event.acceptedAt).fractionalMilliseconds, 0)
        plan(
            counts.withLock {
                $0.measured(
                    "AsyncEventAge", milliseconds, unit: "Milliseconds", scope: event.scope, function: event.function)
            })
    }

    private func count(_ name: String, _ event: AsynchronousEvent) {
        plan(counts.withLock { $0.measured(name, 1, unit: "Count", scope: event.scope, function: event.function) })
    }

    /// A delivery was given up: what a function left behind did not arrive.
    func gaveUp(_ delivery: Delivery) {
        guard case .roleSession(_, let function, let account) = delivery.principal else { return }
        let name: String
        switch delivery.purpose {
        case .event: return
        case .destination: name = "DestinationDeliveryFailures"
        case .deadLetter: name = "DeadLetterErrors"
        }
        let region = ARN(delivery.target)?.region ?? ""
        let scope = AccountRegion(
            account: account, region: region.isEmpty ? AccountRegion.defaultRegion : region)
        plan(counts.withLock { $0.measured(name, 1, unit: "Count", scope: scope, function: function) })
    }

    /// `isFirst`: nothing was counted since the last drain.
    private func plan(_ isFirst: Bool) {
        guard isFirst else { return }
        let now = time.now()
        _ = time.schedule(at: now + Limits.meterInterval) { [weak self] in self?.drain(since: now) }
    }

    /// What was counted is of the second that began when the first of it was.
    private func drain(since: Instant) {
        let taken = counts.withLock { counts in
            defer { counts = LambdaCounts() }
            return counts
        }
        for (scope, samples) in taken.samples(at: since) { sink.record(samples, scope: scope) }
    }

    /// Hands over what is counted, at shutdown.
    public func flush() { drain(since: time.now()) }
}

/// What was counted since the last drain. A value, bounded by the functions that ran since.
struct LambdaCounts: Sendable {
    struct Key: Hashable, Sendable {
        var scope: AccountRegion
        var function: String
        var version: String
        /// As the function was called.
        var arn: String
    }

    private struct Runs: Sendable {
        var succeeded = 0
        var failed = 0
        var throttled = 0
        /// How often which duration: nanoseconds in three digits.
        var durations: [UInt64: Int] = [:]
        var concurrent = 0

        mutating func add(_ duration: UInt64, isError: Bool, concurrent now: Int) {
            if isError { failed += 1 } else { succeeded += 1 }
            durations[duration, default: 0] += 1
            concurrent = max(concurrent, now)
        }
    }

    private struct MeasureKey: Hashable {
        var scope: AccountRegion
        var function: String
        var name: String
    }

    private struct Measure {
        var unit: String
        var values: [Double: Int] = [:]
    }

    private var runs: [Key: Runs] = [:]
    private var measures: [MeasureKey: Measure] = [:]
    private var accounts: [AccountRegion: ConcurrencyLedger.Use] = [:]

    private var isEmpty: Bool { runs.isEmpty && measures.isEmpty }

    /// Each answers whether it was the first to be counted.
    mutating func finished(
        _ key: Key, nanoseconds: UInt64, isError: Bool, concurrent: ConcurrencyLedger.Use
    ) -> Bool {
        let isFirst = isEmpty
        guard runs.count < Limits.meteredFunctions || runs[key] != nil else { return isFirst }
        // One look-up each: what is counted is changed in its place.
        runs[key, default: Runs()].add(Self.rounded(nanoseconds), isError: isError, concurrent: concurrent.function)
        accounts[key.scope, default: ConcurrencyLedger.Use()].raise(to: concurrent)
        return isFirst
    }

    mutating func throttled(_ key: Key) -> Bool {
        let isFirst = isEmpty
        guard runs.count < Limits.meteredFunctions || runs[key] != nil else { return isFirst }
        runs[key, default: Runs()].throttled += 1
        return isFirst
    }

    mutating func measured(
        _ name: String, _ value: Double, unit: String, scope: AccountRegion, function: String
    ) -> Bool {
        let isFirst = isEmpty
        let key = MeasureKey(scope: scope, function: function, name: name)
        guard measures.count < Limits.meteredFunctions || measures[key] != nil else { return isFirst }
        let whole = value.rounded()
        // Past so many different values they go to the nearest power of two, so that memory stays bounded.
        let isMany = (measures[key]?.values.count ?? 0) >= Limits.meteredValues
        let kept = isMany ? Double(sign: .plus, exponent: Int(max(whole, 1).exponent), significand: 1) : whole
        measures[key, default: Measure(unit: unit)].values[kept, default: 0] += 1
        return isFirst
    }

    /// Three digits: half a percent, and few different numbers.
    private static func rounded(_ nanoseconds: UInt64) -> UInt64 {
        var (value, scale) = (nanoseconds, UInt64(1))
        while value >= 1_000 {
            value /= 10
            scale *= 10
        }
        return value * scale
    }

    func samples(at now: Instant) -> [(AccountRegion, [MetricSample])] {
        var all: [AccountRegion: [MetricSample]] = [:]
        func add(
            _ scope: AccountRegion, _ name: String, _ value: Double, _ count: Int, _ unit: String,
            _ sets: [[(name: String, value: String)]]
        ) {
            guard count > 0 else { return }
            for dimensions in sets {
                all[scope, default: []].append(
                    MetricSample(
                        namespace: "AWS/Lambda", name: name, dimensions: dimensions, timestamp: now, value: value,
                        count: Double(count), unit: unit))
            }
        }
        for (key, runs) in runs {
            let sets = Self.dimensions(key)
            let count = runs.succeeded + runs.failed
            add(key.scope, "Invocations", 1, count, "Count", sets)
            // A success is a 0, so that the average is the rate of errors.
            add(key.scope, "Errors", 0, runs.succeeded, "Count", sets)
            add(key.scope, "Errors", 1, runs.failed, "Count", sets)
            add(key.scope, "Throttles", 0, count, "Count", sets)
            add(key.scope, "Throttles", 1, runs.throttled, "Count", sets)
            for (nanoseconds, times) in runs.durations {
                add(key.scope, "Duration", Double(nanoseconds) / 1e6, times, "Milliseconds", sets)
            }
            if count > 0 {
                add(key.scope, "ConcurrentExecutions", Double(runs.concurrent), 1, "Count", Array(sets.dropFirst()))
            }
        }
        for (scope, use) in accounts {
            add(scope, "ConcurrentExecutions", Double(use.account), 1, "Count", [[]])
            add(scope, "UnreservedConcurrentExecutions", Double(use.unreserved), 1, "Count", [[]])
        }
        for (key, measure) in measures {
            for (value, times) in measure.values {
                add(key.scope, key.name, value, times, measure.unit, [[], [("FunctionName", key.function)]])
            }
        }
        return all.map { ($0.key, $0.value) }
    }

    private static func dimensions(_ key: Key) -> [[(name: String, value: String)]] {
        let function = (name: "FunctionName", value: key.function)
        // arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]
        let parts = key.arn.split(separator: ":", omittingEmptySubsequences: false)
        let qualifier = parts.count > 7 && !parts[7].isEmpty ? String(parts[7]) : nil
        let resource = (name: "Resource", value: qualifier.map { "\(key.function):\($0)" } ?? key.function)
        var sets = [[], [function], [function, resource]]
        if let qualifier, qualifier != key.version, qualifier != "$LATEST" {
            sets.append([function, resource, (name: "ExecutedVersion", value: key.version)])
        }
        return sets
    }
}
