import Contracts
import Logging
import NIOCore
import Platform
import Storage
import Synchronization
import Wire

/// One attempt at an event, and what is written down of it.
extension AsynchronousQueue {
    func attempt(_ item: DueItem, _ name: String) {
        guard let row = EventRow(encoded: item.payload) else {
            logger.error(
                "an asynchronous event cannot be read and is set aside",
                metadata: ["queue": "\(name)", "row": "\(item.id)"])
            conclude(item, name, row: nil, nil, [])
            return
        }
        let (invoker, directory) = state.withLock { ($0.invoker, $0.directory) }
        guard let invoker, let directory else { return }
        let event = row.event
        meter?.waited(event, until: time.now())
        Task {
            var settings = AsynchronousSettings()
            do {
                settings = try await directory.asynchronousSettings(
                    scope: event.scope, function: event.function, qualifier: event.qualifier)
                if retry.isExpired(event, settings, now: time.now()) {
                    return decide(Attempt(.expired), item, name, row, settings)
                }
                let function = try await directory.resolve(
                    scope: event.scope, function: event.function, qualifier: event.qualifier)
                state.withLock { $0.partitions[name]?.reserved = function.reservedConcurrency }
                if function.reservedConcurrency == 0 {
                    return decide(
                        Attempt(.zeroReservedConcurrency, error: .throttled(.reserved)), item, name, row, settings)
                }
                let (header, invocation) = TraceHeader.passing(function.functionARN, event.traceID ?? "")
                if invocation > TraceHeader.recursionLimit, !function.allowsRecursion {
                    return decide(
                        Attempt(.recursion, error: .recursiveInvocation, traceHeader: header), item, name, row, settings
                    )
                }
                let final = settings
                invoker.invoke(
                    function,
                    Invocation(
                        requestID: event.requestID, payload: ByteBuffer(bytes: event.payload),
                        invokedFunctionARN: event.invokedFunctionARN, traceID: header)
                ) { result in
                    self.decide(Attempt(result, traceHeader: header), item, name, row, final)
                }
            } catch {
                decide(Attempt(.failure(error), traceHeader: nil), item, name, row, settings)
            }
        }
    }

    private func decide(
        _ attempt: Attempt, _ item: DueItem, _ name: String, _ row: EventRow, _ settings: AsynchronousSettings
    ) {
        let now = time.now()
        let decision = retry.decide(
            attempt.outcome, progress: row.progress, acceptedAt: row.event.acceptedAt, settings: settings, now: now)
        let settlement = Settlement(
            event: row.event, settings: settings, attempt: attempt,
            invokeCount: row.progress.functionErrors + (attempt.result == nil ? 0 : 1), now: now)
        switch decision {
        case .done: conclude(item, name, row: row, decision, settlement.succeeded())
        case .retry: conclude(item, name, row: row, decision, [])
        case .discard(let reason):
            let deliveries = settlement.discarded(reason)
            var metadata: Logger.Metadata = [
                "queue": "\(name)", "reason": "\(reason.rawValue)", "requestId": "\(row.event.requestID)",
            ]
            if !deliveries.isEmpty { metadata["goesTo"] = "\(deliveries.map(\.target).joined(separator: ", "))" }
            logger.warning("asynchronous event discarded", metadata: metadata)
            meter?.dropped(row.event)
            conclude(item, name, row: row, decision, deliveries)
        }
    }

    /// Writes the end of an attempt down: the event goes, and what it leaves behind comes, in one transaction. What cannot
    /// be written is kept and written again, in the place that the attempt had: the function need not run again for it. Without
    /// a decision the event cannot be read and is set aside.
    private func conclude(
        _ item: DueItem, _ name: String, row: EventRow?, _ decision: AsynchronousRetry.Decision?,
        _ deliveries: [Delivery], isAgain: Bool = false
    ) {
        let outbox = outbox
        database.write { transaction in
            switch decision {
            case nil: _ = try Self.queue.setAside(item, in: transaction)
            case .done, .discard:
                // Not ours any more when its lease has ended: then whoever has it speaks for it.
                guard try Self.queue.complete(item, in: transaction) else { return }
                for delivery in deliveries { try outbox.send(delivery, in: transaction) }
            case .retry(let due, let progress):
                guard var row else { return }
                row.progress = progress
                _ = try Self.queue.reschedule(item, due: due, payload: row.encoded(), in: transaction)
            }
        } completion: { [self] result in
            if case .failure(let error) = result {
                if !isAgain {
                    logger.error("cannot write down an attempt", metadata: ["queue": "\(name)", "error": "\(error)"])
                }
                let isKept = keep { [weak self] in
                    self?.conclude(item, name, row: row, decision, deliveries, isAgain: true)
                }
                if isKept { return }
                // It stays held, and comes again at the next start.
            } else {
                state.withLock { state in
                    if let decision { state.counters.concluded(decision) } else { state.counters.unreadable += 1 }
                }
                if case .retry(let due, _) = decision { wake(name, at: due) }
            }
            finished(name, claims: false)
            pump(name)
        }
    }

    /// Calls `write` in a moment, or when the queue stops; false, and never, when it has stopped.
    private func keep(_ write: @escaping @Sendable () -> Void) -> Bool {
        let number: UInt64? = state.withLock { state in
            guard !state.isStopped else { return nil }
            state.lastUnwritten += 1
            state.unwritten[state.lastUnwritten] = write
            return state.lastUnwritten
        }
        guard let number else { return false }
        _ = time.schedule(at: time.now() + Limits.asynchronousRewrite) { [weak self] in
            self?.state.withLock { $0.unwritten.removeValue(forKey: number) }?()
        }
        return true
    }
}

/// How asynchronous events fared since the start.
struct AsynchronousCounters {
    var received: UInt64 = 0
    var unreadable: UInt64 = 0
    private var succeeded: UInt64 = 0
    private var retried: UInt64 = 0
    private var dropped: UInt64 = 0
    private var recursive: UInt64 = 0

    mutating func concluded(_ decision: AsynchronousRetry.Decision) {
        switch decision {
        case .done: succeeded += 1
        case .retry: retried += 1
        case .discard(let reason):
            dropped += 1
            if reason == .recursion { recursive += 1 }
        }
    }

    /// AWS's metrics in brackets.
    var metricLines: String {
        """
        # HELP martlet_async_events_received_total Asynchronous events accepted (AsyncEventsReceived).
        # TYPE martlet_async_events_received_total counter
        martlet_async_events_received_total \(received)
        # HELP martlet_async_events_succeeded_total Asynchronous events that their function handled.
        # TYPE martlet_async_events_succeeded_total counter
        martlet_async_events_succeeded_total \(succeeded)
        # HELP martlet_async_events_retried_total Attempts after which an asynchronous event waits for another.
        # TYPE martlet_async_events_retried_total counter
        martlet_async_events_retried_total \(retried)
        # HELP martlet_async_events_dropped_total Asynchronous events given up (AsyncEventsDropped).
        # TYPE martlet_async_events_dropped_total counter
        martlet_async_events_dropped_total \(dropped)
        # HELP martlet_recursive_invocations_dropped_total Of these, for recursion (RecursiveInvocationsDropped).
        # TYPE martlet_recursive_invocations_dropped_total counter
        martlet_recursive_invocations_dropped_total \(recursive)
        # HELP martlet_async_events_unreadable_total Asynchronous events that could not be read and were set aside.
        # TYPE martlet_async_events_unreadable_total counter
        martlet_async_events_unreadable_total \(unreadable)

        """
    }
}
