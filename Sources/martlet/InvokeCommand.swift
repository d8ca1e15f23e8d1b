import ArgumentParser
import FoundationEssentials
import Platform

struct InvokeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "invoke",
        abstract: "Run a function and print its answer.",
        discussion: """
            The answer goes to standard output, the function's log (with --logs) to standard error.
            Exits with 0 on success, 2 when the function failed, 3 when there is no such function, 1 for other errors.
            """)

    @Argument(help: "The function's name, name:qualifier, or ARN.")
    var name: String
    @Argument(help: "The event as JSON; - reads standard input.")
    var payload: String = "{}"
    @Flag(help: "Hand the event over and do not wait for the function.")
    var async = false
    @Flag(help: "Show the end of the function's log.")
    var logs = false
    @OptionGroup var options: EndpointOptions

    func run() async throws {
        let body = payload == "-" ? StandardStreams.readAll() : Array(payload.utf8)
        let client = try options.client()
        var headers = [("content-type", "application/json")]
        if async { headers.append(("x-amz-invocation-type", "Event")) }
        if logs { headers.append(("x-amz-log-type", "Tail")) }
        let path = "/2015-03-31/functions/\(percentEncoded(name))/invocations"
        let answer = try await client.post(path, service: "lambda", headers: headers, body: body)
        guard (200..<300).contains(answer.status) else { try client.fail(answer) }
        if let tail = answer.header("x-amz-log-result"), let bytes = Base64.decode(tail) {
            StandardStreams.writeError(bytes)
        }
        if async {
            print("accepted")
            return
        }
        print(String(decoding: answer.body, as: UTF8.self))
        if answer.header("x-amz-function-error") != nil { throw ExitCode(2) }
    }
}

/// Percent-encodes everything but unreserved characters.
func percentEncoded(_ text: String) -> String {
    var out = ""
    for byte in text.utf8 {
        switch byte {
        case 48...57, 65...90, 97...122, 45, 46, 95, 126: out.unicodeScalars.append(Unicode.Scalar(byte))
        default: out += "%" + hexEncoded([byte]).uppercased()
        }
    }
    return out
}
