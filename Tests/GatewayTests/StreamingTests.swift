import Contracts
import Glibc
import NIOCore
import Platform
import Synchronization
import Testing
import Wire

@testable import Gateway

/// Resident memory of this process, bytes.
private func residentBytes() -> Int {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    guard fgets(&line, 256, file) != nil else { return 0 }
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let fields = text.split(separator: " ")
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4096 : 0
}

@Suite(.serialized) struct StreamingTests {
    @Test func aProducerDoesNotRunAheadOfAStalledClient() async throws {
        let produced = Shared(0)
        let piece = ByteBuffer(repeating: 3, count: 64 << 10)
        try await TestServer.with { exchange in
            exchange.respond(
                HTTPAnswer(
                    status: 200, headers: [],
                    body: .stream(length: nil) { writer in
                        for _ in 0..<3200 {
                            try await writer.write(piece)
                            produced.change { $0 += piece.readableBytes }
                        }
                    }))
        } _: { server in
            let port = server.port
            let before = residentBytes()
            try await blocking {
                let client = try RawClient(port: port, receiveBuffer: 64 << 10)
                try client.send("GET / HTTP/1.1\r\n\r\n")
                // Until the producer stands still.
                var last = -1
                while produced.value != last || last == 0 {
                    last = produced.value
                    usleep(100_000)
                }
                // What the kernel buffers for a connection, and the high-water mark.
                #expect(last < 24 << 20)
                let answer = try client.answer()
                #expect(answer.body.count == 3200 * (64 << 10))
            }
            // The client keeps all 200 MB; the server may not keep them a second time.
            #expect(residentBytes() - before < 900 << 20)
        }
    }

    @Test func aLargeUploadNeverSitsInMemory() async throws {
        let size = 200 << 20
        let consumed = Shared(0)
        let worst = Shared(0)
        let counters = Shared<GatewayCounters?>(nil)
        try await TestServer.with { exchange in
            let stream = exchange.streamBody()
            Task {
                while let piece = try await stream.next() {
                    consumed.change { $0 += piece.readableBytes }
                    let received = Int(counters.value?.bytesReceived.load(ordering: .relaxed) ?? 0)
                    let held = received - consumed.value
                    worst.change { $0 = max($0, held) }
                    if consumed.value % 7 == 0 { await Task.yield() }
                }
                exchange.respond(.text("\(consumed.value)"))
            }
        } _: { server in
            counters.change { $0 = server.counters }
            let before = residentBytes()
            try await server.client { client in
                try client.send("PUT / HTTP/1.1\r\nContent-Length: \(size)\r\n\r\n")
                let piece = [UInt8](repeating: 9, count: 1 << 20)
                for _ in 0..<200 { try client.send(piece) }
                #expect(try client.answer().text == "\(size)")
            }
            #expect(worst.value < 1 << 20)
            #expect(residentBytes() - before < 64 << 20)
        }
    }

    @Test func anUnreadUploadStaysInTheKernel() async throws {
        let stream = Shared<ConnectionBodyStream?>(nil)
        try await TestServer.with { exchange in
            stream.change { $0 = exchange.streamBody() }
        } _: { server in
            let port = server.port
            let sent = Shared(0)
            let done = Shared(false)
            Task {
                try? await blocking {
                    let client = try RawClient(port: port, timeoutSeconds: 2)
                    defer { done.change { $0 = true } }
                    try client.send("PUT / HTTP/1.1\r\nContent-Length: 104857600\r\n\r\n")
                    let piece = [UInt8](repeating: 9, count: 256 << 10)
                    for _ in 0..<400 {
                        try client.send(piece)
                        sent.change { $0 += piece.count }
                    }
                }
            }
            let isDone = try await eventually { done.value }
            #expect(isDone)
            #expect(sent.value < 100 << 20)
            #expect(server.counters.bytesReceived.load(ordering: .relaxed) < 1 << 20)
            _ = stream.value
        }
    }

    @Test func aStreamThatBreaksItsPromiseIsCut() async throws {
        try await TestServer.with { exchange in
            let long = exchange.request.head.path == "/long"
            exchange.respond(
                HTTPAnswer(
                    status: 200, headers: [],
                    body: .stream(length: 5) { writer in
                        try await writer.write(ByteBuffer(string: long ? "toolong" : "abc"))
                    }))
        } _: { server in
            for path in ["/long", "/short"] {
                try await server.client { client in
                    _ = #expect(throws: RawClient.Broken.self) { try client.get(path) }
                }
            }
        }
    }

    @Test func aThrowingStreamIsCutAndAWholeOneIsNot() async throws {
        struct Boom: Error {}
        try await TestServer.with { exchange in
            let path = exchange.request.head.path
            exchange.respond(
                HTTPAnswer(
                    status: 200, headers: [],
                    body: .stream(length: nil) { writer in
                        try await writer.write(ByteBuffer(string: "abc"))
                        try await writer.write(ByteBuffer())
                        if path == "/boom" { throw Boom() }
                        try await writer.write(ByteBuffer(string: "def"))
                    }))
        } _: { server in
            try await server.client { client in
                for _ in 0..<2 {
                    let fine = try client.get("/fine")
                    #expect(fine.text == "abcdef")
                }
                _ = #expect(throws: RawClient.Broken.self) { try client.get("/boom") }
            }
        }
    }

