import Crypto
import Platform
import Wire

/// The runtimes that functions may name (reference 2.9, A.3). Deprecated ones too: whoever hosts functions keeps old
/// ones alive. What the host can run is another question, answered when the function is invoked.
enum Runtimes {
    /// In the order in which the error text names them.
    static let current = [
        "nodejs26.x", "nodejs24.x", "nodejs22.x", "python3.15", "python3.14", "python3.13", "python3.12", "python3.11",
        "python3.10", "java25", "java21", "java17", "java17.al2023", "java11", "java11.al2023", "java8.al2",
        "java8.al2023", "dotnet10", "dotnet8", "ruby4.0", "ruby3.4", "ruby3.3", "provided.al2023", "provided.al2",
    ]
    static let deprecated: Set<String> = [
        "nodejs", "nodejs4.3", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x", "nodejs16.x",
        "nodejs18.x", "nodejs20.x", "java8", "python2.7", "python3.6", "python3.7", "python3.8", "python3.9",
        "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1", "dotnet6", "nodejs4.3-edge", "go1.x",
        "ruby2.5", "ruby2.7", "ruby3.2", "provided",
    ]
    private static let known = deprecated.union(current)

    /// Throws AWS's own text for a runtime that is none.
    static func check(_ runtime: String) throws(AWSError) {
        if known.contains(runtime) { return }
        throw .invalidParameter(
            "Value \(runtime) at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
                + "[\(current.joined(separator: ", "))] or be a valid ARN")
    }

    static func supportsSnapStart(_ runtime: String) -> Bool {
        let prefixes = ["java11", "java17", "java21", "java25", "python3.12", "python3.13", "python3.14", "python3.15"]
        return prefixes.contains { runtime.hasPrefix($0) } || ["dotnet8", "dotnet10"].contains(runtime)
    }

    /// An ARN that names the runtime's version: ours do not change by themselves, so its hash is that of the name.
    static func versionARN(_ runtime: String, _ scope: AccountRegion) -> String {
        let hash = hexEncoded(SHA256.hash(data: Array("martlet runtime \(runtime)".utf8)))
        return "arn:\(scope.partition):lambda:\(scope.region)::runtime:\(hash)"
    }
}
