import Contracts
import Platform
import Storage
import Wire

/// Customer managed policies and their versions.
struct ManagedPolicyOperations: Sendable {
    let database: any Database

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreatePolicyRequest(request.input)
        let (name, path, document) = (input.policyName ?? "", input.path ?? "/", input.policyDocument ?? "")
        try Self.check(document)
        let context = request.context
        let account = context.scope.account
        let arn = "arn:aws:iam::\(account):policy\(path)\(name)"
        var tags = Tags(nil)
        try tags.merge(input.tags ?? [])
        let created = context.now.seconds * 1_000
        var attributes: Fields = [
            "PolicyName": .string(name), "PolicyId": .string("ANPA" + Identifier.base32(17)),
            "Created": .int(created), "Updated": .int(created), "Tags": tags.stored,
        ]
        if let description = input.description { attributes["Description"] = .string(description) }
        let stored = JSON.encode(.map(attributes))
        let policy = try await database.change { transaction in
            try Self.checkRoom(name, account: account, in: transaction)
            try transaction.execute(
                """
                INSERT INTO iam_policy (account, folded, arn, path, default_version, last_version, attributes)
                VALUES (?, ?, ?, ?, 1, 1, ?)
                """,
                [.text(account), .text(name.lowercased()), .text(arn), .text(path), .blob(stored)])
            try Self.insertVersion(arn, 1, document, created, in: transaction)
            return try PolicyRow.find(arn, account: account, in: transaction)
        }
        var output = Model.CreatePolicyResponse()
        var shape = policy.shape(withTags: false)
        if !tags.pairs.isEmpty { shape.tags = tags.shapes }
        output.policy = shape
        return OperationResponse(output.value)
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let account = request.context.scope.account
        let arn = Model.GetPolicyRequest(request.input).policyArn ?? ""
        let policy = try await database.read { try PolicyRow.find(arn, account: account, in: $0) }
        var output = Model.GetPolicyResponse()
        output.policy = policy.shape(withTags: true)
        return OperationResponse(output.value)
    }

    /// Customer managed policies; `Scope=AWS` answers none, since AWS's own are known by ARN only.
    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListPoliciesRequest(request.input)
        let account = request.context.scope.account
        let page = try Page(marker: input.marker, maxItems: input.maxItems)
        let prefix = input.pathPrefix ?? "/"
        let onlyAttached = input.onlyAttached ?? false
        let rows =
            input.scope == "AWS"
            ? []
            : try await database.read { transaction in
                try transaction.query(
                    """
                    SELECT \(PolicyRow.columns) FROM iam_policy
                    WHERE account = ? AND folded > ? AND substr(path, 1, length(?)) = ?
                    AND (? = 0 OR EXISTS (SELECT 1 FROM iam_attachment a WHERE a.policy = iam_policy.arn))
                    ORDER BY folded LIMIT ?
                    """,
                    [
                        .text(account), .text(page.after), .text(prefix), .text(prefix), .bool(onlyAttached),
                        .int(Int64(page.limit + 1)),
                    ], PolicyRow.init)
            }
        let (items, marker) = page.cut(rows) { $0.name.lowercased() }
        var output = Model.ListPoliciesResponse()
        output.policies = items.map { $0.shape(withTags: false) }
        output.isTruncated = marker != nil
        output.marker = marker
        return OperationResponse(output.value)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let account = request.context.scope.account
        let arn = Model.DeletePolicyRequest(request.input).policyArn ?? ""
        try await database.change { transaction in
            let policy = try PolicyRow.find(arn, account: account, in: transaction)
            guard policy.attachments == 0 else {
                throw IAMError.conflict("Cannot delete a policy attached to entities.")
            }
            let versions = try Self.versions(arn, in: transaction)
            guard versions.count <= 1 else {
                throw IAMError.conflict(
                    "This policy has more than one version. Before you delete a policy, you must delete the policy's "
                        + "versions. The default version is deleted with the policy.")
            }
            try transaction.execute("DELETE FROM iam_policy_version WHERE policy = ?", [.text(arn)])
            try transaction.execute("DELETE FROM iam_policy WHERE arn = ?", [.text(arn)])
        }
        return OperationResponse()
    }

    // MARK: Versions

    func createVersion(_ request: OperationRequest) async throws -> OperationResponse {
        let account = request.context.scope.account
        let input = Model.CreatePolicyVersionRequest(request.input)
        let (arn, document) = (input.policyArn ?? "", input.policyDocument ?? "")
        try Self.check(document)
        let created = request.context.now.seconds * 1_000
        let isDefault = input.setAsDefault ?? false
        let version = try await database.change { transaction in
            let policy = try PolicyRow.find(arn, account: account, in: transaction)
            guard try Self.versions(arn, in: transaction).count < Limits.versionsPerPolicy else {
                throw IAMError.limit(
                    "A managed policy can have up to \(Limits.versionsPerPolicy) versions. Before you create a new "
                        + "version, you must delete an existing version.")
            }
            let version = policy.lastVersion + 1
            try Self.insertVersion(arn, version, document, created, in: transaction)
            var attributes = policy.attributes
            attributes["Updated"] = .int(created)
            try transaction.execute(
                "UPDATE iam_policy SET last_version = ?, default_version = ?, attributes = ? WHERE arn = ?",
                [
                    .int(version), .int(isDefault ? version : policy.defaultVersion),
                    .blob(JSON.encode(.map(attributes))), .text(arn),
                ])
            return version
        }
        var output = Model.CreatePolicyVersionResponse()
        output.policyVersion = Self.shape(version, isDefault: isDefault, created: created, document: nil)
        return OperationResponse(output.value)
    }

    func getVersion(_ request: OperationRequest) async throws -> OperationResponse {
        let account = request.context.scope.account
        let input = Model.GetPolicyVersionRequest(request.input)
        let (arn, name) = (input.policyArn ?? "", input.versionId ?? "")
        let shape = try await database.read { transaction in
            let policy = try PolicyRow.find(arn, account: account, in: transaction)
            let version = try Self.versionNumber(name, arn)
            let row = try transaction.first(
                "SELECT document, created FROM iam_policy_version WHERE policy = ? AND version = ?",
                [.text(arn), .int(version)], { ($0.text(0), $0.int(1)) })
            guard let (document, created) = row else { throw Self.noSuchVersion(name, arn) }
            return Self.shape(
                version, isDefault: version == policy.defaultVersion, created: created, document: document)
        }
        var output = Model.GetPolicyVersionResponse()
        output.policyVersion = shape
        return OperationResponse(output.value)
    }

    func listVersions(_ request: OperationRequest) async throws -> OperationResponse {
        let account = request.context.scope.account
        let arn = Model.ListPolicyVersionsRequest(request.input).policyArn ?? ""
        let shapes = try await database.read { transaction in
            let policy = try PolicyRow.find(arn, account: account, in: transaction)
            return try Self.versions(arn, in: transaction).map { version, created in
                Self.shape(version, isDefault: version == policy.defaultVersion, created: created, document: nil)
            }
        }
        var output = Model.ListPolicyVersionsResponse()
        // At most five exist, so there is never a second page.
        output.versions = shapes
        output.isTruncated = false
        return OperationResponse(output.value)
    }

    func setDefaultVersion(_ request: OperationRequest) async throws -> OperationResponse {
        let account = request.context.scope.account
        let input = Model.SetDefaultPolicyVersionRequest(request.input)
        let (arn, name) = (input.policyArn ?? "", input.versionId ?? "")
        try await database.change { transaction in
            _ = try PolicyRow.find(arn, account: account, in: transaction)
            let version = try Self.versionNumber(name, arn)
            guard try Self.versions(arn, in: transaction).contains(where: { $0.version == version }) else {
                throw Self.noSuchVersion(name, arn)
            }
            try transaction.execute(
                "UPDATE iam_policy SET default_version = ? WHERE arn = ?", [.int(version), .text(arn)])
        }
        return OperationResponse()
    }

    func deleteVersion(_ request: OperationRequest) async throws -> OperationResponse {
        let account = request.context.scope.account
        let input = Model.DeletePolicyVersionRequest(request.input)
        let (arn, name) = (input.policyArn ?? "", input.versionId ?? "")
        try await database.change { transaction in
            let policy = try PolicyRow.find(arn, account: account, in: transaction)
            let version = try Self.versionNumber(name, arn)
            guard version != policy.defaultVersion else {
                throw IAMError.conflict("Cannot delete the default version of a policy.")
            }
            let removed = try transaction.execute(
                "DELETE FROM iam_policy_version WHERE policy = ? AND version = ?", [.text(arn), .int(version)])
            guard removed > 0 else { throw Self.noSuchVersion(name, arn) }
        }
        return OperationResponse()
    }

    // MARK: -

    private static func check(_ document: String) throws {
        try PolicyDocument.check(document)
        guard PolicyDocument.size(document) <= Limits.managedPolicyCharacters else {
            throw IAMError.limit("Cannot exceed quota for PolicySize: \(Limits.managedPolicyCharacters)")
        }
    }

    private static func checkRoom(_ name: String, account: String, in transaction: any ReadTransaction) throws {
        let taken = try transaction.first(
            "SELECT 1 FROM iam_policy WHERE account = ? AND folded = ?", [.text(account), .text(name.lowercased())],
            { $0.int(0) })
        guard taken == nil else {
            throw IAMError.alreadyExists("A policy called \(name) already exists. Duplicate names are not allowed.")
        }
        let count =
            try transaction.first(
                "SELECT COUNT(*) FROM iam_policy WHERE account = ?", [.text(account)], { $0.int(0) }) ?? 0
        guard count < Limits.policiesPerAccount else {
            throw IAMError.limit("Cannot exceed quota for PoliciesPerAccount: \(Limits.policiesPerAccount)")
        }
    }

    private static func insertVersion(
        _ arn: String, _ version: Int64, _ document: String, _ created: Int64, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "INSERT INTO iam_policy_version (policy, version, document, created) VALUES (?, ?, ?, ?)",
            [.text(arn), .int(version), .text(document), .int(created)])
    }

    private static func versions(_ arn: String, in transaction: any ReadTransaction) throws -> [(
        version: Int64, created: Int64
    )] {
        try transaction.query(
            "SELECT version, created FROM iam_policy_version WHERE policy = ? ORDER BY version DESC", [.text(arn)],
            { ($0.int(0), $0.int(1)) })
    }

    private static func versionNumber(_ name: String, _ arn: String) throws(AWSError) -> Int64 {
        guard name.hasPrefix("v"), let number = Int64(name.dropFirst()) else { throw noSuchVersion(name, arn) }
        return number
    }

    private static func noSuchVersion(_ name: String, _ arn: String) -> AWSError {
        IAMError.noSuchEntity("Policy \(arn) version \(name) does not exist or is not attachable.")
    }

    private static func shape(_ version: Int64, isDefault: Bool, created: Int64, document: String?)
        -> Model.PolicyVersion
    {
        var shape = Model.PolicyVersion()
        shape.versionId = "v\(version)"
        shape.isDefaultVersion = isDefault
        shape.createDate = Instant(milliseconds: created)
        shape.document = document.map(PolicyDocument.encoded)
        return shape
    }
}
