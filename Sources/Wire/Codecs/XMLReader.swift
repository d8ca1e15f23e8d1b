import Platform

/// An element of a parsed document. Names are local: prefixes are cut off.
struct XMLElement: Sendable {
    var name: String
    var attributes: [(name: String, value: String)] = []
    var children: [XMLElement] = []
    /// All text directly inside, CDATA included.
    var text = ""

    func first(_ name: String) -> XMLElement? { children.first { $0.name == name } }
}

/// Reads XML 1.0 without document types and entities of its own: nothing is fetched, nothing expands. Depth, elements and
/// attributes are bounded (`CodecLimits`).
struct XMLReader {
    struct Malformed: Error, CustomStringConvertible {
        var description: String
    }

    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    private var elements = 0

    static func parse(_ document: some Collection<UInt8>) throws -> XMLElement {
        let text = Array(document)
        guard String(validating: text, as: UTF8.self) != nil else { throw Malformed(description: "not UTF-8") }
        return try text.withUnsafeBufferPointer { buffer in
            var reader = XMLReader(buffer)
            return try reader.document()
        }
    }

    private init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    private func malformed(_ what: String) -> Malformed { Malformed(description: "\(what) at byte \(position)") }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private func looking(at text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard position + count <= bytes.count else { return false }
        for index in 0..<count where bytes[position + index] != text.utf8Start[index] { return false }
        return true
    }

    private mutating func skip(_ text: StaticString) -> Bool {
        guard looking(at: text) else { return false }
        position += text.utf8CodeUnitCount
        return true
    }

    private mutating func skipBlanks() {
        while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d { position += 1 }
    }

    /// Moves behind the next occurrence of `text`.
    private mutating func skipPast(_ text: StaticString) throws {
        while position < bytes.count {
            if skip(text) { return }
            position += 1
        }
        throw malformed("unexpected end")
    }

    private mutating func document() throws -> XMLElement {
        _ = skip("\u{feff}")
        try skipMisc()
        guard next == UInt8(ascii: "<") else { throw malformed("no root element") }
        let root = try tree()
        try skipMisc()
        guard position == bytes.count else { throw malformed("content behind the root element") }
        return root
    }

    /// Blanks, comments and processing instructions. A document type ends in an error.
    private mutating func skipMisc() throws {
        while true {
            skipBlanks()
            if skip("<?") {
                try skipPast("?>")
            } else if skip("<!--") {
                try skipPast("-->")
            } else if looking(at: "<!") {
                throw malformed("document types are not allowed")
            } else {
                return
            }
        }
    }

    /// The element at hand and everything in it; iterative.
    private mutating func tree() throws -> XMLElement {
        var open: [(element: XMLElement, tag: Range<Int>)] = []
        while true {
            if looking(at: "</") {
                position += 2
                let tag = try name()
                skipBlanks()
                guard skip(">") else { throw malformed("expected >") }
                guard let last = open.popLast(), bytes[last.tag].elementsEqual(bytes[tag]) else {
                    throw malformed("closing tag without its opening")
                }
                if let root = close(last.element, &open) { return root }
            } else if skip("<!--") {
                try skipPast("-->")
            } else if skip("<![CDATA[") {
                let start = position
                try skipPast("]]>")
                append(text(start..<position - 3), &open)
            } else if skip("<?") {
                try skipPast("?>")
            } else if looking(at: "<!") {
                throw malformed("declarations are not allowed")
            } else if skip("<") {
                let (element, tag, isEmpty) = try startTag()
                guard open.count < CodecLimits.depth else { throw malformed("nested too deep") }
                if isEmpty {
                    if let root = close(element, &open) { return root }
                } else {
                    open.append((element, tag))
                }
            } else {
                guard !open.isEmpty, next != nil else { throw malformed("unexpected end") }
                append(try characters(until: UInt8(ascii: "<")), &open)
            }
        }
    }

