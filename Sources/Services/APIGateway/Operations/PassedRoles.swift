import Contracts
import NIOCore
import Platform

/// The roles that a request hands to API Gateway: as members, as patches, and in the documents of imports.
enum PassedRoles {
    private static let members: Set<String> = [
        "credentials", "authorizercredentials", "credentialsarn", "authorizercredentialsarn", "cloudwatchrolearn",
    ]

    /// Without repetitions. The document of an import that cannot be read has none: the operation refuses it.
    static func found(in request: OperationRequest) -> Set<String> {
        var roles: Set<String> = []
        collect(request.input, into: &roles, depth: 0)
        for patch in request.input["patchOperations"]?.list ?? [] {
            guard let last = patch["path"]?.string?.split(separator: "/").last else { continue }
            add(patch["value"], of: String(last), to: &roles)
        }
        if let text = request.input["Body"]?.string { collect(document: text, into: &roles) }
        if request.context.operation.hasPrefix("Import") || request.context.operation == "PutRestApi" {
            collect(document: String(decoding: request.payload.readableBytesView, as: UTF8.self), into: &roles)
        }
        return roles
    }

    private static func collect(document text: String, into roles: inout Set<String>) {
        // Read, not searched: texts have escapes.
        guard let document = try? DocumentReader.read(text) else { return }
        collect(document, into: &roles, depth: 0)
    }

    private static func collect(_ value: Value, into roles: inout Set<String>, depth: Int) {
        guard depth < Limits.documentDepth else { return }
        for entry in value.fields?.entries ?? [] {
            add(entry.value, of: entry.name, to: &roles)
            collect(entry.value, into: &roles, depth: depth + 1)
        }
        for item in value.list ?? [] { collect(item, into: &roles, depth: depth + 1) }
    }

    private static func add(_ value: Value?, of name: String, to roles: inout Set<String>) {
        guard members.contains(name.lowercased()), let text = value?.string, let arn = ARN(text),
            arn.service == "iam", arn.resource.hasPrefix("role/")
        else { return }
        roles.insert(text)
    }
}
