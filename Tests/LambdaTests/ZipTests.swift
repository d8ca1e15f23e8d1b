import Glibc
import Logging
import Platform
import Testing
import Wire

@testable import Lambda

@Suite struct ZipTests {
    private func unpack(_ zips: [UInt8]..., budget: Int64 = 1 << 20) throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        for (index, zip) in zips.enumerated() {
            let path = try directory.write(zip, to: "\(index).zip")
            if mkdir(directory.path + "/out", 0o755) != 0, errno != EEXIST { throw Failure(.storage, "mkdir") }
            var unpacker = try ZipUnpacker(directory: directory.path + "/out", budget: budget)
            try unpacker.unpack(path)
        }
        return directory
    }

    private func scan(_ bytes: [UInt8]) throws -> ZipDirectory {
        try ZipDirectory.scan(size: bytes.count) { offset, count in Array(bytes[offset..<offset + count]) }
    }

    @Test func filesAndModes() throws {
        var zip = ZipWriter([("index.py", "print(1)")])
        zip.add("bin/", mode: 0o040700)
        zip.add("bin/tool", "#!/bin/sh", mode: 0o100700)
        zip.add("deep/er/ünï.txt", "x", mode: 0o100000)
        zip.add("./dot/./file", "y", mode: 0)
        let directory = try unpack(zip.bytes())
        #expect(TemporaryDirectory.read(directory.path + "/out/index.py") == "print(1)")
        #expect(TemporaryDirectory.mode(directory.path + "/out/index.py") == S_IFREG | 0o644)
        #expect(TemporaryDirectory.mode(directory.path + "/out/bin/tool") == S_IFREG | 0o755)
        #expect(TemporaryDirectory.mode(directory.path + "/out/bin") == S_IFDIR | 0o755)
        #expect(TemporaryDirectory.read(directory.path + "/out/deep/er/ünï.txt") == "x")
        #expect(TemporaryDirectory.read(directory.path + "/out/dot/file") == "y")
        #expect(try scan(zip.bytes()).entries == 5)
    }

    @Test(arguments: [
        "../evil", "/etc/evil", "a/../../evil", "a/..", String(repeating: "n", count: 256),
        String(repeating: "d/", count: 200) + "f",
    ])
    func slips(name: String) throws {
        #expect(throws: AWSError.badZip) { _ = try unpack(ZipWriter([(name, "x")]).bytes()) }
    }

    @Test(arguments: ["/etc/passwd", "../x", "a/../../x", "/opt/../etc/passwd", ""])
    func linksThatEscape(target: String) throws {
        var zip = ZipWriter()
        zip.add("link", target, mode: 0o120777)
        #expect(throws: AWSError.badZip) { _ = try unpack(zip.bytes()) }
    }

    @Test func linksInside() throws {
        var zip = ZipWriter([("lib/real", "x")])
        zip.add("bin/link", "../lib/real", mode: 0o120777)
        zip.add("opt", "/opt/lib/x", mode: 0o120777)
        let directory = try unpack(zip.bytes())
        #expect(TemporaryDirectory.read(directory.path + "/out/bin/link") == "x")
        #expect(TemporaryDirectory.mode(directory.path + "/out/opt").map { $0 & S_IFMT } == S_IFLNK)
    }

    /// A link first, then a file through it.
    @Test func writingThroughLinks() throws {
        var zip = ZipWriter([("real/file", "x")])
        zip.add("link", "real", mode: 0o120777)
        zip.add("link/evil", "y")
        #expect(throws: AWSError.badZip) { _ = try unpack(zip.bytes()) }
    }

    @Test(arguments: [0o020644, 0o060644, 0o140644] as [UInt32])
    func devices(mode: UInt32) throws {
        var zip = ZipWriter()
        zip.add("device", mode: mode)
        #expect(throws: AWSError.badZip) { _ = try unpack(zip.bytes()) }
    }

    /// libarchive takes a pipe in a zip for a file; so it is one.
    @Test func pipes() throws {
        var zip = ZipWriter()
        zip.add("pipe", mode: 0o010644)
        let directory = try unpack(zip.bytes())
        #expect(TemporaryDirectory.mode(directory.path + "/out/pipe") == S_IFREG | 0o644)
    }

    @Test func laterFilesWin() throws {
        let first = ZipWriter([("python/a.py", "1"), ("python/b.py", "1")])
        let second = ZipWriter([("python/b.py", "2")])
        let directory = try unpack(first.bytes(), second.bytes())
        #expect(TemporaryDirectory.read(directory.path + "/out/python/a.py") == "1")
        #expect(TemporaryDirectory.read(directory.path + "/out/python/b.py") == "2")
    }

    @Test func tooLarge() throws {
        let zip = ZipWriter([("a", String(repeating: "x", count: 600)), ("b", String(repeating: "x", count: 600))])
        #expect(throws: AWSError.unzippedTooLarge) { _ = try unpack(zip.bytes(), budget: 1_000) }
        var liar = ZipWriter()
        liar.entries.append(.init(name: Array("a".utf8), data: [1], claimedSize: 262_144_000))
        #expect(throws: AWSError.unzippedTooLarge) { _ = try scan(liar.bytes()) }
    }

    @Test func encrypted() throws {
        var zip = ZipWriter()
        zip.entries.append(.init(name: Array("a".utf8), data: Array("secret".utf8), flags: 0x801))
        #expect(throws: AWSError.badZip) { _ = try unpack(zip.bytes()) }
    }

    @Test func tooManyEntries() throws {
        // The count in the end record lies: the directory is walked.
        var bytes: [UInt8] = []
        let header: [UInt8] = [0x50, 0x4B, 1, 2] + [UInt8](repeating: 0, count: 42)
        for _ in 0...Limits.zipEntries { bytes += header }
        let size = UInt32(bytes.count)
        bytes += [0x50, 0x4B, 5, 6, 0, 0, 0, 0, 1, 0, 1, 0]
        bytes += (0..<4).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) } + [0, 0, 0, 0, 0, 0]
        #expect(throws: AWSError.badZip) { _ = try scan(bytes) }
    }

    /// Few entries that need very many directories.
    @Test func tooManyDirectories() throws {
        let directory = try TemporaryDirectory()
        func check(_ entries: Int) throws {
            var zip = ZipWriter()
            for number in 0..<entries { zip.add("\(number)/" + String(repeating: "d/", count: 120) + "f") }
            var unpacker = ZipUnpacker(checkingWithBudget: 1 << 20)
            try unpacker.unpack(try directory.write(zip.bytes(), to: "\(entries).zip"))
        }
        try check(Limits.zipDirectories / 121)
        #expect(throws: AWSError.badZip) { try check(Limits.zipDirectories / 121 + 1) }
    }

    @Test func notZips() throws {
        #expect(throws: AWSError.emptyZip) { _ = try scan([]) }
        #expect(throws: AWSError.emptyZip) { _ = try scan(ZipWriter().bytes()) }
        #expect(throws: AWSError.badZip) { _ = try scan(Array("not a zip at all, but long enough to be one".utf8)) }
    }

    /// Truncation at every byte and seeded damage: an error or a directory, never a crash or a hang.
    @Test func damaged() throws {
        var zip = ZipWriter([("index.py", "print(1)"), ("lib/x.py", "y")])
        zip.add("link", "lib/x.py", mode: 0o120777)
        let bytes = zip.bytes()
        for count in 0..<bytes.count {
            #expect(throws: AWSError.self) { _ = try scan(Array(bytes.prefix(count))) }
            #expect(throws: AWSError.self) { _ = try unpack(Array(bytes.prefix(count))) }
        }
        var generator = SeededGenerator(state: 7)
        for _ in 0..<300 {
            var damaged = bytes
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                damaged[Int.random(in: 0..<damaged.count, using: &generator)] = UInt8.random(
                    in: 0...255, using: &generator)
            }
            do {
                _ = try scan(damaged)
                let directory = try unpack(damaged)
                // Whatever it became, nothing is beside the directory.
                #expect(Set(Directory.names(in: directory.path)).isSubset(of: ["0.zip", "out"]))
            } catch is AWSError {}
        }
    }

    @Test func storeUnpacksOnceAndSweeps() async throws {
        let directory = try TemporaryDirectory()
        let archive = try directory.write(ZipWriter([("a", "1")]).bytes(), to: "a.zip")
        let root = directory.path + "/store"
        let store = try CodeStore(directory: root, logger: Logger(label: "test"))
        store.pin(["x"])
        try await store.prepare(.init(name: "x", archives: [archive]))
        try await store.prepare(.init(name: "x", archives: ["/nowhere"]))
        #expect(TemporaryDirectory.read(store.path("x") + "/a") == "1")
        let mark = store.sweepMark()
        try await store.sweep(["x"], mark: mark)
        #expect(store.directories() == ["x"], "pinned")
        store.unpin(["x"])
        try await store.sweep(["x"], mark: mark)
        #expect(store.directories() == ["x"], "pinned since the mark")
        try await store.sweep(["x"], mark: store.sweepMark())
        #expect(store.directories() == [])
        #expect(Directory.names(in: root + "/tmp") == [])
    }

    @Test func storeKeepsNothingOfBadZips() async throws {
        let directory = try TemporaryDirectory()
        let archive = try directory.write(ZipWriter([("a", "1"), ("../b", "2")]).bytes(), to: "a.zip")
        let root = directory.path + "/store"
        let store = try CodeStore(directory: root, logger: Logger(label: "test"))
        await #expect(throws: AWSError.badZip) { try await store.prepare(.init(name: "x", archives: [archive])) }
        #expect(store.directories() == [])
        #expect(Directory.names(in: root + "/tmp") == [])
    }
}

/// splitmix64.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
