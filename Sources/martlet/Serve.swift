import ArgumentParser
import FoundationEssentials
import Gateway
import Logging
import Platform
import Sandbox
import ServiceLifecycle
import UnixSignals

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the server.",
        discussion: """
            Every flag can also be given as a variable (--data-dir is MARTLET_DATA_DIR) or in a JSON file (--config).
            SIGTERM and SIGINT let running requests finish; kill -9 loses nothing that was acknowledged.
            """)

    @OptionGroup var flags: SettingFlags

    func run() async throws { try await Self.run(try await flags.resolve()) }

    static func run(_ settings: Settings) async throws {
        var logger = Logger(label: "martlet") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = Logger.Level(rawValue: settings.logLevel) ?? .notice
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(
                        service: Serving(settings: settings, logger: logger),
                        successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .cancelGroup,
                        // Made from the service by reflection it would cost a millisecond.
                        serviceName: "martlet")
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        do {
            try await group.run()
        } catch let failure as Failure {
            Terminal.fail(failure.message)
            throw ExitCode(failure.code == .configuration ? 64 : 1)
        }
    }
}

/// Starts the server once signals are listened to, so that one that comes early ends it in order too.
private struct Serving: Service {
    let settings: Settings
    let logger: Logger

    func run() async throws {
        let server = try await Server.start(settings, logger: logger)
        Banner.show(settings, server)
        // Not while the first requests come in, who need some of those pages.
        Task {
            try? await Task.sleep(for: StartupPages.delay)
            StartupPages.giveBack()
        }
        try await server.run()
    }
}

/// What the server says at start: where it listens, where data lives, what it can run.
enum Banner {
    static func show(_ settings: Settings, _ server: Server) {
        let scheme = settings.certificateFile == nil ? "http" : "https"
        print(
            """
            \(Terminal.bold("martlet \(Version.current)"))
              endpoint   \(server.addresses.map { "\(scheme)://\($0)" }.joined(separator: "  "))
              data       \(settings.dataDirectory)
              runtimes   \(server.runtimeNames.isEmpty ? "none found: run `martlet doctor`" : server.runtimeNames.joined(separator: ", "))
              isolation  \(settings.isolation.rawValue), network \(settings.egress.rawValue)
            """)
        if settings.isAuthenticationOn {
            print("  sign in    AWS_SHARED_CREDENTIALS_FILE=\(settings.dataDirectory)/credentials")
        }
        for warning in server.warnings { Terminal.warn(warning) }
        fflushStandardOutput()
    }
}
