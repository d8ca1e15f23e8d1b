import Glibc

/// Seeded changes of valid input. MARTLET_SEED (a number) makes other ones, MARTLET_FUZZ multiplies their number.
struct Mutator {
    static let firstSeed = number("MARTLET_SEED") ?? 0
    static let factor = Int(number("MARTLET_FUZZ") ?? 1)
    /// What one test is run with: four seeds side by side.
    static let seeds = (0..<4).map { firstSeed &+ $0 }

    private static func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

    /// What decoders stumble over: ends of ranges, depth, escapes, bytes that are not UTF-8.
    private static let interesting: [[UInt8]] =
        [
            "\0", "%", "%00", "%ff", "%e2%82", "\r\n", "-1", "0", "1e400", "null", "\"", "\\u0000", "\\ud800", "{", "[",
            "<a>",
            "&#0;", "&#x110000;", "]]>", "<!--", "99999999999999999999", "-9223372036854775809", "9223372036854775807",
            "4294967295", "+", ";", "=", "..", "/", "*", "\u{301}", "\u{202E}", "(", ")", "{1,99999}", "NaN", "=x=",
        ].map { Array($0.utf8) } + [
            [0xFF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xC0, 0x80], [0x9F], [0xBF], [0x5F], [0xDF, 0xFF],
            [0xFF, 0xFF, 0xFF, 0xFF], [0x7F, 0xFF, 0xFF, 0xFF], [0x80, 0, 0, 0], [0, 0, 0, 0],
            [0x1B] + [UInt8](repeating: 0xFF, count: 8),
        ]

    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1 }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: Int) -> Int { bound > 0 ? Int(next() % UInt64(bound)) : 0 }

    mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }

    /// One to four changes.
    mutating func mutated(_ original: [UInt8]) -> [UInt8] {
        var bytes = original
        for _ in 0...below(4) {
            let start = below(bytes.count + 1)
            let end = min(start + 1 + below(pick([1, 4, 40])), bytes.count)
            switch below(8) {
            case 0: if start < bytes.count { bytes[start] ^= 1 << UInt8(below(8)) }
            case 1: bytes.removeSubrange(start..<end)
            case 2: bytes.insert(contentsOf: pick(Self.interesting), at: start)
            case 3: bytes.replaceSubrange(start..<end, with: pick(Self.interesting))
            case 4: bytes.insert(contentsOf: Array(bytes[start..<end]), at: below(bytes.count + 1))
            case 5: bytes.removeSubrange(start...)
            case 6:
                // Depth and length without end.
                let piece = pick(Self.interesting)
                bytes.insert(contentsOf: (0..<pick([3, 70, 700])).flatMap { _ in piece }, at: start)
            default: for index in start..<end { bytes[index] = UInt8(truncatingIfNeeded: next()) }
            }
        }
        return bytes
    }

    mutating func mutated(_ text: String) -> String { String(decoding: mutated(Array(text.utf8)), as: UTF8.self) }

    /// The bytes in pieces of random length, as a socket gives them.
    mutating func pieces(_ bytes: [UInt8]) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = 1 + below(pick([1, 7, 200]))
            pieces.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return pieces
    }
}