    /// Hands a finished element to its parent; answers it when it is the root.
    private func close(_ element: XMLElement, _ open: inout [(element: XMLElement, tag: Range<Int>)]) -> XMLElement? {
        guard !open.isEmpty else { return element }
        open[open.count - 1].element.children.append(element)
        return nil
    }

    private func append(_ text: String, _ open: inout [(element: XMLElement, tag: Range<Int>)]) {
        guard !open.isEmpty else { return }
        open[open.count - 1].element.text += text
    }

    private func text(_ range: Range<Int>) -> String {
        String(decoding: UnsafeBufferPointer(rebasing: bytes[range]), as: UTF8.self)
    }

    private mutating func name() throws -> Range<Int> {
        let start = position
        while let byte = next {
            let isName =
                (0x61...0x7a).contains(byte | 0x20) || (0x30...0x39).contains(byte) || byte >= 0x80
                || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ":") || byte == UInt8(ascii: "-")
                || byte == UInt8(ascii: ".")
            guard isName else { break }
            position += 1
        }
        guard position > start, bytes[start] != UInt8(ascii: "-"), !(0x30...0x39).contains(bytes[start]) else {
            throw malformed("expected a name")
        }
        return start..<position
    }

    private func local(_ name: Range<Int>) -> String {
        let colon = bytes[name].lastIndex(of: UInt8(ascii: ":"))
        return text((colon.map { $0 + 1 } ?? name.lowerBound)..<name.upperBound)
    }

    private mutating func startTag() throws -> (XMLElement, tag: Range<Int>, isEmpty: Bool) {
        elements += 1
        guard elements <= CodecLimits.xmlElements else { throw malformed("too many elements") }
        let tag = try name()
        var element = XMLElement(name: local(tag))
        while true {
            let before = position
            skipBlanks()
            if skip("/>") { return (element, tag, true) }
            if skip(">") { return (element, tag, false) }
            guard position > before else { throw malformed("expected a blank") }
            let name = try name()
            skipBlanks()
            guard skip("=") else { throw malformed("expected =") }
            skipBlanks()
            guard let quote = next, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
                throw malformed("expected a quote")
            }
            position += 1
            let value = try characters(until: quote)
            guard next == quote else { throw malformed("unexpected end") }
            position += 1
            guard element.attributes.count < CodecLimits.xmlAttributes else { throw malformed("too many attributes") }
            element.attributes.append((local(name), value))
        }
    }

    /// Text up to `end` (not consumed) or the end of input, references replaced, line ends as `\n`.
    private mutating func characters(until end: UInt8) throws -> String {
        var output: [UInt8] = []
        while let byte = next, byte != end {
            switch byte {
            case UInt8(ascii: "&"): try reference(&output)
            case UInt8(ascii: "<"): throw malformed("< inside an attribute")
            case 0x0d:
                output.append(0x0a)
                position += 1
                if next == 0x0a { position += 1 }
            case 0x09, 0x0a, 0x20...:
                output.append(byte)
                position += 1
            default: throw malformed("control character")
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private mutating func reference(_ output: inout [UInt8]) throws {
        if skip("&lt;") { return output.append(UInt8(ascii: "<")) }
        if skip("&gt;") { return output.append(UInt8(ascii: ">")) }
        if skip("&amp;") { return output.append(UInt8(ascii: "&")) }
        if skip("&quot;") { return output.append(UInt8(ascii: "\"")) }
        if skip("&apos;") { return output.append(UInt8(ascii: "'")) }
        guard skip("&#") else { throw malformed("unknown entity") }
        let isHex = skip("x")
        var code: UInt32 = 0
        var digits = 0
        while let digit = next?.hexValue, isHex || digit < 10, digits < 8 {
            code = code &* (isHex ? 16 : 10) &+ UInt32(digit)
            digits += 1
            position += 1
        }
        guard digits > 0, skip(";"), let scalar = Unicode.Scalar(code), code >= 0x20 || [9, 10, 13].contains(code)
        else {
            throw malformed("bad character reference")
        }
        output.append(contentsOf: String(scalar).utf8)
    }
}
