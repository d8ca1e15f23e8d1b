import Contracts
import NIOCore

/// The receiving side of a WebSocket as a value: bytes in, messages and control frames out (RFC 6455, 5).
///
/// It takes frames out of the buffer that the connection keeps, one event at a time, so that whoever is not asked holds nothing:
/// the bytes of what was not asked for stay where they are.
struct WebSocketMachine: Sendable {
    enum Event: Sendable, Equatable {
        case message(WebSocketMessage)
        case ping(ByteBuffer)
        case pong
        /// The client's close frame.
        case close(WebSocketClose)
        /// The client broke the protocol or a limit: what to close with. Nothing comes after it.
        case violation(WebSocketClose)
    }

    private enum State: Sendable {
        case open
        /// Inside a message of several frames.
        case fragmented(isText: Bool, ByteBuffer)
        case ended
    }

    private enum Opcode: UInt8 {
        case continuation = 0
        case text = 1
        case binary = 2
        case close = 8
        case ping = 9
        case pong = 10
        var isControl: Bool { rawValue >= 8 }
    }

    private struct Frame {
        var isFinal: Bool
        var opcode: Opcode
        var length: Int
        var mask: UInt32
        /// Of the head, bytes.
        var headBytes: Int
    }

    private struct Violation: Error {
        var close: WebSocketClose
        init(_ code: Int, _ reason: String) { close = WebSocketClose(code: code, reason: reason) }
    }

    private var state = State.open
    private let limits: WebSocketLimits

    init(limits: WebSocketLimits) { self.limits = limits }

    /// Bytes of an unfinished message.
    var heldBytes: Int { if case .fragmented(_, let bytes) = state { bytes.readableBytes } else { 0 } }

    /// Takes the next event out of `input`; nil when it needs more bytes, or is over.
    mutating func next(_ input: inout ByteBuffer) -> Event? {
        do throws(Violation) {
            while true {
                if case .ended = state {
                    input.clear()
                    return nil
                }
                guard let frame = try head(of: input) else { return nil }
                guard input.readableBytes - frame.headBytes >= frame.length else { return nil }
                input.moveReaderIndex(forwardBy: frame.headBytes)
                guard var payload = input.readSlice(length: frame.length) else { return nil }
                Self.unmask(&payload, frame.mask)
                if let event = try take(frame, payload) { return event }
            }
        } catch {
            state = .ended
            input.clear()
            return .violation(error.close)
        }
    }

    /// Reads a head and refuses what must not follow it, before any of that is waited for.
    private func head(of input: ByteBuffer) throws(Violation) -> Frame? {
        let start = input.readerIndex
        guard let first = input.getInteger(at: start, as: UInt8.self) else { return nil }
        guard first & 0x70 == 0 else { throw Violation(1002, "Reserved bits are set") }
        guard let opcode = Opcode(rawValue: first & 0x0F) else { throw Violation(1002, "Unknown opcode") }
        let isFinal = first & 0x80 != 0
        if opcode.isControl, !isFinal { throw Violation(1002, "A control frame is fragmented") }
        guard let second = input.getInteger(at: start + 1, as: UInt8.self) else { return nil }
        guard second & 0x80 != 0 else { throw Violation(1002, "A frame of a client is not masked") }
        var length = Int(second & 0x7F)
        var headBytes = 6
        if opcode.isControl, length > 125 { throw Violation(1002, "A control frame is too long") }
        if length == 126 {
            guard let long = input.getInteger(at: start + 2, as: UInt16.self) else { return nil }
            guard long > 125 else { throw Violation(1002, "A length is not written in the shortest way") }
            (length, headBytes) = (Int(long), 8)
        } else if length == 127 {
            guard let long = input.getInteger(at: start + 2, as: UInt64.self) else { return nil }
            guard long > UInt64(UInt16.max), long <= UInt64(Int64.max) else {
                throw Violation(1002, "A length is not written in the shortest way")
            }
            (length, headBytes) = (Int(long), 14)
        }
        try check(opcode, length)
        guard let mask = input.getInteger(at: start + headBytes - 4, as: UInt32.self) else { return nil }
        return Frame(isFinal: isFinal, opcode: opcode, length: length, mask: mask, headBytes: headBytes)
    }

    private func check(_ opcode: Opcode, _ length: Int) throws(Violation) {
        guard !opcode.isControl else { return }
        guard length <= limits.frame else { throw Violation(1009, "A frame is larger than \(limits.frame) bytes") }
        switch (state, opcode) {
        case (.fragmented, .continuation), (.open, .text), (.open, .binary): break
        case (.fragmented, _): throw Violation(1002, "A message begins inside another one")
        case (_, .continuation): throw Violation(1002, "Nothing to continue")
        default: throw Violation(1002, "Unexpected frame")
        }
        guard heldBytes <= limits.message - length else {
            throw Violation(1009, "A message is larger than \(limits.message) bytes")
        }
    }

