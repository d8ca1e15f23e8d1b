import Contracts
import Platform
import Storage
import Wire

/// The rows that a document describes, as far as they can be made without looking at the API: checked as the operations check what
/// they are given, before the transaction, for which everybody waits.
struct ImportPlan: Sendable {
    struct Model: Sendable {
        var name: String
        var document: Value
        /// `document`, encoded.
        var row: [UInt8]
    }
    struct Method: Sendable {
        var name: String
        /// Without the ids of authorizer, validator and resource.
        var document: Value
        var authorizer: String?
        var validator: String?
    }
    struct Path: Sendable {
        var path: String
        var methods: [Method]
    }

    private(set) var models: [Model] = []
    private(set) var validators: Fields
    private(set) var authorizers: [Value] = []
    private(set) var responses: [(type: String, document: Value)] = []
    private(set) var paths: [Path] = []

    /// Throws what is wrong with the first of them that is wrong.
    init(_ plan: RESTDocument, api: String, _ editor: RESTEditor, _ context: OperationContext) throws(AWSError) {
        validators = plan.validators
        guard plan.models.count <= RESTLimits.models else { throw RESTError.tooMany("models") }
        for (name, schema) in plan.models {
            try Self.within("create model '\(name)'") { () throws(AWSError) in
                let document: Value = [
                    "id": .string(ResourceID.authorizer()), "name": .string(name), "contentType": "application/json",
                    "schema": .string(JSON.encodeString(Self.rewritten(schema, api: api, depth: 0))),
                ]
                try RESTModelOperations.validate(document)
                models.append(Model(name: name, document: document, row: Documents.encode(document)))
            }
        }
        for entry in plan.authorizers.entries {
            try Self.within("create authorizer '\(entry.name)'") { () throws(AWSError) in
                authorizers.append(try RESTAuthorizerOperations.document(of: entry.value, context.scope))
            }
        }
        for entry in plan.responses.entries {
            guard let type = GatewayResponseType(rawValue: entry.name) else {
                throw RESTError.bad("Errors found during import:\n\tInvalid gateway response type \(entry.name)")
            }
            responses.append((entry.name, try GatewayResponseOperations.document(type, entry.value)))
        }
        for path in plan.paths {
            var methods: [Method] = []
            for (name, operation) in path.operations {
                try Self.within("put method '\(name)' on resource at path '\(path.path)'") { () throws(AWSError) in
                    let document = try Self.method(name, operation, editor, context)
                    methods.append(
                        Method(
                            name: name, document: document, authorizer: operation.authorizer,
                            validator: operation.validator))
                }
            }
            paths.append(Path(path: path.path, methods: methods))
        }
    }

    /// Says where in the document a mistake is.
    static func within(_ what: String, _ body: () throws(AWSError) -> Void) throws(AWSError) {
        do { try body() } catch {
            guard error.status == 400 else { throw error }
            throw RESTError.bad("Errors found during import:\n\tUnable to \(what): \(error.message)")
        }
    }

    private static func method(
        _ name: String, _ operation: RESTDocument.Operation, _ editor: RESTEditor, _ context: OperationContext
    ) throws(AWSError) -> Value {
        var method = try MethodOperations.document(name, operation.method)
        for entry in operation.methodResponses.entries { try MethodOperations.validate(response: entry.value) }
        if !operation.methodResponses.isEmpty { method["methodResponses"] = .map(operation.methodResponses) }
        guard let given = operation.integration else { return method }
        var integration = try MethodIntegrationOperations.document(given, resource: "", editor, context)
        var responses = Fields()
        for entry in operation.integrationResponses.entries {
            responses[entry.name] = try MethodIntegrationOperations.response(entry.name, entry.value)
        }
        if !responses.isEmpty { integration["integrationResponses"] = .map(responses) }
        method["methodIntegration"] = integration
        return method
    }

    /// References to definitions are references to models then.
    private static func rewritten(_ schema: Value, api: String, depth: Int) -> Value {
        guard depth < Limits.documentDepth else { return schema }
        switch schema {
        case .map(let fields):
            return .map(
                Fields(
                    fields.entries.map { entry in
                        guard entry.name == "$ref", let reference = entry.value.string, reference.hasPrefix("#/"),
                            let name = reference.split(separator: "/").last
                        else { return (entry.name, rewritten(entry.value, api: api, depth: depth + 1)) }
                        let model = RESTDocument.modelName(String(name))
                        return ("$ref", .string("https://apigateway.amazonaws.com/restapis/\(api)/models/\(model)"))
                    }))
        case .list(let list): return .list(list.map { rewritten($0, api: api, depth: depth + 1) })
        default: return schema
        }
    }
}

/// Puts the rows of a plan into an API: reads which ids there are, and writes.
struct Importer {
    let api: APIRow
    /// Whether what the document does not name goes.
    let overwrites: Bool

