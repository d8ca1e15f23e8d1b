import Foundation
import Testing

/// The rules of the house (ARCHITECTURE.md), kept true by reading the source.
@Suite struct HouseTests {
    /// Rooms of our own that each room may import. Outside libraries are limited by `libraries`.
    static let rooms: [String: Set<String>] = {
        var rooms: [String: Set<String>] = [
            "Platform": [],
            "Wire": ["Platform"],
            "Storage": ["Platform"],
            "Sandbox": ["Platform", "CSandbox"],
            "EventPatterns": ["Platform"],
            "Schedules": ["Platform"],
            "Contracts": ["Platform", "Wire", "Storage"],
            "Policies": ["Platform", "Wire", "Storage", "Contracts"],
            "Execution": ["Platform", "Wire", "Storage", "Contracts", "Sandbox"],
            "Invocation": ["Platform", "Wire", "Storage", "Contracts", "Execution"],
            "EventSources": ["Platform", "Wire", "Storage", "Contracts", "EventPatterns"],
            "Outbound": ["Platform", "Contracts"],
            "Gateway": ["Platform", "Wire", "Contracts"],
        ]
        for service in services {
            rooms["Services/\(service)"] = [
                "Platform", "Wire", "Storage", "Contracts", "EventPatterns", "Schedules", "Policies", "CArchive",
            ]
        }
        rooms["martlet"] = Set(
            [
                "Platform", "Wire", "Storage", "Contracts", "Sandbox", "Execution", "Invocation", "EventSources",
                "Outbound", "Gateway", "Policies",
            ] + services)
        return rooms
    }()

    /// Libraries that only the named rooms may import; any other library is free.
    static let libraries: [String: Set<String>] = [
        "NIOHTTP1": ["Gateway", "Execution", "Outbound", "martlet"],
        "NIOSSL": ["Gateway", "martlet"],
        "NIOHTTP2": ["Gateway"],
        "JWTKit": ["Services/APIGateway"],
        "Yams": ["Services/APIGateway"],
        "NIOPosix": ["Gateway", "Execution", "Outbound", "martlet"],
        "AsyncHTTPClient": ["Outbound"],
        "GRDB": ["Storage"],
        "ArgumentParser": ["martlet"],
        "Configuration": ["martlet"],
    ]

    static let services: [String] = folders(in: "Sources/Services")
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static func folders(in path: String) -> [String] {
        let url = root.appending(path: path)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []
        return names.filter { !$0.hasPrefix(".") }.sorted()
    }

    struct Source {
        var room: String
        var path: String
        var text: String
        var isGenerated: Bool { path.contains("/Shapes/") }
    }

