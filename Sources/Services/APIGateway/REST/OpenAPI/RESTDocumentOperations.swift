import Contracts
import NIOCore
import Platform
import Storage
import Wire

/// ImportRestApi, PutRestApi and GetExport.
struct RESTDocumentOperations: Sendable {
    let editor: RESTEditor

    private func document(_ request: OperationRequest) throws(AWSError) -> RESTDocument {
        let text = String(buffer: request.payload)
        let parameters = request.input["parameters"]
        var basePath = RESTDocument.BasePath.ignore
        if let name = parameters?["basepath"]?.string {
            guard let known = RESTDocument.BasePath(rawValue: lowercased(name)) else {
                throw RESTError.bad("Invalid basepath: \(name). Valid values are ignore, prepend and split")
            }
            basePath = known
        }
        var document: RESTDocument
        do throws(DocumentReader.Problem) {
            document = try RESTDocument(try DocumentReader.read(text), basePath: basePath)
        } catch {
            throw RESTError.bad("Invalid OpenAPI input: \(error.reason)")
        }
        if let types = parameters?["endpointConfigurationTypes"]?.string {
            document.api["types"] = .strings(types.split(separator: ",").map(String.init))
        }
        // CreateRestApi has them in a structure.
        var endpoint: Value = [:]
        for name in ["types", "vpcEndpointIds"] {
            if let value = document.api[name] { endpoint[name] = value }
            document.api[name] = nil
        }
        if endpoint.fields?.isEmpty == false { document.api["endpointConfiguration"] = endpoint }
        if request.input["failOnWarnings"]?.bool == true, let first = document.warnings.first {
            throw RESTError.bad("Warnings found during import:\n\t\(first)")
        }
        return document
    }

    func importAPI(_ request: OperationRequest) async throws -> OperationResponse {
        let (context, editor) = (request.context, editor)
        let plan = try document(request)
        let row = APIRow(
            id: ResourceID.api(), scope: context.scope, proto: APIRow.rest,
            document: try RESTAPIOperations.document(of: plan.api, now: context.now))
        let made = try await editor.database.write { transaction in
            guard try APIRow.count(row.scope, in: transaction) < Limits.apis else { throw RESTError.tooMany("APIs") }
            let made = try RESTAPIOperations.insert(row, now: context.now, in: transaction)
            try Importer(api: made, editor: editor, context: context, overwrites: true).apply(plan, in: transaction)
            return made
        }
        return response(made, plan)
    }

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let (context, editor) = (request.context, editor)
        let plan = try document(request)
        let overwrites = request.input["mode"]?.string == "overwrite"
        let made = try await editor.edit(request) { api, transaction in
            var row = api
            let given = try RESTAPIOperations.document(of: plan.api, now: context.now)
            var names = plan.api.fields?.names ?? []
            if overwrites {
                for name in ["description", "version", "binaryMediaTypes", "minimumCompressionSize", "policy"] {
                    row.document[name] = nil
                }
            } else {
                names.removeAll { $0 == "name" }
            }
            row.document = row.document.merging(given, names)
            try RESTAPIOperations.validate(row.document)
            try row.update(in: transaction)
            try RESTAPIOperations.keepSettings(of: row, in: transaction)
            try Importer(api: row, editor: editor, context: context, overwrites: overwrites)
                .apply(plan, in: transaction)
            return row
        }
        return response(made, plan)
    }

    private func response(_ row: APIRow, _ plan: RESTDocument) -> OperationResponse {
        var output = RESTAPIOperations.shape(row)
        if !plan.warnings.isEmpty { output["warnings"] = .strings(plan.warnings.prefix(100)) }
        return OperationResponse(output)
    }

    // MARK: Export

    func export(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, context) = (request.input, request.context)
        let kind = input["exportType"]?.string ?? ""
        guard kind == "swagger" || kind == "oas30" else {
            throw RESTError.bad("Invalid export type specified. Valid options are swagger, oas30")
        }
        let stage = input["stageName"]?.string ?? ""
        let accepts = input["accepts"]?.string ?? "application/json"
        let isYAML = accepts.contains("yaml")
        let extensions = Set(
            (input["parameters"]?["extensions"]?.string ?? "").split(separator: ",").map { ProxyRequest.trimmed($0) })
        let document = try await editor.read(request) { api, transaction in
            guard let served = try Item.find(.stage, stage, api: api.id, in: transaction)?["deploymentId"]?.string
            else {
                throw RESTError.noStage
            }
            let deployment = try RESTCatalog.deployment(served, api: api.id, in: transaction)
            return RESTExporter(
                api: api, deployment: deployment, stage: stage, endpoint: APIOperations.endpoint(api.id, context),
                isSwagger: kind == "swagger", extensions: extensions
            ).document()
        }
        let bytes = isYAML ? Array(try DocumentReader.yamlText(document).utf8) : JSON.encode(document)
        let name = "\(kind)_\(context.now.milliseconds).\(isYAML ? "yaml" : "json")"
        return OperationResponse(
            [
                "contentType": .string(isYAML ? "application/yaml" : "application/json"),
                "contentDisposition": .string("attachment; filename=\"\(name)\""),
            ], payload: .bytes(ByteBuffer(bytes: bytes)))
    }
}

/// Makes the rows of an API out of a document.
struct Importer {
    let api: APIRow
    let editor: RESTEditor
    let context: OperationContext
    /// Whether what the document does not name goes.
    let overwrites: Bool

