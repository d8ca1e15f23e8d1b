public import Contracts
import Platform
import Storage
import Synchronization
import Wire

/// What runs mappings, and the queues and streams that they name.
struct EventSourceLinks: Sendable {
    var runner: any EventSourceRunner
    var queues: any QueueSource
    /// By the service part of their ARNs.
    var streams: [String: any StreamSource]
}

extension LambdaService {
    /// Introduces the runner of event source mappings, the queues and the streams; before the first request.
    public func connectEventSources(
        runner: any EventSourceRunner, queues: any QueueSource, streams: [any StreamSource] = []
    ) {
        let streams = Dictionary(streams.map { ($0.arnService, $0) }, uniquingKeysWith: { first, _ in first })
        eventSources.withLock { $0 = EventSourceLinks(runner: runner, queues: queues, streams: streams) }
    }

    /// Throws `Failure(.unavailable)` before `connectEventSources`.
    func eventSourceLinks() throws -> EventSourceLinks {
        guard let links = eventSources.withLock({ $0 }) else {
            throw Failure(.unavailable, "Lambda is not connected to the event sources yet")
        }
        return links
    }
}

extension LambdaService: EventSourceMappings {
    public func activeMappings(after id: String?, limit: Int) async throws -> [EventSourceMapping] {
        try await database.read { try MappingTable.active(after: id ?? "", limit: limit, in: $0).map(\.mapping) }
    }

    public func settle(_ mapping: EventSourceMapping) async throws {
        try await database.write { transaction in
            guard var record = try MappingTable.get(mapping.scope, mapping.id, in: transaction),
                record.revision == mapping.revision, !record.state.isSettled
            else { return }
            if record.state == .deleting {
                try MappingTable.delete(mapping.scope, mapping.id, in: transaction)
                return
            }
            record.state = record.isEnabled ? .enabled : .disabled
            try MappingTable.put(record, in: transaction)
        }
    }

    public func report(_ problem: String?, of mapping: EventSourceMapping) async throws {
        try await database.write { transaction in
            guard var record = try MappingTable.get(mapping.scope, mapping.id, in: transaction),
                record.problem != problem
            else { return }
            record.problem = problem
            try MappingTable.put(record, in: transaction)
        }
    }
}
