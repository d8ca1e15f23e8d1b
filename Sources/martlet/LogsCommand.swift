import ArgumentParser
import FoundationEssentials
import Platform

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
        let client = try options.client()
        let group = name.hasPrefix("/") ? name : "/aws/lambda/" + name
        var start = SystemTime().now().milliseconds - Int64(minutes) * 60_000
        var seen = Set<String>()
        while true {
            var token: String?
            repeat {
                var input: Fields = ["logGroupName": .string(group), "startTime": .int(start)]
                if let token { input["nextToken"] = .string(token) }
                let answer = try await client.post(
                    "/", service: "logs",
                    headers: [
                        ("content-type", "application/x-amz-json-1.1"),
                        ("x-amz-target", "Logs_20140328.FilterLogEvents"),
                    ], body: JSON.encode(.map(input)))
                guard answer.status == 200 else { try client.fail(answer) }
                let output = try JSON.parse(answer.body)
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
            guard follow else { return }
            fflushStandardOutput()
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    private func show(_ event: Value) {
        let time = Instant(milliseconds: event["timestamp"]?.int ?? 0).iso8601(fractionDigits: 3)
        var message = event["message"]?.string ?? ""
        while message.hasSuffix("\n") { message.removeLast() }
        print("\(Terminal.green(time)) \(message)")
    }
}