    func apply(_ plan: ImportPlan, in transaction: any WriteTransaction) throws {
        let before = try Item.list(.resource, api: api.id, in: transaction).map(\.document)
        var authorizers = try ids(.authorizer, in: transaction)
        if overwrites {
            for kind in [ItemKind.resource, .model, .requestValidator, .gatewayResponse, .authorizer] {
                try Item.delete(kind, prefix: "", api: api.id, in: transaction)
            }
        }
        try putModels(plan, in: transaction)
        var validators = try ids(.requestValidator, in: transaction)
        for entry in plan.validators.entries where validators[entry.name] == nil {
            var input = entry.value
            input["name"] = .string(entry.name)
            let made = try RequestValidatorOperations.insert(input, api: api.id, in: transaction)
            validators[entry.name] = made["id"]?.string
        }
        try putAuthorizers(plan, &authorizers, in: transaction)
        for (type, document) in plan.responses {
            try Item.put(.gatewayResponse, type, document, api: api.id, in: transaction)
        }
        let models = Set(plan.models.map(\.name))
        var tree = ImportTree(before, root: api.document["rootResourceId"]?.string ?? "", keeps: !overwrites)
        for path in plan.paths {
            let id = try tree.resource(at: path.path)
            for method in path.methods {
                var document = method.document
                if document["authorizationType"]?.string == "CUSTOM" {
                    document["authorizerId"] = method.authorizer.flatMap { authorizers[$0] }.map { .string($0) }
                }
                document["requestValidatorId"] = method.validator.flatMap { validators[$0] }.map { .string($0) }
                try checkModels(document, known: models, method.name, path.path, in: transaction)
                if var integration = document["methodIntegration"], integration["cacheNamespace"]?.string == "" {
                    integration["cacheNamespace"] = .string(id)
                    document["methodIntegration"] = integration
                }
                tree.put(method.name, document, at: id)
            }
        }
        try tree.store(api: api.id, in: transaction)
    }

    /// By the name.
    private func ids(_ kind: ItemKind, in transaction: any ReadTransaction) throws -> [String: String] {
        var ids: [String: String] = [:]
        for item in try Item.list(kind, api: api.id, in: transaction) {
            ids[item.document["name"]?.string ?? ""] = item.id
        }
        return ids
    }

    private func putModels(_ plan: ImportPlan, in transaction: any WriteTransaction) throws {
        for model in plan.models {
            if let known = try Item.find(.model, model.name, api: api.id, in: transaction) {
                var document = model.document
                document["id"] = known["id"]
                try Item.put(.model, model.name, document, api: api.id, in: transaction)
            } else {
                try Item.put(.model, model.name, encoded: model.row, api: api.id, in: transaction)
            }
        }
        guard try Item.count(.model, api: api.id, in: transaction) <= RESTLimits.models else {
            throw RESTError.tooMany("models")
        }
    }

    /// An authorizer of the same name keeps its id.
    private func putAuthorizers(
        _ plan: ImportPlan, _ ids: inout [String: String], in transaction: any WriteTransaction
    ) throws {
        for var document in plan.authorizers {
            let name = document["name"]?.string ?? ""
            let id = ids[name] ?? ResourceID.authorizer()
            ids[name] = id
            document["id"] = .string(id)
            try Item.put(.authorizer, id, document, api: api.id, in: transaction)
        }
        guard try Item.count(.authorizer, api: api.id, in: transaction) <= RESTLimits.authorizers else {
            throw RESTError.tooMany("authorizers")
        }
    }

    /// Models that the document does not have may be the API's.
    private func checkModels(
        _ method: Value, known: Set<String>, _ name: String, _ path: String, in transaction: any ReadTransaction
    ) throws {
        for entry in method["requestModels"]?.fields?.entries ?? [] {
            let model = entry.value.string ?? ""
            if try known.contains(model) || Item.find(.model, model, api: api.id, in: transaction) != nil { continue }
            try ImportPlan.within("put method '\(name)' on resource at path '\(path)'") { () throws(AWSError) in
                throw RESTError.bad("Invalid model identifier specified: \(model)")
            }
        }
    }
}

/// The resources that an import leads to. Paths that were there keep their ids.
private struct ImportTree {
    private var documents: [String: Value] = [:]
    private var ids: [String: String] = [:]
    private let known: [String: String]

    init(_ before: [Value], root: String, keeps: Bool) {
        var known: [String: String] = [:]
        for resource in before {
            guard let id = resource["id"]?.string, let path = resource["path"]?.string else { continue }
            known[path] = id
            guard keeps || id == root else { continue }
            ids[path] = id
            documents[id] = keeps ? resource : ["id": .string(id), "path": "/"]
        }
        self.known = known
    }

    mutating func resource(at path: String) throws(AWSError) -> String {
        if let id = ids[path] { return id }
        guard let slash = path.lastIndex(of: "/"), path != "/" else { throw RESTError.noResource }
        let parent = try resource(at: slash == path.startIndex ? "/" : String(path[..<slash]))
        guard documents.count < RESTLimits.resources else { throw RESTError.tooMany("resources") }
        let id = known[path] ?? ResourceID.deployment()
        ids[path] = id
        documents[id] = [
            "id": .string(id), "parentId": .string(parent),
            "pathPart": .string(String(path[path.index(after: slash)...])),
            "path": .string(path),
        ]
        return id
    }

    mutating func put(_ name: String, _ method: Value, at id: String) {
        var methods = documents[id]?["resourceMethods"] ?? [:]
        methods[name] = method
        documents[id]?["resourceMethods"] = methods
    }

    func store(api: String, in transaction: any WriteTransaction) throws {
        for (id, document) in documents { try Item.put(.resource, id, document, api: api, in: transaction) }
    }
}
