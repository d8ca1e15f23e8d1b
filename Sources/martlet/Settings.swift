import ArgumentParser
import Configuration
import FoundationEssentials
import Gateway
import Platform
import Sandbox
import Storage
import SystemPackage

/// What `martlet serve` was told: flags first, then MARTLET_… variables, then the config file, then defaults.
struct Settings: Sendable {
    var host: String
    var port: Int
    var dataDirectory: String
    var isAuthenticationOn: Bool
    var isolation: Isolation
    var egress: Egress
    var durability: Durability
    var timeScale: Double
    var runtimesDirectory: String?
    var certificateFile: String?
    var privateKeyFile: String?
    var freezesIdleEnvironments: Bool
    var logLevel: String
    /// Kinesis refuses what is over AWS's throughput of a shard.
    var limitsKinesisThroughput: Bool
    /// Web pages that may use the server although authentication is off.
    var allowedOrigins: [String]
}

/// The flags, shared by `serve` and `doctor`.
struct SettingFlags: ParsableArguments {
    @Option(help: "Address to listen on. Another than loopback needs --auth sigv4. [127.0.0.1]")
    var host: String?
    @Option(help: "Port to listen on; 0 takes a free one. [4566]")
    var port: String?
    @Option(help: "Where everything is kept. [./.martlet]")
    var dataDir: String?
    @Option(help: "none accepts any credentials (loopback only); sigv4 checks every signature. [none]")
    var auth: String?
    @Option(
        help:
            "namespaces runs each function in a cell; none runs it as a plain process, without protection. [namespaces]"
    )
    var isolation: String?
    @Option(help: "isolated gives a cell only its loopback; host gives it this machine's network. [isolated]")
    var egress: String?
    @Option(help: "full keeps every acknowledged change over a power cut; relaxed does not wait for the disk. [full]")
    var durability: String?
    @Option(help: "Divides the waits between asynchronous retries, for development. [1.0]")
    var timeScale: String?
    @Option(help: "Directory of prepared runtimes. [beside the binary, or the checkout's .cache/runtimes]")
    var runtimes: String?
    @Option(help: "TLS certificate chain (PEM); with it, the port speaks HTTPS.")
    var tlsCertificate: String?
    @Option(help: "TLS private key (PEM).")
    var tlsKey: String?
    @Option(help: "Freeze environments between invocations: on or off. [on]")
    var freeze: String?
    @Option(
        help:
            "Origins of web pages that may use a server without authentication, separated by commas: http://localhost:3000."
    )
    var allowOrigin: String?
    @Option(help: "Hold Kinesis streams to AWS's throughput limits: on or off. [off]")
    var kinesisLimits: String?
    @Option(help: "trace, debug, info, notice, warning, error or critical. [notice]")
    var logLevel: String?
    @Option(
        help:
            "A JSON file with any of these settings, named as the flags without dashes: {\"port\": 4567, \"data-dir\": …}."
    )
    var config: String?

    /// What was given, by the flags' names.
    var words: [String: String] {
        let all = [
            ("host", host), ("port", port), ("data-dir", dataDir), ("auth", auth), ("isolation", isolation),
            ("egress", egress), ("durability", durability), ("time-scale", timeScale), ("runtimes", runtimes),
            ("tls-certificate", tlsCertificate), ("tls-key", tlsKey), ("freeze", freeze), ("log-level", logLevel),
            ("allow-origin", allowOrigin), ("kinesis-limits", kinesisLimits),
            ("config", config),
        ]
        return Dictionary(uniqueKeysWithValues: all.compactMap { name, value in value.map { (name, $0) } })
    }

    func resolve() async throws -> Settings { try await Settings(words: words) }
}

