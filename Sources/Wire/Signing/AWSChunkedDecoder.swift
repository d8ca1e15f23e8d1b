import Crypto
public import NIOCore
import Platform

/// Removes aws-chunked framing, checking chunk signatures and trailing checksums as it goes. A value-type machine: feed
/// bytes, take decoded pieces.
///
/// Pieces are handed out before their chunk's signature can be checked (a chunk may be gigabytes long), so nothing may
/// come of them before `finish` has returned.
public struct AWSChunkedDecoder: Sendable {
    private enum State {
        /// The line that begins a chunk: what has come of it.
        case size([UInt8])
        case data(left: Int64, signature: String?)
        /// The line end after a chunk's data: how many of its two bytes have come.
        case dataEnd(Int, signature: String?)
        /// The line end that ends a body without trailer.
        case bodyEnd(Int)
        case trailer([UInt8])
        case finished
        case failed(AWSError)
    }

    /// Trailing headers, lower case; complete once `isFinished`.
    public private(set) var trailers: [(name: String, value: String)] = []
    public private(set) var isFinished = false
    /// Bytes decoded so far.
    public private(set) var decodedBytes: Int64 = 0

    private var state = State.size([])
    private let chunksAreSigned: Bool
    private let hasTrailer: Bool
    private let key: SigningKey?
    private let decodedLength: Int64?
    private let trailerNames: [String]
    private var checksums: [Checksum]
    private var chunkHash = SHA256()
    private var chunkBytes: Int64 = 0
    private var chunkNumber = 0
    /// A chunk smaller than allowed, which is an error unless it was the last with data.
    private var smallChunk: (number: Int, bytes: Int64)?
    private var previousSignature: String
    private var trailerBytes = 0

    /// - Parameters:
    ///   - key: nil when authentication is off: signatures are then not checked, framing and checksums still are.
    ///   - decodedLength: `x-amz-decoded-content-length`.
    ///   - trailerNames: what `x-amz-trailer` announces, in any case, comma-separated values already split.
    public init(integrity: BodyIntegrity, key: SigningKey?, decodedLength: Int64?, trailerNames: [String]) {
        switch integrity {
        case .signedChunks(let trailer): (chunksAreSigned, hasTrailer) = (true, trailer)
        case .unsignedChunks, .unsigned, .digest: (chunksAreSigned, hasTrailer) = (false, true)
        }
        self.key = chunksAreSigned ? key : nil
        self.decodedLength = decodedLength
        self.trailerNames = trailerNames.map { name in
            String(name.lowercased().filter { $0 != " " })
        }
        previousSignature = key?.seedSignature ?? ""
        let names = self.trailerNames
        checksums = ChecksumAlgorithm.allCases.filter { names.contains($0.headerName) }.map { Checksum($0) }
        for name in names where name.hasPrefix("x-amz-checksum-") {
            if !checksums.contains(where: { $0.algorithm.headerName == name }) {
                state = .failed(
                    AWSError("InvalidRequest", "The value specified in the x-amz-trailer header is not supported"))
            }
        }
    }

    /// Decodes what has come; answers decoded pieces (slices, not copies). Throws `AWSError` (SignatureDoesNotMatch,
    /// IncompleteBody, InvalidChunkSizeError, BadDigest, …), and the same at every later call.
    public mutating func feed(_ bytes: ByteBuffer) throws(AWSError) -> [ByteBuffer] {
        var rest = bytes
        var pieces: [ByteBuffer] = []
        do throws(AWSError) {
            while rest.readableBytes > 0 {
                if let piece = try step(&rest) { pieces.append(piece) }
            }
        } catch {
            state = .failed(error)
            throw error
        }
        if case .failed(let error) = state { throw error }
        return pieces
    }

    /// The client has sent its last byte. Throws when framing is incomplete.
    public mutating func finish() throws(AWSError) {
        switch state {
        case .finished: return
        case .failed(let error): throw error
        default:
            let error = AWSError("IncompleteBody", "The request body terminated unexpectedly")
            state = .failed(error)
            throw error
        }
    }