    private mutating func take(_ frame: Frame, _ payload: ByteBuffer) throws(Violation) -> Event? {
        switch frame.opcode {
        case .ping: return .ping(payload)
        case .pong: return .pong
        case .close:
            state = .ended
            return .close(try Self.close(payload))
        case .text, .binary:
            let isText = frame.opcode == .text
            if frame.isFinal { return .message(try Self.message(isText, payload)) }
            // Its own storage: a slice would keep all that came with it.
            var bytes = ByteBuffer()
            bytes.writeImmutableBuffer(payload)
            state = .fragmented(isText: isText, bytes)
            return nil
        case .continuation:
            guard case .fragmented(let isText, var bytes) = state else { return nil }
            // So that the bytes are not shared while they grow.
            state = .open
            bytes.writeImmutableBuffer(payload)
            if frame.isFinal { return .message(try Self.message(isText, bytes)) }
            state = .fragmented(isText: isText, bytes)
            return nil
        }
    }

    private static func message(_ isText: Bool, _ bytes: ByteBuffer) throws(Violation) -> WebSocketMessage {
        guard isText else { return .binary(bytes) }
        guard isUTF8(bytes) else { throw Violation(1007, "Text is not UTF-8") }
        return .text(bytes)
    }

    private static func close(_ payload: ByteBuffer) throws(Violation) -> WebSocketClose {
        var payload = payload
        guard payload.readableBytes > 0 else { return WebSocketClose(code: 1005, reason: "") }
        guard let code = payload.readInteger(as: UInt16.self), isCode(Int(code)) else {
            throw Violation(1002, "Not a code to close with")
        }
        guard isUTF8(payload) else { throw Violation(1007, "Text is not UTF-8") }
        return WebSocketClose(code: Int(code), reason: String(buffer: payload))
    }

    /// Codes that may be sent (RFC 6455, 7.4, and the registry of IANA).
    static func isCode(_ code: Int) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    static func isUTF8(_ bytes: ByteBuffer) -> Bool {
        bytes.withUnsafeReadableBytes { raw in
            if raw.allSatisfy({ $0 < 0x80 }) { return true }
            var decoder = UTF8()
            var iterator = raw.makeIterator()
            while true {
                switch decoder.decode(&iterator) {
                case .scalarValue: continue
                case .emptyInput: return true
                case .error: return false
                }
            }
        }
    }

    /// Eight bytes at a time.
    static func unmask(_ payload: inout ByteBuffer, _ mask: UInt32) {
        guard mask != 0 else { return }
        let wide = (UInt64(mask) << 32 | UInt64(mask)).bigEndian
        payload.withUnsafeMutableReadableBytes { raw in
            var index = 0
            while index + 8 <= raw.count {
                let word = raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                raw.storeBytes(of: word ^ wide, toByteOffset: index, as: UInt64.self)
                index += 8
            }
            while index < raw.count {
                raw[index] ^= UInt8(truncatingIfNeeded: mask >> UInt32(24 - 8 * (index & 3)))
                index += 1
            }
        }
    }
}

/// Frames of this side: whole messages, not masked.
enum WebSocketFrames {
    static let textOpcode: UInt8 = 1
    static let binaryOpcode: UInt8 = 2
    static let pingOpcode: UInt8 = 9
    static let pongOpcode: UInt8 = 10
    private static let closeOpcode: UInt8 = 8
    /// Of a close frame's reason (RFC 6455, 5.5: 125 with the code).
    private static let reasonBytes = 123

    /// The head of a final frame.
    static func writeHead(_ opcode: UInt8, length: Int, into out: inout ByteBuffer) {
        out.writeInteger(0x80 | opcode)
        if length < 126 {
            out.writeInteger(UInt8(length))
        } else if length <= Int(UInt16.max) {
            out.writeInteger(126 as UInt8)
            out.writeInteger(UInt16(length))
        } else {
            out.writeInteger(127 as UInt8)
            out.writeInteger(UInt64(length))
        }
    }

    /// Codes that must not be on the wire leave the frame empty.
    static func close(_ close: WebSocketClose) -> ByteBuffer {
        var out = ByteBuffer()
        guard WebSocketMachine.isCode(close.code), let code = UInt16(exactly: close.code) else {
            writeHead(closeOpcode, length: 0, into: &out)
            return out
        }
        var reason = Substring(close.reason)
        while reason.utf8.count > reasonBytes { reason.removeLast() }
        writeHead(closeOpcode, length: 2 + reason.utf8.count, into: &out)
        out.writeInteger(code)
        out.writeSubstring(reason)
        return out
    }
}
