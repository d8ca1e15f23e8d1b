import Platform
import Testing
import Wire

@testable import APIGateway

/// Random edits of an API beside a model of a few lines: what each stage serves is what the model says, after every edit.
@Suite struct DeploymentSimulation {
    private struct Stage {
        var isAutomatic: Bool
        /// Keys of the deployment that it serves; nil without one.
        var served: Set<String>?
        var deployment: String?
    }

    private struct Model {
        var routes: [String: String] = [:]
        var stages: [String: Stage] = [:]
        var deployments: [String: Set<String>] = [:]

        /// What follows every edit of routes.
        mutating func deployAutomatically() {
            guard !routes.isEmpty else { return }
            for name in stages.keys where stages[name]?.isAutomatic == true {
                stages[name]?.served = Set(routes.keys)
                stages[name]?.deployment = nil
            }
        }
    }

    private static let paths = (0..<6).map { "/p\($0)" }
    private static let names = ["$default", "dev", "p1"]

    @Test(arguments: 0..<12) func stagesServeWhatTheyShould(seed: UInt64) async throws {
        var random = Seeded(seed)
        let harness = try Harness()
        let api = try await harness.call("CreateApi", ["Name": "s", "ProtocolType": "HTTP"])["ApiId"]?.string ?? ""
        let integration =
            try await harness.call(
                "CreateIntegration",
                [
                    "ApiId": .string(api), "IntegrationType": "AWS_PROXY", "PayloadFormatVersion": "2.0",
                    "IntegrationUri": "arn:aws:lambda:us-east-1:000000000000:function:f",
                ])["IntegrationId"]?.string ?? ""
        var model = Model()
        for _ in 0..<60 {
            try await edit(&model, harness, api, integration, &random)
            for name in Self.names { try await probe(model, name, harness, api, &random) }
        }
    }

    private func edit(
        _ model: inout Model, _ harness: Harness, _ api: String, _ integration: String, _ random: inout Seeded
    ) async throws {
        let path = Self.paths.randomElement(using: &random) ?? ""
        let name = Self.names.randomElement(using: &random) ?? ""
        let base: Value = ["ApiId": .string(api)]
        switch Int.random(in: 0..<7, using: &random) {
        case 0, 1:
            let key = "GET " + path
            let input = base.merging(
                ["RouteKey": .string(key), "Target": .string("integrations/\(integration)")], ["RouteKey", "Target"])
            if model.routes[path] != nil {
                #expect(await harness.error("CreateRoute", input)?.code == "ConflictException")
            } else {
                model.routes[path] = try await harness.call("CreateRoute", input)["RouteId"]?.string
                model.deployAutomatically()
            }
        case 2:
            guard let id = model.routes.removeValue(forKey: path) else { return }
            try await harness.call("DeleteRoute", base.merging(["RouteId": .string(id)], ["RouteId"]))
            model.deployAutomatically()
        case 3:
            let isAutomatic = Bool.random(using: &random)
            let input = base.merging(
                ["StageName": .string(name), "AutoDeploy": .bool(isAutomatic)], ["StageName", "AutoDeploy"])
            if model.stages[name] != nil {
                #expect(await harness.error("CreateStage", input)?.code == "ConflictException")
            } else {
                try await harness.call("CreateStage", input)
                model.stages[name] = Stage(isAutomatic: isAutomatic, served: nil)
                // All stages with AutoDeploy are deployed then; they serve it already.
                if isAutomatic { model.deployAutomatically() }
            }
        case 4:
            guard model.stages.removeValue(forKey: name) != nil else { return }
            try await harness.call("DeleteStage", base.merging(["StageName": .string(name)], ["StageName"]))
        case 5:
            guard let stage = model.stages[name], !stage.isAutomatic else { return }
            let input = base.merging(["StageName": .string(name)], ["StageName"])
            if model.routes.isEmpty {
                #expect(await harness.error("CreateDeployment", input)?.code == "BadRequestException")
            } else {
                let id = try await harness.call("CreateDeployment", input)["DeploymentId"]?.string ?? ""
                model.deployments[id] = Set(model.routes.keys)
                model.stages[name]?.served = Set(model.routes.keys)
            }
        default:
            // Back to an older deployment.
            guard let stage = model.stages[name], !stage.isAutomatic,
                let id = model.deployments.keys.sorted().randomElement(using: &random)
            else { return }
            try await harness.call(
                "UpdateStage",
                base.merging(["StageName": .string(name), "DeploymentId": .string(id)], ["StageName", "DeploymentId"]))
            model.stages[name]?.served = model.deployments[id]
        }
    }

    private func probe(
        _ model: Model, _ name: String, _ harness: Harness, _ api: String, _ random: inout Seeded
    ) async throws {
        let path = Self.paths.randomElement(using: &random) ?? ""
        let answer = await harness.send(api, "GET", (name == "$default" ? "" : "/" + name) + path)
        // A stage's name in the path wins over $default's own paths: /p1 is a stage here, when it exists.
        var expected = model.stages[name]?.served?.contains(path) == true
        if name == "$default", path == "/p1", model.stages["p1"] != nil { expected = false }
        if name != "$default", model.stages[name] == nil { expected = false }
        #expect(answer.status == (expected ? 200 : 404), "\(name) \(path)")
    }
}