    // MARK: Steps

    /// Takes some bytes; each call takes at least one.
    private mutating func step(_ rest: inout ByteBuffer) throws(AWSError) -> ByteBuffer? {
        switch state {
        case .failed(let error): throw error
        case .finished: throw Self.malformed("The request body goes on after its last chunk.")
        case .size(var line):
            // The line is moved out and back, so that it grows in place.
            state = .finished
            if try takeLine(&rest, &line, limit: SigV4.Limits.chunkLineBytes) {
                try beginChunk(line)
            } else {
                state = .size(line)
            }
        case .data(let left, let signature):
            let count = Int(min(Int64(rest.readableBytes), left))
            guard let piece = rest.readSlice(length: count) else { return nil }
            take(piece)
            state =
                count == left
                ? .dataEnd(0, signature: signature) : .data(left: left - Int64(count), signature: signature)
            return piece
        case .dataEnd(let seen, let signature):
            try takeLineEnd(&rest, seen)
            if seen == 0 {
                state = .dataEnd(1, signature: signature)
            } else {
                try checkChunk(signature)
                state = .size([])
            }
        case .bodyEnd(let seen):
            try takeLineEnd(&rest, seen)
            if seen == 0 { state = .bodyEnd(1) } else { try end() }
        case .trailer(var line):
            state = .finished
            let limit = SigV4.Limits.trailerBytes - trailerBytes
            if try takeLine(&rest, &line, limit: limit) {
                trailerBytes += line.count + 2
                state = .trailer([])
                if line.isEmpty { try end() } else { try takeTrailer(line) }
            } else {
                state = .trailer(line)
            }
        }
        return nil
    }

    private mutating func take(_ piece: ByteBuffer) {
        decodedBytes += Int64(piece.readableBytes)
        piece.withUnsafeReadableBytes { bytes in
            if key != nil { chunkHash.update(bufferPointer: bytes) }
            for index in checksums.indices { checksums[index].update(bytes) }
        }
    }

    /// Moves bytes up to the line feed into `line`; true when it was there. A carriage return before it is dropped.
    private func takeLine(_ rest: inout ByteBuffer, _ line: inout [UInt8], limit: Int) throws(AWSError) -> Bool {
        let view = rest.readableBytesView
        let end = view.firstIndex(of: UInt8(ascii: "\n"))
        let part = view[..<(end ?? view.endIndex)]
        guard line.count + part.count <= limit else {
            throw Self.malformed("A line of the aws-chunked framing is too long.")
        }
        line.append(contentsOf: part)
        rest.moveReaderIndex(forwardBy: part.count + (end == nil ? 0 : 1))
        guard end != nil else { return false }
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        return true
    }

    private func takeLineEnd(_ rest: inout ByteBuffer, _ seen: Int) throws(AWSError) {
        let expected = seen == 0 ? UInt8(ascii: "\r") : UInt8(ascii: "\n")
        guard rest.readInteger(as: UInt8.self) == expected else {
            throw Self.malformed("A chunk is longer than its size says.")
        }
    }

    /// `10000;chunk-signature=ad80…`
    private mutating func beginChunk(_ line: [UInt8]) throws(AWSError) {
        let parts = line.split(separator: UInt8(ascii: ";"), maxSplits: 1)
        guard let digits = parts.first, let size = Self.size(digits) else {
            throw Self.malformed("A chunk begins with no valid size.")
        }
        var signature: String?
        if parts.count == 2 {
            let extensionText = String(decoding: parts[1], as: UTF8.self)
            let name = "chunk-signature="
            if extensionText.hasPrefix(name) { signature = String(extensionText.dropFirst(name.count)) }
        }
        if chunksAreSigned, signature == nil { throw Self.malformed("A chunk has no chunk-signature.") }
        if let decodedLength, size > decodedLength - decodedBytes { throw Self.wrongLength }
        chunkNumber += 1
        chunkBytes = size
        chunkHash = SHA256()
        if size > 0 {
            if chunksAreSigned, let smallChunk {
                throw AWSError(
                    "InvalidChunkSizeError", status: 403,
                    "Only the last chunk is allowed to have a size less than 8192 bytes",
                    fields: [
                        "Chunk": .string("\(smallChunk.number)"), "BadChunkSize": .string("\(smallChunk.bytes)"),
                    ])
            }
            if size < SigV4.Limits.smallestSignedChunk { smallChunk = (chunkNumber, size) }
            state = .data(left: size, signature: signature)
            return
        }
        try checkChunk(signature)
        if let decodedLength, decodedLength != decodedBytes { throw Self.wrongLength }
        state = hasTrailer ? .trailer([]) : .bodyEnd(0)
    }

