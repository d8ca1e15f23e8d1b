import ArgumentParser
import FoundationEssentials
import NIOHTTP1
import Platform

struct AlexaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alexa",
        abstract: "Alexa skills: deploy them, talk to them.",
        discussion: """
            martlet alexa deploy skill-package --function hello   make a skill of a package and let it in
            martlet alexa chat amzn1.ask.skill.…                  talk to it
            martlet alexa list                                    skills of this server
            martlet alexa directive SKILL Alexa.Discovery Discover    ask a Smart Home skill
            """,
        subcommands: [AlexaChat.self, AlexaList.self, AlexaDeploy.self, AlexaDirective.self])
}

/// The Skill Management API as the commands use it.
struct SkillClient {
    let client: EndpointClient

    static let root = "/_aws/alexa/api"
    /// How long a turn may take: several requests to the skill of eight seconds each, and more than a hurried machine needs.
    static let longestTurn = Duration.seconds(90)

    /// The answer's document; says what went wrong and ends the command for any but 2xx.
    @discardableResult
    func call(_ method: HTTPMethod, _ path: String, query: String = "", _ body: Value? = nil) async throws -> Value {
        let answer = try await client.send(
            method, Self.root + path, query: query, service: "alexa",
            headers: [("content-type", "application/json")], body: body.map { JSON.encode($0) } ?? [])
        let value = (try? JSON.parse(answer.body)) ?? .null
        guard (200..<300).contains(answer.status) else {
            var text = value["message"]?.string ?? "The server answered \(answer.status)."
            for violation in value["violations"]?.list ?? [] {
                if let message = violation["message"]?.string { text += "\n  " + message }
            }
            Terminal.fail(text)
            throw ExitCode(answer.status == 404 ? 3 : 1)
        }
        return value
    }

    func vendor() async throws -> String {
        try await call(.GET, "/v1/vendors")["vendors"]?.list?.first?["id"]?.string ?? ""
    }

    /// What Alexa said to an utterance.
    func say(_ text: String, to skill: String, locale: String, device: String, isFresh: Bool) async throws -> Value {
        let path = "/v2/skills/\(percentEncoded(skill))/stages/development/simulations"
        let begun = try await call(
            .POST, path,
            body: [
                "input": ["content": .string(text)],
                "device": ["locale": .string(locale), "deviceId": .string(device)],
                "session": ["mode": isFresh ? "FORCE_NEW_SESSION" : "DEFAULT"],
            ])
        guard let id = begun["id"]?.string else { return begun }
        var wait = Duration.milliseconds(2)
        let end = ContinuousClock.now + Self.longestTurn
        while true {
            let result = try await call(.GET, path + "/" + percentEncoded(id))
            if result["status"]?.string != "IN_PROGRESS" { return result }
            guard ContinuousClock.now < end else {
                Terminal.fail(
                    "There is no answer after \(Self.longestTurn.components.seconds) seconds: see the server's log for the "
                        + "simulation \(id).")
                throw ExitCode(1)
            }
            try await Task.sleep(for: wait)
            wait = min(wait * 2, .milliseconds(100))
        }
    }

    @discardableResult
    func call(_ method: HTTPMethod, _ path: String, body: Value) async throws -> Value {
        try await call(method, path, query: "", body)
    }
}

