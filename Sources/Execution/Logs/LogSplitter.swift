#if canImport(Glibc)
    import Glibc
#endif

/// Cuts what a process writes into log events: one a line, or one a frame of the protocol that AWS's runtime clients
/// speak on `_LAMBDA_TELEMETRY_LOG_FD` (type 0xa55a00xx, length, microseconds, message; big-endian), which keeps
/// messages of several lines whole. Frames and plain lines may share a stream: a frame does not end the line that it
/// comes amid.
struct LogSplitter: Sendable {
    private enum Mode: Sendable {
        case line
        case frameHeader([UInt8])
        case frame(remaining: UInt32)
    }

    private let readsFrames: Bool
    private var mode = Mode.line
    private var line: [UInt8] = []
    private var message: [UInt8] = []

    private static let headerBytes = 16

    init(readsFrames: Bool) { self.readsFrames = readsFrames }

    mutating func feed(_ bytes: UnsafeRawBufferPointer, emit: ([UInt8]) -> Void) {
        var rest = bytes[...]
        while !rest.isEmpty {
            switch mode {
            case .line: feedLine(&rest, emit: emit)
            case .frameHeader(let header): feedHeader(&rest, header)
            case .frame(let remaining): feedFrame(&rest, remaining, emit: emit)
            }
        }
    }

    /// What is left of an unfinished line or frame becomes an event.
    mutating func flush(emit: ([UInt8]) -> Void) {
        if case .frameHeader(let header) = mode {
            line += header
            mode = .line
        }
        emitPiece(&message, endsLine: true, emit: emit)
        emitPiece(&line, endsLine: true, emit: emit)
    }

    private func emitPiece(_ piece: inout [UInt8], endsLine: Bool, emit: ([UInt8]) -> Void) {
        guard !piece.isEmpty else { return }
        if endsLine, piece.last != UInt8(ascii: "\n") { piece.append(UInt8(ascii: "\n")) }
        emit(piece)
        piece.removeAll(keepingCapacity: piece.count < 4096)
    }

    private mutating func feedLine(_ rest: inout Slice<UnsafeRawBufferPointer>, emit: ([UInt8]) -> Void) {
        // What looked like the head of a frame and was none is put back and may fill the line.
        if line.count >= Limits.logEventBytes { emitPiece(&line, endsLine: false, emit: emit) }
        let room = Limits.logEventBytes - line.count
        let window = rest.prefix(room)
        let newline = window.firstIndex(of: UInt8(ascii: "\n"))
        let searched = newline.map { window[..<$0] } ?? window
        if readsFrames, let mark = searched.firstIndex(of: 0xA5) {
            line += rest[..<mark]
            rest = rest[mark...]
            mode = .frameHeader([])
            return
        }
        if let newline {
            line += rest[...newline]
            rest = rest[(newline + 1)...]
            emitPiece(&line, endsLine: true, emit: emit)
        } else {
            line += window
            rest = rest[window.endIndex...]
            if line.count >= Limits.logEventBytes { emitPiece(&line, endsLine: false, emit: emit) }
        }
    }

    private mutating func feedHeader(_ rest: inout Slice<UnsafeRawBufferPointer>, _ begun: [UInt8]) {
        var header = begun
        while let byte = rest.first {
            guard Self.fits(byte, at: header.count) else {
                // Not a frame after all: its first byte was text.
                line += header
                mode = .line
                if header.isEmpty {
                    line.append(byte)
                    rest = rest.dropFirst()
                }
                return
            }
            header.append(byte)
            rest = rest.dropFirst()
            if header.count == Self.headerBytes {
                let length = header[4..<8].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                mode = length == 0 ? .line : .frame(remaining: length)
                return
            }
        }
        mode = .frameHeader(header)
    }

    /// Text frames end in binary 11, JSON frames in 10; three bits above that are the level.
    private static func fits(_ byte: UInt8, at position: Int) -> Bool {
        switch position {
        case 0: byte == 0xA5
        case 1: byte == 0x5A
        case 2: byte == 0
        case 3: byte & 0b11 >= 0b10 && byte < 0x20
        default: true
        }
    }

    private mutating func feedFrame(
        _ rest: inout Slice<UnsafeRawBufferPointer>, _ remaining: UInt32, emit: ([UInt8]) -> Void
    ) {
        let count = min(rest.count, Int(remaining), Limits.logEventBytes - message.count)
        message += rest.prefix(count)
        rest = rest.dropFirst(count)
        let left = remaining - UInt32(count)
        mode = left == 0 ? .line : .frame(remaining: left)
        if left == 0 || message.count >= Limits.logEventBytes { emitPiece(&message, endsLine: left == 0, emit: emit) }
    }
}
