import Platform
import Storage
import Wire

/// A repository's name in its account and Region.
struct RepositoryKey: Sendable, Hashable {
    var scope: AccountRegion
    var name: String

    var arn: String { "arn:aws:codecommit:\(scope.region):\(scope.account):\(name)" }

    init(scope: AccountRegion, name: String) {
        self.scope = scope
        self.name = name
    }

    init?(arn text: String) {
        guard let arn = ARN(text), arn.service == "codecommit" else { return nil }
        self.init(scope: AccountRegion(account: arn.account, region: arn.region), name: arn.resource)
    }

    /// As the first parameters of every statement.
    var values: [SQLValue] { [.text(scope.account), .text(scope.region), .text(name)] }
}

struct Repository: Sendable {
    var key: RepositoryKey
    /// A UUID; also the name of its directory, so that no name of a client's is ever part of a path.
    let id: String
    var created: Instant
    var modified: Instant
    var description: String?
    /// Without `refs/heads/`.
    var defaultBranch: String?
    var encryptionKey: String?
    var tags: Fields = [:]
    var triggers: [Trigger] = []
    var triggersID: String?

    init(key: RepositoryKey, id: String, created: Instant) {
        self.key = key
        self.id = id
        self.created = created
        modified = created
    }

    fileprivate init(_ row: any Row) {
        key = RepositoryKey(scope: AccountRegion(account: row.text(0), region: row.text(1)), name: row.text(2))
        id = row.text(3)
        modified = Instant(nanoseconds: row.int(4))
        let fields = (try? JSON.parse(row.blob(5)))?.fields ?? [:]
        created = Instant(nanoseconds: fields["created"]?.int ?? 0)
        description = fields["description"]?.string
        defaultBranch = fields["defaultBranch"]?.string
        encryptionKey = fields["encryptionKey"]?.string
        tags = fields["tags"]?.fields ?? [:]
        triggers = (fields["triggers"]?.list ?? []).compactMap { Trigger($0) }
        triggersID = fields["triggersID"]?.string
    }

    fileprivate var document: [UInt8] {
        var fields: Fields = ["created": .int(created.nanoseconds), "tags": .map(tags)]
        if let description { fields["description"] = .string(description) }
        if let defaultBranch { fields["defaultBranch"] = .string(defaultBranch) }
        if let encryptionKey { fields["encryptionKey"] = .string(encryptionKey) }
        if let triggersID { fields["triggersID"] = .string(triggersID) }
        if !triggers.isEmpty { fields["triggers"] = .list(triggers.map(\.value)) }
        return JSON.encode(.map(fields))
    }
}

enum RepositoryTable {
    private static let columns = "account, region, name, id, modified, document"

    static func get(_ key: RepositoryKey, in transaction: any ReadTransaction) throws -> Repository? {
        try transaction.first(
            "SELECT \(columns) FROM codecommit_repository WHERE account = ? AND region = ? AND name = ?", key.values,
            Repository.init)
    }

    static func get(id: String, in transaction: any ReadTransaction) throws -> Repository? {
        try transaction.first(
            "SELECT \(columns) FROM codecommit_repository WHERE id = ?", [.text(id)], Repository.init)
    }

    /// Throws RepositoryDoesNotExistException.
    static func require(_ key: RepositoryKey, in transaction: any ReadTransaction) throws -> Repository {
        guard let repository = try get(key, in: transaction) else { throw AWSError.noRepository(key.name) }
        return repository
    }

