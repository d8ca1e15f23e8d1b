import Platform

/// The generated schema text of one service, split into lines but otherwise read only when asked.
///
/// Grammar (written by `Tools/apigen/schema.py`), words separated by one blank, values percent-encoded where they hold one:
///
///     martlet-schema 1
///     service|signing|prefix|version|protocols|target|namespace|validation|querycompatible|errornamespace|roots VALUE
///     bareerrors yes
///     constraints required
///     op NAME METHOD STATUS URI [in=SHAPE] [out=SHAPE] [wrapper=NAME] [root=NAME] [xmlns=URI] [xmlprefix=P]
///        [streamin] [blobin] [blobout] [eventin] [eventout] [needs=q:NAME,h:NAME] [unrouted] [errors=A,B]
///     shapes                          from here on sorted by name, by bytes
///     NAME structure [payload=MEMBER] [error=CODE code=STATUS] [eventstream] [event] [union] [unwrapped] [root=NAME]
///        [xmlns=URI] [xmlprefix=P]
///      MEMBER TARGET [required] [header=N|headers=PREFIX|uri=N|query=N|status=N|name=N] [qname=N] [stream] [flat]
///        [attr] [token] [json] [eventpayload] [eventheader] [ts=FORMAT] [xmlns=URI] [xmlprefix=P]
///     NAME list TARGET [member=N] [flat] [sensitive] [min=N] [max=N]
///     NAME map KEYTARGET VALUETARGET [key=N] [value=N] [flat] [sensitive] [min=N] [max=N]
///     NAME SCALAR [sensitive] [ts=FORMAT] [min=N] [max=N] [enum VALUE… | pattern REGEX…]
///
/// A TARGET in lower case is a scalar without constraints: string boolean integer long float double blob timestamp
/// timestamp:FORMAT document. Names of shapes may be in lower case too: those words are looked up first.
struct SchemaText: Sendable {
    private let text: String
    /// Byte offsets of the lines of operations.
    let operationLines: [Range<Int>]
    /// Byte offsets of the lines that start a shape, sorted by its name.
    private let shapeLines: [Int]

    /// The lines in front of the first operation, by their first word. Throws `Failure(.bug)` when it is no schema text.
    static func header(_ text: String) throws -> [String: String] {
        var text = text
        return try text.withUTF8 { bytes in
            var head: [String: String] = [:]
            var line = Self.line(bytes, 0)
            guard Words(bytes, line).equals("martlet-schema 1") else {
                throw Failure(.bug, "A schema text starts with: martlet-schema 1")
            }
            while line.upperBound < bytes.count {
                line = Self.line(bytes, line.upperBound + 1)
                var words = Words(bytes, line)
                guard !words.starts(with: "op "), !words.equals("shapes") else { break }
                if let key = words.next() { head[key] = words.rest() }
            }
            return head
        }
    }

    init(_ text: String) {
        var text = text
        var operations: [Range<Int>] = []
        var shapes: [Int] = []
        text.withUTF8 { bytes in
            var start = 0
            var inShapes = false
            while start < bytes.count {
                let line = Self.line(bytes, start)
                if inShapes {
                    if !line.isEmpty, bytes[start] != UInt8(ascii: " ") { shapes.append(start) }
                } else if Words(bytes, line).equals("shapes") {
                    inShapes = true
                } else if Words(bytes, line).starts(with: "op ") {
                    operations.append(line)
                }
                start = line.upperBound + 1
            }
        }
        self.text = text
        operationLines = operations
        shapeLines = shapes
    }

    func words<T>(_ line: Range<Int>, _ body: (inout Words) throws -> T) rethrows -> T {
        var text = text
        return try text.withUTF8 { bytes in
            var words = Words(bytes, line)
            return try body(&words)
        }
    }

    /// Names of all shapes, in order.
    var shapeNames: [String] {
        shapeLines.map { start in words(lineRange(start)) { $0.next() ?? "" } }
    }

    /// The line of a shape and those of its members.
    func lines(ofShape name: String) -> (head: Range<Int>, members: [Range<Int>])? {
        var name = name
        var text = text
        return text.withUTF8 { bytes in
            name.withUTF8 { name in
                var (low, high) = (0, shapeLines.count)
                while low < high {
                    let middle = (low + high) / 2
                    switch Self.compare(bytes, at: shapeLines[middle], with: name) {
                    case 0: return collect(bytes, from: shapeLines[middle])
                    case ..<0: low = middle + 1
                    default: high = middle
                    }
                }
                return nil
            }
        }
    }

    private func lineRange(_ start: Int) -> Range<Int> {
        var text = text
        return text.withUTF8 { Self.line($0, start) }
    }

    private static func line(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> Range<Int> {
        var end = start
        while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
        return start..<end
    }

    private func collect(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> (Range<Int>, [Range<Int>]) {
        let head = Self.line(bytes, start)
        var members: [Range<Int>] = []
        var next = head.upperBound + 1
        while next < bytes.count, bytes[next] == UInt8(ascii: " ") {
            let line = Self.line(bytes, next)
            members.append(line.lowerBound + 1..<line.upperBound)
            next = line.upperBound + 1
        }
        return (head, members)
    }

    /// Negative when the word at `start` sorts before `name`.
    private static func compare(
        _ bytes: UnsafeBufferPointer<UInt8>, at start: Int, with name: UnsafeBufferPointer<UInt8>
    ) -> Int {
        for index in name.indices {
            let position = start + index
            guard position < bytes.count, bytes[position] > 0x20 else { return -1 }
            if bytes[position] != name[index] { return Int(bytes[position]) - Int(name[index]) }
        }
        let end = start + name.count
        return end < bytes.count && bytes[end] > 0x20 ? 1 : 0
    }
}

/// The words of one line.
struct Words {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position: Int
    private let end: Int

    init(_ bytes: UnsafeBufferPointer<UInt8>, _ line: Range<Int>) {
        self.bytes = bytes
        position = line.lowerBound
        end = line.upperBound
    }

    func equals(_ word: StaticString) -> Bool {
        guard end - position == word.utf8CodeUnitCount else { return false }
        for index in 0..<word.utf8CodeUnitCount where bytes[position + index] != word.utf8Start[index] { return false }
        return true
    }

    mutating func next() -> String? {
        guard position < end else { return nil }
        let start = position
        while position < end, bytes[position] != UInt8(ascii: " ") { position += 1 }
        let word = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
        position += 1
        return word
    }

    /// Whether the rest of the line starts so.
    func starts(with text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard end - position >= count else { return false }
        for index in 0..<count where bytes[position + index] != text.utf8Start[index] { return false }
        return true
    }

    /// The next word as `key` and, behind `=`, the decoded value.
    mutating func attribute() -> (key: String, value: String)? {
        guard let word = next() else { return nil }
        guard let equals = word.utf8.firstIndex(of: UInt8(ascii: "=")) else { return (word, "") }
        let value = String(word[word.utf8.index(after: equals)...])
        return (String(word[..<equals]), Percent.decode(value))
    }

    /// Everything that is left.
    mutating func rest() -> String {
        defer { position = end }
        guard position < end else { return "" }
        return String(decoding: UnsafeBufferPointer(rebasing: bytes[position..<end]), as: UTF8.self)
    }
}
