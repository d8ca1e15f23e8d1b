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
        if let isWanted = fanOut.interest.wants(call.source, call.scope) {
            guard isWanted else { return }
        } else {
            let mark = fanOut.interest.mark()
            let sources = try sources(call.scope, in: transaction)
            // Others share this commit, and may have changed rules: what it undoes was never so.
            transaction.afterCommit { [interest = fanOut.interest] in
                interest.keep(sources, of: call.scope, since: mark)
            }
            guard CallInterest.wants(call.source, sources) else { return }
        }
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
                // Mostly nobody does, and a snapshot is enough to know.
                guard try await wants(call) else { return }
                try await database.write { try self.record(call, in: $0) }
            } catch {
                waitingCalls.withLock { $0.dropped &+= 1 }
                logger.warning("an API call could not be recorded", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Whether the bus has a rule for it; remembered for all calls.
    private func wants(_ call: APICall) async throws -> Bool {
        if let known = fanOut.interest.wants(call.source, call.scope) { return known }
        let mark = fanOut.interest.mark()
        let sources = try await database.read { try self.sources(call.scope, in: $0) }
        fanOut.interest.keep(sources, of: call.scope, since: mark)
        return CallInterest.wants(call.source, sources)
    }

    /// The sources whose calls the default bus's rules ask for.
    private func sources(_ scope: AccountRegion, in transaction: any ReadTransaction) throws -> CallInterest.Sources {
        try fanOut.indexes.index(of: BusKey(nil, in: scope), in: transaction).sources(of: APICall.detailType)
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
