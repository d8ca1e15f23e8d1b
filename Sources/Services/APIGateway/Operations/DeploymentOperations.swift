import Contracts
import Platform
import Storage
import Wire

/// Copies of an API's routes, integrations, authorizers and cross-origin settings, which stages serve.
enum Deployments {
    /// Makes a deployment of what the API is now. Throws when it has no routes.
    static func make(
        api: String, description: String?, isAutomatic: Bool, now: Instant, in transaction: any WriteTransaction
    ) throws -> Value {
        guard try Item.count(.route, api: api, in: transaction) > 0 else {
            throw GatewayError.bad("Unable to deploy API because no routes exist in this API")
        }
        let id = ResourceID.deployment()
        var document: Value = ["AutoDeployed": .bool(isAutomatic)]
        document["CreatedDate"] = .timestamp(now)
        document["DeploymentId"] = .string(id)
        document["DeploymentStatus"] = "DEPLOYED"
        if let description { document["Description"] = .string(description) }
        try Item.put(.deployment, id, document, api: api, in: transaction)
        try transaction.execute(
            """
            INSERT INTO apigateway_item (api, deployment, kind, id, document)
            SELECT api, ?, kind, id, document FROM apigateway_item
            WHERE api = ? AND deployment = '' AND kind IN ('route', 'integration', 'authorizer', 'cors', 'routeResponse')
            """, [.text(id), .text(api)])
        return document
    }

    /// Gives every stage with AutoDeploy a new deployment, and forgets the oldest that nobody needs.
    static func deployAutomatically(api: String, now: Instant, in transaction: any WriteTransaction) throws {
        let stages = try Item.list(.stage, api: api, in: transaction)
        let automatic = stages.filter { $0.document["AutoDeploy"]?.bool == true }
        guard !automatic.isEmpty else { return }
        guard try Item.count(.route, api: api, in: transaction) > 0 else {
            for stage in automatic {
                var document = stage.document
                document["LastDeploymentStatusMessage"] =
                    "Deployment attempt failed: Unable to deploy API because no routes exist in this API"
                try Item.put(.stage, stage.id, document, api: api, in: transaction)
            }
            return
        }
        let deployment = try make(
            api: api, description: "Automatic deployment triggered by changes to the Api configuration",
            isAutomatic: true, now: now, in: transaction)
        let id = deployment["DeploymentId"]?.string ?? ""
        for stage in automatic {
            try Item.put(.stage, stage.id, serving(id, stage.document, now), api: api, in: transaction)
        }
        try forgetOld(api: api, in: transaction)
    }

    /// The stage with another deployment.
    static func serving(_ id: String, _ stage: Value, _ now: Instant) -> Value {
        var document = stage
        document["DeploymentId"] = .string(id)
        document["LastUpdatedDate"] = .timestamp(now)
        document["LastDeploymentStatusMessage"] = .string("Successfully deployed stage with deployment ID '\(id)'")
        return document
    }

    private static func forgetOld(api: String, in transaction: any WriteTransaction) throws {
        let served = Set(
            try Item.list(.stage, api: api, in: transaction).compactMap { $0.document["DeploymentId"]?.string })
        let old = try Item.list(.deployment, api: api, in: transaction).filter {
            $0.document["AutoDeployed"]?.bool == true && !served.contains($0.id)
        }.sorted { created($0) > created($1) }
        for deployment in old.dropFirst(Limits.automaticDeployments) {
            try delete(deployment.id, api: api, in: transaction)
        }
    }

    private static func created(_ item: Item) -> Instant {
        item.document["CreatedDate"]?.timestamp ?? Instant(nanoseconds: 0)
    }

    static func delete(_ id: String, api: String, in transaction: any WriteTransaction) throws {
        try Item.delete(.deployment, id, api: api, in: transaction)
        try transaction.execute(
            "DELETE FROM apigateway_item WHERE api = ? AND deployment = ?", [.text(api), .text(id)])
    }
}

struct DeploymentOperations: Sendable {
    let editor: Editor

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, now) = (request.input, request.context.now)
        let (description, stage) = (input["Description"]?.string, input["StageName"]?.string)
        let made = try await editor.edit(input["ApiId"]?.string, request.context, deploys: false) { api, transaction in
            guard try Item.count(.deployment, api: api.id, in: transaction) < Limits.deployments else {
                throw GatewayError.tooMany("Deployment", Limits.deployments)
            }
            let document = try stage.map { try Item.require(.stage, $0, api: api.id, in: transaction) }
            let deployment = try Deployments.make(
                api: api.id, description: description, isAutomatic: false, now: now, in: transaction)
            if let stage, let document {
                let id = deployment["DeploymentId"]?.string ?? ""
                try Item.put(
                    .stage, stage, Deployments.serving(id, document, now), api: api.id, in: transaction)
            }
            return deployment
        }
        return OperationResponse(made)
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["DeploymentId"]?.string ?? ""
        return OperationResponse(
            try await editor.read(request.input["ApiId"]?.string, request.context) { api, transaction in
                try Item.require(.deployment, id, api: api.id, in: transaction)
            })
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        try await editor.list(.deployment, request)
    }

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        let id = input["DeploymentId"]?.string ?? ""
        let made = try await editor.edit(input["ApiId"]?.string, request.context, deploys: false) { api, transaction in
            let document = try Item.require(.deployment, id, api: api.id, in: transaction)
                .merging(input, ["Description"])
            try Item.put(.deployment, id, document, api: api.id, in: transaction)
            return document
        }
        return OperationResponse(made)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["DeploymentId"]?.string ?? ""
        try await editor.edit(request.input["ApiId"]?.string, request.context, deploys: false) { api, transaction in
            _ = try Item.require(.deployment, id, api: api.id, in: transaction)
            let stages = try Item.list(.stage, api: api.id, in: transaction)
            guard !stages.contains(where: { $0.document["DeploymentId"]?.string == id }) else {
                throw GatewayError.bad("Active stages pointing to this deployment must be moved or deleted")
            }
            try Deployments.delete(id, api: api.id, in: transaction)
        }
        return OperationResponse()
    }
}
