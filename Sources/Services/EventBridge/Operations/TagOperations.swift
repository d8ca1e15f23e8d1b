import Contracts
import Platform
import Storage
import Wire

enum TagRules {
    /// Tags by their keys. Throws ValidationException.
    static func fields(_ tags: [Model.Tag]) throws(AWSError) -> Fields {
        var fields: Fields = [:]
        for tag in tags {
            let key = tag.key ?? ""
            guard fields[key] == nil else { throw .validation("Duplicate keys are not allowed in tags: \(key)") }
            guard !key.lowercased().hasPrefix("aws:") else {
                throw .validation("Tag keys must not begin with aws: \(key)")
            }
            fields[key] = .string(tag.value_ ?? "")
        }
        guard fields.count <= Limits.tags else { throw .limitExceeded }
        return fields
    }
}

/// Tags of rules and buses.
struct TagOperations: Sendable {
    let database: any Database
    let access: Access

    enum Resource: Sendable {
        case bus(BusKey)
        case rule(RuleKey)

        init(_ arn: String?) throws(AWSError) {
            if let bus = arn.flatMap({ BusKey(arn: $0) }) {
                self = .bus(bus)
            } else if let rule = arn.flatMap({ RuleKey(arn: $0) }) {
                self = .rule(rule)
            } else {
                throw .validation("Parameter ResourceARN is not valid. Reason: Provided Arn is not in correct format.")
            }
        }

        var account: String {
            switch self {
            case .bus(let key): key.scope.account
            case .rule(let key): key.bus.scope.account
            }
        }
        var arn: String {
            switch self {
            case .bus(let key): key.arn
            case .rule(let key): key.arn
            }
        }

        /// Nil when it is not there.
        func known(in transaction: any ReadTransaction) throws -> Fields? {
            switch self {
            case .bus(let key): try BusTable.get(key, in: transaction)?.tags
            case .rule(let key): try RuleTable.get(key, in: transaction)?.tags
            }
        }

        func tags(in transaction: any ReadTransaction) throws -> Fields {
            switch self {
            case .bus(let key): try BusTable.require(key, in: transaction).tags
            case .rule(let key): try RuleTable.require(key, in: transaction).tags
            }
        }

        func set(_ tags: Fields, in transaction: any WriteTransaction) throws {
            switch self {
            case .bus(let key):
                var bus = try BusTable.require(key, in: transaction)
                bus.tags = tags
                try BusTable.put(bus, in: transaction)
            case .rule(let key):
                var rule = try RuleTable.require(key, in: transaction)
                rule.tags = tags
                try RuleTable.put(rule, in: transaction)
            }
        }
    }

    func tag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.TagResourceRequest(request.input)
        let added = try TagRules.fields(input.tags ?? [])
        try await change(input.resourceARN, "TagResource", request) { tags in
            for entry in added.entries { tags[entry.name] = entry.value }
            guard tags.count <= Limits.tags else { throw AWSError.limitExceeded }
        }
        return OperationResponse()
    }

    func untag(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UntagResourceRequest(request.input)
        let names = input.tagKeys ?? []
        try await change(input.resourceARN, "UntagResource", request) { tags in
            for name in names { tags[name] = nil }
        }
        return OperationResponse()
    }

    private func change(
        _ arn: String?, _ action: String, _ request: OperationRequest,
        _ body: @escaping @Sendable (inout Fields) throws -> Void
    ) async throws {
        let resource = try Resource(arn)
        try await database.write { [access] transaction in
            try access.check(request, action, resource.arn, account: resource.account, in: transaction)
            var tags = try resource.tags(in: transaction)
            try body(&tags)
            try resource.set(tags, in: transaction)
        }
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let resource = try Resource(Model.ListTagsForResourceRequest(request.input).resourceARN)
        let tags = try await database.read { [access] transaction in
            try access.check(
                request, "ListTagsForResource", resource.arn, account: resource.account, in: transaction)
            return try resource.tags(in: transaction)
        }
        var output = Model.ListTagsForResourceResponse()
        output.tags = tags.entries.map { entry in
            var tag = Model.Tag()
            tag.key = entry.name
            tag.value_ = entry.value.string
            return tag
        }
        return OperationResponse(output.value)
    }
}
