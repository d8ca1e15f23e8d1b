import Contracts
import Platform
import Storage
import Wire

/// Models: JSON Schema (draft 4) by name.
struct RESTModelOperations: Sendable {
    let editor: RESTEditor

    private static let noProperties = RESTError.bad(
        "Model schema must have at least 1 property or array items defined")

    static func validate(_ document: Value) throws(AWSError) {
        guard let name = document["name"]?.string, !name.isEmpty else {
            throw RESTError.bad("Model name must be non-empty")
        }
        guard name.utf8.count <= 128,
            name.utf8.allSatisfy({ PercentEncoding.isUnreserved($0) && !"-._~".utf8.contains($0) })
        else { throw RESTError.bad("Model name must be alphanumeric: \(name.prefix(128))") }
        guard let schema = document["schema"]?.string, !schema.isEmpty else { throw noProperties }
        guard schema.utf8.count <= RESTLimits.model else { throw RESTError.bad("The model is too large") }
        guard document["contentType"]?.string == "application/json" else { return }
        guard let value = try? JSON.parse(schema), value.fields != nil else {
            throw RESTError.bad(
                "Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified. "
                    + "Unsupported keyword(s): [], or invalid JSON]")
        }
        if let problem = JSONSchema.problem(of: value) {
            throw RESTError.bad(
                "Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified. "
                    + problem + "]")
        }
    }

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        var document = request.input.picking(["name", "contentType", "schema"])
        if let text = request.input["description"]?.string, !text.isEmpty { document["description"] = .string(text) }
        document["id"] = .string(ResourceID.authorizer())
        let made = document
        try await editor.edit(request) { api, transaction in
            try Self.validate(made)
            try Self.insert(made, api: api.id, in: transaction)
        }
        return OperationResponse(made)
    }

    static func insert(_ document: Value, api: String, in transaction: any WriteTransaction) throws {
        let name = document["name"]?.string ?? ""
        guard try Item.find(.model, name, api: api, in: transaction) == nil else {
            throw RESTError.conflict("Model name already exists for this REST API")
        }
        guard try Item.count(.model, api: api, in: transaction) < RESTLimits.models else {
            throw RESTError.tooMany("models")
        }
        try Item.put(.model, name, document, api: api, in: transaction)
    }

    private func find(_ request: OperationRequest) async throws -> Value {
        let name = request.input["modelName"]?.string ?? ""
        return try await editor.read(request, otherwise: RESTError.noModel(name)) { api, transaction in
            guard let found = try Item.find(.model, name, api: api.id, in: transaction) else {
                throw RESTError.noModel(name)
            }
            return found
        }
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        OperationResponse(try await find(request))
    }

    /// An empty object with every property of the schema in it, as mapping templates begin.
    func template(_ request: OperationRequest) async throws -> OperationResponse {
        let schema = try await find(request)["schema"]?.string.flatMap { try? JSON.parse($0) }
        let names = schema?["properties"]?.fields?.names ?? []
        let lines = names.map { name -> String in
            let key = JSON.encodeString(.string(name))
            return "  \(key) : $input.json('$.\(name)')"
        }
        return OperationResponse([
            "value": .string("#set($inputRoot = $input.path('$'))\n{\n" + lines.joined(separator: ",\n") + "\n}")
        ])
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let paging = try RESTPaging(request.input)
        let rows = try await editor.read(request) { api, transaction in
            try Item.list(.model, api: api.id, after: paging.after, limit: paging.limit + 1, in: transaction)
        }
        return OperationResponse(paging.page(rows.map { ($0.id, $0.document) }))
    }

    private static let patches = PatchTable(style: .listing, rules: [.text("description"), .text("schema")])

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let name = request.input["modelName"]?.string ?? ""
        let operations = try PatchOperation.read(request.input)
        let made = try await editor.edit(request, otherwise: RESTError.noModel(name)) { api, transaction in
            guard var document = try Item.find(.model, name, api: api.id, in: transaction) else {
                throw RESTError.noModel(name)
            }
            try Self.patches.apply(operations, to: &document)
            try Self.validate(document)
            try Item.put(.model, name, document, api: api.id, in: transaction)
            return document
        }
        return OperationResponse(made)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let name = request.input["modelName"]?.string ?? ""
        try await editor.edit(request, otherwise: RESTError.noModel(name)) { api, transaction in
            guard try Item.find(.model, name, api: api.id, in: transaction) != nil else {
                throw RESTError.noModel(name)
            }
            for item in try Item.list(.resource, api: api.id, in: transaction) {
                for method in item.document["resourceMethods"]?.fields?.entries ?? [] {
                    let models = method.value["requestModels"]?.fields?.entries ?? []
                    guard !models.contains(where: { $0.value.string == name }) else {
                        throw RESTError.conflict(
                            "Cannot delete model '\(name)', is referenced in method request: "
                                + "\(item.document["path"]?.string ?? "")/\(method.name)")
                    }
                }
            }
            try Item.delete(.model, name, api: api.id, in: transaction)
        }
        return OperationResponse()
    }
}

