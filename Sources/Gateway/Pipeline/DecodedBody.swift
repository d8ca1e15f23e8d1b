import Contracts
import NIOCore
import Platform
import Synchronization
import Wire

/// Takes aws-chunked framing off a body and checks what the head promised of it.
struct BodyDecoder: Sendable {
    private var chunks: AWSChunkedDecoder?
    private var hash: Checksum?
    private let expected: String
    private var trailerFields: [(name: String, value: String)] = []

    /// `key` is nil when signatures are not checked.
    init(_ integrity: BodyIntegrity, key: SigningKey?, head: RequestHead) {
        switch integrity {
        case .unsigned: expected = ""
        case .digest(let digest):
            expected = digest
            hash = Checksum(.sha256)
        case .signedChunks, .unsignedChunks:
            expected = ""
            let names = (head.header("x-amz-trailer") ?? "").split(separator: ",").map { name in
                lowercasedASCII(String(name.filter { $0 != " " }))
            }
            chunks = AWSChunkedDecoder(
                integrity: integrity, key: key, decodedLength: BodyDecoder.decodedLength(head), trailerNames: names)
        }
    }

    static func decodedLength(_ head: RequestHead) -> Int64? {
        head.header("x-amz-decoded-content-length").flatMap { Int64($0) }.flatMap { $0 >= 0 ? $0 : nil }
    }

    var isTransparent: Bool { chunks == nil && hash == nil }
    var trailers: [(name: String, value: String)] { chunks?.trailers ?? [] }

    mutating func feed(_ bytes: ByteBuffer) throws(AWSError) -> [ByteBuffer] {
        if chunks != nil { return try chunks?.feed(bytes) ?? [] }
        bytes.withUnsafeReadableBytes { hash?.update($0) }
        return [bytes]
    }

    mutating func finish() throws(AWSError) {
        try chunks?.finish()
        guard let hash else { return }
        let actual = hexEncoded(hash.finalize())
        guard actual == expected else {
            throw SigV4.bodyMismatch(claimed: expected, actual: actual, forS3: true)
        }
    }

    /// A whole body at once.
    static func decode(_ body: ByteBuffer, with decoder: BodyDecoder) throws(AWSError) -> ByteBuffer {
        guard !decoder.isTransparent else { return body }
        var decoder = decoder
        let pieces = try decoder.feed(body)
        try decoder.finish()
        guard pieces.count != 1 else { return pieces[0] }
        var whole = ByteBuffer()
        for var piece in pieces { whole.writeBuffer(&piece) }
        return whole
    }
}

/// The body of a streaming operation: decoded, checked, with failures in the service's words.
final class DecodedBodyReader: BodyReader {
    private struct State: Sendable {
        var decoder: BodyDecoder
        var ready: [ByteBuffer] = []
        var isFinished = false
    }

    let contentLength: Int64?
    private let source: ConnectionBodyStream
    private let style: ErrorStyle
    private let state: Mutex<State>

    init(_ source: ConnectionBodyStream, decoder: BodyDecoder, contentLength: Int64?, style: ErrorStyle) {
        self.source = source
        self.style = style
        self.contentLength = contentLength
        state = Mutex(State(decoder: decoder))
    }

    var trailers: [(name: String, value: String)] { state.withLock { $0.decoder.trailers } + source.trailers }

    func next() async throws -> ByteBuffer? {
        while true {
            if let piece = state.withLock({ $0.ready.popLast() }) { return piece }
            if state.withLock({ $0.isFinished }) { return nil }
            let raw: ByteBuffer?
            do {
                raw = try await source.next()
            } catch let failure as BodyFailure {
                throw style.body(failure)
            }
            guard let raw else {
                try state.withLock { state in
                    try state.decoder.finish()
                    state.isFinished = true
                }
                continue
            }
            try state.withLock { state in
                // Kept in reverse, so that taking the next is cheap.
                state.ready = try state.decoder.feed(raw).filter { $0.readableBytes > 0 }.reversed()
            }
        }
    }
}
