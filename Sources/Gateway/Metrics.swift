import Platform
import Synchronization

/// Counts of the connections, cheap enough for every piece of every body.
final class GatewayCounters: Sendable {
    let bodies: BodyBudget
    let bodiesOfCells: BodyBudget
    let bytesReceived = Atomic<UInt64>(0)
    let bytesSent = Atomic<UInt64>(0)
    let connectionsAccepted = Atomic<UInt64>(0)
    let connectionsRefused = Atomic<UInt64>(0)
    let headsRefused = Atomic<UInt64>(0)
    /// Open ones.
    let webSockets = Atomic<Int>(0)

    init(limits: GatewayLimits) {
        bodies = BodyBudget(limit: limits.bufferedBodies)
        bodiesOfCells = BodyBudget(limit: limits.bufferedBodiesOfCells, isShared: true, within: bodies)
    }

    func received(_ bytes: Int) { bytesReceived.wrappingAdd(UInt64(max(bytes, 0)), ordering: .relaxed) }
    func sent(_ bytes: Int) { bytesSent.wrappingAdd(UInt64(max(bytes, 0)), ordering: .relaxed) }
    func refused() { headsRefused.wrappingAdd(1, ordering: .relaxed) }
}

/// Requests by service, operation and status, with a latency histogram; read at `/_martlet/metrics`.
public final class GatewayMetrics: Sendable {
    /// One operation's numbers. The set of series is bounded by the models' operations, since names that are not in a
    /// model are counted under one.
    final class Series: Sendable {
        let service: String
        let operation: String
        private let state = Mutex(Numbers())

        struct Numbers: Sendable {
            /// By status; a service answers a dozen different ones at most.
            var statuses: [(status: Int, count: UInt64)] = []
            var buckets = [UInt64](repeating: 0, count: GatewayMetrics.bucketsMicroseconds.count + 1)
            var sumMicroseconds: UInt64 = 0
        }

        init(service: String, operation: String) {
            self.service = service
            self.operation = operation
        }

        func record(status: Int, microseconds: UInt64) {
            let bucket = GatewayMetrics.bucketsMicroseconds.firstIndex { microseconds <= $0 }
            state.withLock { numbers in
                if let index = numbers.statuses.firstIndex(where: { $0.status == status }) {
                    numbers.statuses[index].count += 1
                } else {
                    numbers.statuses.append((status, 1))
                }
                numbers.buckets[bucket ?? numbers.buckets.count - 1] += 1
                numbers.sumMicroseconds &+= microseconds
            }
        }

        var numbers: Numbers { state.withLock { $0 } }
    }

    /// Upper bounds of the histogram: 50 µs (a small read) to 30 s (a slow function).
    static let bucketsMicroseconds: [UInt64] = [
        50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
        2_500_000, 10_000_000, 30_000_000,
    ]

    private let all = Mutex<[Series]>([])
    private let extra = Mutex<[@Sendable () -> String]>([])

    public init() {}

    /// Adds lines of another room in Prometheus's text format; asked at every scrape, on a loop, so it must not block.
    public func addLines(_ lines: @escaping @Sendable () -> String) { extra.withLock { $0.append(lines) } }

    func series(service: String, operation: String) -> Series {
        let series = Series(service: service, operation: operation)
        all.withLock { $0.append(series) }
        return series
    }

    /// Prometheus text format 0.0.4.
    func text(counters: GatewayCounters, connections: Int) -> String {
        var out = ""
        func single(_ name: String, _ type: String, _ help: String, _ value: some BinaryInteger) {
            out += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n\(name) \(value)\n"
        }
        single("martlet_connections", "gauge", "Open connections.", connections)
        single(
            "martlet_websockets", "gauge", "Open WebSockets.", counters.webSockets.load(ordering: .relaxed))
        single("martlet_request_bodies_held_bytes", "gauge", "Request bodies in memory.", counters.bodies.bytes)
        single(
            "martlet_connections_accepted_total", "counter", "Connections accepted.",
            counters.connectionsAccepted.load(ordering: .relaxed))
        single(
            "martlet_connections_refused_total", "counter", "Connections over the limit.",
            counters.connectionsRefused.load(ordering: .relaxed))
        single(
            "martlet_malformed_requests_total", "counter", "Request heads that were refused or too slow.",
            counters.headsRefused.load(ordering: .relaxed))
        single(
            "martlet_request_body_bytes_total", "counter", "Bytes of request bodies.",
            counters.bytesReceived.load(ordering: .relaxed))
        single(
            "martlet_response_body_bytes_total", "counter", "Bytes of answers' bodies.",
            counters.bytesSent.load(ordering: .relaxed))
        let active = all.withLock { $0 }.map { ($0, $0.numbers) }.filter { !$0.1.statuses.isEmpty }
        out += "# HELP martlet_requests_total Requests answered.\n# TYPE martlet_requests_total counter\n"
        for (series, numbers) in active {
            for (status, count) in numbers.statuses {
                out +=
                    "martlet_requests_total{service=\"\(series.service)\",operation=\"\(series.operation)\","
                    + "status=\"\(status)\"} \(count)\n"
            }
        }
        out += "# HELP martlet_request_duration_seconds From the head to the start of the answer.\n"
        out += "# TYPE martlet_request_duration_seconds histogram\n"
        for (series, numbers) in active { out += GatewayMetrics.histogram(series, numbers) }
        for lines in extra.withLock({ $0 }) {
            let text = lines()
            out += text.hasSuffix("\n") || text.isEmpty ? text : text + "\n"
        }
        return out
    }

    private static func histogram(_ series: Series, _ numbers: Series.Numbers) -> String {
        let name = "martlet_request_duration_seconds"
        let labels = "service=\"\(series.service)\",operation=\"\(series.operation)\""
        var out = ""
        var total: UInt64 = 0
        for (index, count) in numbers.buckets.enumerated() {
            total += count
            let bound = index < bucketsMicroseconds.count ? "\(Double(bucketsMicroseconds[index]) / 1e6)" : "+Inf"
            out += "\(name)_bucket{\(labels),le=\"\(bound)\"} \(total)\n"
        }
        out += "\(name)_sum{\(labels)} \(Double(numbers.sumMicroseconds) / 1e6)\n"
        return out + "\(name)_count{\(labels)} \(total)\n"
    }
}
