import NIOCore
import Testing

@testable import CodeCommit

struct PacketLinesTests {
    private static let a = String(repeating: "a", count: 40)
    private static let b = String(repeating: "b", count: 40)

    private func push(_ lines: [String]) -> String { lines.map(PushCommands.line).joined() + "0000PACK…" }

    /// However the bytes are cut, the same references come out.
    @Test(arguments: [1, 2, 3, 5, 7, 40, 1000])
    func commandsOfAPush(_ piece: Int) {
        let text = push([
            "\(Self.a) \(Self.b) refs/heads/main\0 report-status-v2 side-band-64k",
            "\(Self.b) \(Self.a) refs/tags/v 1\n",
        ])
        var commands = PushCommands()
        let bytes = Array(text.utf8)
        var start = 0
        while start < bytes.count {
            let end = min(start + piece, bytes.count)
            commands.feed(ByteBuffer(bytes: bytes[start..<end]))
            start = end
        }
        #expect(commands.references == ["refs/heads/main", "refs/tags/v 1"])
        #expect(commands.isDone)
        #expect(!commands.isOverLimit)
    }

    @Test func tooManyReferences() {
        var commands = PushCommands(limit: 2)
        commands.feed(
            ByteBuffer(string: push((0..<3).map { "\(Self.a) \(Self.b) refs/heads/\($0)" })))
        #expect(commands.isOverLimit)
        #expect(commands.references.count == 2)
    }

    @Test(arguments: ["zzzz", "0001", "0003abc", "fff9", "PACK"])
    func malformed(_ text: String) {
        var commands = PushCommands()
        commands.feed(ByteBuffer(string: text + String(repeating: "x", count: 70_000)))
        #expect(commands.references.isEmpty)
        #expect(commands.isCutShort && commands.isDone)
    }

    /// git takes a line of four bytes more than the protocol lets it have.
    @Test func aLineThatIsTooLong() {
        var commands = PushCommands()
        commands.feed(ByteBuffer(string: PushCommands.line("\(Self.a) \(Self.b) refs/heads/side")))
        let line = "\(Self.a) \(Self.b) refs/heads/main\0"
        commands.feed(ByteBuffer(string: "fff1" + line + String(repeating: "x", count: 0xFFF1 - 4 - line.utf8.count)))
        #expect(commands.isCutShort)
        commands = PushCommands()
        commands.feed(ByteBuffer(string: push(["\(Self.a) \(Self.b) refs/heads/main"])))
        #expect(commands.isDone && !commands.isCutShort)
    }

    /// git reads the commands of a certificate from its text, whatever lines they stand in.
    @Test func certificates() {
        let text = [
            "push-cert\0report-status",
            "certificate version 0.1\npusher a\n\n\(Self.a) \(Self.b) refs/heads/side\n\(Self.a) \(Self.b) refs/heads/main\n",
            "push-cert-end\n",
        ]
        var commands = PushCommands()
        commands.feed(ByteBuffer(string: push(text)))
        #expect(commands.hasCertificate && commands.isDone && commands.references.isEmpty)
    }

    @Test func linesThatAreNoCommands() {
        for (line, isKnown) in [("shallow \(Self.a)", true), ("hello", false), ("\(Self.a) \(Self.b)", false)] {
            var commands = PushCommands()
            commands.feed(ByteBuffer(string: push([line, "\(Self.a) \(Self.b) refs/heads/main"])))
            #expect(commands.isCutShort != isKnown)
            #expect(commands.references == ["refs/heads/main"])
        }
    }

    /// git would take it, and nobody could be told of it.
    @Test func namesThatAreNoUTF8() {
        var commands = PushCommands()
        commands.feed(ByteBuffer(bytes: Array("0067\(Self.a) \(Self.b) refs/heads/".utf8) + [0xE9] + Array("\n".utf8)))
        #expect(!commands.hasUnspeakableName)
        let line = Array("\(Self.a) \(Self.b) refs/heads/".utf8) + [0xE9]
        var others = PushCommands()
        others.feed(ByteBuffer(bytes: Array("00".utf8) + Array(String(line.count + 4, radix: 16).utf8) + line))
        #expect(others.hasUnspeakableName && others.isDone)
    }

    @Test func lines() {
        #expect(PushCommands.line("# service=git-upload-pack\n") == "001e# service=git-upload-pack\n")
    }
}