/// What is checked of a request before its integration is asked.
struct RequestValidatorOperations: Sendable {
    let editor: RESTEditor

    static func insert(_ input: Value, api: String, in transaction: any WriteTransaction) throws -> Value {
        guard try Item.count(.requestValidator, api: api, in: transaction) < RESTLimits.validators else {
            throw RESTError.tooMany("request validators")
        }
        let id = ResourceID.authorizer()
        var document: Value = ["id": .string(id)]
        document["name"] = input["name"]
        document["validateRequestBody"] = input["validateRequestBody"] ?? false
        document["validateRequestParameters"] = input["validateRequestParameters"] ?? false
        try Item.put(.requestValidator, id, document, api: api, in: transaction)
        return document
    }

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        let unknown = RESTError.bad("Invalid REST API identifier specified")
        return OperationResponse(
            try await editor.edit(request, otherwise: unknown) { api, transaction in
                try Self.insert(input, api: api.id, in: transaction)
            })
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["requestValidatorId"]?.string ?? ""
        return OperationResponse(
            try await editor.read(request, otherwise: RESTError.noValidator) { api, transaction in
                guard let found = try Item.find(.requestValidator, id, api: api.id, in: transaction) else {
                    throw RESTError.noValidator
                }
                return found
            })
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let paging = try RESTPaging(request.input)
        let rows = try await editor.read(request) { api, transaction in
            try Item.list(
                .requestValidator, api: api.id, after: paging.after, limit: paging.limit + 1, in: transaction)
        }
        return OperationResponse(paging.page(rows.map { ($0.id, $0.document) }))
    }

    private static let patches = PatchTable(
        style: .listing,
        rules: [
            .custom("/name", [.replace]) { document, patch in
                guard let name = patch.value, !name.isEmpty else {
                    throw RESTError.bad("Request Validator name cannot be blank")
                }
                document["name"] = .string(name)
            },
            .truth("validateRequestParameters"), .truth("validateRequestBody"),
        ])

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["requestValidatorId"]?.string ?? ""
        let operations = try PatchOperation.read(request.input)
        return OperationResponse(
            try await editor.edit(request, otherwise: RESTError.noValidator) { api, transaction in
                guard var document = try Item.find(.requestValidator, id, api: api.id, in: transaction) else {
                    throw RESTError.noValidator
                }
                try Self.patches.apply(operations, to: &document)
                try Item.put(.requestValidator, id, document, api: api.id, in: transaction)
                return document
            })
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["requestValidatorId"]?.string ?? ""
        try await editor.edit(request, otherwise: RESTError.noValidator) { api, transaction in
            guard try Item.find(.requestValidator, id, api: api.id, in: transaction) != nil else {
                throw RESTError.noValidator
            }
            try Item.delete(.requestValidator, id, api: api.id, in: transaction)
        }
        return OperationResponse()
    }
}

/// What API Gateway itself answers, by the reason.
struct GatewayResponseOperations: Sendable {
    let editor: RESTEditor

    /// What is in effect for a type: its own, else that of its class, else AWS's.
    private static func shape(_ type: GatewayResponseType, _ own: [String: Value]) -> Value {
        if let document = own[type.rawValue] { return document }
        var output: Value = ["responseType": .string(type.rawValue)]
        if let status = type.status { output["statusCode"] = .string(String(status)) }
        output["responseParameters"] = [:]
        output["responseTemplates"] = ["application/json": .string(GatewayResponseType.template)]
        // The class decides by what AWS answers, whatever was configured (recorded).
        if let general = type.general, let document = own[general.rawValue] {
            output = output.merging(document, ["responseParameters", "responseTemplates"])
            if let status = document["statusCode"] { output["statusCode"] = status }
        }
        output["defaultResponse"] = true
        return output
    }

