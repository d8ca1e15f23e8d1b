import Contracts
import Crypto
import NIOCore
import Platform
import Storage
import Wire

/// TransactWriteItems and TransactGetItems: all or nothing.
struct TransactionOperations: Sendable {
    let desk: Desk

    // MARK: Writing

    private struct Part: Sendable {
        var address: TableAddress
        var change: ItemRequest
    }

    /// Why one part of a transaction did not go; nil: it would have.
    private typealias Reason = AWSError?

    private struct Written: Sendable {
        var capacities = Capacities()
        var metrics: [(table: String, value: Value)] = []
    }

    func write(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        let input = request.input
        let context = request.context
        let parts: [Part]
        do throws(AWSError) {
            parts = try self.parts(input, context.scope)
        } catch {
            return completion(.failure(error))
        }
        let token = input["ClientRequestToken"]?.string.map { Token(text: $0, digest: Self.digest(input)) }
        desk.database.write { transaction in
            let now = desk.time.now()
            if let token, try token.isRepeated(context.scope, now: now, in: transaction) { return Written() }
            let written = try perform(parts, request, now: now, in: transaction)
            try token?.keep(context.scope, now: now, in: transaction)
            return written
        } completion: { result in
            context.eventLoop.execute {
                completion(
                    result.map { (written: Written) in
                        var answer = Answer()
                        answer.add(
                            "ConsumedCapacity", written.capacities.value(input["ReturnConsumedCapacity"]?.string))
                        if input["ReturnItemCollectionMetrics"]?.string == "SIZE", !written.metrics.isEmpty {
                            answer.add("ItemCollectionMetrics", CollectionMetrics.byTable(written.metrics))
                        }
                        return answer.response()
                    })
            }
        }
    }

    private func parts(_ input: Value, _ scope: AccountRegion) throws(AWSError) -> [Part] {
        let kinds: [(name: String, kind: ItemRequest.Kind)] = [
            ("ConditionCheck", .check), ("Put", .put), ("Delete", .delete), ("Update", .update),
        ]
        var parts: [Part] = []
        var bytes = 0
        for item in input["TransactItems"]?.list ?? [] {
            let given = kinds.filter { item[$0.name].map { !$0.isNull } ?? false }
            guard given.count == 1, let (name, kind) = given.first, let content = item[name] else {
                throw .validation("TransactItems can only contain one of Check, Put, Update or Delete")
            }
            let change = try ItemRequest(kind, content)
            if case .put(let item) = change.action { bytes += item.size }
            parts.append(
                Part(address: try TableAddress(content["TableName"]?.string, scope), change: change))
        }
        guard bytes <= Limits.transactionBytes else { throw Self.tooLarge }
        return parts
    }

    private static let tooLarge = AWSError.validation(
        "The aggregate size of the items in the transaction must not exceed 4 MB")

    private func perform(
        _ parts: [Part], _ request: OperationRequest, now: Instant, in transaction: any WriteTransaction
    ) throws -> Written {
        var written = Written()
        var reasons: [Reason] = []
        var seen = Set<Seen>()
        var bytes = 0
        for part in parts {
            let table = try desk.table(
                part.address, request.context, part.change.permission,
                use: { part.change.use($0).of(request.input, enclosing: "TransactWriteItems") }, in: transaction)
            do {
                let key = try part.change.key(table)
                guard seen.insert(Seen(table: table.id, key: key)).inserted else { throw Self.repeated }
                let outcome = try part.change.perform(
                    on: table, key: key, keeper: desk.keeper, now: now, in: transaction)
                bytes += outcome.new?.size ?? outcome.old?.size ?? 0
                var capacity = outcome.capacity
                capacity.kind = .write
                capacity.double()
                written.capacities.add(capacity)
                if let item = outcome.new ?? outcome.old, let value = CollectionMetrics.value(table, item) {
                    written.metrics.append((table.name, value))
                }
                reasons.append(nil)
            } catch let error as AWSError where error != Self.repeated {
                reasons.append(error)
            }
        }
        guard reasons.allSatisfy({ $0 == nil }) else { throw Self.cancelled(reasons) }
        guard bytes <= Limits.transactionBytes else { throw Self.tooLarge }
        return written
    }

    private struct Seen: Hashable {
        var table: Int64
        var key: [UInt8]
    }

    private static let repeated = AWSError.validation(
        "Transaction request cannot include multiple operations on one item")