    static func insert(_ repository: Repository, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "INSERT INTO codecommit_repository (\(columns)) VALUES (?, ?, ?, ?, ?, ?)",
            repository.key.values + [
                .text(repository.id), .int(repository.modified.nanoseconds), .blob(repository.document),
            ])
    }

    /// Writes all of the row with this id, its name too.
    static func update(_ repository: Repository, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE codecommit_repository SET name = ?, modified = ?, document = ? WHERE id = ?",
            [
                .text(repository.key.name), .int(repository.modified.nanoseconds), .blob(repository.document),
                .text(repository.id),
            ])
    }

    /// Removes the repository; its directory is trash from then on.
    static func delete(_ repository: Repository, in transaction: any WriteTransaction) throws {
        let id: [SQLValue] = [.text(repository.id)]
        try transaction.execute("DELETE FROM codecommit_repository WHERE id = ?", id)
        try transaction.execute("DELETE FROM codecommit_ref WHERE repository = ?", id)
        try transaction.execute("DELETE FROM codecommit_push WHERE repository = ?", id)
        try transaction.execute("INSERT INTO codecommit_trash (id) VALUES (?)", id)
    }

    static func count(_ scope: AccountRegion, in transaction: any ReadTransaction) throws -> Int64 {
        try transaction.first(
            "SELECT COUNT(*) FROM codecommit_repository WHERE account = ? AND region = ?",
            [.text(scope.account), .text(scope.region)], { $0.int(0) }) ?? 0
    }

    struct Listed: Sendable {
        var name: String
        var id: String
        var modified: Int64
    }

    private static let listed = "SELECT name, id, modified FROM codecommit_repository WHERE account = ? AND region = ?"

    /// By name, after or before one.
    static func list(
        _ scope: AccountRegion, from name: String?, descending: Bool, limit: Int, in transaction: any ReadTransaction
    ) throws -> [Listed] {
        let scoped: [SQLValue] = [.text(scope.account), .text(scope.region)]
        let end: [SQLValue] = [.int(Int64(limit))]
        func read(_ row: any Row) -> Listed { Listed(name: row.text(0), id: row.text(1), modified: row.int(2)) }
        if descending {
            guard let name else {
                return try transaction.query(listed + " ORDER BY name DESC LIMIT ?", scoped + end, read)
            }
            return try transaction.query(
                listed + " AND name < ? ORDER BY name DESC LIMIT ?", scoped + [.text(name)] + end, read)
        }
        return try transaction.query(
            listed + " AND name > ? ORDER BY name LIMIT ?", scoped + [.text(name ?? "")] + end, read)
    }

    /// By the time of the last change, after or before one.
    static func listByTime(
        _ scope: AccountRegion, from last: (modified: Int64, name: String)?, descending: Bool, limit: Int,
        in transaction: any ReadTransaction
    ) throws -> [Listed] {
        let scoped: [SQLValue] = [.text(scope.account), .text(scope.region)]
        let end: [SQLValue] = [.int(Int64(limit))]
        func read(_ row: any Row) -> Listed { Listed(name: row.text(0), id: row.text(1), modified: row.int(2)) }
        let mark = last ?? (descending ? (Int64.max, "") : (Int64.min, ""))
        let from: [SQLValue] = [.int(mark.modified), .text(mark.name)]
        if descending {
            return try transaction.query(
                listed + " AND (modified, name) < (?, ?) ORDER BY modified DESC, name DESC LIMIT ?",
                scoped + from + end, read)
        }
        return try transaction.query(
            listed + " AND (modified, name) > (?, ?) ORDER BY modified, name LIMIT ?", scoped + from + end, read)
    }
}

/// References as they were announced last.
enum ReferenceTable {
    static func target(_ repository: String, _ name: String, in transaction: any ReadTransaction) throws -> String? {
        try transaction.first(
            "SELECT target FROM codecommit_ref WHERE repository = ? AND name = ?", [.text(repository), .text(name)],
            { $0.text(0) })
    }

    static func all(_ repository: String, in transaction: any ReadTransaction) throws -> [FullName: String] {
        let rows = try transaction.query(
            "SELECT name, target FROM codecommit_ref WHERE repository = ?", [.text(repository)],
            { (FullName($0.text(0)), $0.text(1)) })
        return Dictionary(rows) { first, _ in first }
    }

    static func set(
        _ repository: String, _ name: String, _ target: String?, in transaction: any WriteTransaction
    ) throws {
        guard let target else {
            try transaction.execute(
                "DELETE FROM codecommit_ref WHERE repository = ? AND name = ?", [.text(repository), .text(name)])
            return
        }
        try transaction.execute(
            """
            INSERT INTO codecommit_ref (repository, name, target) VALUES (?, ?, ?)
            ON CONFLICT (repository, name) DO UPDATE SET target = excluded.target
            """, [.text(repository), .text(name), .text(target)])
    }

    /// Names of branches after one, without `refs/heads/`, in order.
    static func branches(
        _ repository: String, after: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [String] {
        try transaction.query(
            "SELECT name FROM codecommit_ref WHERE repository = ? AND name > ? AND name < ? ORDER BY name LIMIT ?",
            [
                .text(repository), .text(ReferenceName.heads + after), .text("refs/heads0"), .int(Int64(limit)),
            ], { ReferenceName.branch($0.text(0)) ?? "" })
    }
}

/// Pushes that may have moved references without their events being recorded.
enum PushTable {
    static func insert(
        _ push: String, repository: String, caller: String, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "INSERT INTO codecommit_push (id, repository, caller) VALUES (?, ?, ?)",
            [.text(push), .text(repository), .text(caller)])
    }

    static func delete(_ push: String, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM codecommit_push WHERE id = ?", [.text(push)])
    }

    static func all(in transaction: any ReadTransaction) throws -> [(id: String, repository: String, caller: String)] {
        try transaction.query(
            "SELECT id, repository, caller FROM codecommit_push ORDER BY id", [],
            { ($0.text(0), $0.text(1), $0.text(2)) })
    }
}
