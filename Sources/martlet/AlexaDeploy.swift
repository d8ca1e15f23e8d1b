import ArgumentParser
import FoundationEssentials
import NIOHTTP1
import Platform

struct AlexaDeploy: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deploy",
        abstract: "Make or update a skill from a skill package, as the ASK CLI lays it out.",
        discussion: """
            Reads skill.json and interactionModels/custom/LOCALE.json in the package. With --function, the function's policy is \
            made to let the skill in, and the manifest's endpoints are set to it. The skill is enabled, and its id printed.
            """)

    @Argument(help: "The directory of the package.")
    var package: String
    @Option(help: "The skill to update; without it a new one is made.")
    var skill: String?
    @Option(help: "The function that the skill calls: its name or ARN.")
    var function: String?
    @OptionGroup var options: EndpointOptions

    func run() async throws {
        let endpoint = try options.client()
        let client = SkillClient(client: endpoint)
        var manifest = try read("skill.json")
        let models = try locales().map { (locale: $0, document: try read("interactionModels/custom/\($0).json")) }
        // Asked for before a skill is made: a name that is wrong leaves none behind.
        let target: Target? = if let function { try await Target(function, endpoint) } else { nil }
        let id = try await existing(client, manifest)
        do {
            if let target { try await connect(endpoint, target, id, &manifest) }
            try await update(client, id, manifest, models)
        } catch {
            if skill == nil { Terminal.warn("The skill is made, but not finished. Go on with --skill \(id)") }
            throw error
        }
        print(id)
    }

    private func update(
        _ client: SkillClient, _ id: String, _ manifest: Value, _ models: [(locale: String, document: Value)]
    ) async throws {
        let path = "/v1/skills/\(percentEncoded(id))"
        try await client.call(.PUT, "\(path)/stages/development/manifest", body: manifest)
        for (locale, document) in models {
            try await client.call(
                .PUT, "\(path)/stages/development/interactionModel/locales/\(percentEncoded(locale))", body: document)
        }
        try await checkStatus(client, path)
        try await client.call(.PUT, "\(path)/stages/development/enablement")
    }

    private func read(_ file: String) throws -> Value {
        let path = package + "/" + file
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ValidationError("\(path) is not there, or cannot be read.")
        }
        do {
            return try JSON.parse(data)
        } catch {
            throw ValidationError("\(path) is not JSON: \(error.message)")
        }
    }

    private func locales() throws -> [String] {
        let names = Directory.names(in: package + "/interactionModels/custom")
        return names.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
    }

    /// The skill's id; makes one without an endpoint, since the function can only let in what has an id.
    private func existing(_ client: SkillClient, _ manifest: Value) async throws -> String {
        if let skill { return skill }
        var first = manifest
        for api in ["custom", "smartHome"] where first["manifest"]?["apis"]?[api] != nil {
            first["manifest"]?["apis"]?[api]?["endpoint"] = nil
            first["manifest"]?["apis"]?[api]?["regions"] = nil
        }
        first["vendorId"] = .string(try await client.vendor())
        return try await client.call(.POST, "/v1/skills", body: first)["skillId"]?.string ?? ""
    }

    /// The function that a skill calls.
    private struct Target {
        let path: String
        let arn: String

        init(_ function: String, _ endpoint: EndpointClient) async throws {
            path = "/2015-03-31/functions/\(percentEncoded(function))"
            let found = try await endpoint.send(.GET, path + "/configuration", service: "lambda")
            guard found.status == 200, let arn = (try? JSON.parse(found.body))?["FunctionArn"]?.string else {
                try endpoint.fail(found)
            }
            self.arn = arn
        }
    }

    private func connect(
        _ endpoint: EndpointClient, _ target: Target, _ id: String, _ manifest: inout Value
    ) async throws {
        for (api, principal) in [
            ("custom", "alexa-appkit.amazon.com"), ("smartHome", "alexa-connectedhome.amazon.com"),
        ] where manifest["manifest"]?["apis"]?[api] != nil {
            let grant: Value = [
                "StatementId": .string("alexa-\(api)-" + String(id.filter { $0.isLetter || $0.isNumber }.suffix(32))),
                "Action": "lambda:InvokeFunction", "Principal": .string(principal), "EventSourceToken": .string(id),
            ]
            let answer = try await endpoint.post(
                target.path + "/policy", service: "lambda", headers: [("content-type", "application/json")],
                body: JSON.encode(grant))
            // A grant of an earlier deployment stays.
            guard answer.status == 201 || answer.status == 409 else { try endpoint.fail(answer) }
            manifest["manifest"]?["apis"]?[api]?["endpoint"] = ["uri": .string(target.arn)]
        }
    }

    private func checkStatus(_ client: SkillClient, _ path: String) async throws {
        let status = try await client.call(.GET, "\(path)/status")
        var problems = problems(status["manifest"]?["lastUpdateRequest"], "skill.json")
        for model in status["interactionModel"]?.fields?.entries ?? [] {
            problems += self.problems(model.value["lastUpdateRequest"], "\(model.name).json")
        }
        guard problems.isEmpty else {
            Terminal.fail(problems.joined(separator: "\n"))
            throw ExitCode(1)
        }
    }

    private func problems(_ request: Value?, _ file: String) -> [String] {
        guard request?["status"]?.string == "FAILED" else { return [] }
        return (request?["errors"]?.list ?? []).map { "\(file): \($0["message"]?.string ?? "")" }
    }
}
