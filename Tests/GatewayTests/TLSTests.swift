import Contracts
import Foundation
import Logging
import NIOCore
import NIOPosix
import Platform
import Testing
import Wire

@testable import Gateway

private let hasTLSTools = ["/usr/bin/openssl", "/usr/bin/curl"].allSatisfy {
    FileManager.default.isExecutableFile(atPath: $0)
}

/// Uses openssl to make a certificate and curl as the client, when the machine has them.
@Suite(.serialized, .enabled(if: hasTLSTools, "needs /usr/bin/openssl and /usr/bin/curl"))
struct TLSTests {
    @discardableResult
    private static func run(_ tool: String, _ arguments: [String]) throws -> Data {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: tool)
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return data
    }

    private static func withCertificate<T>(_ body: (GatewayTLS, String) async throws -> T) async throws -> T {
        let directory = NSTemporaryDirectory() + "martlet-tls-" + Identifier.hex(8)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let tls = GatewayTLS(certificateFile: directory + "/cert.pem", keyFile: directory + "/key.pem")
        _ = try await blocking {
            try run(
                "/usr/bin/openssl",
                [
                    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", tls.keyFile, "-out", tls.certificateFile,
                ])
        }
        return try await body(tls, directory)
    }

    private static func curl(_ arguments: [String]) async throws -> Data {
        try await blocking { try run("/usr/bin/curl", ["-sk", "--max-time", "20"] + arguments) }
    }

    @Test func onePortTakesBoth() async throws {
        try await TLSTests.withCertificate { tls, _ in
            let gateway = Gateway(
                configuration: try GatewayConfiguration(port: 0, tls: tls), services: [],
                credentials: NoCredentials(), time: SystemTime(), logger: Logger(label: "test"),
                group: NIOSingletons.posixEventLoopGroup)
            let port = try await gateway.start().first?.port ?? 0
            for scheme in ["http", "https"] {
                let body = try await TLSTests.curl(["\(scheme)://127.0.0.1:\(port)/_martlet/health"])
                #expect(String(decoding: body, as: UTF8.self).contains("running"), "\(scheme)")
            }
            await gateway.drain(deadline: .seconds(5))
        }
    }

    @Test func filesAndUploadsGoThroughTLS() async throws {
        try await TLSTests.withCertificate { tls, directory in
            let content = Data((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) })
            let file = directory + "/file"
            try content.write(to: URL(fileURLWithPath: file))
            let context = try ListenerFactory.makeTLS(tls)
            try await TestServer.with(transport: .tls(context)) { exchange in
                if exchange.request.head.method == "GET" {
                    let parts = [
                        FilePart(path: file, offset: 0, length: 2_000_000),
                        FilePart(path: file, offset: 2_000_000, length: 1_000_000),
                    ]
                    return exchange.respond(HTTPAnswer(status: 200, headers: [], body: .files(parts) {}))
                }
                let stream = exchange.streamBody()
                Task {
                    var count = 0
                    while let piece = try await stream.next() { count += piece.readableBytes }
                    exchange.respond(.text("\(count)"))
                }
            } _: { server in
                let url = "https://127.0.0.1:\(server.port)/"
                let received = try await TLSTests.curl([url])
                #expect(received == content)
                let uploaded = try await TLSTests.curl(["-T", file, url])
                #expect(String(decoding: uploaded, as: UTF8.self) == "3000000")
            }
        }
    }

    @Test func unusableFilesAreExplained() async throws {
        #expect {
            _ = try ListenerFactory.makeTLS(GatewayTLS(certificateFile: "/nowhere.pem", keyFile: "/nowhere.key"))
        } throws: { ($0 as? Failure)?.code == .configuration }
    }
}
