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
    let directory: any FunctionDirectory
    let invoker: any FunctionInvoker
    let time: any TimeSource
    let machineConcurrency: Int
    let logger: Logger
    let counters = Counters()
    let memory = MemoryBudget(limit: Limits.heldBytes)

    init(
        database: any Database, mappings: any EventSourceMappings, queues: any QueueSource,
        directory: any FunctionDirectory, invoker: any FunctionInvoker, time: any TimeSource, machineConcurrency: Int,
        logger: Logger
    ) {
        self.database = database
        self.mappings = mappings
        self.queues = queues
        self.directory = directory
        self.invoker = invoker
        self.time = time
        self.machineConcurrency = machineConcurrency
        self.logger = logger
    }
}

/// How much of messages is held at the same time, by all mappings.
final class MemoryBudget: Sendable {
    private let limit: Int
    private let held = Atomic<Int>(0)

    init(limit: Int) { self.limit = limit }

    var isExhausted: Bool { held.load(ordering: .relaxed) >= limit }
    func take(_ bytes: Int) { held.add(bytes, ordering: .relaxed) }
    func give(_ bytes: Int) { held.subtract(bytes, ordering: .relaxed) }
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

    func lines(mappings: Int) -> String {
        var text = """
            # HELP martlet_event_source_mappings Mappings that poll.
            # TYPE martlet_event_source_mappings gauge
            martlet_event_source_mappings \(mappings)

            """
        for (name, help, counter) in [
            ("messages", "Messages received by mappings.", messages),
            ("filtered", "Messages that filters dropped.", filtered),
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