struct AlexaChat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat",
        abstract: "Talk to a skill.",
        discussion: """
            Each line is what you say; the skill is opened first. "exit" leaves the skill, the end of input ends the command.
            Exits with 0, or with 2 when the skill failed to answer the last line as it must.
            """)

    @Argument(help: "The skill's id.")
    var skill: String
    @Option(help: "The locale, like en-US.")
    var locale = "en-US"
    @Flag(help: "Do not open the skill first: begin with what you say (\"ask … to …\").")
    var closed = false
    @Flag(help: "Show the requests to the skill and its answers as JSON.")
    var json = false
    @OptionGroup var options: EndpointOptions

    func run() async throws {
        let client = SkillClient(client: try options.client())
        let path = "/v1/skills/\(percentEncoded(skill))/stages/development"
        let model = try await client.call(.GET, "\(path)/interactionModel/locales/\(percentEncoded(locale))")
        let name = model["interactionModel"]?["languageModel"]?["invocationName"]?.string ?? ""
        try await client.call(.PUT, "\(path)/enablement")
        let device = "terminal-" + Identifier.hex(12)
        var failed = false
        if !closed {
            let text = "open \(name)"
            print("\(Terminal.bold("you:"))   \(text)")
            failed = try await turn(client, text, device, isFresh: true)
        }
        while true {
            prompt()
            guard let line = readLine() else { break }
            let text = line.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            guard !text.isEmpty else { continue }
            failed = try await turn(client, text, device, isFresh: false)
        }
        if Terminal.isInteractive { print("") }
        if failed { throw ExitCode(2) }
    }

    private func prompt() {
        guard Terminal.isInteractive else { return }
        print(Terminal.bold("you:") + "   ", terminator: "")
        fflushStandardOutput()
    }

    /// Whether the skill failed.
    private func turn(_ client: SkillClient, _ text: String, _ device: String, isFresh: Bool) async throws -> Bool {
        let answer = try await client.say(text, to: skill, locale: locale, device: device, isFresh: isFresh)
        let result = answer["result"] ?? .null
        if json {
            for invocation in result["skillExecutionInfo"]?["invocations"]?.list ?? [] {
                print("--> " + JSON.encodeString(invocation["invocationRequest"]?["body"] ?? .null))
                print("<-- " + JSON.encodeString(invocation["invocationResponse"]?["body"] ?? .null))
            }
        }
        for response in result["alexaExecutionInfo"]?["alexaResponses"]?.list ?? [] {
            print("\(Terminal.green("alexa:")) \(response["content"]?["caption"]?.string ?? "")")
        }
        if let error = result["error"] {
            print(Terminal.red("[\(error["code"]?.string ?? "")] \(error["message"]?.string ?? "")"))
        }
        if let last = result["skillExecutionInfo"]?["invocations"]?.list?.last, Self.isEnd(last) {
            print("[session ended]")
        }
        fflushStandardOutput()
        return answer["status"]?.string != "SUCCESSFUL"
    }

    /// Whether the session is over after this exchange.
    private static func isEnd(_ invocation: Value) -> Bool {
        if invocation["invocationRequest"]?["body"]?["request"]?["type"]?.string == "SessionEndedRequest" {
            return true
        }
        let response = invocation["invocationResponse"]?["body"]?["response"]
        if let end = response?["shouldEndSession"]?.bool { return end }
        let keepsOpen = response?["directives"]?.list?.contains { $0["type"]?.string?.hasPrefix("Dialog.") ?? false }
        return keepsOpen != true
    }
}

struct AlexaList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the skills of the server.")

    @OptionGroup var options: EndpointOptions

    func run() async throws {
        let client = SkillClient(client: try options.client())
        let vendor = try await client.vendor()
        var token: String?
        repeat {
            var query = "vendorId=\(percentEncoded(vendor))"
            if let token { query = "nextToken=\(percentEncoded(token))&" + query }
            let page = try await client.call(.GET, "/v1/skills", query: query)
            for skill in page["skills"]?.list ?? [] {
                let names = skill["nameByLocale"]?.fields?.entries.map { "\($0.value.string ?? "") (\($0.name))" } ?? []
                let apis = skill["apis"]?.list?.compactMap(\.string).joined(separator: ",") ?? ""
                print("\(skill["skillId"]?.string ?? "")  \(apis)  \(names.joined(separator: ", "))")
            }
            token = page["nextToken"]?.string
        } while token != nil
    }
}

struct AlexaDirective: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "directive",
        abstract: "Send a Smart Home skill a directive and print its answer.",
        discussion: "Exits with 0, or with 2 when the skill did not answer as it must.")

    @Argument(help: "The skill's id.")
    var skill: String
    @Argument(help: "The namespace, like Alexa.PowerController.")
    var namespace: String
    @Argument(help: "The name, like TurnOn.")
    var name: String
    @Option(help: "The endpoint's id, of directives to one.")
    var endpointId: String?
    @Option(help: "The payload as JSON.")
    var payload = "{}"
    @OptionGroup var options: EndpointOptions

    func run() async throws {
        guard var payload = try? JSON.parse(payload), payload.fields != nil else {
            throw ValidationError("--payload takes a JSON object.")
        }
        let client = SkillClient(client: try options.client())
        let base = "/v1/skills/\(percentEncoded(skill))/stages/development"
        try await client.call(.PUT, "\(base)/enablement")
        let scope: Value = ["type": "BearerToken", "token": "access-token-from-martlet"]
        var header: Fields = [
            "namespace": .string(namespace), "name": .string(name), "payloadVersion": "3",
            "messageId": .string(Identifier.uuid()),
        ]
        var directive = Fields()
        if let endpointId {
            header["correlationToken"] = .string(Identifier.uuid())
            directive["endpoint"] = ["scope": scope, "endpointId": .string(endpointId), "cookie": [:]]
        } else if payload["scope"] == nil {
            payload["scope"] = scope
        }
        directive["header"] = .map(header)
        directive["payload"] = payload
        let answer = try await client.call(
            .POST, "/v2/skills/\(percentEncoded(skill))/stages/development/invocations",
            body: ["endpointRegion": "NA", "skillRequest": ["body": ["directive": .map(directive)]]])
        let result = answer["result"]
        if let body = result?["skillExecutionInfo"]?["invocationResponse"]?["body"] { print(JSON.encodeString(body)) }
        if let error = result?["error"] {
            Terminal.fail("\(error["code"]?.string ?? ""): \(error["message"]?.string ?? "")")
            throw ExitCode(2)
        }
    }
}