    private func own(_ request: OperationRequest) async throws -> [String: Value] {
        let rows = try await editor.read(request) { api, transaction in
            try Item.list(.gatewayResponse, api: api.id, in: transaction)
        }
        return Dictionary(rows.map { ($0.id, $0.document) }, uniquingKeysWith: { first, _ in first })
    }

    private static func type(_ input: Value) throws(AWSError) -> GatewayResponseType {
        guard let type = input["responseType"]?.string.flatMap({ GatewayResponseType(rawValue: $0) }) else {
            throw RESTError.bad("Invalid gateway response type specified")
        }
        return type
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        OperationResponse(Self.shape(try Self.type(request.input), try await own(request)))
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let own = try await own(request)
        return OperationResponse(["items": .list(GatewayResponseType.allCases.map { Self.shape($0, own) })])
    }

    /// A response as it is stored, checked.
    static func document(_ type: GatewayResponseType, _ input: Value) throws(AWSError) -> Value {
        var document: Value = ["responseType": .string(type.rawValue), "defaultResponse": false]
        let status = input["statusCode"]?.string ?? type.status.map(String.init)
        if let status { document["statusCode"] = .string(status) }
        document["responseParameters"] = input["responseParameters"] ?? [:]
        let templates = input["responseTemplates"]
        document["responseTemplates"] =
            templates?.fields?.isEmpty == false
            ? templates : ["application/json": .string(GatewayResponseType.template)]
        try validate(document)
        return document
    }

    private static func validate(_ document: Value) throws(AWSError) {
        if let status = document["statusCode"]?.string {
            guard let number = Int(status), (200...599).contains(number) else {
                throw RESTError.bad("Invalid status code specified: \(status.prefix(20))")
            }
        }
        let parameters = document["responseParameters"]?.fields?.entries ?? []
        guard parameters.count <= RESTLimits.entries else { throw RESTError.bad("Too many response parameters") }
        for entry in parameters {
            guard entry.name.hasPrefix("gatewayresponse."), let text = entry.value.string,
                RESTMapping(text, side: .gateway) != nil
            else { throw MethodIntegrationOperations.mappingError(entry.name, isParameter: true) }
        }
        for entry in document["responseTemplates"]?.fields?.entries ?? [] {
            guard (entry.value.string ?? "").utf8.count <= RESTLimits.template else {
                throw RESTError.bad("The mapping template is too large")
            }
        }
    }

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let (type, input) = (try Self.type(request.input), request.input)
        return OperationResponse(
            try await editor.edit(request) { api, transaction in
                let document = try Self.document(type, input)
                try Item.put(.gatewayResponse, type.rawValue, document, api: api.id, in: transaction)
                return document
            })
    }

    private static let patches = PatchTable(
        style: .plain,
        rules: [
            .text("statusCode"), .entries("responseParameters", [.add, .remove, .replace], read("responseParameters")),
            .entries("responseTemplates", [.add, .remove, .replace], read("responseTemplates")),
        ])

    private static func read(_ name: String) -> @Sendable (PatchOperation) throws -> Value {
        { patch in
            guard let value = patch.value, !value.isEmpty else {
                throw RESTError.bad("Invalid null or empty value in \(name)")
            }
            return .string(value)
        }
    }

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let (type, operations) = (try Self.type(request.input), try PatchOperation.read(request.input))
        return OperationResponse(
            try await editor.edit(request) { api, transaction in
                var document: Value
                if let known = try Item.find(.gatewayResponse, type.rawValue, api: api.id, in: transaction) {
                    document = known
                } else {
                    document = try Self.document(type, [:])
                }
                for patch in operations where patch.verb == .replace && patch.segments.count == 2 {
                    guard document[patch.segments[0]]?[patch.segments[1]] != nil else {
                        throw RESTError.notFound("Invalid parameter name specified")
                    }
                }
                try Self.patches.apply(operations, to: &document)
                for name in ["responseParameters", "responseTemplates"] where document[name] == nil {
                    document[name] = [:]
                }
                try Self.validate(document)
                try Item.put(.gatewayResponse, type.rawValue, document, api: api.id, in: transaction)
                return document
            })
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let type = try Self.type(request.input)
        try await editor.edit(request) { api, transaction in
            guard try Item.find(.gatewayResponse, type.rawValue, api: api.id, in: transaction) != nil else {
                throw RESTError.notFound("Gateway response type not defined on api")
            }
            try Item.delete(.gatewayResponse, type.rawValue, api: api.id, in: transaction)
        }
        return OperationResponse()
    }
}