    func apply(_ plan: RESTDocument, in transaction: any WriteTransaction) throws {
        let before = try Item.list(.resource, api: api.id, in: transaction).map(\.document)
        var authorizers: [String: String] = [:]
        for item in try Item.list(.authorizer, api: api.id, in: transaction) {
            authorizers[item.document["name"]?.string ?? ""] = item.id
        }
        if overwrites {
            for kind in [ItemKind.resource, .model, .requestValidator, .gatewayResponse, .authorizer] {
                try Item.delete(kind, prefix: "", api: api.id, in: transaction)
            }
        }
        try putModels(plan, in: transaction)
        var validators: [String: String] = [:]
        for item in try Item.list(.requestValidator, api: api.id, in: transaction) {
            validators[item.document["name"]?.string ?? ""] = item.id
        }
        for entry in plan.validators.entries where validators[entry.name] == nil {
            var input = entry.value
            input["name"] = .string(entry.name)
            let made = try RequestValidatorOperations.insert(input, api: api.id, in: transaction)
            validators[entry.name] = made["id"]?.string
        }
        for entry in plan.authorizers.entries {
            try putAuthorizer(entry.value, &authorizers, in: transaction)
        }
        for entry in plan.responses.entries {
            guard let type = GatewayResponseType(rawValue: entry.name) else {
                throw RESTError.bad("Errors found during import:\n\tInvalid gateway response type \(entry.name)")
            }
            try Item.put(
                .gatewayResponse, entry.name, try GatewayResponseOperations.document(type, entry.value), api: api.id,
                in: transaction)
        }
        var tree = ImportTree(before, root: api.document["rootResourceId"]?.string ?? "", keeps: !overwrites)
        for path in plan.paths {
            let id = try tree.resource(at: path.path)
            for (name, operation) in path.operations {
                tree.put(
                    name, try method(name, operation, path.path, id, authorizers, validators, in: transaction), at: id)
            }
        }
        try tree.store(api: api.id, in: transaction)
    }

    private func putModels(_ plan: RESTDocument, in transaction: any WriteTransaction) throws {
        for (name, schema) in plan.models {
            let text = JSON.encodeString(rewritten(schema, depth: 0))
            var document: Value = [
                "id": .string(ResourceID.authorizer()), "name": .string(name), "contentType": "application/json",
            ]
            document["schema"] = .string(text)
            if let known = try Item.find(.model, name, api: api.id, in: transaction) { document["id"] = known["id"] }
            do { try RESTModelOperations.validate(document) } catch {
                throw RESTError.bad("Errors found during import:\n\tUnable to create model '\(name)': \(error.message)")
            }
            guard try Item.count(.model, api: api.id, in: transaction) < RESTLimits.models else {
                throw RESTError.tooMany("models")
            }
            try Item.put(.model, name, document, api: api.id, in: transaction)
        }
    }

    /// References to definitions are references to models then.
    private func rewritten(_ schema: Value, depth: Int) -> Value {
        guard depth < Limits.documentDepth else { return schema }
        switch schema {
        case .map(let fields):
            return .map(
                Fields(
                    fields.entries.map { entry in
                        guard entry.name == "$ref", let reference = entry.value.string, reference.hasPrefix("#/"),
                            let name = reference.split(separator: "/").last
                        else { return (entry.name, rewritten(entry.value, depth: depth + 1)) }
                        let model = RESTDocument.modelName(String(name))
                        return (
                            "$ref", .string("https://apigateway.amazonaws.com/restapis/\(api.id)/models/\(model)")
                        )
                    }))
        case .list(let list): return .list(list.map { rewritten($0, depth: depth + 1) })
        default: return schema
        }
    }

    /// An authorizer of the same name keeps its id.
    private func putAuthorizer(
        _ input: Value, _ ids: inout [String: String], in transaction: any WriteTransaction
    ) throws {
        let name = input["name"]?.string ?? ""
        if let id = ids[name], try Item.find(.authorizer, id, api: api.id, in: transaction) != nil {
            try Item.delete(.authorizer, id, api: api.id, in: transaction)
        }
        do {
            var made = try RESTAuthorizerOperations.insert(input, api.scope, api: api.id, in: transaction)
            let fresh = made["id"]?.string ?? ""
            if let id = ids[name] {
                try Item.delete(.authorizer, fresh, api: api.id, in: transaction)
                made["id"] = .string(id)
                try Item.put(.authorizer, id, made, api: api.id, in: transaction)
            } else {
                ids[name] = fresh
            }
        } catch let error as AWSError where error.status == 400 {
            throw RESTError.bad(
                "Errors found during import:\n\tUnable to create authorizer '\(name)': \(error.message)")
        }
    }

    private func method(
        _ name: String, _ operation: RESTDocument.Operation, _ path: String, _ resource: String,
        _ authorizers: [String: String], _ validators: [String: String], in transaction: any ReadTransaction
    ) throws -> Value {
        var input = operation.method
        if let name = operation.authorizer { input["authorizerId"] = authorizers[name].map { .string($0) } }
        if let name = operation.validator { input["requestValidatorId"] = validators[name].map { .string($0) } }
        do {
            var method = try MethodOperations.document(name, input, api: api.id, in: transaction)
            for entry in operation.methodResponses.entries { try MethodOperations.validate(response: entry.value) }
            if !operation.methodResponses.isEmpty { method["methodResponses"] = .map(operation.methodResponses) }
            if let given = operation.integration {
                var integration = try MethodIntegrationOperations.document(given, resource: resource, editor, context)
                var responses = Fields()
                for entry in operation.integrationResponses.entries {
                    responses[entry.name] = try MethodIntegrationOperations.response(entry.name, entry.value)
                }
                if !responses.isEmpty { integration["integrationResponses"] = .map(responses) }
                method["methodIntegration"] = integration
            }
            return method
        } catch let error as AWSError where error.status == 400 {
            throw RESTError.bad(
                "Errors found during import:\n\tUnable to put method '\(name)' on resource at path '\(path)': "
                    + error.message)
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