    /// Hexadecimal, at most 16 digits and no more than an Int64 holds.
    private static func size(_ digits: ArraySlice<UInt8>) -> Int64? {
        guard (1...16).contains(digits.count) else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            guard let digit = digit.hexValue else { return nil }
            value = value << 4 | UInt64(digit)
        }
        return Int64(exactly: value)
    }

    // MARK: Checks

    private mutating func checkChunk(_ signature: String?) throws(AWSError) {
        guard let key else { return }
        let text = """
            AWS4-HMAC-SHA256-PAYLOAD
            \(key.signedAt)
            \(key.scope.text)
            \(previousSignature)
            \(SigV4.emptyHash)
            \(hexEncoded(chunkHash.finalize()))
            """
        try check(text, signature ?? "", key)
    }

    private mutating func check(_ text: String, _ signature: String, _ key: SigningKey) throws(AWSError) {
        guard SigV4.isEqual(SigV4.signature(of: text, key: key.bytes), signature) else {
            throw AWSError(
                "SignatureDoesNotMatch", status: 403,
                "The request signature we calculated does not match the signature you provided. Check your key and "
                    + "signing method.",
                fields: [
                    "AWSAccessKeyId": .string(key.scope.accessKeyID), "StringToSign": .string(text),
                    "SignatureProvided": .string(signature),
                ])
        }
        previousSignature = signature
    }

    /// `x-amz-checksum-crc32:sOO8/Q==`
    private mutating func takeTrailer(_ line: [UInt8]) throws(AWSError) {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0 else { throw Self.malformedTrailer }
        let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
        let value = line[(colon + 1)...].split { $0 == 32 || $0 == 9 }.joined(separator: [32])
        guard !trailers.contains(where: { $0.name == name }) else { throw Self.malformedTrailer }
        guard name == Self.trailerSignature && chunksAreSigned || trailerNames.contains(name) else {
            throw Self.malformedTrailer
        }
        trailers.append((name, String(decoding: Array(value), as: UTF8.self)))
    }

    private static let trailerSignature = "x-amz-trailer-signature"

    private mutating func end() throws(AWSError) {
        if hasTrailer { try checkTrailers() }
        state = .finished
        isFinished = true
    }

    private mutating func checkTrailers() throws(AWSError) {
        let signature = trailers.first { $0.name == Self.trailerSignature }?.value
        trailers.removeAll { $0.name == Self.trailerSignature }
        guard trailers.count == trailerNames.count else { throw Self.malformedTrailer }
        if let key {
            guard let signature else { throw Self.malformedTrailer }
            let lines = trailers.map { "\($0.name):\($0.value)\n" }.joined()
            let text = """
                AWS4-HMAC-SHA256-TRAILER
                \(key.signedAt)
                \(key.scope.text)
                \(previousSignature)
                \(hexEncoded(SHA256.hash(data: Array(lines.utf8))))
                """
            try check(text, signature, key)
        }
        for checksum in checksums {
            let value = trailers.first { $0.name == checksum.algorithm.headerName }?.value
            if value != checksum.base64 { throw checksum.algorithm.mismatch }
        }
    }

    private static let wrongLength = AWSError(
        "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header.")
    private static let malformedTrailer = AWSError(
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our published schema.")

    private static func malformed(_ what: String) -> AWSError {
        AWSError("InvalidRequest", "The aws-chunked body is not well-formed. \(what)")
    }
}
