import Contracts
import Logging
import Platform
import Storage
import Synchronization

/// What all mappings share.
final class EventSourceRoom: Sendable {
    let database: any Database
    let mappings: any EventSourceMappings
    let queues: any QueueSource
    /// By the service part of their ARNs.
    let streams: [String: any StreamSource]
    let outbox: (any DeliveryOutbox)?
    let directory: any FunctionDirectory
    let invoker: any FunctionInvoker
    let time: any TimeSource
    let timeScale: Double
    let machineConcurrency: Int
    let logger: Logger
    let counters = Counters()
    let memory: MemoryBudget
    /// Who takes Lambda's metric IteratorAge.
    let sink = Mutex<(any MetricSink)?>(nil)
    /// Reads of shards.
    let reads = Slots(Limits.concurrentReads)
    /// Makes every mapping let go of what waits.
    let relief = Mutex<(@Sendable () -> Void)?>(nil)
    private let shortSince = Mutex<Instant?>(nil)

    init(
        database: any Database, mappings: any EventSourceMappings, queues: any QueueSource,
        streams: [any StreamSource] = [], outbox: (any DeliveryOutbox)? = nil, directory: any FunctionDirectory,
        invoker: any FunctionInvoker, time: any TimeSource, timeScale: Double = 1, machineConcurrency: Int,
        heldBytes: Int = Limits.heldBytes, logger: Logger
    ) {
        self.database = database
        self.mappings = mappings
        self.queues = queues
        self.streams = Dictionary(streams.map { ($0.arnService, $0) }, uniquingKeysWith: { first, _ in first })
        self.outbox = outbox
        self.directory = directory
        self.invoker = invoker
        self.time = time
        self.timeScale = timeScale
        self.machineConcurrency = machineConcurrency
        self.logger = logger
        memory = MemoryBudget(limit: heldBytes)
    }

    /// How old the last record of a batch is when its function gets it.
    func measure(iteratorAge age: Duration, of mapping: EventSourceMapping) {
        guard let sink = sink.withLock({ $0 }) else { return }
        let milliseconds = max(age.fractionalMilliseconds, 0)
        let sets: [[(name: String, value: String)]] = [
            [], [("FunctionName", mapping.function)],
            [("FunctionName", mapping.function), ("Resource", mapping.resource)],
        ]
        let now = time.now()
        sink.record(
            sets.map {
                MetricSample(
                    namespace: "AWS/Lambda", name: "IteratorAge", dimensions: $0, timestamp: now, value: milliseconds,
                    unit: "Milliseconds")
            }, scope: mapping.scope)
    }

    /// Whether there is room for more messages. If there has been none for a while, what waits makes room: those who hold it
    /// may wait for long, and others must not wait for them.
    func mayReceive(now: Instant) -> Bool {
        let isShort = memory.isExhausted
        let isLasting = shortSince.withLock { since in
            guard isShort else {
                since = nil
                return false
            }
            guard let first = since, now >= first + .milliseconds(Limits.memoryReliefMilliseconds) else {
                since = since ?? now
                return false
            }
            since = now
            return true
        }
        if isLasting { relief.withLock { $0 }?() }
        return !isShort
    }
}

/// How much of messages is held at the same time by all mappings: from their receipt to the end of their batch.
final class MemoryBudget: Sendable {
    private let limit: Int
    private let held = Atomic<Int>(0)

    init(limit: Int) { self.limit = limit }

    var isExhausted: Bool { held.load(ordering: .relaxed) >= limit }
    func take(_ bytes: Int) { held.add(bytes, ordering: .relaxed) }
    func give(_ bytes: Int) { held.subtract(bytes, ordering: .relaxed) }
    var count: Int { held.load(ordering: .relaxed) }
}

/// What one transaction brings, until its mapping counts it.
final class MemoryHold: Sendable {
    private let budget: MemoryBudget
    private let held = Atomic<Int>(0)

    init(_ budget: MemoryBudget) { self.budget = budget }

    var mayTake: Bool { !budget.isExhausted }

    func take(_ bytes: Int) {
        held.add(bytes, ordering: .relaxed)
        budget.take(bytes)
    }

    func end() { budget.give(held.exchange(0, ordering: .relaxed)) }
}

/// Counts since the start.
final class Counters: Sendable {
    final class Counter: Sendable {
        private let value = Atomic<Int>(0)
        func add(_ count: Int) { if count > 0 { value.add(count, ordering: .relaxed) } }
        var count: Int { value.load(ordering: .relaxed) }
    }

    let messages = Counter()
    let filtered = Counter()
    let circular = Counter()
    let invocations = Counter()
    let errors = Counter()
    let throttles = Counter()
    let givenUp = Counter()

    func lines(mappings: Int) -> String {
        var text = """
            # HELP martlet_event_source_mappings Mappings that poll.
            # TYPE martlet_event_source_mappings gauge
            martlet_event_source_mappings \(mappings)

            """
        for (name, help, counter) in [
            ("messages", "Messages and records received by mappings.", messages),
            ("filtered", "Messages and records that filters dropped.", filtered),
            ("given_up", "Records of streams that will not be tried any more.", givenUp),
            ("circular", "Messages stopped by recursion detection.", circular),
            ("invocations", "Batches that functions were invoked with.", invocations),
            ("errors", "Batches that failed.", errors),
            ("throttles", "Batches that were throttled or could not run.", throttles),
        ] {
            text += """
                # HELP martlet_event_source_\(name)_total \(help)
                # TYPE martlet_event_source_\(name)_total counter
                martlet_event_source_\(name)_total \(counter.count)

                """
        }
        return text
    }
}

extension EventSourceMapping {
    /// As the dimension Resource names the function.
    fileprivate var resource: String { qualifier == "$LATEST" ? function : "\(function):\(qualifier)" }
}
