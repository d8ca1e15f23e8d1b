import Dispatch
import Glibc
import Synchronization

/// A client that sends exactly the bytes it is told, blocking; so it never runs on the cooperative pool (`blocking`).
final class RawClient {
    struct Answer {
        var status: Int
        var headers: [(name: String, value: String)]
        var body: [UInt8]
        func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
        var text: String { String(decoding: body, as: UTF8.self) }
    }
    struct Broken: Error { var what: String }

    let descriptor: CInt
    private var buffer: [UInt8] = []
    private var start = 0

    init(port: Int, receiveBuffer: CInt? = nil, timeoutSeconds: Int = 20) throws {
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var timeout = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        if var size = receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<CInt>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else {
            Glibc.close(descriptor)
            throw Broken(what: "connect: errno \(errno)")
        }
    }

    deinit { Glibc.close(descriptor) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Broken(what: "send: errno \(errno)") }
            sent += count
        }
    }

    func hangUp() { shutdown(descriptor, CInt(SHUT_RDWR)) }
    /// Closing sends a reset: unlike the end of the input it says that nobody reads any more.
    func reset() {
        var now = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
    }
    func closeOutput() { shutdown(descriptor, CInt(SHUT_WR)) }

    private func fill() throws -> Bool {
        if start > 1 << 20 {
            buffer.removeFirst(start)
            start = 0
        }
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        if count == 0 || (count < 0 && errno == ECONNRESET) { return false }
        guard count > 0 else { throw Broken(what: "receive: errno \(errno)") }
        buffer.append(contentsOf: chunk[..<count])
        return true
    }

    /// Whether the server has closed, after whatever it still sent.
    func readToEnd() throws -> [UInt8] {
        while try fill() {}
        defer { start = buffer.count }
        return Array(buffer[start...])
    }

    func pause() throws { usleep(1_000) }

    func take(_ count: Int) throws -> [UInt8] {
        while buffer.count - start < count {
            guard try fill() else { throw Broken(what: "closed inside a body") }
        }
        defer { start += count }
        return Array(buffer[start..<start + count])
    }

    private func line() throws -> String {
        var seen = 0
        while true {
            if let index = buffer[(start + seen)...].firstIndex(of: 10) {
                defer { start = index + 1 }
                return String(decoding: buffer[start..<(index > start ? index - 1 : index)], as: UTF8.self)
            }
            seen = buffer.count - start
            guard try fill() else { throw Broken(what: "closed before an answer") }
        }
    }

    func answer(toHead: Bool = false) throws -> Answer {
        let status = try line().split(separator: " ", maxSplits: 2)
        guard status.count >= 2, status[0] == "HTTP/1.1", let code = Int(status[1]) else {
            throw Broken(what: "status line \(status)")
        }
        var answer = Answer(status: code, headers: [], body: [])
        while case let text = try line(), !text.isEmpty {
            guard let colon = text.firstIndex(of: ":") else { throw Broken(what: "header \(text)") }
            answer.headers.append((String(text[..<colon]), String(text[text.index(after: colon)...].dropFirst())))
        }
        if toHead || code == 204 || code == 304 || code < 200 { return answer }
        if let length = answer.header("content-length").flatMap({ Int($0) }) {
            answer.body = try take(length)
        } else if answer.header("transfer-encoding") == "chunked" {
            while case let size = Int(try line(), radix: 16) ?? -1, size != 0 {
                guard size > 0 else { throw Broken(what: "chunk size") }
                answer.body += try take(size)
                guard try line().isEmpty else { throw Broken(what: "chunk end") }
            }
            guard try line().isEmpty else { throw Broken(what: "trailer") }
        } else {
            answer.body = try readToEnd()
        }
        return answer
    }

    func get(_ path: String = "/") throws -> Answer {
        try send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return try answer()
    }
}

/// Runs blocking code on a thread of its own.
func blocking<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue(label: "raw client").async { continuation.resume(with: Result(catching: body)) }
    }
}

/// Asks until it holds; false when it does not within the time.
func eventually(seconds: Double = 10, _ condition: @Sendable () -> Bool) async throws -> Bool {
    for _ in 0..<Int(seconds * 200) {
        if condition() { return true }
        try await Task.sleep(for: .milliseconds(5))
    }
    return condition()
}

/// A value that test closures on any thread change.
final class Shared<Value: Sendable>: Sendable {
    private let state: Mutex<Value>
    init(_ value: Value) { state = Mutex(value) }
    var value: Value { state.withLock { $0 } }
    func change(_ body: (inout Value) -> Void) { state.withLock { body(&$0) } }
}
