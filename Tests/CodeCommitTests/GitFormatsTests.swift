import NIOCore
import Platform
import Testing

@testable import CodeCommit

struct GitFormatsTests {
    @Test func commit() {
        let id = String(repeating: "1", count: 40)
        let text = """
            tree \(String(repeating: "2", count: 40))
            parent \(String(repeating: "3", count: 40))
            parent \(String(repeating: "4", count: 40))
            author Jane Q. Doe <jane@example.com> 1484167798 -0800
            committer <> 0 +0000
            gpgsig -----BEGIN
             tree of a signature
             -----END

            subject

            body

            """
        let commit = CommitObject(id: id, bytes: Array(text.utf8))
        #expect(commit.tree == String(repeating: "2", count: 40))
        #expect(commit.parents.map(\.first) == ["3", "4"])
        #expect(commit.author == .init(name: "Jane Q. Doe", email: "jane@example.com", date: "1484167798 -0800"))
        #expect(commit.committer == .init(name: "", email: "", date: "0 +0000"))
        #expect(commit.message == "subject\n\nbody\n")
    }

    /// Bytes that are no commit, tree or difference crash nothing.
    @Test(arguments: 0..<300) func anyBytes(_ seed: Int) {
        var state = UInt64(seed) &+ 1
        let bytes = (0..<(seed % 120)).map { _ -> UInt8 in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let byte = UInt8(truncatingIfNeeded: state >> 33)
            return byte % 3 == 0 ? [0x0A, 0x20, 0x00, 0x3C, 0x3E, 0x3A, 0x31][Int(byte) % 7] : byte
        }
        _ = CommitObject(id: "", bytes: bytes)
        _ = ObjectReader.entries(bytes)
        _ = FileDifference.parse(bytes)
        var commands = PushCommands()
        commands.feed(.init(bytes: bytes))
        _ = SignaturePassword(String(decoding: bytes, as: UTF8.self))
        _ = BasicCredentials(header: "Basic " + String(decoding: bytes, as: UTF8.self))
    }

    @Test func tree() {
        let id = [UInt8](repeating: 0xAB, count: 20)
        let bytes = Array("100755 run me\0".utf8) + id + Array("40000 dir\0".utf8) + id + Array("120000 l\0".utf8) + id
        let entries = ObjectReader.entries(bytes)
        #expect(entries.map(\.name) == ["run me", "dir", "l"])
        #expect(entries.map(\.kind) == [.file, .folder, .link])
        #expect(entries[0].fileMode == .executable)
        #expect(entries[0].id == String(repeating: "ab", count: 20))
    }

    @Test func differences() {
        let (a, b, none) = (
            String(repeating: "a", count: 40), String(repeating: "b", count: 40), ObjectID.zero
        )
        let raw =
            ":100644 100755 \(a) \(b) M\0x y\0:000000 100644 \(none) \(b) A\0new\0:100644 000000 \(a) \(none) D\0d/old\0"
        let found = FileDifference.parse(Array(raw.utf8))
        #expect(found.map(\.kind) == ["M", "A", "D"])
        #expect(found.map(\.path) == ["x y", "new", "d/old"])
        #expect(found[0].after == .init(mode: "100755", blob: b))
    }

    @Test func blobIDs() {
        // As `git hash-object` says.
        #expect(CommitChanges.blobID(Array("hello\n".utf8)) == "ce013625030ba8dba906f756967f9e9ca394464a")
        #expect(CommitChanges.blobID([]) == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
    }

    @Test func quotedPaths() {
        #expect(FastImport.quoted(#"a "b"\c"#) == #""a \"b\"\\c""#)
        #expect(FastImport.quoted("ä\u{1}") == #""\303\244\001""#)
    }

