import Glibc

/// Words for people: colour only on a terminal, and never when NO_COLOR is set.
enum Terminal {
    private static let isColourful = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil
    private static let isErrorColourful = isatty(STDERR_FILENO) == 1 && getenv("NO_COLOR") == nil

    /// Whether somebody types what is read.
    static let isInteractive = isatty(STDIN_FILENO) == 1

    static func bold(_ text: String) -> String { isColourful ? "\u{1B}[1m\(text)\u{1B}[0m" : text }
    static func green(_ text: String) -> String { isColourful ? "\u{1B}[32m\(text)\u{1B}[0m" : text }
    static func red(_ text: String) -> String { isColourful ? "\u{1B}[31m\(text)\u{1B}[0m" : text }

    static func warn(_ text: String) {
        writeError(isErrorColourful ? "\u{1B}[33mwarning:\u{1B}[0m \(text)\n" : "warning: \(text)\n")
    }

    static func fail(_ text: String) {
        writeError(isErrorColourful ? "\u{1B}[31merror:\u{1B}[0m \(text)\n" : "error: \(text)\n")
    }

    private static func writeError(_ text: String) { StandardStreams.writeError(Array(text.utf8)) }
}

enum StandardStreams {
    /// Everything on standard input, to its end.
    static func readAll() -> [UInt8] {
        var all: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = piece.withUnsafeMutableBytes { read(STDIN_FILENO, $0.baseAddress, $0.count) }
            guard count > 0 else { return all }
            all += piece[..<count]
        }
    }

    static func writeError(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            guard written > 0 else { return }
            rest = rest.dropFirst(written)
        }
    }
}

/// Standard output is block-buffered when it is no terminal; whoever waits for the banner must see it.
func fflushStandardOutput() { fflush(nil) }
