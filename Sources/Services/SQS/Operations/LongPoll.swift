import Contracts
import NIOCore
import Platform
import Storage
import Synchronization
import Wire

/// One ReceiveMessage from its first try to its answer.
final class LongPoll: Sendable {
    private struct State {
        var isClosed = false
        var number: WaitingMachine.Number?
        var deadline: Instant?
        var watches = false
        /// The queue, once it has waited: from then on each attempt follows a wake-up, which nobody else got.
        var awaited: String?
    }
    private struct Outcome: Sendable {
        var queue: Queue
        var messages: [StoredMessage]
        /// When there may be something for the next attempt, this one's or another's.
        var next: Instant?
        /// Nobody is to try before: as many messages as may be are in flight.
        var pause: Instant?
    }

    private let state = Mutex(State())
    private let address: QueueAddress
    private let plan: Receiving.Plan
    private let request: OperationRequest
    private var context: OperationContext { request.context }
    private let desk: Desk
    private let completion: OperationCompletion

    init(
        address: QueueAddress, plan: Receiving.Plan, request: OperationRequest, desk: Desk,
        completion: @escaping OperationCompletion
    ) {
        self.address = address
        self.plan = plan
        self.request = request
        self.desk = desk
        self.completion = completion
    }

    func attempt() {
        desk.database.write { [self] transaction -> Outcome? in
            // Nobody is there to take what would be received now.
            if state.withLock({ $0.isClosed }) { return nil }
            return try receive(in: transaction)
        } completion: { [self] result in
            switch result {
            case .failure(let error):
                // Not at once: what failed here may fail for all that wait.
                handOn(desk.time.now() + .milliseconds(Limits.retryMilliseconds))
                let (loop, completion) = (context.eventLoop, completion)
                loop.execute { completion(.failure(error)) }
            case .success(nil):
                handOn(desk.time.now())
                answer([], nil)
            case .success(let outcome?):
                if outcome.messages.isEmpty, wait(outcome) { return }
                if let next = outcome.next { desk.waiting.arrived(outcome.queue.arn, next) }
                answer(outcome.messages, outcome.queue)
            }
        }
    }

    private func receive(in transaction: any WriteTransaction) throws -> Outcome {
        let queue = try desk.queue(address, request, action: "ReceiveMessage", in: transaction)
        let wait = plan.wait ?? queue.attributes.receiveWaitSeconds
        if let attempt = plan.attempt, !queue.isFIFO {
            throw AWSError.invalid(
                attempt, for: "ReceiveRequestAttemptId",
                "The request include parameter that is not valid for this queue type.")
        }
        let now = desk.time.now()
        let messages = try desk.mailbox.receive(
            Mailbox.ReceiveRequest(
                maximum: plan.maximum, timeout: plan.timeout, attempt: plan.attempt, failsAtLimit: wait == 0),
            from: queue, now: now, in: transaction)
        var outcome = Outcome(queue: queue, messages: messages)
        guard messages.isEmpty else {
            // One wake-up may stand for many messages: who takes some tells the next in line when there is more.
            if desk.waiting.isAwaited(queue.arn) {
                outcome.next = try desk.mailbox.nextReceivable(queue, in: transaction)
            }
            return outcome
        }
        guard wait > 0 else { return outcome }
        // A time in the past that brought nothing now must not turn into a spin. At the limit of messages in flight each
        // attempt counts them all.
        if desk.mailbox.inFlight.isAtLimit(queue.id) {
            outcome.pause = now + .seconds(Limits.retryAtLimitSeconds)
        }
        let earliest = outcome.pause ?? now + .milliseconds(Limits.retryMilliseconds)
        outcome.next = try desk.mailbox.nextReceivable(queue, in: transaction).map { max($0, earliest) }
        return outcome
    }

    /// Leaves a wake-up that this receive does not use to the next in line.
    private func handOn(_ at: Instant) {
        guard let arn = state.withLock({ $0.awaited }) else { return }
        desk.waiting.arrived(arn, at)
    }

    /// Gets in line, if there is time left to wait; on the writer's thread.
    private func wait(_ outcome: Outcome) -> Bool {
        let seconds = plan.wait ?? outcome.queue.attributes.receiveWaitSeconds
        guard seconds > 0 else { return false }
        let now = desk.time.now()
        let deadline = state.withLock { state in
            let deadline = state.deadline ?? now + .seconds(seconds)
            state.deadline = deadline
            state.awaited = outcome.queue.arn
            return deadline
        }
        guard now < deadline else { return false }
        let waiting = WaitingReceives.Waiting(
            retry: { self.attempt() }, expire: { self.answer([], outcome.queue) })
        guard
            let number = desk.waiting.wait(
                queue: outcome.queue.arn, deadline: deadline, next: outcome.next, pause: outcome.pause, waiting)
        else { return false }
        let (isClosed, mustWatch) = state.withLock { state in
            state.number = number
            defer { state.watches = true }
            return (state.isClosed, !state.watches)
        }
        if isClosed { closed() }
        if mustWatch { context.closed.whenComplete { [weak self] _ in self?.closed() } }
        return true
    }

    /// The client is gone.
    func closed() {
        let number = state.withLock { state in
            state.isClosed = true
            defer { state.number = nil }
            return state.number
        }
        if let number, desk.waiting.cancel(number) { answer([], nil) }
    }

    private func answer(_ messages: [StoredMessage], _ queue: Queue?) {
        let (plan, handles, completion) = (plan, desk.handles, completion)
        context.eventLoop.execute {
            var output = Model.ReceiveMessageResult()
            if let queue, !messages.isEmpty {
                output.messages = messages.map { ReceivedMessage.shape($0, of: queue, plan, handles) }
            }
            completion(.success(OperationResponse(output.value)))
        }
    }
}
