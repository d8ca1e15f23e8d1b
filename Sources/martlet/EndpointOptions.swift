import ArgumentParser
import FoundationEssentials
import Platform

/// The options of commands that talk to a running server. Variables are those of AWS's own tools.
struct EndpointOptions: ParsableArguments {
    @Option(help: "The server's address, http:// or https://. [AWS_ENDPOINT_URL, or http://127.0.0.1:4566]")
    var endpoint: String?
    @Option(help: "The Region. [AWS_REGION, AWS_DEFAULT_REGION, or us-east-1]")
    var region: String?
    @Option(
        help: ArgumentHelp(
            "The 12-digit account, for a server with --auth none. [the one of the credentials, or 000000000000]",
            discussion: """
                Requests are signed with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, else with the \
                profile AWS_PROFILE (or default) of the file AWS_SHARED_CREDENTIALS_FILE, else with the file \
                `credentials` that a server with --auth sigv4 keeps in its data directory (MARTLET_DATA_DIR, or \
                ./.martlet).
                """))
    var account: String?
    @Option(help: "Certificates (PEM) to trust for https:// instead of the system's. [AWS_CA_BUNDLE]")
    var caFile: String?
    @Flag(help: "Do not check the server's certificate.")
    var insecure = false

    func validate() throws {
        if let account, account.utf8.count != 12 || !account.utf8.allSatisfy({ (48...57).contains($0) }) {
            throw ValidationError("--account was '\(account)'; it takes 12 digits.")
        }
    }

    private var environment: [String: String] { ProcessInfo.processInfo.environment }

    private func variable(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// Throws `ValidationError` naming what cannot be used.
    func client() throws -> EndpointClient {
        let endpoint = endpoint ?? variable("AWS_ENDPOINT_URL") ?? "http://127.0.0.1:4566"
        return try EndpointClient(
            endpoint: endpoint,
            region: region ?? variable("AWS_REGION") ?? variable("AWS_DEFAULT_REGION")
                ?? AccountRegion.defaultRegion,
            credentials: try credentials(), trust: insecure ? .anything : .roots(caFile ?? variable("AWS_CA_BUNDLE")))
    }

    private func credentials() throws -> ClientCredentials {
        // A server without authentication takes twelve digits as the account, whatever the signature.
        if let account { return ClientCredentials(accessKeyID: account, secret: Secret("any")) }
        if let id = variable("AWS_ACCESS_KEY_ID") {
            guard let secret = variable("AWS_SECRET_ACCESS_KEY") else {
                throw ValidationError("AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not.")
            }
            return ClientCredentials(
                accessKeyID: id, secret: Secret(secret), sessionToken: variable("AWS_SESSION_TOKEN"))
        }
        let profile = variable("AWS_PROFILE") ?? "default"
        if let path = variable("AWS_SHARED_CREDENTIALS_FILE") {
            guard let data = FileManager.default.contents(atPath: path) else {
                throw ValidationError(
                    "The credentials file \(path) (AWS_SHARED_CREDENTIALS_FILE) is not there, or cannot be read by this user."
                )
            }
            guard let found = ClientCredentials(file: String(decoding: data, as: UTF8.self), profile: profile) else {
                throw ValidationError(
                    "\(path) (AWS_SHARED_CREDENTIALS_FILE) has no aws_access_key_id and aws_secret_access_key for the "
                        + "profile '\(profile)'.")
            }
            return found
        }
        let kept = (variable("MARTLET_DATA_DIR") ?? ".martlet") + "/credentials"
        if let data = FileManager.default.contents(atPath: kept),
            let found = ClientCredentials(file: String(decoding: data, as: UTF8.self), profile: "default")
        {
            return found
        }
        return ClientCredentials(accessKeyID: AccountRegion.defaultAccount, secret: Secret("any"))
    }
}

/// What requests are signed with.
struct ClientCredentials: Sendable {
    var accessKeyID: String
    var secret: Secret<String>
    var sessionToken: String?

    init(accessKeyID: String, secret: Secret<String>, sessionToken: String? = nil) {
        self.accessKeyID = accessKeyID
        self.secret = secret
        self.sessionToken = sessionToken
    }

    /// Reads one profile of AWS's shared credentials file; nil when it is not there or not complete.
    init?(file: String, profile: String) {
        var values: [String: String] = [:]
        var section = ""
        for line in file.split(whereSeparator: \.isNewline) {
            let text = line.trimmed()
            if text.hasPrefix("["), text.hasSuffix("]") {
                section = text.dropFirst().dropLast().trimmed()
            } else if section == profile, let equal = text.firstIndex(of: "="), !text.hasPrefix("#") {
                values[text[..<equal].trimmed()] = text[text.index(after: equal)...].trimmed()
            }
        }
        guard let id = values["aws_access_key_id"], let secret = values["aws_secret_access_key"] else { return nil }
        self.init(accessKeyID: id, secret: Secret(secret), sessionToken: values["aws_session_token"])
    }
}

extension StringProtocol {
    fileprivate func trimmed() -> String {
        var text = self[...].drop(while: \.isWhitespace)
        while text.last?.isWhitespace == true { text = text.dropLast() }
        return String(text)
    }
}
