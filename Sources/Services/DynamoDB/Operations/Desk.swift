import Contracts
import NIOCore
import Platform
import Policies
import Storage
import Wire

/// What every operation is made of.
struct Desk: Sendable {
    let database: any Database
    let time: any TimeSource
    let directory: TableDirectory
    let access: Access
    let changes: ChangeLog
    let keeper: ItemKeeper
    let jobs: Jobs
    let iterators: ShardIterators

    /// The table of a request, which the caller may do `action` to. `error`: for a table that is not there. `resource`
    /// of it that is used, e.g. an index's ARN. `use`: see `Access`.
    func table(
        _ address: TableAddress, _ caller: some Caller, _ action: String, index: String? = nil,
        since mark: TableDirectory.Mark? = nil, otherwise error: AWSError = .noResource,
        use: ((Table) -> ItemUse)? = nil, in transaction: any ReadTransaction
    ) throws -> Table {
        guard let table = try directory.find(address.scope, address.name, since: mark, in: transaction) else {
            // Who may not ask does not learn what there is.
            try access.check(
                caller, action, resource: Table.arn(address.scope, address.name), account: address.scope.account,
                in: transaction)
            throw error
        }
        try access.check(
            caller, action, on: table, resource: index.map { table.arn + "/index/" + $0 }, use: use, in: transaction)
        return table
    }

    /// A read of one table, on a snapshot.
    func read<T: Sendable>(
        _ request: OperationRequest, _ action: String, index: String? = nil, otherwise error: AWSError? = nil,
        use: (@Sendable (Table) -> ItemUse)? = nil,
        _ body: @escaping @Sendable (Table, any ReadTransaction) throws -> T
    ) async throws -> T {
        let context = request.context
        let address = try TableAddress(request.input["TableName"]?.string, context.scope)
        let mark = directory.mark()
        return try await database.read { transaction in
            let table = try self.table(
                address, context, action, index: index, since: mark, otherwise: error ?? .noResource,
                use: use, in: transaction)
            return try body(table, transaction)
        }
    }

    /// A change of a table itself. Time is taken when the transaction runs, so that it grows from one to the next.
    func change<T: Sendable>(
        _ request: OperationRequest, _ action: String,
        _ body: @escaping @Sendable (inout Table, Instant, any WriteTransaction) throws -> T
    ) async throws -> T {
        let context = request.context
        let address = try TableAddress(request.input["TableName"]?.string, context.scope)
        return try await change(address, context, action, body)
    }

    func change<T: Sendable>(
        _ address: TableAddress, _ caller: some Caller, _ action: String,
        _ body: @escaping @Sendable (inout Table, Instant, any WriteTransaction) throws -> T
    ) async throws -> T {
        try await database.write { transaction in
            _ = try self.table(address, caller, action, otherwise: .noTable(address.name), in: transaction)
            // The row itself: what readers have cached may be from before a change in the same commit.
            guard var table = try TableStore.get(address.scope, address.name, in: transaction) else {
                throw AWSError.noTable(address.name)
            }
            let result = try body(&table, time.now(), transaction)
            try TableStore.update(table, in: transaction)
            directory.forget(table, in: transaction)
            return result
        }
    }

    /// For hot paths: one transaction on one table without a task. The answer is made on the connection's loop, off the
    /// writer's thread.
    func write<T: Sendable>(
        _ request: OperationRequest, _ action: String, _ completion: @escaping OperationCompletion,
        use: @escaping @Sendable (Table) -> ItemUse,
        _ body: @escaping @Sendable (Table, Instant, any WriteTransaction) throws -> T,
        answer: @escaping @Sendable (T) -> OperationResponse
    ) {
        let context = request.context
        let address: TableAddress
        do throws(AWSError) {
            address = try TableAddress(request.input["TableName"]?.string, context.scope)
        } catch {
            return completion(.failure(error))
        }
        database.write { transaction in
            let table = try self.table(
                address, context, action, use: use, in: transaction)
            return try body(table, time.now(), transaction)
        } completion: { result in
            context.eventLoop.execute { completion(result.map(answer)) }
        }
    }

    /// Legacy parameters are refused by name. Throws ValidationException.
    static func refuse(_ parameters: [String], in input: Value) throws(AWSError) {
        for name in parameters {
            if let value = input[name], !value.isNull { throw .legacy(name) }
        }
    }
}
