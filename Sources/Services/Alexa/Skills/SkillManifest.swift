import Platform

/// What Martlet needs of a skill's manifest ("Skill Manifest Schema"); the whole of it is kept as it was given.
struct SkillManifest: Sendable {
    enum Kind: String, Sendable {
        case custom
        case smartHome
    }

    /// Where requests go.
    enum Endpoint: Sendable, Hashable {
        case function(String)
        case web(String)

        var uri: String {
            switch self {
            case .function(let uri), .web(let uri): uri
            }
        }
    }

    /// The parts of the world of `endpointRegion` and of regional endpoints.
    static let regions = ["NA", "EU", "FE"]

    let document: Value

    private var manifest: Value { document["manifest"] ?? .null }

    /// `custom` and `smartHome` are called by Martlet; others are kept and told.
    var apis: [String] { manifest["apis"]?.fields?.names ?? [] }
    var kind: Kind? { apis.lazy.compactMap { Kind(rawValue: $0) }.first }

    var names: [(locale: String, name: String)] {
        (manifest["publishingInformation"]?["locales"]?.fields?.entries ?? []).map {
            (locale: $0.name, name: $0.value["name"]?.string ?? "")
        }
    }

    /// What directives may be used: `AUDIO_PLAYER`, ….
    var interfaces: Set<String> {
        Set((manifest["apis"]?["custom"]?["interfaces"]?.list ?? []).compactMap { $0["type"]?.string })
    }

    /// The endpoint for a region; the default one when it has none of its own.
    func endpoint(region: String, of kind: Kind) -> Endpoint? {
        let api = manifest["apis"]?[kind.rawValue]
        let uri =
            api?["regions"]?[region]?["endpoint"]?["uri"]?.string ?? api?["endpoint"]?["uri"]?.string
            ?? api?["regions"]?["NA"]?["endpoint"]?["uri"]?.string
        return uri.map { $0.hasPrefix("arn:") ? .function($0) : .web($0) }
    }

    var endpoints: [(kind: Kind, endpoint: Endpoint)] {
        var found: [(Kind, Endpoint)] = []
        for kind in [Kind.custom, .smartHome] {
            let api = manifest["apis"]?[kind.rawValue]
            var uris = [api?["endpoint"]?["uri"]?.string]
            uris += Self.regions.map { api?["regions"]?[$0]?["endpoint"]?["uri"]?.string }
            for uri in uris.compactMap(\.self) where !found.contains(where: { $0.0 == kind && $0.1.uri == uri }) {
                found.append((kind, uri.hasPrefix("arn:") ? .function(uri) : .web(uri)))
            }
        }
        return found
    }

    /// The region that serves a locale.
    static func region(of locale: String) -> String {
        switch locale {
        case "en-GB", "de-DE", "fr-FR", "it-IT", "es-ES", "en-IN", "hi-IN", "nl-NL", "ar-SA": "EU"
        case "ja-JP", "en-AU": "FE"
        default: "NA"
        }
    }

    static func isLocale(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.count == 5 && bytes[2] == UInt8(ascii: "-")
            && bytes[..<2].allSatisfy { (0x61...0x7A).contains($0) }
            && bytes[3...].allSatisfy { (0x41...0x5A).contains($0) }
    }

    // MARK: Rules

    /// What SMAPI answers 400 for.
    func violations() -> [Problem] {
        guard let manifest = document["manifest"], manifest.fields != nil else { return [.missing("manifest")] }
        var problems: [Problem] = []
        for member in ["publishingInformation", "apis"] {
            if let value = manifest[member], value.fields == nil {
                problems.append(.wrong("manifest.\(member)", "object"))
            }
        }
        let locales = manifest["publishingInformation"]?["locales"]?.fields?.names ?? []
        for locale in locales.prefix(Limits.problems) where !Self.isLocale(locale) {
            problems.append(
                Problem(code: "INVALID_ENUM_VALUE", message: "'\(locale.prefix(80))' is no locale: it is like en-US."))
        }
        if locales.count > Limits.locales {
            problems.append(
                Problem(code: "TOO_MANY_LOCALES", message: "A skill has at most \(Limits.locales) locales."))
        }
        for (kind, endpoint) in endpoints {
            if let problem = Self.violation(endpoint, kind) { problems.append(problem) }
        }
        return problems
    }

    private static func violation(_ endpoint: Endpoint, _ kind: Kind) -> Problem? {
        switch endpoint {
        case .function(let uri):
            guard let arn = ARN(uri), arn.service == "lambda", arn.resource.hasPrefix("function:"),
                uri.utf8.count <= 256
            else {
                return Problem(
                    code: "INVALID_LAMBDA_ARN", message: "'\(uri.prefix(256))' is not the ARN of a Lambda function.")
            }
            return nil
        case .web(let uri):
            guard kind == .custom else {
                return Problem(
                    code: "INVALID_ENDPOINT",
                    message: "A Smart Home skill's endpoint must be the ARN of a Lambda function.")
            }
            let isWeb = uri.hasPrefix("https://") || uri.hasPrefix("http://")
            guard isWeb, uri.utf8.count <= 2_048, uri.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
                return Problem(
                    code: "INVALID_ENDPOINT",
                    message: "The endpoint must be an HTTPS URL or the ARN of a Lambda function; "
                        + "'\(uri.prefix(256).filter { $0.isASCII })' is neither.")
            }
            return nil
        }
    }
}

extension Value {
    /// Whether it is nested at most so deep.
    func isWithin(depth: Int) -> Bool {
        switch self {
        case .list(let items): depth > 0 && items.allSatisfy { $0.isWithin(depth: depth - 1) }
        case .map(let fields): depth > 0 && fields.entries.allSatisfy { $0.value.isWithin(depth: depth - 1) }
        default: true
        }
    }
}
