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
        var basePath = BasePath.ignore
        if let name = parameters?["basepath"]?.string {
            guard let known = BasePath(rawValue: lowercased(name)) else {
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
        let content = try ImportPlan(plan, api: row.id, editor, context)
        let made = try await editor.database.write { transaction in
            guard try APIRow.count(row.scope, in: transaction) < Limits.apis else { throw RESTError.tooMany("APIs") }
            let made = try RESTAPIOperations.insert(row, now: context.now, in: transaction)
            try Importer(api: made, overwrites: true).apply(content, in: transaction)
            return made
        }
        return response(made, plan)
    }

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let plan = try document(request)
        let overwrites = request.input["mode"]?.string == "overwrite"
        let content = try ImportPlan(plan, api: request.input["restApiId"]?.string ?? "", editor, context)
        let given = try RESTAPIOperations.document(of: plan.api, now: context.now)
        let made = try await editor.edit(request) { api, transaction in
            var row = api
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
            try Importer(api: row, overwrites: overwrites).apply(content, in: transaction)
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
