import Contracts
import Platform
import Storage
import Wire

struct RoleOperations: Sendable {
    let database: any Database

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateRoleRequest(request.input)
        let role = try Self.newRole(
            name: input.roleName ?? "", path: input.path ?? "/", trustPolicy: input.assumeRolePolicyDocument ?? "",
            description: input.description, maxSessionDuration: input.maxSessionDuration,
            boundary: input.permissionsBoundary, tags: input.tags ?? [], context: request.context)
        try await insert(role)
        var output = Model.CreateRoleResponse()
        output.role = Self.created(role)
        return OperationResponse(output.value)
    }

    /// A role for an AWS service: its name and path follow from the service's name.
    func createServiceLinked(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateServiceLinkedRoleRequest(request.input)
        let service = input.awsServiceName ?? ""
        let label = service.split(separator: ".").first.map(String.init) ?? ""
        guard service.hasSuffix(".amazonaws.com"), !label.isEmpty else {
            throw IAMError.invalid("Service name \(service) is not valid: it ends with .amazonaws.com")
        }
        let suffix = input.customSuffix.map { "_\($0)" } ?? ""
        let trust = """
            {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["\(service)"]},\
            "Action":["sts:AssumeRole"]}]}
            """
        let role = try Self.newRole(
            name: "AWSServiceRoleFor\(label.prefix(1).uppercased())\(label.dropFirst())\(suffix)",
            path: "/aws-service-role/\(service)/", trustPolicy: trust, description: input.description,
            maxSessionDuration: nil, boundary: nil, tags: [], context: request.context)
        do {
            try await insert(role)
        } catch let error as AWSError where error.code == "EntityAlreadyExists" {
            throw IAMError.invalid(
                "Service role name \(role.name) has been taken in this account, please try a different suffix.")
        }
        var output = Model.CreateServiceLinkedRoleResponse()
        output.role = Self.created(role)
        return OperationResponse(output.value)
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let name = Model.GetRoleRequest(request.input).roleName ?? ""
        let account = request.context.scope.account
        let role = try await database.read { try RoleRow.find(name, account: account, in: $0) }
        var output = Model.GetRoleResponse()
        output.role = role.shape(withTags: true)
        return OperationResponse(output.value)
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListRolesRequest(request.input)
        let account = request.context.scope.account
        let page = try Page(marker: input.marker, maxItems: input.maxItems)
        let prefix = input.pathPrefix ?? "/"
        let rows = try await database.read { transaction in
            try transaction.query(
                """
                SELECT \(RoleRow.columns) FROM iam_role
                WHERE account = ? AND folded > ? AND substr(path || name, 1, length(?)) = ?
                ORDER BY folded LIMIT ?
                """,
                [.text(account), .text(page.after), .text(prefix), .text(prefix), .int(Int64(page.limit + 1))],
                RoleRow.init)
        }
        let (roles, marker) = page.cut(rows, key: \.folded)
        var output = Model.ListRolesResponse()
        output.roles = roles.map { $0.shape(withTags: false) }
        output.isTruncated = marker != nil
        output.marker = marker
        return OperationResponse(output.value)
    }

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UpdateRoleRequest(request.input)
        _ = try await change(input.roleName, request.context) { role in
            if let description = input.description { role.attributes["Description"] = .string(description) }
            if let seconds = input.maxSessionDuration { role.attributes["MaxSessionDuration"] = .int(Int64(seconds)) }
        }
        return OperationResponse()
    }

    func updateDescription(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UpdateRoleDescriptionRequest(request.input)
        let role = try await change(input.roleName, request.context) { role in
            role.attributes["Description"] = .string(input.description ?? "")
        }
        var output = Model.UpdateRoleDescriptionResponse()
        output.role = role.shape(withTags: false)
        return OperationResponse(output.value)
    }

    func updateTrustPolicy(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UpdateAssumeRolePolicyRequest(request.input)
        let document = input.policyDocument ?? ""
        try Self.checkTrustPolicy(document)
        _ = try await change(input.roleName, request.context) { $0.trustPolicy = document }
        return OperationResponse()
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let name = Model.DeleteRoleRequest(request.input).roleName ?? ""
        let account = request.context.scope.account
        try await database.change { transaction in
            let role = try RoleRow.find(name, account: account, in: transaction)
            let key: [SQLValue] = [.text(account), .text(role.folded)]
            if try transaction.first(
                "SELECT 1 FROM iam_attachment WHERE account = ? AND role = ? LIMIT 1", key, { $0.int(0) }) != nil
            {
                throw IAMError.conflict("Cannot delete entity, must detach all policies first.")
            }
            if try transaction.first(
                "SELECT 1 FROM iam_role_policy WHERE account = ? AND role = ? LIMIT 1", key, { $0.int(0) }) != nil
            {
                throw IAMError.conflict("Cannot delete entity, must delete policies first.")
            }
            try transaction.execute("DELETE FROM iam_role WHERE account = ? AND folded = ?", key)
        }
        return OperationResponse()
    }

    func tag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.TagRoleRequest(request.input)
        let tags = input.tags ?? []
        _ = try await change(input.roleName, request.context) { role in
            var all = Tags(role.attributes["Tags"])
            try all.merge(tags)
            role.attributes["Tags"] = all.stored
        }
        return OperationResponse()
    }

    func untag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UntagRoleRequest(request.input)
        let keys = input.tagKeys ?? []
        _ = try await change(input.roleName, request.context) { role in
            var all = Tags(role.attributes["Tags"])
            all.remove(keys)
            role.attributes["Tags"] = all.stored
        }
        return OperationResponse()
    }

    func listTags(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListRoleTagsRequest(request.input)
        let name = input.roleName ?? ""
        let account = request.context.scope.account
        let role = try await database.read { try RoleRow.find(name, account: account, in: $0) }
        let page = try Page(marker: input.marker, maxItems: input.maxItems)
        let tags = Tags(role.attributes["Tags"]).pairs.sorted { $0.key < $1.key }.filter { $0.key > page.after }
        let (items, marker) = page.cut(tags, key: \.key)
        var output = Model.ListRoleTagsResponse()
        var shown = Tags(nil)
        shown.pairs = items
        output.tags = shown.shapes
        output.isTruncated = marker != nil
        output.marker = marker
        return OperationResponse(output.value)
    }

    /// Always empty, truly: there are no instance profiles. Terraform asks before it deletes a role.
    func listInstanceProfiles(_ request: OperationRequest) async throws -> OperationResponse {
        let name = Model.ListInstanceProfilesForRoleRequest(request.input).roleName ?? ""
        let account = request.context.scope.account
        _ = try await database.read { try RoleRow.find(name, account: account, in: $0) }
        var output = Model.ListInstanceProfilesForRoleResponse()
        output.instanceProfiles = []
        output.isTruncated = false
        return OperationResponse(output.value)
    }

    // MARK: -

    private func change(
        _ name: String?, _ context: OperationContext, _ body: @escaping @Sendable (inout RoleRow) throws -> Void
    ) async throws -> RoleRow {
        let account = context.scope.account
        return try await database.change { transaction in
            var role = try RoleRow.find(name ?? "", account: account, in: transaction)
            try body(&role)
            try role.update(in: transaction)
            return role
        }
    }

    private func insert(_ role: RoleRow) async throws {
        try await database.change { transaction in
            let key: [SQLValue] = [.text(role.account), .text(role.folded)]
            if try transaction.first(
                "SELECT 1 FROM iam_role WHERE account = ? AND folded = ?", key, { $0.int(0) }) != nil
            {
                throw IAMError.alreadyExists("Role with name \(role.name) already exists.")
            }
            let count =
                try transaction.first(
                    "SELECT COUNT(*) FROM iam_role WHERE account = ?", [.text(role.account)], { $0.int(0) }) ?? 0
            guard count < Limits.rolesPerAccount else {
                throw IAMError.limit("Cannot exceed quota for RolesPerAccount: \(Limits.rolesPerAccount)")
            }
            try role.insert(in: transaction)
        }
    }

    private static func newRole(
        name: String, path: String, trustPolicy: String, description: String?, maxSessionDuration: Int?,
        boundary: String?, tags: [Model.Tag], context: OperationContext
    ) throws -> RoleRow {
        try checkTrustPolicy(trustPolicy)
        var attributes: Fields = [
            "RoleId": .string("AROA" + Identifier.base32(17)), "Created": .int(context.now.seconds * 1_000),
            "MaxSessionDuration": .int(Int64(maxSessionDuration ?? Limits.defaultSessionSeconds)),
        ]
        if let description { attributes["Description"] = .string(description) }
        if let boundary { attributes["PermissionsBoundary"] = .string(boundary) }
        var all = Tags(nil)
        try all.merge(tags)
        attributes["Tags"] = all.stored
        return RoleRow(
            account: context.scope.account, name: name, path: path, trustPolicy: trustPolicy, attributes: attributes)
    }

    /// Create answers tags, and leaves out what only Get shows.
    private static func created(_ role: RoleRow) -> Model.Role {
        var shape = role.shape(withTags: true)
        shape.roleLastUsed = nil
        return shape
    }

    private static func checkTrustPolicy(_ document: String) throws {
        try PolicyDocument.checkTrust(document)
        guard PolicyDocument.size(document) <= Limits.trustPolicyCharacters else {
            throw IAMError.limit("Cannot exceed quota for ACLSizePerRole: \(Limits.trustPolicyCharacters)")
        }
    }
}
