import Contracts
import Platform
import Storage
import Wire

enum Schema {
    /// `folded` is the name in lower case: IAM names are unique without regard to case.
    static let migrations = Migrations(
        service: "iam",
        steps: [
            """
            CREATE TABLE iam_role (
                account TEXT NOT NULL, folded TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL,
                trust_policy TEXT NOT NULL, attributes BLOB NOT NULL,
                PRIMARY KEY (account, folded)
            );
            CREATE TABLE iam_role_policy (
                account TEXT NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,
                PRIMARY KEY (account, role, name)
            );
            CREATE TABLE iam_policy (
                account TEXT NOT NULL, folded TEXT NOT NULL, arn TEXT NOT NULL, path TEXT NOT NULL,
                default_version BIGINT NOT NULL, last_version BIGINT NOT NULL, attributes BLOB NOT NULL,
                PRIMARY KEY (account, folded)
            );
            CREATE UNIQUE INDEX iam_policy_arn ON iam_policy (arn);
            CREATE TABLE iam_policy_version (
                policy TEXT NOT NULL, version BIGINT NOT NULL, document TEXT NOT NULL, created BIGINT NOT NULL,
                PRIMARY KEY (policy, version)
            );
            CREATE TABLE iam_attachment (
                account TEXT NOT NULL, role TEXT NOT NULL, policy TEXT NOT NULL, policy_name TEXT NOT NULL,
                PRIMARY KEY (account, role, policy)
            );
            CREATE INDEX iam_attachment_policy ON iam_attachment (policy);
            """,
            "CREATE TABLE iam_generation (id BIGINT NOT NULL PRIMARY KEY, value TEXT NOT NULL);",
            """
            CREATE TABLE iam_service_credential (
                account TEXT NOT NULL, id TEXT NOT NULL, user TEXT NOT NULL, service_user TEXT NOT NULL,
                created BIGINT NOT NULL, active BIGINT NOT NULL, password BLOB NOT NULL,
                PRIMARY KEY (account, id)
            );
            CREATE INDEX iam_service_credential_user ON iam_service_credential (account, user, id);
            CREATE INDEX iam_service_credential_name ON iam_service_credential (service_user);
            """,
        ])
}

/// The row of a role. What has no column of its own is in `attributes`, a JSON object.
struct RoleRow: Sendable {
    var account: String
    var name: String
    var path: String
    var trustPolicy: String
    var attributes: Fields

    var folded: String { name.lowercased() }
    var arn: String { "arn:aws:iam::\(account):role\(path)\(name)" }

    /// Whether this is the role's own ARN, as policies that speak of it have it: another spelling names nobody.
    func isNamed(by arn: ARN) -> Bool {
        arn.partition == "aws" && arn.service == "iam" && arn.region.isEmpty && arn.account == account
            && arn.resource == "role" + path + name
    }

    var maximumSession: Int {
        Int(clamping: attributes["MaxSessionDuration"]?.int ?? Int64(Limits.defaultSessionSeconds))
    }

    var properties: RoleProperties {
        RoleProperties(maximumSession: maximumSession, tags: Tags(attributes["Tags"]).pairs)
    }

    /// The key of the role that an ARN names; its path is no part of it.
    static func folded(arn: String) -> String { (arn.split(separator: "/").last.map(String.init) ?? "").lowercased() }

    static let columns = "account, name, path, trust_policy, attributes"

    init(account: String, name: String, path: String, trustPolicy: String, attributes: Fields) {
        self.account = account
        self.name = name
        self.path = path
        self.trustPolicy = trustPolicy
        self.attributes = attributes
    }

    init(_ row: any Row) throws {
        account = row.text(0)
        name = row.text(1)
        path = row.text(2)
        trustPolicy = row.text(3)
        attributes = try JSON.parse(row.blob(4)).fields ?? Fields()
    }

    static func get(_ folded: String, account: String, in transaction: any ReadTransaction) throws -> RoleRow? {
        try transaction.first(
            "SELECT \(columns) FROM iam_role WHERE account = ? AND folded = ?", [.text(account), .text(folded)],
            RoleRow.init)
    }

    /// Throws NoSuchEntity.
    static func find(_ name: String, account: String, in transaction: any ReadTransaction) throws -> RoleRow {
        guard let row = try get(name.lowercased(), account: account, in: transaction) else {
            throw IAMError.noSuchRole(name)
        }
        return row
    }