extension Settings {
    /// Throws `ValidationError` naming the setting, what was given and what is allowed.
    init(words: [String: String]) async throws {
        let source = try await SettingSource(words)
        let host = try source.text("host") ?? "127.0.0.1"
        let portText = try source.text("port") ?? "4566"
        guard let port = Int(portText), (0...65_535).contains(port) else {
            throw source.invalid("port", portText, allowed: "a number from 0 to 65535")
        }
        let scaleText = try source.text("time-scale") ?? "1.0"
        guard let timeScale = Double(scaleText), timeScale >= 0.001, timeScale <= 1_000_000 else {
            throw source.invalid("time-scale", scaleText, allowed: "a number from 0.001 to 1000000")
        }
        self.init(
            host: host, port: port,
            dataDirectory: Self.absolute(try source.text("data-dir") ?? ".martlet"),
            isAuthenticationOn: try source.choice("auth", ["none": false, "sigv4": true], default: "none"),
            isolation: try source.choice(
                "isolation", ["namespaces": .namespaces, "none": .none], default: "namespaces"),
            egress: try source.choice("egress", ["isolated": .isolated, "host": .host], default: "isolated"),
            durability: try source.choice("durability", ["full": .full, "relaxed": .relaxed], default: "full"),
            timeScale: timeScale,
            runtimesDirectory: try source.text("runtimes").map(Self.absolute),
            certificateFile: try source.text("tls-certificate").map(Self.absolute),
            privateKeyFile: try source.text("tls-key").map(Self.absolute),
            freezesIdleEnvironments: try source.choice("freeze", ["on": true, "off": false], default: "on"),
            logLevel: try source.choice(
                "log-level",
                Dictionary(
                    uniqueKeysWithValues: ["trace", "debug", "info", "notice", "warning", "error", "critical"].map {
                        ($0, $0)
                    }), default: "notice"),
            limitsKinesisThroughput: try source.choice("kinesis-limits", ["on": true, "off": false], default: "off"),
            allowedOrigins: (try source.text("allow-origin") ?? "").split(separator: ",").map {
                String($0.drop { $0 == " " })
            })
    }

    private static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }
}

/// Reads one setting from the environment or the config file.
struct SettingSource {
    private let words: [String: String]
    private let environment: ConfigReader
    private let file: ConfigReader?

    init(_ words: [String: String]) async throws {
        self.words = words
        let variables = EnvironmentVariablesProvider()
        environment = ConfigReader(provider: variables)
        guard let path = words["config"] ?? environment.string(forKey: ["martlet", "config"]) else {
            file = nil
            return
        }
        try Self.check(path)
        do {
            file = ConfigReader(provider: try await FileProvider<JSONSnapshot>(filePath: FilePath(path)))
        } catch {
            throw ValidationError("The config file \(path) cannot be read: \(error)")
        }
    }

    /// A misspelt name or a value of the wrong kind is refused as a wrong flag is, not passed over.
    private static func check(_ path: String) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ValidationError("The config file \(path) is not there, or cannot be read by this user.")
        }
        let value: Value
        do {
            value = try JSON.parse(Array(data))
        } catch {
            throw ValidationError("The config file \(path) is not JSON: \(error)")
        }
        guard let fields = value.fields else {
            throw ValidationError("The config file \(path) must hold one JSON object: {\"port\": 4567}.")
        }
        for entry in fields.entries {
            guard names.contains(entry.name) else {
                throw ValidationError(
                    "The config file \(path) has '\(entry.name)', which is no setting. There are: "
                        + names.sorted().joined(separator: ", ") + ".")
            }
            switch entry.value {
            case .string, .int, .double: continue
            default:
                throw ValidationError(
                    "The config file \(path) gives '\(entry.name)' a value that is neither a string nor a number.")
            }
        }
    }

    static let names: Set<String> = [
        "host", "port", "data-dir", "auth", "isolation", "egress", "durability", "time-scale", "runtimes",
        "tls-certificate", "tls-key", "freeze", "log-level", "allow-origin",
        "kinesis-limits",
    ]

    func text(_ name: String) throws -> String? {
        if let given = words[name] { return given }
        let words = name.split(separator: "-").map(String.init)
        if let value = environment.string(forKey: ConfigKey(["martlet"] + words)), !value.isEmpty { return value }
        guard let file else { return nil }
        let key = ConfigKey([name])
        return file.string(forKey: key) ?? file.int(forKey: key).map(String.init)
            ?? file.double(forKey: key).map { String($0) }
    }

    func choice<T>(_ name: String, _ choices: [String: T], default fallback: String) throws -> T {
        let given = try text(name) ?? fallback
        guard let value = choices[given] else {
            throw invalid(name, given, allowed: choices.keys.sorted().joined(separator: " or "))
        }
        return value
    }

    func invalid(_ name: String, _ given: String, allowed: String) -> ValidationError {
        ValidationError(
            "--\(name) (or MARTLET_\(name.uppercased().replacing("-", with: "_"))) was '\(given)'; it takes \(allowed)."
        )
    }
}
