public import Contracts
public import Logging
public import Platform
public import Storage
import Synchronization

/// Runs event source mappings: polls their sources, invokes their functions, and concludes what was handled.
public final class EventSources: EventSourceRunner {
    private struct State {
        var running: [String: any RunningMapping] = [:]
        /// The newest revision known of each mapping: changes may come twice at start.
        var revisions: [String: Int64] = [:]
        var isStarted = false
        var isStopped = false
        /// What still runs at the stop is given back.
        var isGraceOver = false
    }

    private let room: EventSourceRoom
    private let state = Mutex(State())

    /// The store's tables of this room: how far the shards of streams are done.
    public static let migrations = Migrations(service: "eventsources", steps: [CheckpointTable.migration])

    /// `machineConcurrency`: executions that this machine can run at the same time. `outbox`: takes the records of batches that
    /// are given up. `timeScale` divides the waits between tries of a failed batch (development); 1 is the real timing.
    public convenience init(
        database: any Database, mappings: any EventSourceMappings, queues: any QueueSource,
        streams: [any StreamSource] = [], outbox: (any DeliveryOutbox)? = nil, directory: any FunctionDirectory,
        invoker: any FunctionInvoker, time: any TimeSource, timeScale: Double = 1, machineConcurrency: Int,
        logger: Logger
    ) {
        self.init(
            EventSourceRoom(
                database: database, mappings: mappings, queues: queues, streams: streams, outbox: outbox,
                directory: directory, invoker: invoker, time: time, timeScale: timeScale,
                machineConcurrency: machineConcurrency, logger: logger))
    }

    init(_ room: EventSourceRoom) {
        self.room = room
        room.relief.withLock { $0 = { [weak self] in self?.relieve() } }
    }

    /// Makes known who takes Lambda's metric IteratorAge.
    public func register(metrics sink: any MetricSink) { room.sink.withLock { $0 = sink } }

    private func relieve() {
        let all = state.withLock { Array($0.running.values) }
        for mapping in all { mapping.relieve() }
    }

    /// Takes up the mappings of an earlier run, also those that were passing through a state.
    public func start() async throws {
        var last: String?
        while true {
            let page = try await room.mappings.activeMappings(after: last, limit: Limits.mappingsPerPage)
            for mapping in page { mappingChanged(mapping) }
            guard page.count == Limits.mappingsPerPage, let end = page.last else { break }
            last = end.id
        }
    }

    /// Gives back what has not started, lets running batches end for as long as `grace`, then gives those back too, and
    /// returns when all of it is written down.
    public func stop(grace: Duration) async {
        let all = state.withLock { state in
            state.isStopped = true
            return Array(state.running.values)
        }
        let end = room.time.schedule(at: room.time.now() + grace) { [self] in
            state.withLock { $0.isGraceOver = true }
            for mapping in all { mapping.abandon() }
        }
        defer { end.cancel() }
        await withTaskGroup(of: Void.self) { group in
            for mapping in all {
                group.addTask { [self] in
                    await withCheckedContinuation { continuation in
                        mapping.stop(nil) { continuation.resume() }
                        // The grace may have ended before this task began.
                        if state.withLock({ $0.isGraceOver }) { mapping.abandon() }
                    }
                    mapping.close()
                }
            }
        }
    }

    // MARK: EventSourceRunner

    public func mappingChanged(_ mapping: EventSourceMapping) {
        enum Step {
            case nothing
            case settle
            case start(any RunningMapping)
            case change(any RunningMapping)
            case stop(any RunningMapping)
        }
        let step: Step = state.withLock { state in
            guard !state.isStopped else { return .nothing }
            if let known = state.revisions[mapping.id], known >= mapping.revision { return .nothing }
            state.revisions[mapping.id] = mapping.revision
            let running = state.running[mapping.id]
            guard mapping.isEnabled, mapping.state != .deleting else {
                guard let running else {
                    state.revisions[mapping.id] = nil
                    return .settle
                }
                return .stop(running)
            }
            if let running { return .change(running) }
            let new: any RunningMapping =
                mapping.stream == nil ? QueueMapping(mapping, room: room) : StreamMapping(mapping, room: room)
            state.running[mapping.id] = new
            return .start(new)
        }
        switch step {
        case .nothing: break
        case .settle: settle(mapping)
        case .start(let new): new.start { [self] in settle(mapping) }
        case .change(let running):
            running.change(mapping)
            settle(mapping)
        case .stop(let running):
            running.stop(mapping) { [self] in
                forget(mapping)
                settle(mapping)
            }
        }
    }

    /// Its pollers have ended. If it was enabled again meanwhile, there is a later revision and it stays.
    private func forget(_ mapping: EventSourceMapping) {
        let ended = state.withLock { state -> (any RunningMapping)? in
            guard state.revisions[mapping.id] == mapping.revision else { return nil }
            state.revisions[mapping.id] = nil
            return state.running.removeValue(forKey: mapping.id)
        }
        ended?.close()
    }

    private func settle(_ mapping: EventSourceMapping) {
        guard !mapping.state.isSettled else { return }
        Task { [self] in
            do {
                if mapping.state == .deleting, mapping.stream != nil {
                    try await room.database.write { try CheckpointTable.delete(mapping.id, in: $0) }
                }
                try await room.mappings.settle(mapping)
            } catch {
                room.logger.error(
                    "a mapping's state cannot be stored; trying again",
                    metadata: ["mapping": "\(mapping.id)", "error": "\(error)"])
                _ = room.time.schedule(at: room.time.now() + .seconds(1)) { [weak self] in self?.settle(mapping) }
            }
        }
    }

    // MARK: Metrics

    /// What the pollers are doing, in Prometheus's text format.
    public var metricLines: String {
        let count = state.withLock { $0.running.count }
        return room.counters.lines(mappings: count)
    }
}