    func insert(in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "INSERT INTO iam_role (account, folded, name, path, trust_policy, attributes) VALUES (?, ?, ?, ?, ?, ?)",
            [
                .text(account), .text(folded), .text(name), .text(path), .text(trustPolicy),
                .blob(JSON.encode(.map(attributes))),
            ])
    }

    func update(in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE iam_role SET trust_policy = ?, attributes = ? WHERE account = ? AND folded = ?",
            [.text(trustPolicy), .blob(JSON.encode(.map(attributes))), .text(account), .text(folded)])
    }

    func shape(withTags: Bool) -> Model.Role {
        var role = Model.Role()
        role.path = path
        role.roleName = name
        role.roleId = attributes["RoleId"]?.string
        role.arn = arn
        role.createDate = attributes["Created"]?.int.map { Instant(milliseconds: $0) }
        role.assumeRolePolicyDocument = PolicyDocument.encoded(trustPolicy)
        role.description = attributes["Description"]?.string
        role.maxSessionDuration = maximumSession
        if let boundary = attributes["PermissionsBoundary"]?.string {
            var shape = Model.AttachedPermissionsBoundary()
            shape.permissionsBoundaryType = "Policy"
            shape.permissionsBoundaryArn = boundary
            role.permissionsBoundary = shape
        }
        if withTags {
            let tags = Tags(attributes["Tags"])
            if !tags.pairs.isEmpty { role.tags = tags.shapes }
            role.roleLastUsed = Model.RoleLastUsed()
        }
        return role
    }
}

/// The row of a managed policy.
struct PolicyRow: Sendable {
    var account: String
    var arn: String
    var path: String
    var defaultVersion: Int64
    var lastVersion: Int64
    var attributes: Fields
    var attachments: Int64

    var name: String { attributes["PolicyName"]?.string ?? "" }

    static let columns = """
        account, arn, path, default_version, last_version, attributes,
        (SELECT COUNT(*) FROM iam_attachment WHERE iam_attachment.policy = iam_policy.arn)
        """

    init(_ row: any Row) throws {
        account = row.text(0)
        arn = row.text(1)
        path = row.text(2)
        defaultVersion = row.int(3)
        lastVersion = row.int(4)
        attributes = try JSON.parse(row.blob(5)).fields ?? Fields()
        attachments = row.int(6)
    }

    /// A policy of this account: naming another account's by its ARN gives no power over it.
    static func find(_ arn: String, account: String, in transaction: any ReadTransaction) throws -> PolicyRow {
        let row = try transaction.first(
            "SELECT \(columns) FROM iam_policy WHERE arn = ? AND account = ?", [.text(arn), .text(account)],
            PolicyRow.init)
        guard let row else { throw IAMError.noSuchEntity("Policy \(arn) was not found.") }
        return row
    }

    func shape(withTags: Bool) -> Model.Policy {
        var policy = Model.Policy()
        policy.policyName = name
        policy.policyId = attributes["PolicyId"]?.string
        policy.arn = arn
        policy.path = path
        policy.defaultVersionId = "v\(defaultVersion)"
        policy.attachmentCount = Int(clamping: attachments)
        policy.permissionsBoundaryUsageCount = 0
        policy.isAttachable = true
        policy.createDate = attributes["Created"]?.int.map { Instant(milliseconds: $0) }
        policy.updateDate = attributes["Updated"]?.int.map { Instant(milliseconds: $0) }
        if withTags {
            policy.description = attributes["Description"]?.string
            policy.tags = Tags(attributes["Tags"]).shapes
        }
        return policy
    }
}

/// Tags in the order they were given; keys are unique.
struct Tags {
    var pairs: [(key: String, value: String)]

    init(_ stored: Value?) {
        pairs = (stored?.fields?.entries ?? []).map { ($0.name, $0.value.string ?? "") }
    }

    var stored: Value { .stringMap(pairs.map { ($0.key, $0.value) }) }

    var shapes: [Model.Tag] {
        pairs.map { pair in
            var tag = Model.Tag()
            tag.key = pair.key
            tag.value_ = pair.value
            return tag
        }
    }

    mutating func merge(_ tags: [Model.Tag]) throws(AWSError) {
        var seen = Set<String>()
        for tag in tags {
            let key = tag.key ?? ""
            guard seen.insert(key.lowercased()).inserted else {
                throw IAMError.invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
            }
            let value = tag.value_ ?? ""
            if let index = pairs.firstIndex(where: { $0.key.lowercased() == key.lowercased() }) {
                pairs[index] = (key, value)
            } else {
                pairs.append((key, value))
            }
        }
        guard pairs.count <= Limits.tags else {
            throw IAMError.limit("The number of tags has reached the maximum limit.")
        }
    }

    mutating func remove(_ keys: [String]) {
        let gone = Set(keys.map { $0.lowercased() })
        pairs.removeAll { gone.contains($0.key.lowercased()) }
    }
}
