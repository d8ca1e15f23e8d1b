import Contracts
import Platform
import Storage
import Wire

/// Policies that live inside a role.
struct InlinePolicyOperations: Sendable {
    let database: any Database

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutRolePolicyRequest(request.input)
        let (name, policy, document) = (input.roleName ?? "", input.policyName ?? "", input.policyDocument ?? "")
        let account = request.context.scope.account
        try PolicyDocument.check(document)
        try await database.change { transaction in
            let role = try RoleRow.find(name, account: account, in: transaction)
            let others = try transaction.query(
                "SELECT document FROM iam_role_policy WHERE account = ? AND role = ? AND name <> ?",
                [.text(account), .text(role.folded), .text(policy)], { $0.text(0) })
            let size = others.reduce(PolicyDocument.size(document)) { $0 + PolicyDocument.size($1) }
            guard size <= Limits.inlinePolicyCharacters else {
                throw IAMError.limit(
                    "Maximum policy size of \(Limits.inlinePolicyCharacters) bytes exceeded for role \(role.name)")
            }
            try transaction.execute(
                """
                INSERT INTO iam_role_policy (account, role, name, document) VALUES (?, ?, ?, ?)
                ON CONFLICT (account, role, name) DO UPDATE SET document = excluded.document
                """,
                [.text(account), .text(role.folded), .text(policy), .text(document)])
        }
        return OperationResponse()
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetRolePolicyRequest(request.input)
        let (name, policy) = (input.roleName ?? "", input.policyName ?? "")
        let account = request.context.scope.account
        let (role, document) = try await database.read { transaction in
            let role = try RoleRow.find(name, account: account, in: transaction)
            let document = try transaction.first(
                "SELECT document FROM iam_role_policy WHERE account = ? AND role = ? AND name = ?",
                [.text(account), .text(role.folded), .text(policy)], { $0.text(0) })
            return (role, document)
        }
        guard let document else {
            throw IAMError.noSuchEntity("The role policy with name \(policy) cannot be found.")
        }
        var output = Model.GetRolePolicyResponse()
        output.roleName = role.name
        output.policyName = policy
        output.policyDocument = PolicyDocument.encoded(document)
        return OperationResponse(output.value)
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListRolePoliciesRequest(request.input)
        let name = input.roleName ?? ""
        let account = request.context.scope.account
        let page = try Page(marker: input.marker, maxItems: input.maxItems)
        let rows = try await database.read { transaction in
            let role = try RoleRow.find(name, account: account, in: transaction)
            return try transaction.query(
                "SELECT name FROM iam_role_policy WHERE account = ? AND role = ? AND name > ? ORDER BY name LIMIT ?",
                [.text(account), .text(role.folded), .text(page.after), .int(Int64(page.limit + 1))], { $0.text(0) })
        }
        let (names, marker) = page.cut(rows, key: \.self)
        var output = Model.ListRolePoliciesResponse()
        output.policyNames = names
        output.isTruncated = marker != nil
        output.marker = marker
        return OperationResponse(output.value)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeleteRolePolicyRequest(request.input)
        let (name, policy) = (input.roleName ?? "", input.policyName ?? "")
        let account = request.context.scope.account
        try await database.change { transaction in
            let role = try RoleRow.find(name, account: account, in: transaction)
            let removed = try transaction.execute(
                "DELETE FROM iam_role_policy WHERE account = ? AND role = ? AND name = ?",
                [.text(account), .text(role.folded), .text(policy)])
            guard removed > 0 else {
                throw IAMError.noSuchEntity("The role policy with name \(policy) cannot be found.")
            }
        }
        return OperationResponse()
    }
}

/// Managed policies attached to roles: customers' own, and AWS's by their ARN.
struct AttachmentOperations: Sendable {
    let database: any Database

    func attach(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.AttachRolePolicyRequest(request.input)
        let (name, arn) = (input.roleName ?? "", input.policyArn ?? "")
        let account = request.context.scope.account
        try await database.change { transaction in
            let role = try RoleRow.find(name, account: account, in: transaction)
            let policyName = try Self.policyName(arn, account: account, in: transaction)
            let count =
                try transaction.first(
                    "SELECT COUNT(*) FROM iam_attachment WHERE account = ? AND role = ? AND policy <> ?",
                    [.text(account), .text(role.folded), .text(arn)], { $0.int(0) }) ?? 0
            guard count < Limits.policiesPerRole else {
                throw IAMError.limit("Cannot exceed quota for PoliciesPerRole: \(Limits.policiesPerRole)")
            }
            try transaction.execute(
                """
                INSERT INTO iam_attachment (account, role, policy, policy_name) VALUES (?, ?, ?, ?)
                ON CONFLICT (account, role, policy) DO NOTHING
                """,
                [.text(account), .text(role.folded), .text(arn), .text(policyName)])
        }
        return OperationResponse()
    }

    func detach(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DetachRolePolicyRequest(request.input)
        let (name, arn) = (input.roleName ?? "", input.policyArn ?? "")
        let account = request.context.scope.account
        try await database.change { transaction in
            let role = try RoleRow.find(name, account: account, in: transaction)
            let removed = try transaction.execute(
                "DELETE FROM iam_attachment WHERE account = ? AND role = ? AND policy = ?",
                [.text(account), .text(role.folded), .text(arn)])
            guard removed > 0 else { throw IAMError.noSuchEntity("Policy \(arn) was not found.") }
        }
        return OperationResponse()
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListAttachedRolePoliciesRequest(request.input)
        let name = input.roleName ?? ""
        let account = request.context.scope.account
        let page = try Page(marker: input.marker, maxItems: input.maxItems)
        let prefix = input.pathPrefix ?? "/"
        let rows = try await database.read { transaction in
            let role = try RoleRow.find(name, account: account, in: transaction)
            return try transaction.query(
                """
                SELECT policy, policy_name FROM iam_attachment WHERE account = ? AND role = ? AND policy > ?
                AND (? = '/' OR instr(policy, ?) > 0) ORDER BY policy LIMIT ?
                """,
                [
                    .text(account), .text(role.folded), .text(page.after), .text(prefix), .text(":policy" + prefix),
                    .int(Int64(page.limit + 1)),
                ], { (arn: $0.text(0), name: $0.text(1)) })
        }
        let (items, marker) = page.cut(rows, key: \.arn)
        var output = Model.ListAttachedRolePoliciesResponse()
        output.attachedPolicies = items.map { item in
            var shape = Model.AttachedPolicy()
            shape.policyName = item.name
            shape.policyArn = item.arn
            return shape
        }
        output.isTruncated = marker != nil
        output.marker = marker
        return OperationResponse(output.value)
    }

    /// The name of a policy that may be attached: one that exists here, or any of AWS's own.
    private static func policyName(
        _ text: String, account: String, in transaction: any ReadTransaction
    ) throws -> String {
        guard let arn = ARN(text), arn.service == "iam", arn.resource.hasPrefix("policy/") else {
            throw AWSError("ValidationError", "ARN \(text) is not valid.")
        }
        if arn.account == "aws" { return arn.resource.split(separator: "/").last.map(String.init) ?? "" }
        let name = try transaction.first(
            "SELECT 1 FROM iam_policy WHERE arn = ? AND account = ?", [.text(text), .text(account)], { $0.int(0) })
        guard name != nil else {
            throw IAMError.noSuchEntity("Policy \(text) does not exist or is not attachable.")
        }
        return arn.resource.split(separator: "/").last.map(String.init) ?? ""
    }
}