    @Test func anAnswerBeforeTheBodysEndAbandonsTheReader() async throws {
        let outcome = Shared("")
        try await TestServer.with { exchange in
            let stream = exchange.streamBody()
            Task {
                _ = try await stream.next()
                exchange.respond(.text("enough"))
                do {
                    while try await stream.next() != nil {}
                } catch {
                    outcome.change { $0 = "\(error)" }
                }
            }
        } _: { server in
            try await server.client { client in
                try client.send("PUT / HTTP/1.1\r\nContent-Length: 50000000\r\n\r\nabc")
                let answer = try client.answer()
                #expect(answer.text == "enough")
                #expect(answer.header("connection") == "close")
            }
            #expect(try await eventually { outcome.value == "abandoned" })
        }
    }
}

@Suite(.serialized) struct FileAnswerTests {
    /// A file of `count` bytes that count up.
    private static func file(_ count: Int) throws -> String {
        var path = Array("/tmp/martlet-gateway-XXXXXX".utf8CString)
        let descriptor = mkstemp(&path)
        defer { close(descriptor) }
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        var written = 0
        while written < count {
            let step = bytes[written...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            guard step > 0 else { throw RawClient.Broken(what: "write") }
            written += step
        }
        return String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func bytes(_ range: Range<Int>) -> [UInt8] {
        range.map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    }

    @Test func sendsPartsOfFilesInOrderAndReleasesOnce() async throws {
        let path = try FileAnswerTests.file(3 << 20)
        defer { unlink(path) }
        let releases = Shared(0)
        try await TestServer.with { exchange in
            let parts: [FilePart] =
                switch exchange.request.head.path {
                case "/large":
                    [
                        FilePart(path: path, offset: 0, length: 2 << 20), FilePart(path: path, offset: 5, length: 0),
                        FilePart(path: path, offset: 1000, length: 200_000),
                    ]
                case "/small":
                    [FilePart(path: path, offset: 10, length: 100), FilePart(path: path, offset: 0, length: 5)]
                default: []
                }
            exchange.respond(
                HTTPAnswer(status: 206, headers: [], body: .files(parts) { releases.change { $0 += 1 } }))
        } _: { server in
            try await server.client { client in
                let large = try client.get("/large")
                #expect(large.body == FileAnswerTests.bytes(0..<2 << 20) + FileAnswerTests.bytes(1000..<201_000))
                #expect(try client.get("/small").body == FileAnswerTests.bytes(10..<110) + FileAnswerTests.bytes(0..<5))
                #expect(try client.get("/none").body.isEmpty)
                try client.send("HEAD /large HTTP/1.1\r\n\r\n")
                #expect(try client.answer(toHead: true).header("content-length") == "\((2 << 20) + 200_000)")
                #expect(try client.get("/small").status == 206)
            }
            #expect(try await eventually { releases.value == 5 })
        }
    }

    @Test func aMissingOrShortFileIsAnError() async throws {
        let path = try FileAnswerTests.file(1 << 20)
        defer { unlink(path) }
        let releases = Shared(0)
        try await TestServer.with { exchange in
            let part =
                switch exchange.request.head.path {
                case "/missing": FilePart(path: path + "x", offset: 0, length: 10)
                case "/short": FilePart(path: path, offset: 0, length: 2 << 20)
                default: FilePart(path: path, offset: .max - 5, length: 500_000)
                }
            exchange.respond(
                HTTPAnswer(
                    status: 200, headers: [], body: .files([part]) { releases.change { $0 += 1 } },
                    onFailure: { _ in .text("internal", status: 500) }))
        } _: { server in
            try await server.client { client in
                for path in ["/missing", "/short", "/overflow"] {
                    let answer = try client.get(path)
                    #expect(answer.status == 500)
                    #expect(answer.text == "internal")
                }
            }
            #expect(releases.value == 3)
        }
    }

    @Test func aClientThatHangsUpReleasesTheFiles() async throws {
        let path = try FileAnswerTests.file(1 << 20)
        defer { unlink(path) }
        let releases = Shared(0)
        try await TestServer.with { exchange in
            let parts = (0..<200).map { _ in FilePart(path: path, offset: 0, length: 1 << 20) }
            exchange.respond(HTTPAnswer(status: 200, headers: [], body: .files(parts) { releases.change { $0 += 1 } }))
        } _: { server in
            let port = server.port
            try await blocking {
                let client = try RawClient(port: port, receiveBuffer: 64 << 10)
                try client.send("GET / HTTP/1.1\r\n\r\n")
                usleep(50_000)
                client.hangUp()
            }
            #expect(try await eventually { releases.value == 1 && server.registry.count == 0 })
        }
    }
}
