import ArgumentParser

struct Martlet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "AWS Lambda, and what triggers it, on your own machine.",
        discussion: """
            Start the server, then use the AWS CLI and SDKs with --endpoint-url http://127.0.0.1:4566 (or AWS_ENDPOINT_URL).

              martlet serve                     serve on 127.0.0.1:4566, data in ./.martlet
              martlet invoke hello '{"a": 1}'   run a function and print its answer
              martlet logs hello --follow       watch a function's log
              martlet alexa chat SKILL          talk to an Alexa skill
              martlet doctor                    what this machine can run, and how to get the rest
            """,
        version: Version.current,
        subcommands: [
            Serve.self, InvokeCommand.self, LogsCommand.self, AlexaCommand.self, Doctor.self, VersionCommand.self,
        ])
}

enum Version {
    static let current = "0.1.0"
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")
    func run() { print("martlet \(Version.current)") }
}
