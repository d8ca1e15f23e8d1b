import Contracts
import NIOCore
import Platform
import Storage
import Wire

/// What every operation of SQS is made of.
struct Desk: Sendable {
    let database: any Database
    let time: any TimeSource
    let directory: QueueDirectory
    let mailbox: Mailbox
    let waiting: WaitingReceives
    let access: Access
    let handles: ReceiptHandles

    /// The queue of a request, which the caller may do `action` to. Throws NonExistentQueue, AccessDenied.
    func queue(
        _ address: QueueAddress, _ request: OperationRequest, action: String, in transaction: any ReadTransaction
    ) throws -> Queue {
        let context = request.context
        let scope = AccountRegion(account: address.account, region: context.scope.region)
        guard let queue = try directory.find(scope, address.name, in: transaction) else {
            throw AWSError.noQueue(forQuery: context.isQuery)
        }
        try access.check(request, action, on: queue, in: transaction)
        return queue
    }

    /// For hot paths: one transaction without a task. The answer is made on the connection's loop, off the writer's thread.
    /// Time is taken when the transaction runs, so that it grows from one to the next.
    func write<T: Sendable>(
        _ request: OperationRequest, queue url: String?, action: String, _ completion: @escaping OperationCompletion,
        _ body: @escaping @Sendable (Queue, Instant, any WriteTransaction) throws -> T,
        answer: @escaping @Sendable (T) -> Value
    ) {
        let context = request.context
        let address: QueueAddress
        do throws(AWSError) {
            address = try QueueAddress(url, context)
        } catch {
            return completion(.failure(error))
        }
        database.write { transaction in
            let queue = try self.queue(address, request, action: action, in: transaction)
            return try body(queue, time.now(), transaction)
        } completion: { result in
            context.eventLoop.execute { completion(result.map { OperationResponse(answer($0)) }) }
        }
    }

    /// As the hot `write`, for the others.
    func write<T: Sendable>(
        _ request: OperationRequest, queue url: String?, action: String,
        _ body: @escaping @Sendable (Queue, Instant, any WriteTransaction) throws -> T
    ) async throws -> T {
        let context = request.context
        let address = try QueueAddress(url, context)
        return try await database.write { transaction in
            let queue = try self.queue(address, request, action: action, in: transaction)
            return try body(queue, time.now(), transaction)
        }
    }

    func read<T: Sendable>(
        _ request: OperationRequest, queue url: String?, action: String,
        _ body: @escaping @Sendable (Queue, Instant, any ReadTransaction) throws -> T
    ) async throws -> T {
        let context = request.context
        let address = try QueueAddress(url, context)
        return try await database.read { transaction in
            let queue = try self.queue(address, request, action: action, in: transaction)
            return try body(queue, time.now(), transaction)
        }
    }

    /// A receipt handle of this queue. Throws `ReceiptHandleIsInvalid`.
    func handle(_ text: String?, of queue: Queue) throws(AWSError) -> ReceiptHandle {
        guard let text, !text.isEmpty else { throw .missing("ReceiptHandle") }
        guard let handle = handles.read(text), handle.queue == queue.id else { throw .invalidHandle(text) }
        return handle
    }
}

extension OperationContext {
    /// The query protocol has no target header.
    var isQuery: Bool { header("x-amz-target") == nil }

    /// `SenderId`: the account, or a role's id with the session's name.
    var sender: String { Sender.id(principal) }
}

enum Sender {
    static func id(_ principal: Principal) -> String {
        switch principal {
        case .account(let account): return account
        case .roleSession(let role, let session, _): return roleID(role) + ":" + session
        case .service(let name, _, _): return name
        case .anonymous: return "anonymous"
        }
    }

    /// An id that is the same for the same role, in IAM's form.
    private static func roleID(_ arn: String) -> String {
        var state: UInt64 = 0xcbf2_9ce4_8422_2325
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
        var id = "AROA"
        for round in 0..<17 {
            for byte in arn.utf8 { state = (state ^ UInt64(byte) ^ UInt64(round)) &* 0x100_0000_01b3 }
            id.append(letters[Int(state >> 40 & 31)])
        }
        return id
    }
}

/// What paged lists have in common; a token holds the last name.
enum Paging {
    static func after(_ token: String?) throws(AWSError) -> String {
        guard let token, !token.isEmpty else { return "" }
        guard let name = PageToken.decodeText(token) else { throw .invalidToken }
        return name
    }

    static func limit(_ maximum: Int?) throws(AWSError) -> Int {
        guard let maximum else { return Limits.listPage }
        guard (1...Limits.listPage).contains(maximum) else {
            throw .invalid(
                String(maximum), for: "MaxResults", "MaxResults must be an integer between 1 and 1000.")
        }
        return maximum
    }
}
