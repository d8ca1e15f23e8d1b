public import Contracts
import Platform
import Policies
public import Storage
import Wire

/// Identity and Access Management: roles and policies, stored and returned exactly as they were given, and asked by
/// other services (`Authorizer`).
///
/// IAM is global: Regions play no part in its keys.
public final class IAMService: Sendable {
    public let definition: ServiceDefinition
    public static var migrations: Migrations { Schema.migrations }

    /// Whether what no policy allows is forbidden (see `Authorizer`).
    let isAuthenticationOn: Bool
    let rolePolicies = RolePolicyCache()
    let trustPolicies = PolicyCache()

    public init(database: any Database, isAuthenticationOn: Bool = true) throws {
        self.isAuthenticationOn = isAuthenticationOn
        let roles = RoleOperations(database: database)
        let inline = InlinePolicyOperations(database: database)
        let managed = ManagedPolicyOperations(database: database)
        let attachments = AttachmentOperations(database: database)
        let serviceCredentials = ServiceCredentialOperations(database: database)
        definition = ServiceDefinition(
            schema: try ServiceSchema(text: IAMSchema.text),
            operations: [
                "CreateRole": .asynchronous(roles.create),
                "GetRole": .asynchronous(roles.get),
                "ListRoles": .asynchronous(roles.list),
                "UpdateRole": .asynchronous(roles.update),
                "UpdateRoleDescription": .asynchronous(roles.updateDescription),
                "UpdateAssumeRolePolicy": .asynchronous(roles.updateTrustPolicy),
                "DeleteRole": .asynchronous(roles.delete),
                "TagRole": .asynchronous(roles.tag),
                "UntagRole": .asynchronous(roles.untag),
                "ListRoleTags": .asynchronous(roles.listTags),
                "ListInstanceProfilesForRole": .asynchronous(roles.listInstanceProfiles),
                "CreateServiceLinkedRole": .asynchronous(roles.createServiceLinked),
                "PutRolePolicy": .asynchronous(inline.put),
                "GetRolePolicy": .asynchronous(inline.get),
                "ListRolePolicies": .asynchronous(inline.list),
                "DeleteRolePolicy": .asynchronous(inline.delete),
                "CreatePolicy": .asynchronous(managed.create),
                "GetPolicy": .asynchronous(managed.get),
                "ListPolicies": .asynchronous(managed.list),
                "DeletePolicy": .asynchronous(managed.delete),
                "CreatePolicyVersion": .asynchronous(managed.createVersion),
                "GetPolicyVersion": .asynchronous(managed.getVersion),
                "ListPolicyVersions": .asynchronous(managed.listVersions),
                "SetDefaultPolicyVersion": .asynchronous(managed.setDefaultVersion),
                "DeletePolicyVersion": .asynchronous(managed.deleteVersion),
                "AttachRolePolicy": .asynchronous(attachments.attach),
                "DetachRolePolicy": .asynchronous(attachments.detach),
                "ListAttachedRolePolicies": .asynchronous(attachments.list),
                "CreateServiceSpecificCredential": .asynchronous(serviceCredentials.create),
                "ListServiceSpecificCredentials": .asynchronous(serviceCredentials.list),
                "UpdateServiceSpecificCredential": .asynchronous(serviceCredentials.update),
                "ResetServiceSpecificCredential": .asynchronous(serviceCredentials.reset),
                "DeleteServiceSpecificCredential": .asynchronous(serviceCredentials.delete),
            ],
            bodyLimit: 1 << 20)
    }
}

enum IAMError {
    static func noSuchEntity(_ message: String) -> AWSError { AWSError("NoSuchEntity", status: 404, message) }
    static func noSuchRole(_ name: String) -> AWSError { noSuchEntity("The role with name \(name) cannot be found.") }
    static func alreadyExists(_ message: String) -> AWSError { AWSError("EntityAlreadyExists", status: 409, message) }
    static func conflict(_ message: String) -> AWSError { AWSError("DeleteConflict", status: 409, message) }
    static func limit(_ message: String) -> AWSError { AWSError("LimitExceeded", status: 409, message) }
    static func invalid(_ message: String) -> AWSError { AWSError("InvalidInput", status: 400, message) }
}

/// A page of a list: AWS's Marker and MaxItems.
struct Page {
    /// The last name of the page before.
    var after: String
    var limit: Int

    init(marker: String?, maxItems: Int?) throws(AWSError) {
        limit = min(max(maxItems ?? Limits.defaultPage, 1), 1_000)
        guard let marker else {
            after = ""
            return
        }
        guard let text = PageToken.decodeText(marker) else {
            throw AWSError("ValidationError", "Invalid Marker.")
        }
        after = text
    }

    /// Cuts a list that was read with one item more than the limit; answers the marker of what follows.
    func cut<T>(_ items: [T], key: (T) -> String) -> (items: [T], marker: String?) {
        guard items.count > limit else { return (items, nil) }
        let page = Array(items.prefix(limit))
        return (page, page.last.map { PageToken.encode(key($0)) })
    }
}

/// A policy document: checked, kept as it was given.
enum PolicyDocument {
    /// Checks the grammar of a role's policy, or of a trust policy.
    static func check(_ text: String, kind: Policies.PolicyDocument.Kind = .identity) throws(AWSError) {
        guard let value = try? JSON.parse(Array(text.utf8)), value.fields != nil else {
            throw AWSError("MalformedPolicyDocument", "This policy contains invalid Json")
        }
        let hasUnknownOperators: Bool
        do throws(PolicyError) {
            hasUnknownOperators = try Policies.PolicyDocument(value, kind: kind).hasUnknownOperators
        } catch {
            throw AWSError("MalformedPolicyDocument", message(of: error))
        }
        if hasUnknownOperators { throw AWSError("MalformedPolicyDocument", "Syntax errors in policy.") }
    }

    static func checkTrust(_ text: String) throws(AWSError) { try check(text, kind: .trust) }

    /// AWS's texts, as far as they are known; else its general one.
    private static func message(of error: PolicyError) -> String {
        switch (error.kind, error.element) {
        case (.missing, "Resource"): "Policy statement must contain resources."
        case (.missing, "Action"): "Policy statement must contain actions."
        case (.unexpected, "Principal"): "Policy document should not specify a principal."
        case (.unexpected, "Resource"): "Has prohibited field Resource"
        case (.missing, "Principal"): "Missing required field Principal"
        default: "Syntax errors in policy."
        }
    }

    /// What counts against size quotas: white space does not.
    static func size(_ text: String) -> Int {
        text.unicodeScalars.count { !$0.properties.isWhitespace }
    }

    /// Percent-encoded (RFC 3986), as IAM answers documents.
    static func encoded(_ text: String) -> String {
        var out: [UInt8] = []
        for byte in text.utf8 {
            if PercentEncoding.isUnreserved(byte) { out.append(byte) } else { PercentEncoding.escape(byte, into: &out) }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