    /// A message or name cannot end its place in the stream.
    @Test func fastImport() {
        var changes = CommitChanges()
        changes.writes = [.init(path: "p", mode: .executable, content: .bytes(Array("D x\n".utf8)), old: nil)]
        let script = FastImport.commit(
            changes, on: "refs/martlet/x", parent: nil, author: .init(name: "a\nfrom b<", email: "e>\0"),
            message: "m\0\ndone\n", now: Instant(milliseconds: 5_000))
        #expect(
            String(decoding: script, as: UTF8.self) == """
                feature done
                commit refs/martlet/x
                mark :1
                author afrom b <e> 5 +0000
                committer afrom b <e> 5 +0000
                data 7
                m
                done

                M 100755 inline "p"
                data 4
                D x


                get-mark :1
                done

                """)
    }

    @Test func references() {
        for name in ["main", "a/b", "ü", "a.b", "x@y"] { #expect(ReferenceName.isBranch(name), "\(name)") }
        for name in [
            "", "-a", "a..b", "a b", "a~", "a^", "a:", "a?", "a*", "a[", "a\\", "/a", "a/", "a//b", ".a", "a/.b", "a.",
            "a.lock", "a.lock/b", "@", "HEAD", "a@{1}", "a\u{7F}", "a\n",
        ] { #expect(!ReferenceName.isBranch(name), "\(name)") }
        #expect(ReferenceName.isReference("refs/notes/x"))
        for name in ["refs/martlet/x", "HEAD", "refs/heads/main^0", "refs/heads/a\nb", "refs/"] {
            #expect(!ReferenceName.isReference(name), "\(name)")
        }
    }

    @Test func changes() {
        func names(_ targets: [(String, String)]) -> [FullName: String] {
            Dictionary(uniqueKeysWithValues: targets.map { (FullName($0.0), $0.1) })
        }
        let changes = ReferenceChange.between(
            announced: names([("a", "1"), ("b", "1"), ("c", "1")]),
            present: names([("a", "1"), ("b", "2"), ("d", "3")]))
        #expect(changes.map(\.name) == ["b", "c", "d"])
        #expect(changes.map(\.kind) == [.updated, .deleted, .created])
        // Two spellings of one letter, and a name that begins with an accent.
        let (composed, apart) = ("refs/heads/\u{E9}", "refs/heads/e\u{301}")
        #expect(composed == apart)
        let both = ReferenceChange.between(announced: names([(composed, "1")]), present: names([(apart, "1")]))
        #expect(both.map(\.kind) == [.created, .deleted])
        #expect(both.map { Array($0.name.utf8) } == [Array(apart.utf8), Array(composed.utf8)])
        let odd = "refs/heads/\u{301}x"
        #expect(ReferenceName.isReference(odd))
        #expect(ReferenceName.branch(odd).map { Array($0.utf8) } == Array("\u{301}x".utf8))
        #expect(ReferenceName.isReference("refs/heads/a./b"))
    }

    @Test func triggersChoose() {
        let main = ReferenceChange(name: "refs/heads/main", old: nil, new: "1")
        let tag = ReferenceChange(name: "refs/tags/main", old: nil, new: "1")
        func trigger(_ events: [Trigger.Event], _ branches: [String]) -> Trigger {
            Trigger(name: "t", destination: "d", customData: nil, branches: branches, events: events)
        }
        #expect(trigger([.all], []).matches(tag))
        #expect(!trigger([.all], ["main"]).matches(tag))
        #expect(trigger([.createReference], ["x", "main"]).matches(main))
        #expect(!trigger([.updateReference, .deleteReference], []).matches(main))
        #expect(Trigger(trigger([.all], ["b"]).value) == trigger([.all], ["b"]))
    }

    /// Many references are several events, which say so.
    @Test func partsOfEvents() {
        let event = TriggerEvent(
            name: "ReferenceChanges",
            repository: RepositoryKey(scope: AccountRegion(account: "1", region: "r"), name: "n"), triggersID: "i",
            caller: "c", time: Instant(milliseconds: 1_795_413_600_123))
        let trigger = Trigger(name: "t", destination: "d", customData: nil, branches: [], events: [.all])
        let changes = (0..<120).map { ReferenceChange(name: "refs/heads/\($0)", old: nil, new: "1") }
        let messages = event.messages(trigger, changes)
        let records = messages.compactMap { $0["Records"]?.list?.first }
        #expect(records.map { $0["eventPartNumber"]?.int } == [1, 2, 3])
        #expect(records.allSatisfy { $0["eventTotalParts"]?.int == 3 })
        #expect(records.compactMap { $0["codecommit"]?["references"]?.list?.count } == [50, 50, 20])
        #expect(records.first?["eventTime"]?.string?.hasSuffix(".123+0000") == true)
    }
}
