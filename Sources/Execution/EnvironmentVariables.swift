import Contracts
import Platform

/// Where things are for the processes of an environment: AWS's places in a cell, the host's without one.
struct EnvironmentPaths: Sendable, Equatable {
    var task = "/var/task"
    var runtime = "/var/runtime"
    var layers = "/opt"
}

/// The variables that a function's runtime starts with (`lambda-semantics` 2.8), and why they differ from AWS's:
/// - AWS_ENDPOINT_URL makes the SDKs in the function call Martlet.
/// - PATH and LD_LIBRARY_PATH begin with the interpreter's own place when the host keeps it outside of /usr.
/// - _LAMBDA_TELEMETRY_LOG_FD makes AWS's runtime clients write log frames, so that messages of several lines stay
///   whole.
///   Frames go to stdout, where `LogSplitter` tells them from plain lines.
struct EnvironmentVariables {
    var function: FunctionVersion
    var image: RuntimeImage
    var paths: EnvironmentPaths
    var credentials: SessionCredentials
    var logStream: String
    var runtimeAPI: String
    var endpoint: String
    /// Without a cell the layers' place is told to Martlet's bootstraps.
    var isContained: Bool

    /// Order: what users may set themselves, theirs over ours; then what they may not.
    func list() -> [(name: String, value: String)] {
        var variables = Ordered()
        for (name, value) in defaults() { variables.set(name, value) }
        for (name, value) in function.environment.reveal() where Self.isUsable(name, value) {
            variables.set(name, value)
        }
        for (name, value) in reserved() { variables.set(name, value) }
        return variables.pairs
    }

    private func defaults() -> [(String, String)] {
        let bin = image.extraPrefix.map { $0 + "/bin:" } ?? ""
        let lib = image.extraPrefix.map { $0 + "/lib:" } ?? ""
        var pairs: [(String, String)] = [
            ("LANG", "en_US.UTF-8"),
            ("LC_CTYPE", "C.UTF-8"),
            ("TZ", ":UTC"),
            ("PATH", "\(bin)/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:\(paths.layers)/bin"),
            (
                "LD_LIBRARY_PATH",
                "\(lib)/var/lang/lib:/lib64:/usr/lib64:\(paths.runtime):\(paths.runtime)/lib:\(paths.task):"
                    + "\(paths.task)/lib:\(paths.layers)/lib"
            ),
            ("PWD", paths.task),
            ("SHLVL", "0"),
            ("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR"),
            ("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000"),
            ("_AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1"),
            ("_AWS_XRAY_DAEMON_PORT", "2000"),
            ("AWS_ENDPOINT_URL", endpoint),
        ]
        if image.runtime.hasPrefix("python") { pairs.append(("PYTHONPATH", paths.runtime)) }
        if image.runtime.hasPrefix("nodejs") {
            let major = image.version.split(separator: ".").first.map(String.init) ?? ""
            pairs.append(
                (
                    "NODE_PATH",
                    "\(paths.layers)/nodejs/node\(major)/node_modules:\(paths.layers)/nodejs/node_modules:"
                        + "\(paths.runtime)/node_modules:\(paths.runtime):\(paths.task)"
                ))
        }
        return pairs
    }

    private func reserved() -> [(String, String)] {
        var pairs: [(String, String)] = [
            ("AWS_LAMBDA_FUNCTION_NAME", function.name),
            ("AWS_LAMBDA_FUNCTION_VERSION", function.version),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", String(function.memoryMB)),
            ("AWS_LAMBDA_LOG_GROUP_NAME", function.logging.group),
            ("AWS_LAMBDA_LOG_STREAM_NAME", logStream),
            ("AWS_LAMBDA_LOG_FORMAT", function.logging.format.rawValue),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_RUNTIME_API", runtimeAPI),
            ("AWS_REGION", function.scope.region),
            ("AWS_DEFAULT_REGION", function.scope.region),
            ("AWS_ACCESS_KEY_ID", credentials.accessKeyID),
            ("AWS_SECRET_ACCESS_KEY", credentials.secretAccessKey.reveal()),
            ("AWS_SESSION_TOKEN", credentials.sessionToken.reveal()),
            ("_HANDLER", function.handler),
            ("LAMBDA_TASK_ROOT", paths.task),
            ("LAMBDA_RUNTIME_DIR", paths.runtime),
        ]
        if function.logging.format == .json {
            pairs.append(("AWS_LAMBDA_LOG_LEVEL", function.logging.applicationLevel))
        }
        if image.interpreter != nil { pairs.append(("AWS_EXECUTION_ENV", "AWS_Lambda_\(function.runtime)")) }
        if image.writesLogFrames { pairs.append(("_LAMBDA_TELEMETRY_LOG_FD", "1")) }
        if !isContained { pairs.append(("_MARTLET_LAYERS", paths.layers)) }
        return pairs
    }

    /// What execve can carry; the control plane refuses the rest already.
    private static func isUsable(_ name: String, _ value: String) -> Bool {
        !name.isEmpty && !name.utf8.contains(UInt8(ascii: "=")) && !name.utf8.contains(0) && !value.utf8.contains(0)
    }

    private struct Ordered {
        var pairs: [(name: String, value: String)] = []
        private var places: [String: Int] = [:]

        mutating func set(_ name: String, _ value: String) {
            if let place = places[name] {
                pairs[place].value = value
            } else {
                places[name] = pairs.count
                pairs.append((name, value))
            }
        }
    }
}
