public import Contracts
import Logging
public import Platform
public import Storage
import Synchronization

/// API calls in CloudTrail's shape, on the default bus. A rule asks for them when its pattern names their detail-type: without
/// a trail there is nothing else that could turn them on.
extension EventBridgeService: APICallLog {
    public func wantsCalls(source: String, scope: AccountRegion) -> Bool {
        fanOut.interest.wants(source, scope) ?? true
    }

    public func record(_ call: APICall, in transaction: any WriteTransaction) throws {
        // On the writer nobody changes rules meanwhile; what an unfinished commit changes is forgotten after it.
        let mark = fanOut.interest.mark()
        guard try wants(call, since: mark, in: transaction) else { return }
        let bus = BusKey(nil, in: call.scope)
        let delivery = Delivery(
            id: Identifier.uuid(), target: bus.arn,
            principal: .service(
                name: "cloudtrail.amazonaws.com", sourceARN: bus.arn, sourceAccount: call.scope.account),
            payload: call.detail, createdAt: call.time,
            attributes: DeliveryAttributes(
                traceHeader: call.traceHeader,
                event: DeliveryAttributes.EventKind(
                    source: call.source, detailType: APICall.detailType, resources: [])),
            retry: DeliveryRetry(maximumAge: Limits.eventAge))
        try outbox.send(delivery, in: transaction)
    }

    public func record(_ call: APICall) {
        let fits = waitingCalls.withLock { waiting in
            guard waiting.count < Limits.waitingCalls else {
                waiting.dropped &+= 1
                return false
            }
            waiting.count += 1
            return true
        }
        guard fits else { return }
        Task { [self] in
            defer { waitingCalls.withLock { $0.count -= 1 } }
            do {
                let mark = fanOut.interest.mark()
                if fanOut.interest.wants(call.source, call.scope) == nil,
                    try await !database.read({ try self.wants(call, since: mark, in: $0) })
                {
                    return
                }
                try await database.write { try self.record(call, in: $0) }
            } catch {
                waitingCalls.withLock { $0.dropped &+= 1 }
                logger.warning("an API call could not be recorded", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Whether the bus has a rule for it; remembered for all calls.
    private func wants(_ call: APICall, since mark: UInt64, in transaction: any ReadTransaction) throws -> Bool {
        if let known = fanOut.interest.wants(call.source, call.scope) { return known }
        let index = try fanOut.indexes.index(of: BusKey(nil, in: call.scope), in: transaction)
        let sources = index.sources(of: APICall.detailType)
        fanOut.interest.keep(sources, of: call.scope, since: mark)
        return sources.contains(call.source) || sources.contains(nil)
    }

    /// For `/_martlet/metrics`: the calls that were lost because the store could not follow.
    public var metricLines: String {
        """
        # TYPE martlet_events_calls_dropped_total counter
        martlet_events_calls_dropped_total \(waitingCalls.withLock { $0.dropped })

        """
    }
}

/// Calls on their way to the store.
struct WaitingCalls {
    var count = 0
    var dropped: UInt64 = 0
}
