import ArgumentParser
import FoundationEssentials
import NIOCore
import Platform
import Wire

struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Show a function's log, oldest line first.")

    @Argument(help: "The function's name, or a log group's (one that starts with /).")
    var name: String
    @Flag(name: .shortAndLong, help: "Go on showing new lines until interrupted.")
    var follow = false
    @Option(help: "How far back to look, in minutes.")
    var minutes: Int = 60
    @OptionGroup var options: EndpointOptions

    func validate() throws {
        guard (1...525_600).contains(minutes) else {
            throw ValidationError("--minutes was \(minutes); it takes a number from 1 to 525600.")
        }
    }

    func run() async throws {
        let reader = LogReader(
            client: try options.client(), group: name.hasPrefix("/") ? name : "/aws/lambda/" + name,
            start: SystemTime().now().milliseconds - Int64(minutes) * 60_000)
        try await reader.showNew()
        guard follow else { return }
        while true {
            fflushStandardOutput()
            // Who may not have a live tail, or has too many, asks again and again.
            if try await !reader.followTail() { try await Task.sleep(for: .milliseconds(500)) }
            try await reader.showNew()
        }
    }
}

/// Shows a group's events once each, oldest first.
private final class LogReader {
    let client: EndpointClient
    let group: String
    /// Milliseconds: where the newest event stands that was shown.
    private var start: Int64
    private var seen = Set<String>()
    private var arn: String?

    init(client: EndpointClient, group: String, start: Int64) {
        self.client = client
        self.group = group
        self.start = start
    }

    private func headers(_ operation: String) -> [(String, String)] {
        [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "Logs_20140328.\(operation)")]
    }

    private func call(_ operation: String, _ input: Fields) async throws -> Value {
        let answer = try await client.post(
            "/", service: "logs", headers: headers(operation), body: JSON.encode(.map(input)))
        guard answer.status == 200 else { try client.fail(answer) }
        return try JSON.parse(answer.body)
    }

    /// Shows what came since the last call.
    func showNew() async throws {
        var token: String?
        repeat {
            var input: Fields = ["logGroupName": .string(group), "startTime": .int(start)]
            if let token { input["nextToken"] = .string(token) }
            let output = try await call("FilterLogEvents", input)
            for event in output["events"]?.list ?? [] {
                guard let id = event["eventId"]?.string, seen.insert(id).inserted else { continue }
                show(event)
                // Only the newest millisecond can bring more; what is older is not asked for again.
                if let timestamp = event["timestamp"]?.int, timestamp > start {
                    start = timestamp
                    seen = [id]
                }
            }
            token = output["nextToken"]?.string
        } while token != nil
        fflushStandardOutput()
    }

    /// Shows what comes while a live tail lasts, which says when something has come: what it leaves out and what was there
    /// before it is read from the group. Whether there was one.
    func followTail() async throws -> Bool {
        guard let arn = try await groupARN() else { return false }
        let body = JSON.encode(["logGroupIdentifiers": [.string(arn)]])
        var decoder = EventStreamDecoder()
        let answer = try await client.stream(
            "/", service: "logs", headers: headers("StartLiveTail"), body: body
        ) { bytes in
            let messages = try decoder.feed(bytes)
            let hasNew = messages.contains { message in
                let event = try? JSON.parse(message.payload)
                // Also at its beginning: between the last look and this nobody watched.
                return event?["sessionResults"]?.list?.isEmpty == false || event?["sessionId"] != nil
            }
            if hasNew { try await self.showNew() }
        }
        return answer.status == 200
    }

    /// What a live tail is asked for by; nil when nobody says.
    private func groupARN() async throws -> String? {
        if let arn { return arn }
        let answer = try await client.post(
            "/", service: "logs", headers: headers("DescribeLogGroups"),
            body: JSON.encode(["logGroupNamePrefix": .string(group)]))
        guard answer.status == 200 else { return nil }
        let groups = try JSON.parse(answer.body)["logGroups"]?.list ?? []
        let found = groups.first { $0["logGroupName"]?.string == group }?["arn"]?.string
        arn = found.map { $0.hasSuffix(":*") ? String($0.dropLast(2)) : $0 }
        return arn
    }

    private func show(_ event: Value) {
        let time = Instant(milliseconds: event["timestamp"]?.int ?? 0).iso8601(fractionDigits: 3)
        var message = event["message"]?.string ?? ""
        while message.hasSuffix("\n") { message.removeLast() }
        print("\(Terminal.green(time)) \(message)")
    }
}
