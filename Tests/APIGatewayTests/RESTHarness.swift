import Contracts
import NIOCore
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import APIGateway

typealias RESTGot = (status: Int, headers: [(name: String, value: String)], body: String)

extension Harness {
    /// Calls an operation of API Gateway v1 as the front door does.
    @discardableResult
    func rest(_ operation: String, _ input: Value, body: String = "", principal: Principal = .account(account))
        async throws -> Value
    {
        guard case .asynchronous(let handler)? = service.restDefinition.operations[operation] else {
            throw AWSError.notImplemented(service: "apigateway", operation: operation)
        }
        let response = try await handler(
            OperationRequest(
                context: context(operation, principal: principal), input: input, payload: ByteBuffer(string: body)))
        guard case .bytes(let bytes) = response.payload else { return response.output }
        var output = response.output
        output["body"] = .string(String(buffer: bytes))
        return output
    }

    func restError(_ operation: String, _ input: Value, body: String = "", principal: Principal = .account(account))
        async
        -> String?
    {
        do {
            try await rest(operation, input, body: body, principal: principal)
            return nil
        } catch {
            guard let error = error as? AWSError else { return "\(error)" }
            return "\(error.code): \(error.message)"
        }
    }

    static let functionURI: Value =
        "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations"

    /// An API; its id and that of its root resource.
    func restAPI(_ more: Value = [:]) async throws -> (id: Value, root: Value) {
        let made = try await rest("CreateRestApi", (["name": "test"] as Value).merging(more, more.fields?.names ?? []))
        return (made["id"] ?? .null, made["rootResourceId"] ?? .null)
    }

    /// The resource of a path, made with its parents.
    func resource(_ api: Value, _ root: Value, _ path: String) async throws -> Value {
        var parent = root
        var whole = ""
        for part in path.split(separator: "/") {
            whole += "/" + part
            let known = try await rest("GetResources", ["restApiId": api, "limit": 500])["items"]?.list ?? []
            if let found = known.first(where: { $0["path"]?.string == whole })?["id"] {
                parent = found
            } else {
                let input: Value = ["restApiId": api, "parentId": parent, "pathPart": .string(String(part))]
                parent = try await rest("CreateResource", input)["id"] ?? .null
            }
        }
        return parent
    }

    /// A method of a path with the function `f` behind it, or another integration.
    func method(
        _ api: (id: Value, root: Value), _ name: String, _ path: String, _ more: Value = [:], integration: Value? = nil
    ) async throws {
        let resource = try await resource(api.id, api.root, path)
        let base: Value = ["restApiId": api.id, "resourceId": resource, "httpMethod": .string(name)]
        let asked = base.merging(["authorizationType": "NONE"], ["authorizationType"])
        try await rest("PutMethod", asked.merging(more, more.fields?.names ?? []))
        let target =
            integration ?? ["type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": Self.functionURI]
        try await rest("PutIntegration", base.merging(target, target.fields?.names ?? []))
    }

    func deploy(_ api: (id: Value, root: Value), _ more: Value = [:]) async throws {
        let input: Value = ["restApiId": api.id, "stageName": "s"]
        try await rest("CreateDeployment", input.merging(more, more.fields?.names ?? []))
    }

    /// One request through the door.
    func get(
        _ api: (id: Value, root: Value), _ method: String = "GET", _ path: String = "/s/", query: String = "",
        body: String = "", headers: [(name: String, value: String)] = [], isSigned: Bool = false
    ) async -> RESTGot {
        await send(
            api.id.string ?? "", method, path, query: query, body: body, headers: headers, isSigned: isSigned)
    }

    /// Makes the function answer `200` with a text.
    func answers(_ body: String) {
        functions.answer { _ in .success(FakeFunctions.result(["statusCode": 200, "body": .string(body)])) }
    }
}

/// Keeps what a streamed payload writes.
final class PieceWriter: BodyWriter {
    private let kept = Mutex<[String]>([])
    var pieces: [String] { kept.withLock { $0 } }
    func write(_ bytes: ByteBuffer) async throws { kept.withLock { $0.append(String(buffer: bytes)) } }
}