    static let sources: [Source] = {
        var found: [Source] = []
        for room in rooms.keys {
            let base = root.appending(path: "Sources/\(room)")
            let files = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil)
            while let url = files?.nextObject() as? URL {
                guard url.pathExtension == "swift", let text = try? String(contentsOf: url, encoding: .utf8) else {
                    continue
                }
                found.append(Source(room: room, path: url.path.replacing(root.path + "/", with: ""), text: text))
            }
        }
        return found
    }()

    static func imports(of text: String) -> [String] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard let index = words.firstIndex(of: "import"), index <= 2, !line.hasPrefix("//") else { return nil }
            guard
                words[..<index].allSatisfy({
                    $0.hasPrefix("@") || ["public", "internal", "private", "package"].contains($0)
                })
            else { return nil }
            var rest = words[(index + 1)...]
            if let kind = rest.first, ["struct", "class", "enum", "protocol", "func", "var", "let"].contains(kind) {
                rest = rest.dropFirst()
            }
            return rest.first.map { String($0.split(separator: ".")[0]) }
        }
    }

    @Test func importsOnlyPointDown() {
        #expect(Self.sources.count > 50)
        let ours = Set(Self.rooms.keys.map { $0.replacing("Services/", with: "") } + ["CSandbox", "CArchive"])
        for source in Self.sources {
            for name in Self.imports(of: source.text) {
                if ours.contains(name) {
                    #expect(Self.rooms[source.room]?.contains(name) == true, "\(source.path) must not import \(name)")
                }
                if let allowed = Self.libraries[name] {
                    #expect(allowed.contains(source.room), "\(source.path) must not import \(name)")
                }
            }
        }
    }

    @Test func everyFolderIsAKnownRoom() {
        let known = Set(Self.rooms.keys.map { String($0.split(separator: "/")[0]) } + ["CSandbox", "CArchive"])
        for folder in Self.folders(in: "Sources") {
            #expect(known.contains(folder), "Sources/\(folder) is not in the house")
        }
    }

    /// A file past 500 lines wants splitting by idea; a report, and a hard stop far above.
    @Test func filesStayReadable() {
        for source in Self.sources where !source.isGenerated {
            let lines = source.text.split(separator: "\n", omittingEmptySubsequences: false).count
            if lines > 500 { print("long file: \(source.path) has \(lines) lines") }
            #expect(lines <= 800, "\(source.path) has \(lines) lines: split it by idea")
        }
    }

    /// The names below `## Operations` of each service's README (CONTRIBUTING.md, "Add an operation") are its table.
    @Test(arguments: services) func everyServiceListsItsOperations(_ service: String) throws {
        let readme = try String(
            contentsOf: Self.root.appending(path: "Sources/Services/\(service)/README.md"), encoding: .utf8)
        let sources = Self.sources.filter { $0.room == "Services/\(service)" }
        let written = sources.filter { !$0.isGenerated }.map(\.text).joined(separator: "\n")
        let generated = sources.filter(\.isGenerated).map(\.text).joined(separator: "\n")
        let listed = try #require(
            Self.listedOperations(readme, model: Self.modelOperations(generated)),
            "\(service)/README.md has no list of operations")
        let table = Self.tableOfOperations(written, model: Self.modelOperations(generated))
        let missing = table.subtracting(listed).sorted()
        let invented = listed.subtracting(table).sorted()
        #expect(missing.isEmpty, "\(service)/README.md does not list \(missing.joined(separator: ", "))")
        #expect(invented.isEmpty, "\(service) has no \(invented.joined(separator: ", ")), which its README lists")
    }

    /// The operations that a generated schema names: lines `op Name …`.
    static func modelOperations(_ schema: String) -> Set<String> {
        Set(
            schema.split(separator: "\n").filter { $0.hasPrefix("op ") }
                .compactMap { $0.split(separator: " ").dropFirst().first.map(String.init) })
    }

    /// Every word of the part `## Operations` that is an operation of the model; nil without such a part.
    static func listedOperations(_ readme: String, model: Set<String>) -> Set<String>? {
        guard let start = readme.range(of: "\n## Operations\n")?.upperBound else { return nil }
        let end = readme.range(of: "\n## ", range: start..<readme.endIndex)?.lowerBound ?? readme.endIndex
        return Set(readme[start..<end].split { !$0.isLetter && !$0.isNumber }.map(String.init)).intersection(model)
    }

    /// What a service registers: `"Name": handler` in a dictionary.
    static func tableOfOperations(_ source: String, model: Set<String>) -> Set<String> {
        let pieces = source.components(separatedBy: "\":")
        return Set(pieces.dropLast().compactMap { $0.split(separator: "\"").last.map(String.init) }).intersection(model)
    }

    @Test func operationListsAreRead() {
        let model = Self.modelOperations("service x\nop Put POST 200 / in=A\nop Get GET 200 /\nop Drop POST 200 /")
        #expect(model == ["Put", "Get", "Drop"])
        #expect(
            Self.listedOperations("# X\n\n## Operations\n\nPut, Get (never Fly).\n\n## Other\n\nDrop\n", model: model)
                == ["Put", "Get"])
        #expect(Self.listedOperations("# X\n", model: model) == nil)
        #expect(
            Self.tableOfOperations("[\"Put\": .callback(put), \"Get\": handler(get)] \"Drop\"", model: model)
                == ["Put", "Get"])
    }

    @Test func importLinesAreRead() {
        #expect(
            Self.imports(of: "public import Wire\nimport struct Foundation.URL\n// import Gone\n@testable import A")
                == ["Wire", "Foundation", "A"])
    }
}