    private static func cancelled(_ reasons: [Reason]) -> AWSError {
        func code(_ reason: Reason) -> String {
            switch reason?.code {
            case nil: "None"
            case "ConditionalCheckFailedException": "ConditionalCheckFailed"
            case "ValidationException": "ValidationError"
            case let code?: code
            }
        }
        let list = reasons.map { reason -> Value in
            var fields: Fields = ["Code": .string(code(reason))]
            if let reason {
                fields["Message"] = .string(reason.message)
                fields["Item"] = reason.fields["Item"]
            }
            return .map(fields)
        }
        return AWSError(
            "TransactionCanceledException",
            "Transaction cancelled, please refer cancellation reasons for specific reasons ["
                + reasons.map(code).joined(separator: ", ") + "]", fields: ["CancellationReasons": .list(list)])
    }

    // MARK: Tokens

    /// A ClientRequestToken and what it was used for.
    private struct Token: Sendable {
        var text: String
        var digest: [UInt8]

        /// Throws IdempotentParameterMismatchException when it was used for something else.
        func isRepeated(_ scope: AccountRegion, now: Instant, in transaction: any ReadTransaction) throws -> Bool {
            let found = try transaction.first(
                "SELECT digest, expires FROM dynamodb_tokens WHERE account = ? AND region = ? AND token = ?",
                [.text(scope.account), .text(scope.region), .text(text)], { (digest: $0.blob(0), end: $0.int(1)) })
            guard let found, found.end > now.nanoseconds else { return false }
            guard found.digest == digest else {
                throw AWSError(
                    "IdempotentParameterMismatchException",
                    "DynamoDB rejected the request because you retried a request with a different payload but with an "
                        + "idempotent token that was already used.")
            }
            return true
        }

        func keep(_ scope: AccountRegion, now: Instant, in transaction: any WriteTransaction) throws {
            try transaction.execute(
                """
                INSERT INTO dynamodb_tokens (account, region, token, digest, expires) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (account, region, token) DO UPDATE SET digest = excluded.digest, expires = excluded.expires
                """,
                [
                    .text(scope.account), .text(scope.region), .text(text), .blob(digest),
                    .int((now + .seconds(Limits.tokenSeconds)).nanoseconds),
                ])
        }
    }

    private static func digest(_ input: Value) -> [UInt8] {
        Array(SHA256.hash(data: JSON.encode(input["TransactItems"] ?? .null)))
    }

    // MARK: Reading

    private struct Wanted: Sendable {
        var address: TableAddress
        var read: ItemRead
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        let wanted = try (input["TransactItems"]?.list ?? []).map { item throws(AWSError) -> Wanted in
            let content = item["Get"] ?? [:]
            return Wanted(
                address: try TableAddress(content["TableName"]?.string, request.context.scope),
                read: try ItemRead(content))
        }
        let mark = desk.directory.mark()
        let (items, capacities) = try await desk.database.read { transaction in
            try read(wanted, request, since: mark, in: transaction)
        }
        var answer = Answer()
        answer.add("Responses", responses: items)
        answer.add("ConsumedCapacity", capacities.value(input["ReturnConsumedCapacity"]?.string))
        return answer.response()
    }

    private func read(
        _ wanted: [Wanted], _ request: OperationRequest, since mark: TableDirectory.Mark,
        in transaction: any ReadTransaction
    ) throws -> ([Item?], Capacities) {
        var items: [Item?] = []
        var capacities = Capacities()
        var reasons: [Reason] = []
        var seen = Set<Seen>()
        var bytes = 0
        for one in wanted {
            let table = try desk.table(
                one.address, request.context, "GetItem", since: mark,
                use: { table in
                    ItemRead.use([one.read.key], one.read.projection, table)
                        .of(request.input, enclosing: "TransactGetItems")
                }, in: transaction)
            do {
                try table.key.check(key: one.read.key)
                let key = try table.key.bytes(one.read.key)
                guard seen.insert(Seen(table: table.id, key: key)).inserted else { throw Self.repeated }
                let item = try ItemStore.get(table.id, key, in: transaction)?.item
                bytes += item?.size ?? 0
                var capacity = Capacity(table, kind: .read)
                capacity.units = Capacity.read(item?.size ?? 0, consistent: true)
                capacity.double()
                capacities.add(capacity)
                items.append(item.map(one.read.project))
                reasons.append(nil)
            } catch let error as AWSError where error != Self.repeated {
                reasons.append(error)
            }
            guard bytes <= Limits.transactionBytes else { throw Self.tooLarge }
        }
        guard reasons.allSatisfy({ $0 == nil }) else { throw Self.cancelled(reasons) }
        return (items, capacities)
    }
}
